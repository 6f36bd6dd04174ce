"""A layer around the zygote, and so around every worker: no network, a ``/tmp`` of its own, nobody's user id.

The zygote enters namespaces of its own before it imports anything (a process with threads may not). As root and as
anybody else it makes a user namespace in which it is user 65534 and has no rights outside; where the machine allows no
user namespaces, root makes the others without. What cannot be had is said in words, and the locks of
:mod:`.sandbox` do without it: they deny network and files by themselves.
"""

from __future__ import annotations

import ctypes
import os
import sys
import sysconfig
from pathlib import Path
from typing import Final

__all__ = ["enter", "entered", "lacking"]

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWNET = 0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
_MNT_DETACH: Final = 2
_NOBODY: Final = 65534
_TMP: Final = "/tmp"  # noqa: S108 - the directory itself is meant
_TMP_OPTIONS: Final = b"size=256m,mode=0700"

entered: list[str] = []
"""What was entered, in the order in which it was."""
lacking: list[str] = []
"""In words, what could not be."""


def enter(home: str) -> None:
    """Enter what this machine allows; ``home`` is the process's directory, made anew where ``/tmp`` becomes private.

    Never raises: the caller goes on with less.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if _unshare(libc, _NEWUSER | _NEWNET | _NEWIPC | _NEWUTS | _NEWNS):
        entered.extend(["user_namespace", "network_namespace"])
        _be_nobody(user, group)
    elif _unshare(libc, _NEWNET | _NEWIPC | _NEWUTS | _NEWNS):
        entered.append("network_namespace")
        lacking.append("user_namespace: this machine does not allow them, so a worker keeps the runner's user id")
    else:
        lacking.append("namespaces: this machine does not allow them, so only the other locks deny network and files")
        return
    try:
        _private_tmp(libc, home)
    except OSError as error:
        lacking.append(f"private_tmp: /tmp could not be mounted ({error.strerror}), so a worker sees names in it")
    else:
        entered.append("private_tmp")


def _unshare(libc: ctypes.CDLL, what: int) -> bool:
    return bool(libc.unshare(what) == 0)


def _be_nobody(user: int, group: int) -> None:
    """User and group 65534 inside stand for those of the runner outside; where that is denied, the kernel's own are."""
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{_NOBODY} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{_NOBODY} {group} 1")
    except OSError as error:
        lacking.append(f"user_namespace: it has no name for the runner's user ({error.strerror})")


def _mount(libc: ctypes.CDLL, source: str, target: str, kind: bytes | None, flags: int, data: bytes | None) -> None:
    if libc.mount(source.encode(), target.encode(), kind, ctypes.c_ulong(flags), data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _private_tmp(libc: ctypes.CDLL, home: str) -> None:
    """Mount an empty ``/tmp``, with what Python needs of the old one (a checkout, an environment) put back."""
    _mount(libc, "none", "/", None, _MS_REC | _MS_PRIVATE, None)
    kept = [(path, os.open(path, os.O_PATH | os.O_DIRECTORY)) for path in _needed()]
    _mount(libc, "tmpfs", _TMP, b"tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, _TMP_OPTIONS)
    try:
        for path, descriptor in kept:
            os.makedirs(path, exist_ok=True)
            _mount(libc, f"/proc/self/fd/{descriptor}", path, None, _MS_BIND | _MS_REC, None)
        os.makedirs(home, mode=0o700, exist_ok=True)
        os.chdir(home)
    except OSError:  # half of it is worse than none: what imports need would be hidden
        libc.umount2(_TMP.encode(), _MNT_DETACH)
        raise
    finally:
        for _, descriptor in kept:
            os.close(descriptor)


def _needed() -> list[str]:
    """Directories below ``/tmp`` that imports need; outermost ones only."""
    package = str(Path(__file__).resolve().parents[2])
    wanted = [package, sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), *sys.path]
    found = sorted({os.path.realpath(path) for path in wanted if path and os.path.isdir(path)})
    below = [path for path in found if path.startswith(f"{_TMP}/")]
    return [path for path in below if not any(path != other and path.startswith(f"{other}/") for other in below)]
