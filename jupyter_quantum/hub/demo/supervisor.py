"""Start the demo's hub, wait until all of it answers, and stop it without leaving anything."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.hub import leash
from jupyter_quantum.hub.demo.config import Settings
from jupyter_quantum.hub.ports import free_port, is_free

__all__ = ["Demo", "choose_port", "data_directory"]

_CONFIG = """\
# Written by `jupyter quantum demo` for one start.
from pathlib import Path

from jupyter_quantum.hub.demo.config import apply

apply(get_config(), Path(__file__).resolve().parent)
"""
_READY_WITHIN_S = 180.0
_STOP_WITHIN_S = 8.0

Say = Callable[[str], None]


def choose_port(wanted: int, say: Say) -> int:
    """``wanted`` where it is free, else the next free one, and say so; any free one for 0."""
    if wanted == 0:
        return free_port()
    for port in range(wanted, min(wanted + 100, 65536)):
        if not is_free(port):
            continue
        if port != wanted:
            say(f"Port {wanted} is taken; using {port}.")
        return port
    raise Unavailable(
        f"No free port from {wanted} to {wanted + 99}.", code="demo.port", hint="Choose another with --port."
    )


@contextlib.contextmanager
def data_directory(keep: bool) -> Iterator[Path]:
    """A fresh private directory; removed at the end unless ``keep``."""
    path = Path(tempfile.mkdtemp(prefix="jupyter-quantum-demo-"))  # mode 0700
    try:
        yield path
    finally:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)


class Demo:
    """One running demo.

    Args:
        data_dir: where everything of this start is written.
        settings: what was decided for it.
        say: called with each line of progress.
    """

    def __init__(self, data_dir: Path, settings: Settings, say: Say) -> None:
        self.url = f"http://127.0.0.1:{settings.port}/"
        self.log = data_dir / "hub.log"
        self._say = say
        self._settings = settings
        settings.write(data_dir)
        config = data_dir / "jupyterhub_config.py"
        config.write_text(_CONFIG)
        leash.adopt_orphans()
        with self.log.open("wb") as log:
            self._hub = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(config)],
                cwd=data_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop the rest in order
                preexec_fn=leash.die_with_parent,
            )

    def wait_ready(self) -> None:
        """Return once hub, service and runner answer.

        Raises:
            Unavailable: one of them does not, or the hub ended; the message has the log's last lines.
        """
        deadline = time.monotonic() + _READY_WITHIN_S
        hub, service = self._settings.hub_port, self._settings.service_port
        # Asked directly first: the proxy writes a complaint into the log for each request that it cannot pass on.
        for words, url in (
            ("hub", f"http://127.0.0.1:{hub}/hub/api/"),
            ("service and runner", f"http://127.0.0.1:{service}/services/quantum/health/ready"),
            ("proxy", f"{self.url}services/quantum/health/ready"),
        ):
            self._say(f"Waiting for {words} …")
            while lack := _lack(url):
                self._check(deadline, words, lack)
                time.sleep(0.1)

    def _check(self, deadline: float, words: str, lack: str) -> None:
        if self._hub.poll() is not None:
            raise Unavailable(f"The hub ended at start.\n{self.last_lines()}", code="demo.hub")
        if time.monotonic() > deadline:
            raise Unavailable(f"{words.capitalize()} not ready yet: {lack}\n{self.last_lines()}", code="demo.slow")

    def last_lines(self, count: int = 20) -> str:
        """The end of the hub's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def wait(self) -> int:
        """Wait until the hub ends by itself; its exit status."""
        return self._hub.wait()

    def stop(self) -> None:
        """Stop servers, service, runner, proxy and hub in the hub's own order, then kill whatever is left."""
        if self._hub.poll() is None:
            self._hub.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._hub.wait(_STOP_WITHIN_S)
        leash.kill_descendants(grace_s=0.5)


def _lack(url: str) -> str:
    """What keeps ``url`` from answering as it should, in its own words; empty where it does."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            json.loads(answer.read() or b"null")
            return "" if answer.status == 200 else f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        with error:
            return f"HTTP {error.code}: {error.read(2000).decode(errors='replace')}"
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
