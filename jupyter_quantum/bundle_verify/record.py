"""Checks of the archive and of the record that lies in it: sums, manifest, entries, proofs, key."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature

from jupyter_quantum.audit_verify import Key, open_note
from jupyter_quantum.bundle_verify.parts import Absent, Bundle, Wrong

__all__ = ["check_key", "check_manifest", "check_proofs", "check_record", "check_sums"]

_PROOF = "c2sp.org/tlog-proof@v1"
_LAST = {"completed", "failed", "cancelled", "rejected", "archived"}
_CHECKED = {"format", "job", "project", "files"}
"""Of the manifest, what is compared with something."""


def check_sums(bundle: Bundle) -> str:
    """Every member is listed, and is as it is listed."""
    names = {name for name in bundle.files if not name.startswith("derived/")}
    count = _listed(bundle, "SHA256SUMS", names - {"SHA256SUMS"})
    derived = set(bundle.files) - names
    if derived:
        count += _listed(bundle, "derived/SHA256SUMS", derived - {"derived/SHA256SUMS"})
    return f"{count} members are as they are listed"


def _listed(bundle: Bundle, listing: str, names: set[str]) -> int:
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


def check_manifest(bundle: Bundle) -> str:
    """It says of each member what is so."""
    told = bundle.json("manifest.json")
    if told.get("format") != "jupyter-quantum-bundle/1":
        raise Wrong(f"the format is {told.get('format')!r}")
    files = told["files"]
    names = {name for name in bundle.files if not name.startswith("derived/")} - {"SHA256SUMS", "manifest.json"}
    if names != files.keys():
        raise Wrong("it lists other members than there are")
    for name, said in files.items():
        raw = bundle.files[name]
        if said != {"sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw)}:
            raise Wrong(f"{name} is not what it says")
    bundle.unproven += [f"manifest.json: {name}" for name in sorted(told.keys() - _CHECKED)]
    return f"made {told['made']} for {told['project']}"


def check_record(bundle: Bundle) -> str:
    """The entries are of one job, from its first state to its last without a gap."""
    lines = bundle.need("record/events.jsonl").split(b"\n")
    if lines.pop() or not lines:
        raise Wrong("record/events.jsonl does not end with a whole line")
    told = bundle.json("manifest.json")
    state: str | None = None
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


def check_proofs(bundle: Bundle) -> str:
    """Each entry is in a tree that the key signed."""
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


def _own_keys(bundle: Bundle) -> list[Key]:
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


def check_key(bundle: Bundle) -> str:
    """The key is the one that was given."""
    own = _own_keys(bundle)
    if not bundle.given:
        bundle.unproven.append("record/keys.txt: whose key it is")
        raise Absent(f"not compared: the archive's own is {own[0].name}+{own[0].key_id.hex()}; give --key to know who")
    if not set(own) & set(bundle.given):
        raise Wrong(f"the archive names another: {own[0].name}+{own[0].key_id.hex()}")
    if others := set(own) - set(bundle.given):
        bundle.unproven.append(f"record/keys.txt: {len(others)} more than were given")
    return "the one that was given"
