"""What a worker may not do, each part where the kernel has it.

==============  =========================================================================================
rlimits         no core files, no file of any size, few descriptors, address space (set by the pool)
no_new_privs    no privilege comes back; all capabilities are dropped
landlock        files are readable only where Python and its packages lie, nothing is writable; no TCP, no signals out
seccomp         an allow-list of system calls: no sockets, no processes, no exec, threads only
namespaces      the zygote's own, see :mod:`.namespaces`: no network, a private ``/tmp``, user 65534
==============  =========================================================================================

:func:`survey` says which of them this kernel offers; :func:`lock` applies those, for good.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import site
import struct
import sys
import sysconfig
import termios
from pathlib import Path
from typing import Any, Final

from jupyter_quantum.fabric import namespaces

__all__ = ["die_with_parent", "drop_capabilities", "keep_to_oneself", "lock", "readable_paths", "survey"]

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_ACCESS_BY_ABI: Final = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_NET_ABI, _SCOPE_ABI = 4, 6

_ALLOWED: Final = """
read write readv writev pread64 pwrite64 preadv pwritev lseek close close_range fstat newfstatat stat lstat
statx access faccessat faccessat2 open openat readlink readlinkat getcwd getdents64 getdents dup
dup2 dup3 mmap munmap mprotect mremap madvise brk mincore membarrier futex futex_waitv set_robust_list
get_robust_list rseq set_tid_address sched_yield sched_getaffinity sched_getparam
sched_getscheduler sched_get_priority_max sched_get_priority_min getcpu gettid getpid getppid getuid geteuid
getgid getegid getpgrp getresuid getresgid rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending
rt_sigtimedwait sigaltstack pause clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times
getrusage getrlimit setrlimit setitimer getitimer sysinfo uname poll ppoll select pselect6 epoll_create1
epoll_ctl epoll_wait epoll_pwait eventfd2 pipe2 getrandom arch_prctl restart_syscall exit exit_group
"""
_SILENT: Final = ("clone3",)  # the C library falls back to clone, whose flags can be looked at
_ON_DESCRIPTORS: Final = {
    "fcntl": (fcntl.F_DUPFD, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_DUPFD_CLOEXEC),
    "ioctl": (termios.TCGETS, termios.TIOCGWINSZ, termios.FIONREAD, termios.FIONBIO, termios.FIONCLEX, termios.FIOCLEX),
}
"""Not among them: F_SETOWN, F_SETSIG and the like, by which a socket sends signals to other processes."""
_CLONE_THREAD: Final = 0x00010000
_PR_SET_NAME: Final = 15


def _prctl(option: int, value: int = 0) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def die_with_parent(signal_number: int) -> None:
    """Be sent a signal when the parent ends; ends at once where it has ended already."""
    parent = os.getppid()
    _prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:
        os._exit(0)


def keep_to_oneself() -> None:
    """No core file, and no look into this process's memory or environment for others of the same unix user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def _landlock_abi() -> int:
    return max(0, int(_libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def _seccomp() -> Any:
    """The module, or None where it cannot be used."""
    try:
        import pyseccomp

        pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    except Exception:
        return None
    return pyseccomp


def survey() -> tuple[list[str], list[str]]:
    """Which locks this kernel offers, and in words which it does not."""
    have, missing = ["rlimits", "no_new_privs"], []
    if _landlock_abi() > 0:
        have.append("landlock")
    else:
        missing.append("landlock: this kernel does not offer it, so a worker can read what the runner's unix user can")
    if _seccomp() is not None:
        have.append("seccomp")
    else:
        missing.append("seccomp: libseccomp is not usable here, so network and processes are not denied")
    return [*have, *namespaces.entered], [*missing, *namespaces.lacking]


def readable_paths() -> list[str]:
    """What imports need: Python, its packages, ours, shared libraries. Nothing of users, of the hub, or of the lab."""
    found = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(__file__).parent.parent)]
    found += [*site.getsitepackages(), *(one for one in sys.path if one.endswith(("-packages", "lib-dynload")))]
    found += ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime"]
    found += ["/usr/share/zoneinfo", "/dev/null", "/dev/urandom", "/sys/devices/system/cpu"]
    return sorted({os.path.realpath(one) for one in found if one and os.path.exists(one)})


def lock(survivor: int) -> None:
    """Give up, for good and for every thread to come, whatever a worker does not need; ``survivor`` is its socket.

    Raises ``OSError`` where a lock that :func:`survey` names cannot be applied: then the worker must not serve.
    """
    have, _ = survey()
    _close_others(survivor)
    for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 64)):
        resource.setrlimit(what, (most, most))
    _prctl(_PR_SET_DUMPABLE, 0)
    drop_capabilities()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if "landlock" in have:
        _apply_landlock(_landlock_abi())
    if "seccomp" in have:
        _apply_seccomp()


def _close_others(survivor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, survivor)
    os.closerange(survivor + 1, 65536)


def drop_capabilities() -> None:
    """Give up every capability (there are any only where the runner is started by root)."""
    number = _CAPSET.get(os.uname().machine)
    if number is None:
        return
    header = struct.pack("=Ii", 0x20080522, 0)
    _libc.syscall(number, ctypes.c_char_p(header), ctypes.c_char_p(struct.pack("=6I", 0, 0, 0, 0, 0, 0)))


def _apply_landlock(abi: int) -> None:
    handled = (1 << 13) - 1
    for since, bit in _ACCESS_BY_ABI.items():
        handled |= bit if abi >= since else 0
    attributes = struct.pack("=Q", handled)
    if abi >= _NET_ABI:
        attributes += struct.pack("=Q", 0b11)
    if abi >= _SCOPE_ABI:
        attributes += struct.pack("=Q", 0b11)
    rules = _libc.syscall(_LANDLOCK_CREATE, ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for path in readable_paths():
        _allow_reading(rules, path)
    if _libc.syscall(_LANDLOCK_RESTRICT, rules, 0) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(rules)


def _allow_reading(rules: int, path: str) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    access = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)
    rule = struct.pack("=Qi", access, descriptor)
    if _libc.syscall(_LANDLOCK_ADD, rules, 1, ctypes.c_char_p(rule), 0) != 0:
        raise OSError(ctypes.get_errno(), f"landlock_add_rule {path}")
    os.close(descriptor)


def _apply_seccomp() -> None:
    seccomp = _seccomp()
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    rules.set_attr(seccomp.Attr.CTL_TSYNC, 1)
    for name in _ALLOWED.split():
        _add(rules, seccomp.ALLOW, name)
    for name, commands in _ON_DESCRIPTORS.items():
        for command in commands:
            rules.add_rule(seccomp.ALLOW, name, seccomp.Arg(1, seccomp.EQ, command))
    for name in _SILENT:
        _add(rules, seccomp.ERRNO(errno.ENOSYS), name)
    thread = seccomp.Arg(0, seccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD)
    rules.add_rule(seccomp.ALLOW, "clone", thread)
    rules.add_rule(seccomp.ALLOW, "prctl", seccomp.Arg(0, seccomp.EQ, _PR_SET_NAME))
    rules.add_rule(seccomp.ALLOW, "tgkill", seccomp.Arg(0, seccomp.EQ, os.getpid()))  # abort() speaks to itself
    own = seccomp.Arg(0, seccomp.EQ, 0)
    rules.add_rule(seccomp.ALLOW, "prlimit64", own)
    rules.load()


def _add(rules: Any, action: Any, name: str) -> None:
    try:
        rules.add_rule(action, name)
    except (OSError, ValueError):
        return  # a system call that this machine does not have needs no rule
