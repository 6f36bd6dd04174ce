"""The service's own things: lock, secrets, runner process, its private socket, intake."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.exceptions import InputError, TooBusy, Unavailable
from jupyter_quantum.hub import settings
from jupyter_quantum.hub.api.limits import Bucket
from jupyter_quantum.hub.files import Lock, secret, token
from jupyter_quantum.hub.metrics import Metrics, RunnerCount
from jupyter_quantum.hub.runner_api import RunnerServer
from jupyter_quantum.hub.runner_process import RunnerProcess, clean_environment, socket_path
from tests.unit.hub.support import Service

# Says what it was told and what it sees, then lives until its stdin closes.
RUNNER = """
import json, os, sys
from pathlib import Path
told = json.loads(sys.stdin.readline())
Path("seen.json").write_text(json.dumps({"told": told, "environment": dict(os.environ), "pid": os.getpid()}))
sys.stdin.read()
Path("drained").touch()
"""


async def seen(home: Path, not_pid: int = 0) -> dict[str, object]:
    for _ in range(200):
        if (home / "seen.json").exists():
            found: dict[str, object] = json.loads((home / "seen.json").read_text() or "{}")
            if found and found["pid"] != not_pid:
                return found
        await asyncio.sleep(0.02)
    raise AssertionError("The runner has not started.")


def test_one_service_in_a_data_directory(tmp_path: Path) -> None:
    """A second service is refused with the first one's process id; the lock is free once the first is gone."""
    lock = Lock(tmp_path)
    with pytest.raises(Unavailable, match=str(os.getpid())):
        Lock(tmp_path, patience_s=0.2)
    lock.release()
    Lock(tmp_path, patience_s=0).release()


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    """The same bytes again, mode 0600, and different ones elsewhere."""
    first = secret(tmp_path / "a")
    assert len(first) == 32
    assert first == secret(tmp_path / "a") != secret(tmp_path / "b")
    said = token(tmp_path / "c")
    assert said == token(tmp_path / "c") == (tmp_path / "c").read_text() != token(tmp_path / "d")
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ac"} == {0o600}


def test_the_runner_sees_nothing_of_the_hub(tmp_path: Path) -> None:
    """Only the allow-list passes: no token of the hub, no vendor's key that the service happens to have."""
    ours = {"PATH": "/bin", "LANG": "C", "HOME": "/root"}
    clean = clean_environment(tmp_path, {**ours, "JUPYTERHUB_API_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "y"})
    assert set(clean) == {"PATH", "LANG", "HOME", "TMPDIR", "PYTHONPATH", "PYTHONSAFEPATH"}
    assert Path(clean["TMPDIR"]).is_relative_to(tmp_path)
    assert clean["HOME"] == str(tmp_path)


async def test_a_runner_is_told_restarted_and_drained(tmp_path: Path) -> None:
    """It gets its line on stdin, is started again after a kill, and drains when the service stops."""
    home, gone = tmp_path / "runner", []
    runner = RunnerProcess(
        home, {"socket": "s", "token": "t"}, gone=lambda: gone.append(1), command=[sys.executable, "-c", RUNNER]
    )
    runner.start()
    first = await seen(home)
    told = first["told"]
    assert isinstance(told, dict)
    assert (told["socket"], told["token"], told["runner"][:4]) == ("s", "t", "run_")
    assert not [name for name in first["environment"] if name.startswith("JUPYTER")]  # type: ignore[attr-defined]
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    os.kill(int(str(first["pid"])), signal.SIGKILL)
    second = await seen(home, not_pid=int(str(first["pid"])))
    assert gone == [1]
    assert runner.pid == second["pid"]
    await runner.stop()
    assert (home / "drained").exists()
    assert gone == [1]  # an end that we asked for is no death
    assert runner.pid is None


def test_a_killed_service_takes_its_runner_along(tmp_path: Path) -> None:
    """After kill -9 of the parent the runner's stdin closes and it ends by itself."""
    parent = f"""
import asyncio, pathlib, sys
from jupyter_quantum.hub.runner_process import RunnerProcess
async def main():
    RunnerProcess(pathlib.Path({str(tmp_path)!r}), {{}}, gone=print, command=[sys.executable, "-c", {RUNNER!r}]).start()
    await asyncio.sleep(60)
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=Path(__file__).parents[3])
    pid = int(str(asyncio.run(seen(tmp_path))["pid"]))
    process.kill()
    process.wait()
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]:
            return
        asyncio.run(asyncio.sleep(0.05))
    raise AssertionError("The runner outlived the service.")


def test_a_long_data_directory_still_gets_a_socket(tmp_path: Path) -> None:
    """A path that is too long for a unix socket is replaced by a private directory."""
    assert socket_path(tmp_path).parent == tmp_path or len(str(tmp_path)) > 80
    elsewhere = socket_path(tmp_path / ("x" * 120))
    assert len(str(elsewhere)) < 100
    assert stat.S_IMODE(elsewhere.parent.stat().st_mode) == 0o700
    elsewhere.parent.rmdir()


async def test_the_runners_socket_wants_its_token(service: Service, tmp_path: Path) -> None:
    """Mode 0600; 401 without or with a wrong token; 422 for a body that is none, 404 for other addresses."""
    path = socket_path(tmp_path)
    server = RunnerServer(service.context, path, "secret", lambda _: None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    async def ask(route: str, token: str, body: str = "{}") -> int:
        reader, writer = await asyncio.open_unix_connection(str(path))
        head = f"POST /runner/v1/{route} HTTP/1.1\r\nHost: service\r\nAuthorization: Bearer {token}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        status = int((await reader.readline()).split()[1])
        writer.close()
        return status

    lease = json.dumps({"runner": "run_1", "slots": 1})
    assert await ask("lease", "wrong", lease) == 401
    assert await ask("lease", "secret", "{") == 422
    assert await ask("nothing", "secret") == 404
    assert service.pipeline.calls == []
    assert await ask("lease", "secret", lease) == 200
    await server.close()


def test_the_bucket_fills_with_time() -> None:
    """Burst at once, then the rate; the answer says how long to wait."""
    now = [0.0]
    bucket = Bucket(rate=2, burst=4, clock=lambda: now[0])
    for _ in range(4):
        bucket.take("ada")
    with pytest.raises(TooBusy) as caught:
        bucket.take("ada")
    assert caught.value.details == {"retry_after": 1}
    bucket.take("ben")
    now[0] = 1.0
    bucket.take("ada")
    bucket.take("ada")
    with pytest.raises(TooBusy):
        bucket.take("ada")


def test_configured_credits_become_micro_credits() -> None:
    """Projects and prices are written in credits; an unknown setting is an error that names what there is."""
    [project] = settings.projects({"q": {"members": ["g"], "grant": 100, "user_quota": "0.5"}}).values()
    assert (project.grant, project.user_quota, project.members) == (100 * CREDIT, CREDIT // 2, {"g"})
    assert settings.prices({"d": {"per_shot": 0.0004}})["d"].per_shot == 400
    with pytest.raises(InputError, match="user_quota"):
        settings.projects({"q": {"quota": 3}})


def test_runners_are_counted_when_somebody_scrapes() -> None:
    """Runners, devices and leases by owner, and the devices that wait for an operator, as they are then."""
    metrics, now = Metrics(), [RunnerCount("quantum-far", 2, 3, 1)]
    metrics.watch(lambda: (now, 4))
    text = metrics.text().decode()
    assert 'quantum_runner_live_count{runner="quantum-far"} 2.0' in text
    assert 'quantum_device_serve_count{runner="quantum-far"} 3.0' in text
    assert "quantum_device_wait_count 4.0" in text
    now.clear()
    assert "quantum-far" not in metrics.text().decode()
