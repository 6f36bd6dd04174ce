"""Everything that an operator may configure of the service, as traits."""

from __future__ import annotations

from traitlets import Bool, Dict, Float, HasTraits, Integer, List, Unicode

__all__ = ["ServiceTraits"]


class ServiceTraits(HasTraits):
    """The configuration of :class:`~jupyter_quantum.hub.app.QuantumService` (``c.QuantumService.…``)."""

    config_file = Unicode("", help="A configuration file of traitlets (.py or .json).").tag(config=True)
    data_dir = Unicode("quantum-data", help="Directory for store, results, secrets; made with mode 0700.").tag(
        config=True
    )
    url = Unicode(
        help="Where to listen, such as http://127.0.0.1:10101; JUPYTERHUB_SERVICE_URL where it is empty."
    ).tag(config=True)
    managed = Bool(False, help="End when the process that started the service ends.").tag(config=True)
    db_url = Unicode("", help="SQLAlchemy URL of the store; SQLite in the data directory where it is empty.").tag(
        config=True
    )
    policies = Unicode("", help="Directory of Cedar policies; the packaged ones where it is empty.").tag(config=True)
    projects = Dict(
        help="Project → organisation, tier, members and leads (lists of hub groups), grant and user_quota (credits), "
        "and whatever tenants.yaml may say of one. Applying tenants does not change these."
    ).tag(config=True)
    prices = Dict(
        help="Device → per_task, per_shot, per_second, per_queue_minute (of at most queue_minutes), in credits; or a "
        "list of such, each with the moment `since` which it holds. A simulator that is not here is free; any other "
        "device that is not here takes no jobs."
    ).tag(config=True)
    device_labels = Dict(help="Device → words for people, where the runner's own do not fit.").tag(config=True)
    max_seconds = Dict(help="Device → seconds that one run may take.").tag(config=True)
    limits = Dict(
        help="Caps on what a request may hold: bytes, circuits, qubits, operations, shots, …; active: jobs of one user "
        "that have not ended."
    ).tag(config=True)
    operators = Unicode("quantum-operators", help="Hub group of those who operate devices.").tag(config=True)
    auditors = Unicode("quantum-auditors", help="Hub group of auditors: they read the record.").tag(config=True)
    admins = Unicode("quantum-admins", help="Hub group of those who may do what operators do.").tag(config=True)
    audit_key = Unicode(
        "", help="File of the key that signs the record, mode 0600; audit.key in the data directory where it is empty."
    ).tag(config=True)
    audit_copies = Unicode(
        None,
        allow_none=True,
        help="Second place of the record's checkpoints: an fsspec URL, best on another machine (s3://…, file:///…); "
        "checkpoints in the data directory where None, nowhere where empty.",
    ).tag(config=True)
    audit_witness = Unicode(
        "", help="Address that checkpoints are posted to (add-checkpoint of c2sp.org/tlog-witness, or any webhook)."
    ).tag(config=True)
    audit_every = Float(60.0, min=0.05, help="Seconds that events wait for a signed checkpoint, at most.").tag(
        config=True
    )
    audit_events = Unicode(
        "",
        help="File that every entry of the record is written to as well, as Jupyter events (JSON Lines); for other "
        "ways out, give c.EventLogger.handlers.",
    ).tag(config=True)
    audit_entries = Integer(1000, min=1, help="After so many events, a checkpoint is signed sooner.").tag(config=True)
    audit_window = Float(
        60.0, min=0.05, help="Refusals that are alike within so many seconds are one entry of the record, with a count."
    ).tag(config=True)
    mfa_group = Unicode("quantum-mfa", help="Hub group of people who signed in with a second factor.").tag(config=True)
    membership_age = Float(
        60.0,
        min=0.0,
        max=60.0,
        help="Seconds that the hub's answer about a person (groups, scopes) may be old, at most; what is paid for and "
        "what administrates asks anew in any case.",
    ).tag(config=True)
    time_zone = Unicode("UTC", help="The lab's time zone: policy's hours and the months of quotas.").tag(config=True)
    approval_expiry = Float(7 * 24 * 3600.0, help="Seconds until an open request for approval lapses.").tag(config=True)
    sweep_every = Float(60.0, help="Seconds between two looks at who, of those with waiting jobs, has left.").tag(
        config=True
    )
    elevation_hours = Float(8.0, help="The longest that somebody may have a role for a while, hours.").tag(config=True)
    breakglass_groups = List(
        Unicode(),
        help="Hub groups whose members may take a role at once, to be reviewed after; nobody where empty.",
    ).tag(config=True)
    breakglass_hours = Float(1.0, help="The longest that a role taken so lasts, hours.").tag(config=True)
    workload_token_life = Float(
        600.0, min=10.0, max=600.0, help="Seconds that a token lasts which a CI job gets in exchange for its own."
    ).tag(config=True)
    storage_region = Unicode(
        "", help="Where the service's storage is; projects that are bound to regions must have it among theirs."
    ).tag(config=True)
    insecure_issuers = Bool(False, help="Take tokens of OIDC issuers on loopback without HTTPS (tests, demos).").tag(
        config=True
    )
    admin_services = List(
        Unicode(), help="Services of the hub that may administrate, such as the CI that applies tenants.yaml."
    ).tag(config=True)
    keys = Dict(
        help="Who wraps the keys of the data: {'provider': 'file'} (default), 'vault' (url, key, mount, token_file, "
        "namespace, ca, timeout_s) or 'pkcs11' (library, token, pin_file, key)."
    ).tag(config=True)
    encryption = Unicode("A256GCM", help="Algorithm of new data keys: A256GCM or C20P.").tag(config=True)
    export_targets = Dict(
        help="Where projects may export to: name → url (fsspec; absent: whoever asked downloads it once), region, "
        "data_classes (absent: all). Each project declares which of them it uses. The name tokens stands for what "
        "tokens of services and workloads read."
    ).tag(config=True)
    retention = Dict(
        help="Days that data is kept after a job's end: inputs, results, logs; what is not here is kept. A project's "
        "own retention comes first."
    ).tag(config=True)
    series = Dict(
        help="Benchmark series: project (whose budgets pay; nothing runs without), account (its service account, "
        "quantum where absent), devices (measured by themselves), hours (between two runs, 24), shots (of a circuit, "
        "1000), max_price (credits that one run may cost), circuits (file of `jupyter quantum series make`)."
    ).tag(config=True)
    class_weights = Dict(
        help="Priority class (interactive, benchmark) → weight in a device's queue; 1 and 0.25 by default."
    ).tag(config=True)
    devices = List(Dict(), help="Devices of the local runner; the packaged emulators where it is empty.").tag(
        config=True
    )
    secrets = Dict(
        help="Where the local runner finds the secrets of vendors, never the secrets themselves: provider file (path, "
        "mode 0600) or vault (url, token_file, mount, path, namespace, ca, timeout_s)."
    ).tag(config=True)
    isolation = Dict(
        help="When a device is isolated by itself (0: never) and comes back: in_a_row (jobs that failed one after the "
        "other; 5), rate (share of jobs that fail within window seconds; 0.5 of at least `least`, 10), drift (how many "
        "times its median two-qubit error of before), mirror (least success of benchmarks with a known answer, of "
        "what was predicted), resume (with the next calibration; false), error (the median two-qubit error that "
        "passes)."
    ).tag(config=True)
    retry_pause = Float(
        5.0, min=0.0, help="Seconds before a run is tried again whose fault may pass; doubled each time."
    ).tag(config=True)
    vendor_wait = Float(
        86_400.0, min=0.0, help="Seconds that a run may wait in a vendor's own queue, at most; max_seconds come on top."
    ).tag(config=True)
    fallback_wait = Float(
        3600.0, min=0.0, help="Seconds that a job which may move waits for a device that starts nothing, by default."
    ).tag(config=True)
    run_runner = Bool(True, help="Start a runner on this machine.").tag(config=True)
    runners = Dict(
        help="Services of the hub that run jobs on other machines (`jupyter quantum runner`) → devices (names that "
        "each may announce, with *) and regions (where they may be; absent: anywhere)."
    ).tag(config=True)
    workers = Integer(0, help="Sandboxed workers of the local runner; as many as cores where 0.").tag(config=True)
    threads = Integer(0, help="Threads of one simulation; as many as cores where 0.").tag(config=True)
    rate = Float(300.0, help="Requests a second that one user may send in the long run.").tag(config=True)
    burst = Float(600.0, help="Requests that one user may send at once.").tag(config=True)
    rates = Dict(
        help="Class of requests → rate (a second) and burst, for one user: read, submit (both as `rate` and `burst` "
        "say), validate, decide, administer; by address: exchange (of tokens), stranger (nobody known), peer (what a "
        "proxy forwards of strangers, together); of a project's members together: project.submit, project.validate."
    ).tag(config=True)
    tier_rates = Dict(help="Tier → how many times the usual its projects may send; 1, 2 and 4 by default.").tag(
        config=True
    )
    webhook_allow = List(
        Unicode(),
        help="Hosts and networks inside that webhooks may be sent to: hooks.lab.example, 10.1.2.0/24. Public addresses "
        "need no entry.",
    ).tag(config=True)
    webhook_ports = List(Integer(), default_value=[443], help="Ports that webhooks may be sent to.").tag(config=True)
    webhook_http = Bool(False, help="Allow http, without encryption, to what webhook_allow lists.").tag(config=True)
    webhook_ca = Unicode("", help="File of certificates that webhooks trust instead of the system's.").tag(config=True)
    trusted_proxies = List(
        Unicode(),
        default_value=["127.0.0.1", "::1"],
        help="Addresses of the hub's proxy: X-Forwarded-For is believed from there only.",
    ).tag(config=True)
