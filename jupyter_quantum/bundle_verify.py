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
``approvals``    the approvals are those of the entries
``job``          ``job.json`` and ``estimate.json`` say what the entries say: id, device, state, digests, cost
``circuits``     the circuits can be read, and OpenQASM that lies beside them is of them

Exit codes: 0 verified; 1 something was found; 2 wrong usage, or a file that is no bundle.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidSignature

from jupyter_quantum.audit_verify import Key, open_note

__all__ = ["Check", "Outcome", "main", "verify"]

_MEMBERS = 20_000
_MEMBER = 256 * 1024 * 1024
_ALL = 1024 * 1024 * 1024
_READ_S = 120
_SAFE_QPY = b"\x0d"
"""Version 13: no earlier one is written by the service, and reading those may execute code (CVE-2025-2000)."""
_PROOF = "c2sp.org/tlog-proof@v1"
_LAST = {"completed", "failed", "cancelled", "rejected", "archived"}


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

    @property
    def verified(self) -> bool:
        """Whether no check failed, and something was checked."""
        return bool(self.checks) and all(check.holds is not False for check in self.checks)


class Wrong(Exception):
    """What a check found, in words."""


class Absent(Exception):
    """There is nothing to check, in words."""


class _Bundle:
    """The members, and what the record says of them."""

    def __init__(self, files: Mapping[str, bytes], keys: Sequence[Key]) -> None:
        self.files = files
        self.given = keys
        self.events: list[dict[str, Any]] = []
        self.payloads: list[bytes] = []

    def json(self, name: str) -> Any:
        """A member as JSON."""
        try:
            return json.loads(self.need(name))
        except (ValueError, RecursionError) as error:
            raise Wrong(f"{name} is not JSON: {error}") from None

    def need(self, name: str) -> bytes:
        """A member that must be there."""
        if name not in self.files:
            raise Wrong(f"{name} is missing")
        return self.files[name]

    def said(self, name: str) -> Any:
        """The last value that an entry gives under this name; None where none does."""
        for event in reversed(self.events):
            if event["data"].get(name) is not None:
                return event["data"][name]
        return None


def _digest(raw: bytes) -> str:
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def _read(file: IO[bytes]) -> dict[str, bytes]:
    """The members of a zip. Raises Wrong where it is more, or less, than a few plain files."""
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if archive.comment or len(infos) > _MEMBERS or sum(one.file_size for one in infos) > _ALL:
            raise Wrong("it is larger than a bundle may be, or carries a comment")
        for one in infos:
            _check_member(one, found)
            found[one.filename] = archive.read(one)
    return found


def _check_member(one: zipfile.ZipInfo, before: Mapping[str, bytes]) -> None:
    parts = one.filename.split("/")
    if one.filename in before:
        raise Wrong(f"{one.filename} is there twice")
    if not one.filename.isascii() or "\\" in one.filename or any(part in ("", ".", "..") for part in parts):
        raise Wrong(f"{one.filename!r} is not the name of a member")
    if one.file_size > _MEMBER or one.flag_bits & 1 or one.extra or one.comment:
        raise Wrong(f"{one.filename} is too large, encrypted, or carries more than its bytes")


# Checks, in their order


def _sums(bundle: _Bundle) -> str:
    names = {name for name in bundle.files if not name.startswith("derived/")}
    count = _listed(bundle, "SHA256SUMS", names - {"SHA256SUMS"})
    derived = set(bundle.files) - names
    if derived:
        count += _listed(bundle, "derived/SHA256SUMS", derived - {"derived/SHA256SUMS"})
    return f"{count} members are as they are listed"


def _listed(bundle: _Bundle, listing: str, names: set[str]) -> int:
    lines = bundle.need(listing).decode().splitlines(keepends=True)
    listed = {}
    for line in lines:
        value, gap, name = line.partition("  ")
        if not gap or not name.endswith("\n") or name[:-1] in listed:
            raise Wrong(f"{listing} has a line that is none: {line.strip()!r}")
        listed[name[:-1]] = value
    if beside := sorted(names ^ listed.keys()):
        raise Wrong(f"{beside[0]} is not in {listing}, or not in the archive")
    for name, value in listed.items():
        if hashlib.sha256(bundle.files[name]).hexdigest() != value:
            raise Wrong(f"{name} is not what {listing} says")
    return len(listed)


def _manifest(bundle: _Bundle) -> str:
    told = bundle.json("manifest.json")
    if told.get("format") != "jupyter-quantum-bundle/1":
        raise Wrong(f"the format is {told.get('format')!r}")
    files = told["files"]
    names = {name for name in bundle.files if not name.startswith("derived/")} - {"SHA256SUMS", "manifest.json"}
    if names != files.keys():
        raise Wrong("it lists other members than there are")
    for name, said in files.items():
        raw = bundle.files[name]
        if (said["sha256"], said["size"]) != (hashlib.sha256(raw).hexdigest(), len(raw)):
            raise Wrong(f"{name} is not what it says")
    return f"made {told['made']} for {told['project']}"


def _record(bundle: _Bundle) -> str:
    lines = bundle.need("record/events.jsonl").split(b"\n")
    if lines.pop() or not lines:
        raise Wrong("record/events.jsonl does not end with a whole line")
    told = bundle.json("manifest.json")
    state: Any = None
    for line in lines:
        event = json.loads(line)
        if event["job"] != told["job"] or event["project"] != told["project"]:
            raise Wrong(f"the entry {event['id']} is of another job")
        if event["type"] == "job.moved":
            if event["data"]["from"] != state:
                raise Wrong(f"an entry is missing: {event['id']} leaves {event['data']['from']}, not {state}")
            state = event["data"]["to"]
        bundle.events.append(event)
        bundle.payloads.append(line)
    if state not in _LAST:
        raise Wrong(f"the entries end while the job is {state}")
    return f"{len(lines)} entries, to {state}"


def _proofs(bundle: _Bundle) -> str:
    keys = bundle.given or _own_keys(bundle)
    indices = []
    names = {name for name in bundle.files if name.startswith("record/proofs/")}
    for at, payload in enumerate(bundle.payloads, 1):
        name = f"record/proofs/{at:04d}.txt"
        indices.append(_proven(bundle.need(name).decode(), payload, keys, name))
        names.discard(name)
    if names:
        raise Wrong(f"{min(names)} is the proof of no entry")
    if not bundle.payloads or indices != sorted(set(indices)):
        raise Wrong("the entries are not in the order of the record")
    return f"entries {indices[0] + 1} to {indices[-1] + 1} of the record, signed"


def _own_keys(bundle: _Bundle) -> list[Key]:
    return [Key.read(line) for line in bundle.need("record/keys.txt").decode().split()]


def _proven(text: str, payload: bytes, keys: Sequence[Key], name: str) -> int:
    """The entry's index; raises Wrong where the proof does not lead to a signed root."""
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or len(lines) < 2 or lines[0] != _PROOF or not lines[1].startswith("index "):
        raise Wrong(f"{name} is not a proof")
    index = int(lines[1].removeprefix("index "))
    path = [base64.b64decode(line, validate=True) for line in lines[2:]]
    if lines[1] != f"index {index}" or any(
        base64.b64encode(raw).decode() != line for raw, line in zip(path, lines[2:], strict=True)
    ):
        raise Wrong(f"{name} is not in canonical form")
    try:
        signed = open_note(note, keys)
    except (ValueError, InvalidSignature) as error:
        raise Wrong(f"the checkpoint of {name} is not valid: {error or 'forged'}") from None
    if _root(index, signed.size, hashlib.sha256(b"\x00" + payload).digest(), path) != signed.root:
        raise Wrong(f"the entry of {name} is not in the tree that was signed")
    return index


def _root(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its path come to (RFC 9162, section 2.1.3.2); None where they do not fit."""
    if not 0 <= index < size:
        return None
    place, last, found = index, size - 1, leaf
    for other in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            found = hashlib.sha256(b"\x01" + other + found).digest()
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + other).digest()
        place, last = place >> 1, last >> 1
    return found if last == 0 else None


def _key(bundle: _Bundle) -> str:
    own = _own_keys(bundle)
    if not bundle.given:
        raise Absent(f"not compared: the archive's own is {own[0].name}+{own[0].key_id.hex()}; give --key to know who")
    if not set(own) & set(bundle.given):
        raise Wrong(f"the archive names another: {own[0].name}+{own[0].key_id.hex()}")
    return "the one that was given"


def _bound(file: str, name: str) -> Callable[[_Bundle], str]:
    """The check that a member has the digest that the record holds under ``name``."""

    def check(bundle: _Bundle) -> str:
        names = [one for one in bundle.files if one == file or one.startswith(f"{file}.")]
        said: str | None = bundle.said(name)
        if said is None:
            if names:
                raise Wrong(f"{names[0]} is there, and the record does not know it")
            raise Absent("the record names none")
        if not names:
            raise Absent("it did not leave with this bundle")
        if len(names) > 1 or _digest(bundle.files[names[0]]) != said:
            raise Wrong(f"{names[0]} is not what the record says: {said}")
        return said

    return check


def _calibration(bundle: _Bundle) -> str:
    said = _bound("calibration.json", "snapshot")(bundle)
    if "prepared.json" in bundle.files:
        used = (bundle.json("prepared.json").get("calibration") or {}).get("digest")
        return said if used == said else f"{said}; its device calls it {used}"
    return said


def _decision(bundle: _Bundle) -> str:
    told = bundle.said("decision")
    if told is None:
        raise Absent("the record names none")
    raw = bundle.need("decision.json")
    if _digest(raw) != told.get("digest"):
        raise Wrong("decision.json is not what the record says")
    return f"{told['effect']} by {', '.join(told['policies']) or 'default'}"


def _approvals(bundle: _Bundle) -> str:
    decided = {
        event["data"]["approval"]: {name: event["data"].get(name) for name in ("approval", "role", "state", "note")}
        for event in bundle.events
        if event["type"] == "approval.changed"
    }
    actors = {
        event["data"]["approval"]: event["actor"] for event in bundle.events if event["type"] == "approval.changed"
    }
    told = bundle.json("approvals.json")
    for one in told:
        by = one.pop("decided_by")
        if decided.get(one["approval"]) != one or (by is not None and by != actors[one["approval"]]):
            raise Wrong(f"{one['approval']} is not as the record has it")
    return f"{len(told)} of the record" if told else "nobody was asked"


def _job(bundle: _Bundle) -> str:
    told, manifest = bundle.json("job.json"), bundle.json("manifest.json")
    moved = [event for event in bundle.events if event["type"] == "job.moved"]
    expected = {
        "id": manifest["job"],
        "project": manifest["project"],
        "state": moved[-1]["data"]["to"],
        "device": moved[-1]["data"]["device"],
        "source": bundle.said("source"),
        "executable": bundle.said("executable"),
    }
    for name, value in expected.items():
        if told.get(name) != value:
            raise Wrong(f"{name} is {told.get(name)!r} in job.json and {value!r} in the record")
    if (told.get("cost") or 0) != (charged := _charged(bundle)):
        raise Wrong(f"cost is {told.get('cost')!r} in job.json; the record has charged {charged}")
    actual = bundle.json("estimate.json")["actual"]
    if actual["cost"] != told.get("cost") or actual["seconds"] != told.get("seconds"):
        raise Wrong("job.json and estimate.json do not agree")
    return f"{told['id']} on {told['device']}, {told['state']}"


def _charged(bundle: _Bundle) -> int:
    """Micro-credits by the ledger's entries: each budget of credits has paid all; grants of one owner, together."""
    paid: dict[str, int] = {}
    for event in bundle.events:
        for entry in event["data"].get("entries", ()):
            account: str = entry["account"]
            if entry["kind"] == "settle" and account.startswith("credits/"):
                payer = account.rpartition("/")[0] if account.startswith("credits/funds/") else account
                paid[payer] = paid.get(payer, 0) + entry["amount"]
    return max(paid.values(), default=0)


_CHECKS: tuple[tuple[str, Callable[[_Bundle], str]], ...] = (
    ("sums", _sums),
    ("manifest", _manifest),
    ("record", _record),
    ("proofs", _proofs),
    ("key", _key),
    ("source", _bound("source", "source")),
    ("pubs", _bound("pubs.json", "pubs")),
    ("options", _bound("options.json", "options")),
    ("prepared", _bound("prepared.json", "prepared")),
    ("executable", _bound("executable.qpy", "executable")),
    ("calibration", _calibration),
    ("result", _bound("result.json", "result")),
    ("decision", _decision),
    ("approvals", _approvals),
    ("job", _job),
)


def verify(file: IO[bytes], keys: Sequence[Key] = (), *, circuits: bool = False) -> Outcome:
    """Verify a bundle.

    Args:
        file: the zip, open for reading and seeking.
        keys: public keys of the record, from elsewhere; the bundle's own where none is given.
        circuits: read the circuits with Qiskit too, in a process of its own.
    """
    outcome = Outcome()
    try:
        files = _read(file)
    except (Wrong, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        outcome.checks.append(Check("archive", False, str(error) or type(error).__name__))
        return outcome
    except (ValueError, KeyError, IndexError, UnicodeError) as error:
        outcome.checks.append(Check("archive", False, f"it cannot be read: {error}"))
        return outcome
    outcome.checks.append(Check("archive", True, f"{len(files)} members"))
    bundle = _Bundle(files, keys)
    checks = _CHECKS + ((("circuits", _circuits),) if circuits else ())
    outcome.checks += [_made(name, check, bundle) for name, check in checks]
    outcome.job = bundle.events[0]["job"] if bundle.events else None
    return outcome


def _made(name: str, check: Callable[[_Bundle], str], bundle: _Bundle) -> Check:
    try:
        return Check(name, True, check(bundle))
    except Absent as nothing:
        return Check(name, None, str(nothing))
    except Wrong as wrong:
        return Check(name, False, str(wrong))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, binascii.Error) as error:
        return Check(name, False, f"it cannot be read: {type(error).__name__}: {error}")


_READER = """
import io, json, sys
from qiskit import qasm3, qpy
told = json.load(sys.stdin)
for name, text in told.items():
    circuits = qpy.load(io.BytesIO(bytes.fromhex(text["qpy"])))
    for at, wanted in text["qasm"].items():
        if qasm3.dumps(circuits[int(at)]) != wanted:
            sys.exit(f"the OpenQASM of {name}, circuit {at}, is of another circuit")
    print(name, len(circuits), flush=True)
"""


def _circuits(bundle: _Bundle) -> str:
    told = {}
    for name in ("source", "executable"):
        if f"{name}.qpy" in bundle.files:
            start, end = f"derived/{name}-", ".qasm"
            texts = {
                one[len(start) : -len(end)]: raw.decode()
                for one, raw in bundle.files.items()
                if one.startswith(start) and one.endswith(end)
            }
            told[name] = {"qpy": bundle.files[f"{name}.qpy"].hex(), "qasm": texts}
    if not told:
        raise Absent("no QPY left with this bundle")
    for name in told:
        if bundle.files[f"{name}.qpy"][6:7] < _SAFE_QPY:
            raise Wrong(f"{name}.qpy has an old version, which an old Qiskit reads by running what it says")
    command = [sys.executable, "-I", "-c", _READER]
    try:
        ran = subprocess.run(
            command, input=json.dumps(told), capture_output=True, text=True, check=False, timeout=_READ_S
        )
    except subprocess.TimeoutExpired:
        raise Wrong(f"the circuits could not be read within {_READ_S} s") from None
    if ran.returncode:
        raise Wrong((ran.stderr.strip().splitlines() or [f"the reader ended with {ran.returncode}"])[-1])
    return ", ".join(f"{line} read" for line in ran.stdout.splitlines())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jupyter quantum bundle verify", description="Verify the bundle of a run.")
    parser.add_argument("file", help="the bundle, a zip")
    parser.add_argument("--key", action="append", default=[], help="public key, or a file with keys; may be repeated")
    parser.add_argument("--circuits", action="store_true", help="read the circuits too; needs Qiskit")
    parser.add_argument("--json", action="store_true", help="the outcome as JSON")
    return parser


def _keys(given: Sequence[str]) -> list[Key]:
    found: list[Key] = []
    for text in given:
        lines = Path(text).read_text(encoding="utf8").split() if Path(text).is_file() else [text]
        found += [Key.read(line) for line in lines]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Verify, say what was found, and return the exit code."""
    asked = _parser().parse_args(argv)
    try:
        keys = _keys(asked.key)
        with open(asked.file, "rb") as file:
            outcome = verify(file, keys, circuits=asked.circuits)
    except OSError as error:
        sys.stderr.write(f"cannot verify: {error.filename} cannot be read: {error.strerror}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"cannot verify: {error}\n")
        return 2
    if asked.json:
        told = {"verified": outcome.verified, "job": outcome.job, "checks": [asdict(one) for one in outcome.checks]}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        _say(outcome)
    return 0 if outcome.verified else 1


def _say(outcome: Outcome) -> None:
    for one in outcome.checks:
        mark = {True: "ok", False: "WRONG", None: "–"}[one.holds]
        sys.stdout.write(f"{mark:5}  {one.name:11}  {one.words}\n")
    sys.stdout.write(f"{'Verified' if outcome.verified else 'NOT VERIFIED'}: {outcome.job or 'no job is named'}\n")


if __name__ == "__main__":
    sys.exit(main())
