"""A runner's log: each line about a job names it, whoever writes the line.

The id of the run (the tag, which begins with the job's id) goes along with the work as a context variable, into the
vendor process too; so does the job's id while its circuits are checked.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Final

from jupyter_quantum.wire.runner import ExecuteTask, Task

__all__ = ["ABOUT", "set_up", "subject"]

ABOUT: Final[ContextVar[str]] = ContextVar("about", default="")
"""What is worked on here and now: a tag, a job, or a task of neither; empty where it is nothing of those."""

_FORMAT: Final = "%(asctime)s %(name)s %(levelname)s %(about)s%(message)s"


def subject(task: Task) -> str:
    """What the lines about a task name: the run's tag, the job that is prepared, otherwise the task itself."""
    return task.do.tag if isinstance(task.do, ExecuteTask) else task.job or task.id


class _Subject(logging.Filter):
    """Puts the subject into each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true."""
        about = ABOUT.get()
        record.about = f"[{about}] " if about else ""
        return True


def set_up() -> None:
    """Write the log to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Subject())
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
