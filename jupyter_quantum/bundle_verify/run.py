"""Checks of what the bundle says of the run: digests of its files, policy, approvals, job, estimate, citation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from jupyter_quantum.bundle_verify.parts import Absent, Bundle, Wrong, canonical, digest

__all__ = [
    "BOUND",
    "bound",
    "check_approvals",
    "check_calibration",
    "check_citation",
    "check_decision",
    "check_job",
    "check_source",
    "note_rest",
]

_MOMENTS = ("created", "changed", "submitted", "started", "ended", "cancel_asked")
BOUND = frozenset(
    {"id", "name", "kind", "state", "project", "device", "device_kind", "device_label", "report", "source"}
    | {"executable", "num_circuits", "num_qubits", "shots", "executions", "price", "price_at_most", "on_hold", "cost"}
    | {"attempts", "approval", "envelope", "fallback", "moved_from", "marks", "seconds", "vendor_seconds", "version"}
    | {"replay_of", "origin", "session", *_MOMENTS}
)
"""Fields of ``job.json`` that the digest ``facts`` of the last entry covers, and the code of its error; no person's
name is among them, as the record must be able to forget people."""
_NOTHING_YET = ("wait", "result")
"""Fields that are empty in a bundle."""
_CHARGED = {"id", "project", "state", "device", "source", "executable", "cost", "replay_of", "version"}
"""What older entries say, which have no such digest."""


def bound(file: str, name: str) -> Callable[[Bundle], str]:
    """The check that a member has the digest that the record holds under ``name``."""

    def check(bundle: Bundle) -> str:
        names = [one for one in bundle.files if one == file or one.startswith(f"{file}.")]
        said: str | None = bundle.said(name)
        if said is None:
            if names:
                raise Wrong(f"{names[0]} is there, and the record does not know it")
            raise Absent("the record names none")
        if not names:
            raise Absent("it did not leave with this bundle")
        if len(names) > 1 or digest(bundle.files[names[0]]) != said:
            raise Wrong(f"{names[0]} is not what the record says: {said}")
        return said

    return check


def check_source(bundle: Bundle) -> str:
    """The circuits as sent, in the format that the record names."""
    said = bound("source", "source")(bundle)
    (name,) = (one for one in bundle.files if one.startswith("source."))
    format_ = bundle.said("format")
    if format_ is None:
        bundle.unproven.append(f"{name}: its format")
    elif name != f"source.{format_}":
        raise Wrong(f"{name} was sent as {format_}")
    return said


def check_calibration(bundle: Bundle) -> str:
    """The device's Target at that time."""
    said = bound("calibration.json", "snapshot")(bundle)
    if "prepared.json" in bundle.files:
        used = (bundle.json("prepared.json").get("calibration") or {}).get("digest")
        return said if used == said else f"{said}; its device calls it {used}"
    return said


def check_decision(bundle: Bundle) -> str:
    """Policy's answer, with its facts."""
    told = bundle.said("decision")
    if told is None:
        if "decision.json" in bundle.files:
            raise Wrong("decision.json is there, and the record does not know it")
        raise Absent("the record names none")
    raw = bundle.need("decision.json")
    if digest(raw) != told.get("digest"):
        raise Wrong("decision.json is not what the record says")
    return f"{told['effect']} by {', '.join(told['policies']) or 'default'}"


def check_approvals(bundle: Bundle) -> str:
    """Those of the job's last round, all of them, as they ended."""
    ended = {event["data"]["approval"]: event for event in bundle.events if event["type"] == "approval.changed"}
    told = bundle.json("approvals.json")
    for one in told:
        event = ended.get(one["approval"])
        if event is None or one != _approval(event):
            raise Wrong(f"{one['approval']} is not as the record has it")
    mine = bundle.json("job.json").get("approval")
    round_ = None if mine not in ended else ended[mine]["data"].get("round")
    if round_ is None and mine in ended:
        bundle.unproven.append("approvals.json: that they are all")
    wanted = {key for key, event in ended.items() if round_ is not None and event["data"].get("round") == round_}
    if missing := sorted(wanted - {one["approval"] for one in told}):
        raise Wrong(f"{missing[0]} of the record is missing")
    return f"{len(told)} of the record" if told else "nobody was asked"


def _approval(event: Mapping[str, Any]) -> dict[str, Any]:
    data = event["data"]
    said = {name: data.get(name) for name in ("approval", "role", "state", "note")}
    return said | {"decided_by": None if data["state"] == "open" else event["actor"]}


def check_job(bundle: Bundle) -> str:
    """``job.json`` and ``estimate.json`` say what the entries say."""
    told, manifest = bundle.json("job.json"), bundle.json("manifest.json")
    moved = [event for event in bundle.events if event["type"] == "job.moved"]
    expected = {
        "id": manifest["job"],
        "project": manifest["project"],
        "state": moved[-1]["data"]["to"],
        "device": moved[-1]["data"]["device"],
        "source": bundle.said("source"),
        "executable": bundle.said("executable"),
        "replay_of": bundle.said("replay_of"),
        "version": bundle.said("version"),
        **dict.fromkeys(_NOTHING_YET),
    }
    for name, value in expected.items():
        if told.get(name) != value:
            raise Wrong(f"{name} is {told.get(name)!r} in job.json and {value!r} in the record")
    if (told.get("cost") or 0) != (charged := _charged(bundle)):
        raise Wrong(f"cost is {told.get('cost')!r} in job.json; the record has charged {charged}")
    _facts(bundle, told)
    _estimate(bundle, told)
    return f"{told['id']} on {told['device']}, {told['state']}"


def _facts(bundle: Bundle, told: Mapping[str, Any]) -> None:
    """All of the job that the record may know, by one digest; the rest is only said."""
    said, error = bundle.said("facts"), told.get("error")
    if said is not None:
        facts = {name: told[name] for name in BOUND & told.keys()}
        facts |= {name: _moment(told.get(name)) for name in _MOMENTS}
        facts["error"] = None if error is None else error["code"]
        if digest(canonical(facts)) != said:
            raise Wrong("job.json is not what the record holds the digest of")
    known = BOUND if said is not None else _CHARGED
    bundle.unproven += [f"job.json: {name}" for name in told if name not in known | {"error", *_NOTHING_YET}]
    if error is not None:
        bundle.unproven.append("job.json: the words of its error" if said is not None else "job.json: error")


def _moment(text: str | None) -> str | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC).isoformat()


def _estimate(bundle: Bundle, told: Mapping[str, Any]) -> None:
    whole = bundle.json("estimate.json")
    if whole["actual"] != {"seconds": told.get("seconds"), "cost": told.get("cost")}:
        raise Wrong("job.json and estimate.json do not agree")
    if whole.keys() != {"actual", "estimate", "unit"} or whole["unit"] != "micro-credits":
        raise Wrong("estimate.json says more, or in another unit")
    rest = dict(whole["estimate"])
    if any(rest.pop(name, None) != told.get(name) for name in ("price", "price_at_most")):
        raise Wrong("the prices of job.json and estimate.json do not agree")
    if "prepared.json" in bundle.files:
        prepared = bundle.json("prepared.json")
        if rest != {name: prepared.get(name) for name in rest}:
            raise Wrong("estimate.json does not say what prepared.json says")
    elif (said := bundle.said("expected")) is None:
        bundle.unproven += [f"estimate.json: {name}" for name in sorted(rest)]
    elif digest(canonical(rest)) != said:
        raise Wrong("estimate.json is not what the record holds the digest of")


def _charged(bundle: Bundle) -> int:
    """Micro-credits by the ledger's entries: each budget of credits has paid all; grants of one owner, together."""
    paid: dict[str, int] = {}
    for event in bundle.events:
        for entry in event["data"].get("entries", ()):
            account: str = entry["account"]
            if entry["kind"] == "settle" and account.startswith("credits/"):
                payer = account.rpartition("/")[0] if account.startswith("credits/funds/") else account
                paid[payer] = paid.get(payer, 0) + entry["amount"]
    return max(paid.values(), default=0)


def check_citation(bundle: Bundle) -> str:
    """``CITATION.cff`` is made from ``job.json`` and the record, and says nothing else."""
    told = bundle.json("job.json")
    lines = [
        "cff-version: 1.2.0",
        "type: dataset",
        'message: "Cite this run of a quantum circuit as below."',
        f"title: {json.dumps('{name}, run on {device}'.format(**told))}",
        f"authors: [{{name: {json.dumps(told['owner'])}}}]",
        f"date-released: {datetime.fromisoformat(told['ended'] or told['changed']).astimezone(UTC):%Y-%m-%d}",
        "identifiers:",
        f"  - {{type: other, value: {json.dumps(told['id'])}, description: job}}",
    ]
    result = bundle.said("result")
    if told["state"] == "completed" and result is not None:
        lines.append(f"  - {{type: other, value: {json.dumps(result)}, description: digest of the result}}")
    if bundle.need("CITATION.cff").decode() != "\n".join(lines) + "\n":
        raise Wrong("CITATION.cff cites something else")
    return "of this run"


def note_rest(bundle: Bundle, circuits: bool) -> None:
    """Add the members that are words or the client's to what nothing proves."""
    bundle.unproven += ["README.txt"] if "README.txt" in bundle.files else []
    derived = [name for name in bundle.files if name.startswith("derived/") and name.endswith(".qasm")]
    if derived and not circuits:
        bundle.unproven.append("derived/: that the OpenQASM is of these circuits (--circuits compares it)")
