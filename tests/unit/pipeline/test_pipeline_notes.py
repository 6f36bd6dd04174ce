"""Signed notes: as C2SP writes them, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from jupyter_quantum.exceptions import InputError, Unavailable
from jupyter_quantum.pipeline.notes import Signer, Verifier, checkpoint_text, read_checkpoint
from jupyter_quantum.pipeline.signing import KeyFile

ROOT = hashlib.sha256(b"root").digest()
# A published pair of Go's note package, and a note that it signed.
GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_LINE = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def note(signer: Signer, size: int = 3) -> str:
    text = checkpoint_text(signer.verifier.name, size, ROOT)
    return text + "\n" + signer.line(text)


def test_keys_and_signatures_are_those_of_others() -> None:
    """A key pair of Go's implementation gives the same public key, id and signature."""
    signer = Signer.read(GO_SIGNER)
    assert signer.verifier.text == GO_VERIFIER
    assert signer.secret() == GO_SIGNER
    assert signer.line(GO_TEXT) == GO_LINE
    assert Verifier.read(GO_VERIFIER) == signer.verifier


def test_a_checkpoint_comes_back() -> None:
    """Origin, size and root; its key verifies it, another with the same name does not."""
    signer = Signer.new("example.org/log")
    found = read_checkpoint(note(signer))
    assert (found.origin, found.size, found.root) == ("example.org/log", 3, ROOT)
    assert signer.verifier.verifies(found)
    assert not Signer.new("example.org/log").verifier.verifies(found)
    assert not signer.verifier.verifies(read_checkpoint(note(signer).replace("\n3\n", "\n4\n")))


def test_base64_has_one_form() -> None:
    """The bits that it does not use must be zero: otherwise a note could be changed without a difference."""
    written = note(Signer.new("example.org/log")).rstrip("\n")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    changed = written[:-2] + letters[letters.index(written[-2]) ^ 1] + "=\n"
    assert base64.b64decode(changed.split()[-1]) == base64.b64decode(written.split()[-1])
    with pytest.raises(InputError):
        read_checkpoint(changed)


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "a\n1\n",
        "a\n1\nAAAA\n\n\u2014 a AAAAAAAA\n",
        f"a\n01\n{base64.b64encode(ROOT).decode()}\n\n\u2014 a AAAAAAAA\n",
        f"a\n1\n{base64.b64encode(ROOT).decode()}\n\n- a AAAAAAAA\n",
        f"a\n1\n{base64.b64encode(ROOT).decode()}\n\n\u2014 a !\n",
        f"a\n1\n{base64.b64encode(ROOT).decode()}\n\nnonsense\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(broken: str) -> None:
    """Cut off, leading zeroes, other dashes, no base64."""
    with pytest.raises(InputError):
        read_checkpoint(broken)


NO_KEYS = ["", "x", "a+b", "a b+00000000+AA==", GO_VERIFIER.replace("c74f", "c74e"), GO_SIGNER]


@pytest.mark.parametrize("broken", NO_KEYS)
def test_what_is_no_key_is_refused(broken: str) -> None:
    """Also a key whose id is another's."""
    with pytest.raises(InputError):
        Verifier.read(broken)
    if broken != GO_SIGNER:
        with pytest.raises(InputError):
            Signer.read(broken)


def test_the_key_file_is_made_once_and_ours_alone(tmp_path: Path) -> None:
    """Mode 0600; the same key at the next start; a file that others may read is refused."""
    path = tmp_path / "audit.key"
    (first,) = KeyFile(path).signers()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [signer.secret() for signer in KeyFile(path).signers()] == [first.secret()]
    path.chmod(0o640)
    with pytest.raises(Unavailable):
        KeyFile(path).signers()


def test_rotation_signs_twice_once(tmp_path: Path) -> None:
    """Old and new sign until the next checkpoint is made; the name, and so the origin, stays."""
    keys = KeyFile(tmp_path / "audit.key")
    (old,) = keys.signers()
    before, fresh = keys.rotate()
    assert before.secret() == old.secret()
    assert [signer.secret() for signer in keys.signers()] == [fresh.secret(), old.secret()]
    assert fresh.verifier.name == old.verifier.name
    keys.retire()
    assert keys.verifiers() == [fresh.verifier, old.verifier]
    assert [signer.secret() for signer in keys.signers()] == [fresh.secret()]
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600
