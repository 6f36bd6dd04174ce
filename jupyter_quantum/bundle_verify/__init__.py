"""Verify the bundle of a run: ``python -m jupyter_quantum.bundle_verify FILE --key PUBLIC``.

A program of its own, like :mod:`jupyter_quantum.audit_verify`, whose signatures it uses: it needs the file and, to know
who made it, the public key of the hub's record. It asks nobody and imports nothing of the service, only Python's
standard library and ``cryptography``; with ``--circuits`` Qiskit, in a process of its own.

The checks, each of which is named with what it found:

``archive``      a zip of plain members, none twice, none too large, nothing beside them
``sums``         every member is listed and has the SHA-256 that ``SHA256SUMS`` says; so has every derived one
``manifest``     ``manifest.json`` says the same
``record``       the entries of the job: one job, from its first state to its last without a gap
``proofs``       each entry is in the tree of a checkpoint (RFC 6962), which the key signed (c2sp.org/tlog-proof)
``key``          the key is the one that was given
``source`` …     source, PUBs, options, what validation found, executable, calibration, result and policy's decision are
                 the bytes whose digests the entries hold
``approvals``    the approvals are those of the entries, all of the last round
``job``          ``job.json`` and ``estimate.json`` say what the entries say, by their fields and by the digest of the
                 last one
``citation``     ``CITATION.cff`` cites this run
``circuits``     the circuits can be read, and OpenQASM that lies beside them is of them

What a reader sees and no check proves is listed: *stated, not proven*. The owner's name is always there, as the record
knows people by pseudonyms only.

Exit codes: 0 verified; 1 something was found; 2 wrong usage, or a file that is no bundle or cannot be read.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from jupyter_quantum.audit_verify import Key
from jupyter_quantum.bundle_verify import record, run
from jupyter_quantum.bundle_verify.archive import Damaged, members
from jupyter_quantum.bundle_verify.circuits import check_circuits
from jupyter_quantum.bundle_verify.parts import Absent, Bundle, Wrong

__all__ = ["Check", "Outcome", "verify"]


@dataclass(frozen=True)
class Check:
    """One check: its name, whether it holds (None: it could not be made, as nothing to check is there), and words."""

    name: str
    holds: bool | None
    words: str


@dataclass
class Outcome:
    """What was checked."""

    job: str | None = None
    checks: list[Check] = field(default_factory=list)
    stated: list[str] = field(default_factory=list)
    """What the bundle says and nothing in it proves: ``member``, or ``member: field``."""
    readable: bool = True
    """Whether the file is a bundle at all."""

    @property
    def verified(self) -> bool:
        """Whether no check failed, and something was checked."""
        return self.readable and bool(self.checks) and all(check.holds is not False for check in self.checks)


_CHECKS: tuple[tuple[str, Callable[[Bundle], str]], ...] = (
    ("sums", record.check_sums),
    ("manifest", record.check_manifest),
    ("record", record.check_record),
    ("proofs", record.check_proofs),
    ("key", record.check_key),
    ("source", run.check_source),
    ("pubs", run.bound("pubs.json", "pubs")),
    ("options", run.bound("options.json", "options")),
    ("prepared", run.bound("prepared.json", "prepared")),
    ("executable", run.bound("executable.qpy", "executable")),
    ("calibration", run.check_calibration),
    ("result", run.bound("result.json", "result")),
    ("decision", run.check_decision),
    ("approvals", run.check_approvals),
    ("job", run.check_job),
    ("citation", run.check_citation),
)


def verify(file: IO[bytes], keys: Sequence[Key] = (), *, circuits: bool = False) -> Outcome:
    """Verify a bundle.

    Args:
        file: the zip, open for reading and seeking.
        keys: public keys of the record, from elsewhere; the bundle's own where none is given.
        circuits: read the circuits with Qiskit too, in a process of its own.
    """
    try:
        files = members(file)
    except Wrong as wrong:
        return Outcome(checks=[Check("archive", False, str(wrong))], readable=isinstance(wrong, Damaged))
    bundle = Bundle(files, keys)
    checks = _CHECKS + ((("circuits", check_circuits),) if circuits else ())
    made = [_made(name, check, bundle) for name, check in checks]
    run.note_rest(bundle, circuits)
    return Outcome(
        job=bundle.events[0]["job"] if bundle.events else None,
        checks=[Check("archive", True, f"{len(files)} members"), *made],
        stated=bundle.unproven,
    )


def _made(name: str, check: Callable[[Bundle], str], bundle: Bundle) -> Check:
    try:
        return Check(name, True, check(bundle))
    except Absent as nothing:
        return Check(name, None, str(nothing))
    except Wrong as wrong:
        return Check(name, False, str(wrong))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, binascii.Error) as error:
        return Check(name, False, f"it cannot be read: {type(error).__name__}: {error}")
