"""Accounts, ports, settings and the ready file of the demo."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from traitlets.config import Config

from jupyter_quantum.exceptions import InputError, Unavailable
from jupyter_quantum.hub.demo import accounts, command, config, proxy, supervisor
from jupyter_quantum.hub.demo.authenticator import DemoAuthenticator
from jupyter_quantum.resources import resource


def settings(**changes: object) -> config.Settings:
    values = {
        "port": 1,
        "hub_port": 2,
        "proxy_api_port": 3,
        "service_port": 4,
        "proxy": ["node", "x"],
        "hashes": {"ada": "h"},
    }
    return config.Settings(**{**values, **changes})  # type: ignore[arg-type]


async def test_only_the_right_password_signs_in() -> None:
    """Wrong and unknown both answer None."""
    password = accounts.new_password()
    auth = DemoAuthenticator(hashes={"ada": accounts.hashed(password)})
    assert await auth.authenticate(None, {"username": "ada", "password": password}) == "ada"
    assert await auth.authenticate(None, {"username": "ada", "password": password + "x"}) is None
    assert await auth.authenticate(None, {"username": "eve", "password": password}) is None
    assert await auth.authenticate(None, {}) is None


def test_passwords_are_fresh_and_hashes_salted() -> None:
    """Two starts share neither; the hash does not hold the password."""
    first, second = accounts.new_password(), accounts.new_password()
    assert first != second
    assert accounts.hashed(first) != accounts.hashed(first)
    assert first not in accounts.hashed(first)


def test_people_have_the_groups_of_the_project() -> None:
    """Two users, a lead, an operator, and somebody who administrates and audits."""
    groups = {name: entry["users"] for name, entry in accounts.groups().items()}
    assert groups == {
        "qcourse": ["ada", "ben", "grace"],
        "qcourse-leads": ["grace"],
        "quantum-operators": ["otto"],
        "quantum-admins": ["vera"],
        "quantum-auditors": ["vera"],
    }


def test_a_taken_port_gives_the_next_free_one_and_says_so() -> None:
    """The message names both."""
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        chosen = supervisor.choose_port(wanted, said.append)
    assert chosen > wanted
    assert said == [f"Port {wanted} is taken; using {chosen}."]


def test_settings_come_back_and_are_private(tmp_path: Path) -> None:
    """What one start wrote, its hub reads; nobody else."""
    before = settings()
    before.write(tmp_path)
    assert config.Settings.read(tmp_path) == before
    assert (tmp_path / "demo.json").stat().st_mode & 0o777 == 0o600


def test_the_hub_listens_on_loopback_only(tmp_path: Path) -> None:
    """Every address in the configuration is 127.0.0.1."""
    settings().write(tmp_path)
    c = Config()
    config.apply(c, tmp_path)
    service = next(entry for entry in c.JupyterHub.services if entry["name"] == "quantum")
    for url in (c.JupyterHub.bind_url, c.JupyterHub.hub_bind_url, c.ConfigurableHTTPProxy.api_url, service["url"]):
        assert url.startswith("http://127.0.0.1:")
    assert c.Spawner.default_url == "/lab"


def test_the_ready_file_is_private_and_complete(tmp_path: Path) -> None:
    """Address, names, roles, passwords."""
    target = tmp_path / "ready.json"
    passwords = {person.name: "p" for person in accounts.PEOPLE}
    command._write_ready(target, "http://127.0.0.1:1/", passwords)
    told = json.loads(target.read_text())
    assert told["url"] == "http://127.0.0.1:1/"
    assert told["users"][0] == {"name": "ada", "role": "user", "password": "p"}
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_data_goes_unless_kept() -> None:
    """The directory is private while it is there."""
    with supervisor.data_directory(keep=False) as path:
        assert path.stat().st_mode & 0o777 == 0o700
    assert not path.exists()
    with supervisor.data_directory(keep=True) as path:
        pass
    assert path.exists()
    path.rmdir()


def test_an_installation_that_fails_says_what_the_tool_said() -> None:
    """The last lines, the next step."""
    with pytest.raises(Unavailable, match="no such thing") as caught:
        proxy._run(["sh", "-c", "echo no such thing; exit 3"])
    assert caught.value.code == "demo.proxy"
    assert caught.value.hint


def test_packaged_files_are_found() -> None:
    """In a checkout as in a wheel."""
    assert (resource("hub_config/one-machine") / "jupyterhub_config.py").is_file()
    with pytest.raises(FileNotFoundError):
        resource("hub_config/none")


def test_a_runner_may_connect_where_it_was_asked_for(tmp_path: Path) -> None:
    """Its token reaches the hub and a private file, which goes with the demo; otherwise there is no such service."""
    for token in ("", "t" * 64):
        settings(runner_token=token).write(tmp_path)
        c = Config()
        config.apply(c, tmp_path)
        found = [one for one in c.JupyterHub.services if one["name"] == "quantum-runner"]
        assert [one["api_token"] for one in found] == ([token] if token else [])
    file = tmp_path / "runner.token"
    with command._token_in(file) as token:
        assert (file.read_text(), file.stat().st_mode & 0o777) == (token, 0o600)
        with pytest.raises(InputError, match="cannot be made: File exists"), command._token_in(file):
            pass
        assert file.read_text() == token
    assert not file.exists()
