"""configure(c) adds to what an administrator has, in every form that traitlets offers."""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_quantum.exceptions import InputError
from jupyter_quantum.hub import configure
from jupyter_quantum.hub.configure import CUSTOM_SCOPES
from jupyter_quantum.hub.settings import runner_secrets
from jupyter_quantum.hub.traits import ServiceTraits

QCOURSE = {"projects": {"qcourse": {"members": ["qcourse"], "leads": ["qcourse-leads"]}}}


def named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    [found] = [entry for entry in entries if entry["name"] == name]
    return found


def test_one_line_wires_a_bare_hub(tmp_path: Path) -> None:
    """Service, scopes, roles, environment, token scopes and culler are there after configure(c, config=…)."""
    c = Config()
    configure(c, config=QCOURSE, data_dir=tmp_path)
    service = named(c.JupyterHub.services, "quantum")
    assert service["command"][:3] == [sys.executable, "-m", "jupyter_quantum.hub"]
    assert service["oauth_no_confirm"] is True
    handed = json.loads(service["environment"]["JUPYTER_QUANTUM_SERVICE_CONFIG"])["QuantumService"]
    assert handed == {**QCOURSE, "data_dir": str(tmp_path)}
    assert c.JupyterHub.custom_scopes == CUSTOM_SCOPES
    roles = c.JupyterHub.load_roles
    assert {"qcourse", "qcourse-leads", "quantum-operators"} <= set(named(roles, "quantum-user")["groups"])
    assert named(roles, "quantum-lead")["groups"] == ["qcourse-leads"]
    assert named(roles, "quantum-service")["scopes"] == ["read:users"]
    assert c.Spawner.environment["JUPYTER_QUANTUM_URL"] == f"{service['url']}/services/quantum"
    assert c.Spawner.environment["JUPYTER_QUANTUM_PUBLIC_URL"] == "/services/quantum/"
    culler = named(c.JupyterHub.services, "quantum-culler")["command"]
    assert any(word.startswith("--max-age=") for word in culler)


def test_tokens_of_user_servers_never_decide() -> None:
    """Server tokens get read and submit and what a server needs; nothing that approves, operates or administrates."""
    c = Config()
    configure(c, config=QCOURSE)
    assert set(c.Spawner.server_token_scopes) == {
        "users:activity!user",
        "access:servers!server",
        "custom:quantum:read",
        "custom:quantum:submit",
    }


def test_auditors_run_nothing() -> None:
    """Their group reads and audits; no role with which one submits is given to it."""
    c = Config()
    configure(c, config=QCOURSE)
    held = {
        scope
        for role in c.JupyterHub.load_roles
        if "quantum-auditors" in role.get("groups", ())
        for scope in role["scopes"]
    }
    assert held == {"custom:quantum:read", "custom:quantum:audit", "access:services!service=quantum"}


def test_twice_is_once() -> None:
    """A second call changes nothing, port included."""
    c = Config()
    configure(c, config=QCOURSE, ephemeral_home="homes")
    before = (dict(c.JupyterHub), dict(c.Spawner), dict(c.Authenticator))
    configure(c, config=QCOURSE, ephemeral_home="homes")
    assert (dict(c.JupyterHub), dict(c.Spawner), dict(c.Authenticator)) == before


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_there_stays() -> None:
    """Services, roles, scopes, environment (callables too), token scopes and refresh settings of the admin survive."""
    c = Config()
    c.JupyterHub.services = [{"name": "grades", "url": "http://127.0.0.1:1"}]
    c.JupyterHub.load_roles = [{"name": "grader", "scopes": ["list:users"], "users": ["grace"]}]
    c.JupyterHub.custom_scopes = {"custom:grades:read": {"description": "read"}}

    def home(spawner: object) -> str:
        return "/home"

    c.Spawner.environment = {"HOME_OF": home, "JUPYTER_QUANTUM_PUBLIC_URL": "/mine/"}
    c.Spawner.server_token_scopes = ["list:users"]
    c.Authenticator.auth_refresh_age = 30
    configure(c, config=QCOURSE)
    assert c.JupyterHub.services[0]["name"] == "grades"
    assert c.JupyterHub.load_roles[0]["name"] == "grader"
    assert "custom:grades:read" in c.JupyterHub.custom_scopes
    assert c.Spawner.environment["HOME_OF"] is home
    assert c.Spawner.environment["JUPYTER_QUANTUM_PUBLIC_URL"] == "/mine/"
    assert c.Spawner.server_token_scopes[0] == "list:users"
    assert c.Authenticator.auth_refresh_age == 30
    assert c.Authenticator.auth_refresh_strict is True


def test_lazy_values_are_kept() -> None:
    """What was appended or updated before anything was set (LazyConfigValue) stays."""
    c = Config()
    c.JupyterHub.services.append({"name": "grades"})
    c.JupyterHub.load_roles.extend([{"name": "grader", "scopes": []}])
    c.Spawner.environment.update({"MINE": "1"})
    c.Spawner.server_token_scopes.append("list:users")
    configure(c, config=QCOURSE)
    assert [entry["name"] for entry in c.JupyterHub.services] == ["grades", "quantum", "quantum-culler"]
    assert c.JupyterHub.load_roles[0]["name"] == "grader"
    assert c.Spawner.environment["MINE"] == "1"
    assert "list:users" in c.Spawner.server_token_scopes


def test_functions_for_token_scopes_are_chained() -> None:
    """server_token_scopes may be a function of the spawner, plain or async; ours come on top, once."""
    c = Config()
    c.Spawner.server_token_scopes = lambda spawner: ["list:users", "custom:quantum:read"]
    configure(c, config=QCOURSE)
    configure(c, config=QCOURSE)
    found = c.Spawner.server_token_scopes(None)
    assert found[0] == "list:users"
    assert len(found) == len(set(found)) == 5

    async def later(spawner: object) -> list[str]:
        return ["list:users"]

    c = Config()
    c.Spawner.server_token_scopes = later
    configure(c, config=QCOURSE)
    assert asyncio.run(c.Spawner.server_token_scopes(None))[0] == "list:users"


def test_hooks_are_chained(tmp_path: Path) -> None:
    """An administrator's pre_spawn_hook runs before the workspace's, also after two calls."""
    ran: list[str] = []
    c = Config()
    c.Spawner.pre_spawn_hook = lambda spawner: ran.append("admin")
    for _ in range(2):
        configure(c, config=QCOURSE, ephemeral_home=tmp_path / "homes")

    class Spawner:
        environment: dict[str, str] = {}  # noqa: RUF012
        home_dir = ""

        class user:  # noqa: N801
            name = "ada"

    asyncio.run(c.Spawner.pre_spawn_hook(Spawner()))
    assert ran == ["admin"]


def test_without_groups_everybody_may_use_it() -> None:
    """Without projects the role that all users have gets the scopes, also where the admin has redefined it."""
    c = Config()
    configure(c)
    assert "custom:quantum:submit" in c.JupyterHub.extra_user_scopes
    c = Config()
    c.JupyterHub.load_roles = [{"name": "user", "scopes": ["self", "list:users"]}]
    configure(c)
    scopes = named(c.JupyterHub.load_roles, "user")["scopes"]
    assert scopes[:2] == ["self", "list:users"]
    assert "access:services!service=quantum" in scopes


def test_an_external_service_is_only_named() -> None:
    """With external_url there is no command; the token is required."""
    c = Config()
    configure(c, external_url="http://10.0.0.5:10101", api_token="t" * 32, config=QCOURSE)
    service = named(c.JupyterHub.services, "quantum")
    assert "command" not in service
    assert (service["api_token"], service["timeout"]) == ("t" * 32, 1)
    assert c.Spawner.environment["JUPYTER_QUANTUM_URL"] == "http://10.0.0.5:10101/services/quantum"
    with pytest.raises(ValueError, match="token"):
        configure(Config(), external_url="http://10.0.0.5:10101")


def test_a_hub_below_a_path(tmp_path: Path) -> None:
    """base_url, or the path of bind_url, goes into every address."""
    for trait, value in (("base_url", "/jupyter/"), ("bind_url", "http://:8000/jupyter")):
        c = Config()
        c.JupyterHub[trait] = value
        configure(c, config=QCOURSE)
        assert c.Spawner.environment["JUPYTER_QUANTUM_PUBLIC_URL"] == "/jupyter/services/quantum/"
        assert c.Spawner.environment["JUPYTER_QUANTUM_URL"].endswith("/jupyter/services/quantum")


def test_groups_are_read_from_a_file_and_from_c(tmp_path: Path) -> None:
    """Projects may be in the service's own file or in the hub's configuration; both give groups their roles."""
    file = tmp_path / "quantum.py"
    file.write_text(f"c = get_config()\nc.QuantumService.projects = {QCOURSE['projects']!r}\n")
    for configured in (Config(), Config({"QuantumService": QCOURSE})):
        configure(configured, config=None if "QuantumService" in configured else file)
        assert named(configured.JupyterHub.load_roles, "quantum-lead")["groups"] == ["qcourse-leads"]


def test_another_culler_is_left_alone() -> None:
    """Where a culler runs already, no second one is added."""
    c = Config()
    c.JupyterHub.services = [{"name": "cull", "command": [sys.executable, "-m", "jupyterhub_idle_culler"]}]
    configure(c, config=QCOURSE)
    assert [entry["name"] for entry in c.JupyterHub.services] == ["cull", "quantum"]


def test_auth_state_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Auth state is switched on only where the hub can encrypt it."""
    monkeypatch.delenv("JUPYTERHUB_CRYPT_KEY", raising=False)
    c = Config()
    configure(c)
    assert "enable_auth_state" not in c.Authenticator
    monkeypatch.setenv("JUPYTERHUB_CRYPT_KEY", "ab" * 32)
    configure(c)
    assert c.Authenticator.enable_auth_state is True


def test_importing_it_needs_the_standard_library_only() -> None:
    """The hub's process gets no dependency of ours by the import."""
    code = "import sys, jupyter_quantum.hub; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    loaded = set(ast.literal_eval(said.stdout))
    assert not loaded & {"pydantic", "tornado", "traitlets", "sqlalchemy", "jupyterhub", "qiskit"}


def test_service_accounts_get_a_token_and_two_scopes() -> None:
    """Those that are given a token, and those that the hub has already; one that nobody knows is only warned of."""
    c = Config()
    c.JupyterHub.services = [{"name": "old-bot", "api_token": "x"}]
    projects = {"vqe": {"members": ["vqe"], "service_accounts": {"bot": "user", "old-bot": "user", "ghost": "user"}}}
    config = {"projects": projects, "admin_services": ["gitops"]}
    configure(c, config=config, service_accounts={"bot": "b" * 32, "gitops": "g" * 32})
    assert named(c.JupyterHub.services, "bot") == {"name": "bot", "api_token": "b" * 32}
    role = named(c.JupyterHub.load_roles, "quantum-accounts")
    assert (role["services"], role["scopes"]) == (
        ["bot", "gitops", "old-bot"],
        ["custom:quantum:read", "custom:quantum:submit"],
    )
    admin = named(c.JupyterHub.load_roles, "quantum-automation")
    assert (admin["services"], admin["scopes"]) == (["gitops"], ["custom:quantum:read", "custom:quantum:admin"])


def test_everybody_may_use_it_where_projects_come_later() -> None:
    """user_groups="*" gives each user the scopes to come in, though projects name groups."""
    c = Config()
    configure(c, config=QCOURSE, user_groups="*")
    assert {"custom:quantum:read", "custom:quantum:submit"} <= set(c.JupyterHub.extra_user_scopes)


def test_the_hub_can_be_asked_about_somebody_absent() -> None:
    """One handler more, beside the administrator's own, once."""
    c = Config()
    c.JupyterHub.extra_handlers = [(r"/mine", object)]
    configure(c, config=QCOURSE)
    configure(c, config=QCOURSE)
    assert [entry[0] for entry in c.JupyterHub.extra_handlers] == [r"/mine", r"/api/quantum/refresh/([^/]+)"]


def test_runners_hold_one_scope_and_people_do_not_hold_it() -> None:
    """The token of a runner elsewhere runs jobs and does nothing else; no group, page or server token may hold it."""
    c = Config()
    configure(c, config=QCOURSE | {"runners": {"far": {"devices": ["far_*"]}}}, runners={"far": "t" * 20})
    assert named(c.JupyterHub.services, "far")["api_token"] == "t" * 20
    holding = [role for role in c.JupyterHub.load_roles if "custom:quantum:runner" in role["scopes"]]
    assert [(role["name"], role["scopes"], role["services"]) for role in holding] == [
        ("quantum-runners", ["custom:quantum:runner"], ["far"])
    ]
    assert "custom:quantum:runner" not in named(c.JupyterHub.services, "quantum")["oauth_client_allowed_scopes"]
    assert "custom:quantum:runner" not in c.Spawner.server_token_scopes


def test_local_runner_is_told_where_secrets_are() -> None:
    """The provider is passed through; one that would need the service's environment is refused in words."""
    told = {"provider": "file", "path": "/etc/quantum/secrets.json"}
    assert runner_secrets(ServiceTraits(secrets=told)) == {"secrets": told}
    assert runner_secrets(ServiceTraits()) == {}
    for wrong in ({"provider": "environment"}, {"path": "x"}, {"provider": "file", "token": "value"}):
        with pytest.raises(InputError):
            runner_secrets(ServiceTraits(secrets=wrong))
