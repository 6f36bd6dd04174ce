"""``jupyter quantum runner --check``: what would be announced, from the devices themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.integration.runners.certificates import Authority
from tests.integration.runners.support import ROOT, settings_file

_COMMAND = "import typer; from jupyter_quantum.fabric.command import runner; typer.run(runner)"


def check(file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The command, as an operator runs it."""
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(file.parent)}
    command = [sys.executable, "-c", _COMMAND, f"--config={file}", "--check", *more]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)


def test_a_file_is_checked_with_its_devices(tmp_path: Path, trusted: Authority) -> None:
    """Devices, versions and locks are printed; the service is not asked, the token not shown."""
    file = settings_file(tmp_path / "far", "https://nowhere.invalid/services/quantum/", "s3cret", trusted.ca)
    done = check(file, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [(device["name"], device["kind"], device["region"]) for device in said["devices"]] == [
        ("far_aer", "simulator", "eu")
    ]
    assert said["qpy_versions"][0] == 13
    assert "rlimits" in said["sandbox"]
    assert "s3cret" not in done.stdout + done.stderr


def test_what_cannot_be_made_is_said(tmp_path: Path, trusted: Authority) -> None:
    """An adapter that is not here, in one line and with exit code 1; no traceback."""
    devices = '[[devices]]\nname = "far_one"\nadapter = "unheard_of"\n'
    file = settings_file(tmp_path / "far", "https://nowhere.invalid/services/quantum/", "s3cret", trusted.ca, devices)
    done = check(file)
    assert done.returncode == 1
    assert "no adapter named 'unheard_of'" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_runner_knows_is_its_own(tmp_path: Path, trusted: Authority) -> None:
    """Its environment may hold secrets: another process of the same unix user, a vendor's SDK say, cannot read it."""
    plain = "from jupyter_quantum.fabric.sandbox import drop_capabilities; drop_capabilities()\n"  # who root is, is not
    look = (
        "import sys\nfor name in ('environ', 'mem', 'maps'):\n"
        "    try: open(f'/proc/{sys.argv[1]}/{name}', 'rb').close(); print('read', name)\n"
        "    except OSError: pass"
    )
    file = settings_file(tmp_path / "far", "https://nowhere.invalid/services/quantum/", "s3cret", trusted.ca)
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "JQ_SECRET_IBM": '{"token": "x"}'}
    command = [sys.executable, "-c", plain + _COMMAND, f"--config={file}"]
    with subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True) as runner:
        assert runner.stderr is not None
        try:
            assert any("does not answer" in line for line in runner.stderr)
            seen = subprocess.run(
                [sys.executable, "-c", plain + look, str(runner.pid)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
        finally:
            runner.kill()
    assert seen.stdout == ""
