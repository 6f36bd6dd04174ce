"""Environments of vendors whose pins clash with ours: ``.cache/envs/<extra>``, made once and kept.

Run as ``python -m tests.prove.environments [extra ...]`` it makes those that are missing. An environment holds the
package itself (editable, so that it runs this checkout) with the extras ``runner`` and its own. Packages come out of
uv's cache as hard links; where pyproject.toml says the same as when an environment was made, nothing is done.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
EXTRAS: Final = ("iqm", "aqt", "alice-bob")
"""Extras of pyproject.toml that need an environment each."""


def python_of(extra: str | None) -> Path:
    """The interpreter of an extra's environment, made first where that is due; None: of the environment we are in."""
    if extra is None:
        return Path(sys.executable)
    home = ROOT / ".cache" / "envs" / extra
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{extra}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = _digest(extra)
        stamp = home / "made-for"
        if not stamp.exists() or stamp.read_text() != wanted:
            _make(home, extra)
            stamp.write_text(wanted)
    return home / "bin" / "python"


def _digest(extra: str) -> str:
    """What an environment depends on: what is asked for, what names the adapters, where it is and which Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [project["dependencies"], *(project["optional-dependencies"][one] for one in ("runner", extra))]
    told = [asked, project["entry-points"]["jupyter_quantum.adapters"], str(ROOT), sys.version]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _make(home: Path, extra: str) -> None:
    print(f"making the environment of [{extra}]", file=sys.stderr, flush=True)
    shutil.rmtree(home, ignore_errors=True)
    _uv("venv", "--quiet", "--python", sys.executable, str(home))
    _uv("pip", "install", "--quiet", "--python", str(home / "bin" / "python"), "-e", f"{ROOT}[runner,{extra}]")


def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).with_name("uv")
    program = str(beside) if beside.exists() else shutil.which("uv")
    assert program is not None, "uv is neither beside this Python nor on the PATH"
    environment = {**os.environ, "HATCH_BUILD_NO_HOOKS": "true"}
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run([program, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"uv {' '.join(arguments)}:\n{done.stderr[-4000:]}"


if __name__ == "__main__":
    for one in sys.argv[1:] or EXTRAS:
        print(python_of(one))
