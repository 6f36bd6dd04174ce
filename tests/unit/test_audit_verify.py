"""The verifier: an honest export passes, and each kind of tampering is found where it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_quantum import audit_verify
from jupyter_quantum.audit_verify import Key, Outcome, main, verify
from jupyter_quantum.core.merkle import Frontier, leaf_hash
from jupyter_quantum.pipeline.notes import Signer, checkpoint_text

Lines = list[bytes]
SIGNER = Signer.new("example.org/record")
OTHER = Signer.new("example.org/record")
KEY = Key.read(SIGNER.verifier.text)
SIGNED = (4, 10, 12)


def line(**value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def note(size: int, root: bytes, signer: Signer = SIGNER) -> str:
    text = checkpoint_text("example.org/record", size, root)
    return text + "\n" + signer.line(text)


def payload(at: int, word: str = "ä") -> str:
    return json.dumps({"at": at, "said": word}, ensure_ascii=False)


def export(size: int = 12, word: str = "ä", signer: Signer = SIGNER) -> tuple[Lines, list[str]]:
    """An honest export, and its checkpoints."""
    edge, lines, notes = Frontier(), [], []
    for at in range(1, size + 1):
        leaf = leaf_hash(payload(at, word).encode())
        edge.append(leaf)
        lines.append(line(leaf=at, hash=leaf.hex(), payload=payload(at, word)))
        if at in SIGNED:
            notes.append(note(at, edge.root, signer))
            lines.append(line(checkpoint=notes[-1]))
    return [*lines, line(end={"leaves": size, "checkpoints": len(notes)})], notes


def found(outcome: Outcome) -> list[tuple[str, int | None]]:
    return [(one.kind, one.leaf) for one in outcome.findings]


def test_an_honest_export_is_verified() -> None:
    """With and without witnessed checkpoints; every leaf is signed."""
    lines, notes = export()
    for witnessed in ([], notes):
        outcome = verify(lines, [KEY], witnessed)
        assert outcome.verified
        assert (outcome.leaves, outcome.checkpoints, outcome.signed) == (12, 3, 12)


def _edit(lines: Lines) -> Lines:
    return [each.replace(b'"at\\": 6', b'"at\\": 7') for each in lines]


def _edit_with_hash(lines: Lines) -> Lines:
    text = payload(6, "x")
    edited = line(leaf=6, hash=leaf_hash(text.encode()).hex(), payload=text)
    return [edited if b'"leaf":6' in each else each for each in lines]


def _delete(lines: Lines) -> Lines:
    return [each for each in lines if b'"leaf":6' not in each]


def _reorder(lines: Lines) -> Lines:
    return [lines[1], lines[0], *lines[2:]]


def _renumber(lines: Lines) -> Lines:
    """Leaf 6 is left out and the others moved up, counts included."""
    rest = _delete(lines)
    for number in range(7, 13):
        rest = [each.replace(f'"leaf":{number},'.encode(), f'"leaf":{number - 1},'.encode()) for each in rest]
    return rest


def _forge(lines: Lines) -> Lines:
    return export(signer=OTHER)[0]


def _upper(leaf: bytes) -> bytes:
    whole = json.loads(leaf)
    return line(**whole | {"hash": whole["hash"].upper()})


def _slack(noted: bytes) -> bytes:
    """The bits that base64 does not use, in the last letter before the padding."""
    text = json.loads(noted)["checkpoint"].rstrip("\n")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return line(checkpoint=text[:-2] + letters[letters.index(text[-2]) ^ 1] + "=\n")


TAMPERS: dict[str, tuple[Callable[[Lines], Lines], tuple[str, int | None]]] = {
    "edit": (_edit, ("changed", 6)),
    "edit with its hash": (_edit_with_hash, ("changed", 5)),
    "delete": (_delete, ("order", 6)),
    "reorder": (_reorder, ("order", 1)),
    "renumber": (_renumber, ("order", 10)),
    "another's signature": (_forge, ("signature", None)),
    "no end": (lambda lines: lines[:-1], ("incomplete", 13)),
    "cut off": (lambda lines: [*lines[:-1], lines[-1][:-5]], ("format", 13)),
    "a lost checkpoint": (lambda lines: [*lines[:4], *lines[5:]], ("incomplete", None)),
    "unsigned leaves": (lambda lines: [*lines[:-2], line(end={"leaves": 12, "checkpoints": 2})], ("unsigned", 11)),
    "something after the end": (lambda lines: [*lines, lines[0]], ("format", 13)),
    "another form": (lambda lines: [lines[0].replace(b",", b", "), *lines[1:]], ("format", 1)),
    "a hash in capitals": (lambda lines: [_upper(lines[0]), *lines[1:]], ("format", 1)),
    "other base64 for the same": (lambda lines: [*lines[:4], _slack(lines[4]), *lines[5:]], ("signature", None)),
    "nothing": (lambda lines: [], ("incomplete", 1)),
    "not JSON": (lambda lines: [b"\xff\n", *lines], ("format", 1)),
}


@pytest.mark.parametrize("tamper", TAMPERS)
def test_tampering_is_found_where_it_is(tamper: str) -> None:
    """The first finding names the kind and the leaf."""
    change, expected = TAMPERS[tamper]
    outcome = verify(change(export()[0]), [KEY])
    assert not outcome.verified
    assert expected in found(outcome)


def test_nothing_is_not_verified() -> None:
    """Where everything was taken away, an end that counts it right is not enough: no signature says so."""
    assert found(verify([line(end={"checkpoints": 0, "leaves": 0})], [KEY])) == [("unsigned", 1)]
    assert found(verify([], [KEY])) == [("incomplete", 1)]


def test_old_and_other_histories_need_a_witness() -> None:
    """An old export, and one that was signed anew by the key's owner, are in themselves sound."""
    (_, notes), (old, _), (other, _) = export(), export(10), export(word="x")
    assert verify(old, [KEY]).verified
    assert found(verify(old, [KEY], notes)) == [("truncated", 11)]
    assert verify(other, [KEY]).verified
    assert found(verify(other, [KEY], notes)) == [("rolled_back", None)] * 3
    assert found(verify(export()[0], [KEY], [note(3, bytes(32), OTHER)])) == [("signature", None)]


def test_older_keys_are_given_too() -> None:
    """After a rotation both keys verify the whole; either alone does not."""
    lines, notes = export()
    signed = notes[2].rpartition("\n\n")[0] + "\n"
    later = line(checkpoint=signed + "\n" + OTHER.line(signed))
    mixed = [later if each == line(checkpoint=notes[2]) else each for each in lines]
    keys = [KEY, Key.read(OTHER.verifier.text)]
    assert verify(mixed, keys).verified
    assert not verify(mixed, keys[:1]).verified


def test_the_command_says_where_and_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 verified, 1 found, 2 unusable; text and JSON; keys from a file, checkpoints from a directory."""
    lines, notes = export()
    file, keys, seen = tmp_path / "record.jsonl", tmp_path / "keys", tmp_path / "seen"
    file.write_bytes(b"".join(lines))
    keys.write_text(SIGNER.verifier.text + "\n")
    seen.mkdir()
    for at, text in enumerate(notes):
        (seen / f"{at}.checkpoint").write_text(text)
    given = [str(file), "--key", str(keys), "--checkpoints", str(seen)]
    assert main(given) == 0
    assert capsys.readouterr().out.startswith("Verified: 12 leaves, 3 checkpoints")
    file.write_bytes(b"".join(_edit(lines)))
    assert main([*given, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["verified"], said["findings"][0]["line"]) == (False, 7)
    assert main([str(tmp_path / "none"), "--key", SIGNER.verifier.text]) == 2
    assert main([str(file), "--key", "nonsense+x+y"]) == 2
    capsys.readouterr()
    assert main([str(file), "--key", "nothing", "--json"]) == 2
    heard = capsys.readouterr()
    assert "nothing is neither a public key nor a file of keys" in heard.err
    assert json.loads(heard.out)["verified"] is False


def test_it_runs_alone(tmp_path: Path) -> None:
    """As a module, and as a copied file without the package: it imports nothing of ours."""
    file = tmp_path / "record.jsonl"
    file.write_bytes(b"".join(export()[0]))
    alone = tmp_path / "verify.py"
    alone.write_text(Path(audit_verify.__file__).read_text())
    for command in (["-m", "jupyter_quantum.audit_verify"], ["-I", str(alone)]):
        whole = [sys.executable, *command, str(file), "--key", SIGNER.verifier.text]
        done = subprocess.run(whole, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
