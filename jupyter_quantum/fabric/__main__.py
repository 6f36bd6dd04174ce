"""``python -m jupyter_quantum.fabric``: one JSON line on standard input, then work until standard input ends.

Standard input is the life line: at its end, or on SIGTERM, the runner drains and exits. Exit status 2: the first line
cannot be used.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

from pydantic import ValidationError

from jupyter_quantum.fabric import logs
from jupyter_quantum.fabric.runner import Runner
from jupyter_quantum.fabric.sandbox import die_with_parent
from jupyter_quantum.fabric.settings import Settings

__all__ = ["main"]

_ORPHAN_GRACE_S = 5.0


async def _serve(settings: Settings) -> None:
    runner = Runner(settings)
    loop = asyncio.get_running_loop()

    def orphaned() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            runner.drain(_ORPHAN_GRACE_S)

    loop.add_signal_handler(signal.SIGTERM, runner.drain)
    loop.add_signal_handler(signal.SIGINT, runner.drain)
    with contextlib.suppress(PermissionError):  # a file cannot be watched, and cannot end either
        loop.add_reader(sys.stdin.fileno(), orphaned)
    await runner.run()


def main() -> int:
    """Run; returns the exit status."""
    die_with_parent(signal.SIGTERM)
    logs.set_up()
    line = sys.stdin.buffer.readline()
    try:
        settings = Settings.model_validate_json(line)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, one["loc"])) or one["type"] for one in error.errors(include_input=False))
        sys.stderr.write(f"the first line on standard input cannot be used: {fields}\n")
        return 2
    asyncio.run(_serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
