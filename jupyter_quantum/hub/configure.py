"""``configure(c)``: the line in ``jupyterhub_config.py`` that makes a hub govern quantum devices.

Standard library only at import: this module is loaded into the hub's process.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from jupyter_quantum.hub import refresh
from jupyter_quantum.hub.claims import install as install_claims
from jupyter_quantum.hub.merge import add_entries, add_handlers, add_scopes, set_default, update
from jupyter_quantum.hub.ports import free_port

__all__ = ["CUSTOM_SCOPES", "configure"]

log = logging.getLogger("jupyter_quantum.hub")

CUSTOM_SCOPES: Final[Mapping[str, Mapping[str, str]]] = {
    "custom:quantum:read": {"description": "See quantum devices, and one's own jobs, results and budgets."},
    "custom:quantum:submit": {"description": "Validate circuits and submit jobs to quantum devices."},
    "custom:quantum:approve": {"description": "Approve or reject requests of one's project; on the hub's page only."},
    "custom:quantum:operate": {"description": "Admit quantum devices; pause, drain and resume them on the hub's page."},
    "custom:quantum:audit": {"description": "Read, export and verify the record of everything that was done."},
    "custom:quantum:admin": {"description": "Administrate the quantum service."},
    "custom:quantum:runner": {"description": "Run jobs on devices that an operator admitted; for services only."},
}
_READ, _SUBMIT, _APPROVE, _OPERATE, _AUDIT, _ADMIN, _RUNNER = CUSTOM_SCOPES
_PEOPLE: Final = (_READ, _SUBMIT, _APPROVE, _OPERATE, _AUDIT, _ADMIN)
"""Scopes that people may hold; a runner's is no person's."""
_SERVICE_SCOPES: Final = ("read:users",)
_CULLER_SCOPES: Final = ("list:users", "read:users:activity", "read:servers", "delete:servers")
_MANAGED_S: Final = 60
"""Seconds that the hub's start waits for the service: it answers within two, but a loaded machine takes longer."""
_EXTERNAL_S: Final = 1
"""One that something else starts may come later, and must not hold the hub up."""
_CULLERS: Final = frozenset({"idle-culler", "cull-idle", "jupyterhub-idle-culler"})

Config = str | os.PathLike[str] | Mapping[str, Any] | None


def configure(
    c: Any,
    *,
    config: Config = None,
    data_dir: str | os.PathLike[str] | None = None,
    url: str | None = None,
    external_url: str | None = None,
    api_token: str | None = None,
    name: str = "quantum",
    user_groups: Iterable[str] | Literal["*"] | None = None,
    lead_groups: Iterable[str] | None = None,
    service_accounts: Mapping[str, str] | None = None,
    runners: Mapping[str, str] | None = None,
    claims: Mapping[str, Mapping[str, str]] | None = None,
    ephemeral_home: str | os.PathLike[str] | None = None,
    cull: bool = True,
    cull_timeout: int = 3600,
    cull_every: int = 300,
    max_age: int = 12 * 3600,
) -> None:
    """Wire the quantum service into the hub that ``c`` configures. Call it last; calling it again changes nothing.

    What is configured already stays: services, roles, scopes, environment and hooks are added to.

    Args:
        c: the hub's configuration (``get_config()``).
        config: the service's own: a file (``.py`` or ``.json``) or ``{"projects": {…}, "prices": {…}, …}`` (traits of
            :class:`~jupyter_quantum.hub.app.QuantumService`). ``c.QuantumService.…`` works as well.
        data_dir: where the service keeps store, results and secrets; ``quantum-data`` beside the hub where omitted.
        url: where the managed service listens; a free port on loopback where omitted. User servers must reach it.
        external_url: of a service that something else starts (systemd, Kubernetes); needs ``api_token``.
        api_token: the service's token of the hub; the hub makes one for a managed service.
        name: of the service; its pages are at ``/services/<name>/``.
        user_groups: hub groups that may use the service; from the projects where omitted; ``"*"``, and where there are
            no projects, everybody. Where tenants are applied later, or people may ask to join, it must be everybody:
            the hub's scopes only open the door, what somebody may do follows from their projects.
        lead_groups: hub groups that decide requests; the projects' leads where omitted. Leads of projects that are
            applied later decide too, signed in on the page.
        service_accounts: name → token of services that act for projects (``service_accounts`` of a project says for
            which); they get ``read`` and ``submit``. A service that the hub has already needs no token here.
        runners: name → token of services that run jobs on other machines (``jupyter quantum runner``). The service's
            ``runners`` says which devices each may announce; one that is not there may announce none.
        claims: claim (``acr``, ``amr``) → value → group, for authenticators that manage groups; those that stand for a
            second factor become the service's ``mfa_group`` where omitted.
        ephemeral_home: parent directory of workspaces that are made at spawn and removed at stop; for local spawners.
        cull: start an idle culler unless there is one.
        cull_timeout: seconds without activity after which a server is stopped.
        cull_every: seconds between two looks.
        max_age: seconds after which a server is stopped even if it is used: an open tab keeps it active.

    Scopes, and what each is for:

    ============================ ==================== ==============================================================
    who                          scope                why
    ============================ ==================== ==============================================================
    service accounts             read, submit         to run the jobs of their projects
    runners elsewhere            runner               to announce devices, take their jobs and report on them
    service                      read:users           when a user was created (names are used again), and groups:
                                                      membership is checked again when a job is dispatched
    user groups                  read, submit         to use the service (a project decides what they may spend)
    user groups                  access:services!…    to open its page
    lead groups                  approve              to decide requests, signed in on the page
    operators                    operate, approve     to pause and drain devices and to decide what policy asks them,
                                                      signed in on the page
    auditors                     audit, read          to search, export and verify the record; they run nothing
    admins                       all but runner       to do what operators do, and to read the metrics
    token of a user's server     read, submit         notebooks read it: nothing that decides or operates
    token of a user's server     users:activity!user, what it has without us
                                 access:servers!server
    idle culler                  list:users,          to find idle servers and stop them
                                 read:users:activity,
                                 read:servers,
                                 delete:servers
    ============================ ==================== ==============================================================

    Raises:
        ValueError: ``external_url`` without ``api_token``.
    """
    given = _service_config(c, config)
    base = _base_url(c)
    listens = external_url or url or _url_of_earlier_call(c, name) or f"http://127.0.0.1:{free_port()}"
    if external_url and not api_token:
        raise ValueError("An external service needs its token: configure(c, external_url=…, api_token=…).")
    entry = _service(name, listens, api_token, managed=not external_url)
    if not external_url:
        entry |= _managed(config, given, data_dir)
    add_entries(c.JupyterHub, "services", [entry])
    update(c.JupyterHub, "custom_scopes", CUSTOM_SCOPES, ours_win=True)
    _roles(c, name, given, user_groups, lead_groups)
    _spawner(c, f"{listens.rstrip('/')}{base}services/{name}", f"{base}services/{name}/")
    _accounts(c, name, given, service_accounts or {})
    _runners(c, name, given, runners or {})
    _authenticator(c, str(given.get("mfa_group", "quantum-mfa")), claims)
    if cull:
        _culler(c, cull_timeout, cull_every, max_age)
    if ephemeral_home is not None:
        _workspaces(c, Path(ephemeral_home).resolve())


def _has(module: str, cls: str, trait: str) -> bool:
    """Whether the hub of this process has a trait (5.5 lacks some that 6 has)."""
    if importlib.util.find_spec("jupyterhub") is None:
        return False
    found = getattr(importlib.import_module(module), cls)
    return trait in found.class_trait_names()


def _base_url(c: Any) -> str:
    """Path below which the hub serves everything."""
    hub = c.JupyterHub
    path = urlsplit(hub["bind_url"]).path if isinstance(hub.get("bind_url"), str) else ""
    base = hub["base_url"] if isinstance(hub.get("base_url"), str) else path
    return f"/{base.strip('/')}/" if base.strip("/") else "/"


def _service_config(c: Any, config: Config) -> dict[str, Any]:
    """Traits of the service as far as they are known here: from ``c.QuantumService`` and ``config``."""
    given = dict(c.QuantumService) if "QuantumService" in c else {}
    if isinstance(config, Mapping):
        given |= config
    elif config is not None:
        given |= _loaded(Path(config)).get("QuantumService", {})
    return given


def _loaded(path: Path) -> Mapping[str, Any]:
    from traitlets.config.loader import JSONFileConfigLoader, PyFileConfigLoader

    loader = JSONFileConfigLoader if path.suffix == ".json" else PyFileConfigLoader
    found: Mapping[str, Any] = loader(path.name, str(path.resolve().parent)).load_config()
    return found


def _url_of_earlier_call(c: Any, name: str) -> str | None:
    services = c.JupyterHub.get("services")
    for entry in services if isinstance(services, list) else ():
        if entry.get("name") == name and entry.get("url"):
            return str(entry["url"])
    return None


def _service(name: str, url: str, api_token: str | None, *, managed: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": name,
        "url": url,
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": [*_PEOPLE, f"access:services!service={name}"],
    }
    if api_token:
        entry["api_token"] = api_token
    if _has("jupyterhub.services.service", "Service", "timeout"):
        entry["timeout"] = _MANAGED_S if managed else _EXTERNAL_S
    return entry


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def _managed(config: Config, given: Mapping[str, Any], data_dir: str | os.PathLike[str] | None) -> dict[str, Any]:
    where = Path(data_dir or given.get("data_dir") or "quantum-data").resolve()
    command = [sys.executable, "-m", "jupyter_quantum.hub", "--managed"]
    if config is not None and not isinstance(config, Mapping):
        command.append(f"--config={Path(config).resolve()}")
    handed = json.dumps({"QuantumService": {**given, "data_dir": str(where)}}, default=_plain)
    environment = {"JUPYTER_QUANTUM_SERVICE_CONFIG": handed, "PYTHONPATH": _python_path()}
    return {"command": command, "environment": environment}


def _python_path() -> str:
    """Where this package is, also in a checkout that is not installed, and what the hub was told."""
    source = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(dict.fromkeys([source, *filter(None, [os.environ.get("PYTHONPATH")])]))


def _groups_of(given: Mapping[str, Any], part: str) -> set[str]:
    return {group for project in given.get("projects", {}).values() for group in project.get(part, ())}


def _roles(
    c: Any,
    name: str,
    given: Mapping[str, Any],
    user_groups: Iterable[str] | Literal["*"] | None,
    lead_groups: Iterable[str] | None,
) -> None:
    leads = set(lead_groups) if lead_groups is not None else _groups_of(given, "leads")
    if user_groups == "*":
        users = set()
    else:
        users = set(user_groups) if user_groups is not None else _groups_of(given, "members")
    staff = {part: str(given.get(part, f"quantum-{part}")) for part in ("operators", "auditors", "admins")}
    look = [_READ, f"access:services!service={name}"]
    use = [_SUBMIT, *look]

    def role(of: str, words: str, scopes: Iterable[str], groups: Iterable[str]) -> dict[str, Any]:
        return {
            "name": f"{name}-{of}",
            "description": words,
            "scopes": list(scopes),
            "groups": sorted(groups),
        }

    roles = [
        role("user", "Use quantum devices", use, users | leads | {staff["operators"], staff["admins"]}),
        role("lead", "Decide requests of one's project", [_APPROVE], leads),
        role("operator", "Operate quantum devices", [_OPERATE, _APPROVE], [staff["operators"]]),
        role("auditor", "Read the record of the quantum service", [_AUDIT, *look], [staff["auditors"]]),
        role("admin", "Administrate the quantum service", _PEOPLE, [staff["admins"]]),
        {"name": f"{name}-service", "scopes": list(_SERVICE_SCOPES), "services": [name]},
    ]
    add_entries(c.JupyterHub, "load_roles", roles)
    if not users:
        _everybody(c, use)


def _everybody(c: Any, scopes: list[str]) -> None:
    """Give each user of the hub these scopes, through the role that all have."""
    for entry in c.JupyterHub["load_roles"]:
        if entry.get("name") == "user" and "scopes" in entry:  # redefined: extra_user_scopes would be ignored
            entry["scopes"] = list(dict.fromkeys([*entry["scopes"], *scopes]))
            return
    if _has("jupyterhub.app", "JupyterHub", "extra_user_scopes"):
        there = c.JupyterHub.get("extra_user_scopes") or set()
        there = there.get_value(set()) if hasattr(there, "get_value") else there
        c.JupyterHub.extra_user_scopes = {*there, *scopes}
    else:
        add_entries(c.JupyterHub, "load_roles", [{"name": "user", "scopes": ["self", *scopes]}])


def _spawner(c: Any, direct: str, public: str) -> None:
    update(c.Spawner, "environment", {"JUPYTER_QUANTUM_URL": direct, "JUPYTER_QUANTUM_PUBLIC_URL": public})
    ours = ["users:activity!user", "access:servers!server", _READ, _SUBMIT]
    add_scopes(c.Spawner, "server_token_scopes", ours)


def _accounts(c: Any, name: str, given: Mapping[str, Any], tokens: Mapping[str, str]) -> None:
    """Services that act for projects, and those that may administrate: tokens for new ones, scopes for all."""
    projects = given.get("projects", {}).values()
    named = {account for project in projects for account in project.get("service_accounts", {})} | set(tokens)
    admins = set(given.get("admin_services", ()))
    add_entries(c.JupyterHub, "services", [{"name": one, "api_token": token} for one, token in tokens.items()])
    known = {entry["name"] for entry in c.JupyterHub["services"]}
    for one in sorted((named | admins) - known):
        log.warning("The hub has no service %s; give it a token: configure(c, service_accounts={%r: …}).", one, one)
    for of, accounts, scopes in (("accounts", named, [_READ, _SUBMIT]), ("automation", admins, [_READ, _ADMIN])):
        services = sorted(accounts & known)
        if services:
            role = {"name": f"{name}-{of}", "scopes": scopes, "services": services}
            add_entries(c.JupyterHub, "load_roles", [role])


def _runners(c: Any, name: str, given: Mapping[str, Any], tokens: Mapping[str, str]) -> None:
    """Services that run jobs elsewhere: tokens for new ones, and the one scope that they need."""
    named = set(given.get("runners", ())) | set(tokens)
    add_entries(c.JupyterHub, "services", [{"name": one, "api_token": token} for one, token in tokens.items()])
    known = {entry["name"] for entry in c.JupyterHub["services"]}
    for one in sorted(named - known):
        log.warning("The hub has no service %s; give it a token: configure(c, runners={%r: …}).", one, one)
    if services := sorted(named & known):
        role = {"name": f"{name}-runners", "description": "Run jobs on other machines", "scopes": [_RUNNER]}
        add_entries(c.JupyterHub, "load_roles", [role | {"services": services}])


def _authenticator(c: Any, mfa_group: str, claims: Mapping[str, Mapping[str, str]] | None) -> None:
    install_claims(c, mfa_group, claims)
    if _has("jupyterhub.app", "JupyterHub", "extra_handlers"):
        add_handlers(c.JupyterHub, "extra_handlers", refresh.handlers())
    has_key = bool(os.environ.get("JUPYTERHUB_CRYPT_KEY")) or "keys" in c.CryptKeeper
    if has_key:
        set_default(c.Authenticator, "enable_auth_state", True)
    set_default(c.Authenticator, "auth_refresh_age", 120)
    if _has("jupyterhub.auth", "Authenticator", "auth_refresh_strict"):
        set_default(c.Authenticator, "auth_refresh_strict", True)


def _is_culler(entry: Mapping[str, Any]) -> bool:
    command = entry.get("command") or []
    words = command if isinstance(command, str) else " ".join(map(str, command))
    return entry.get("name") in _CULLERS or "idle_culler" in words or "cull_idle" in words


def _culler(c: Any, timeout: int, every: int, max_age: int) -> None:
    others = [entry for entry in c.JupyterHub["services"] if entry["name"] != "quantum-culler"]
    if any(_is_culler(entry) for entry in others):
        return
    if importlib.util.find_spec("jupyterhub_idle_culler") is None:
        log.warning("jupyterhub-idle-culler is not installed: idle workspaces will not be stopped.")
        return
    leash = ["-m", "jupyter_quantum.hub.leash", "--exec", "--"]  # ends with the hub, also when that is killed
    command = [sys.executable, *leash, sys.executable, "-m", "jupyterhub_idle_culler"]
    command += [f"--timeout={timeout}", f"--cull-every={every}", f"--max-age={max_age}"]
    entry = {"name": "quantum-culler", "command": command, "environment": {"PYTHONPATH": _python_path()}}
    add_entries(c.JupyterHub, "services", [entry])
    role = {"name": "quantum-culler", "scopes": list(_CULLER_SCOPES), "services": ["quantum-culler"]}
    add_entries(c.JupyterHub, "load_roles", [role])


def _workspaces(c: Any, root: Path) -> None:
    if getattr(c.Spawner.get("pre_spawn_hook"), "__module__", "") == "jupyter_quantum.hub.workspace":
        return  # from an earlier call
    from jupyter_quantum.hub.workspace import install

    install(c, root)
