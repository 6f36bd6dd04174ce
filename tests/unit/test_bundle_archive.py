"""What is no bundle: exit code 2 and words, in bounded time and memory; what was found in one: 1."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import pytest

from jupyter_quantum.bundle_verify.archive import members
from jupyter_quantum.bundle_verify.command import main
from jupyter_quantum.bundle_verify.parts import Wrong


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of plain members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def twice() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr(zipfile.ZipInfo("manifest.json"), b"{}")
    return out.getvalue()


PLAIN = packed({"manifest.json": b"{}", "job.json": b"{}" * 400})
NO_BUNDLE = {
    "not a zip": b"PK\x03\x04 nothing",
    "empty": b"",
    "text": b"hello\n" * 100,
    "an empty zip": packed({}),
    "a zip of something else": packed({"holiday.jpg": b"x"}),
    "cut in the middle": PLAIN[: len(PLAIN) // 2],
    "without its last byte": PLAIN[:-1],
    "a path that climbs": packed({"manifest.json": b"{}", "../up": b""}),
    "an absolute path": packed({"manifest.json": b"{}", "/etc/passwd": b""}),
    "a directory": packed({"manifest.json": b"{}", "record/": b""}),
    "a name with a backslash": packed({"manifest.json": b"{}", "a\\b": b""}),
    "a name that is not ASCII": packed({"manifest.json": b"{}", "jöb.json": b""}),
    "a control character": packed({"manifest.json": b"{}", "a\nb": b""}),
    "a name twice": twice(),
    "bzip2": packed({"manifest.json": b"{}" * 100}, zipfile.ZIP_BZIP2),
    "LZMA": packed({"manifest.json": b"{}" * 100}, zipfile.ZIP_LZMA),
    "bytes before it": b"MZ" + PLAIN,
    "bytes behind it": PLAIN + b"more",
}


@pytest.mark.parametrize("raw", NO_BUNDLE.values(), ids=NO_BUNDLE.keys())
@pytest.mark.parametrize("as_json", [False, True])
def test_no_bundle_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bytes, as_json: bool) -> None:
    """Whatever the file is, one line says why it is none, and the exit code is 2."""
    file = tmp_path / "run.zip"
    file.write_bytes(raw)
    assert main([str(file), *["--json"] * as_json]) == 2
    out = capsys.readouterr().out
    if as_json:
        told = json.loads(out)
        assert (told["verified"], told["readable"], [one["name"] for one in told["checks"]]) == (
            False,
            False,
            ["archive"],
        )
    else:
        assert out.startswith("WRONG  archive")
        assert out.endswith("NO BUNDLE: there is nothing to verify\n")


def test_what_is_found_in_a_bundle_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest that says nothing, and a member whose bytes are damaged."""
    file = tmp_path / "run.zip"
    file.write_bytes(PLAIN)
    assert main([str(file)]) == 1
    raw = bytearray(packed({"manifest.json": b"{}" * 200}, zipfile.ZIP_STORED))
    raw[100] ^= 1
    file.write_bytes(raw)
    assert main([str(file)]) == 1
    assert "manifest.json is damaged" in capsys.readouterr().out


def test_files_and_keys_that_cannot_be_read_are_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No such file, a directory, a key that is none: a line on stderr."""
    (tmp_path / "run.zip").write_bytes(PLAIN)
    assert main([str(tmp_path / "none.zip")]) == 2
    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path / "run.zip"), "--key", "no key"]) == 2
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    assert main([str(tmp_path / "run.zip"), "--key", str(tmp_path / "key")]) == 2
    assert capsys.readouterr().err.count("cannot verify") == 4
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2


def test_the_shells_command_has_the_same_codes(tmp_path: Path) -> None:
    """``jupyter quantum bundle verify`` passes them on."""
    file = tmp_path / "run.zip"
    file.write_bytes(b"nothing")
    command = [sys.executable, "-m", "jupyter_quantum", "bundle", "verify", str(file)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
    file.write_bytes(PLAIN)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def _declares(raw: bytes, size: int) -> bytes:
    """The zip, whose central directory says that its one member is so large."""
    at = raw.rindex(b"PK\x01\x02")
    return raw[: at + 24] + size.to_bytes(4, "little") + raw[at + 28 :]


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    """Members too large by what they say; many that are; one that inflates to more than it says."""
    bomb = packed({"manifest.json": b"{}", "a": bytes(1 << 20)})
    with pytest.raises(Wrong, match="too large"):
        members(io.BytesIO(_declares(bomb, 300 << 20)))
    many = packed({"manifest.json": b"{}"} | {f"a{at}": b"" for at in range(20_001)})
    with pytest.raises(Wrong, match="larger than a bundle may be"):
        members(io.BytesIO(many))
    liar = _declares(packed({"manifest.json": b"{}", "a": bytes(200 << 20)}), 10)
    tracemalloc.start()
    try:
        with pytest.raises(Wrong, match="a is damaged"):
            members(io.BytesIO(liar))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_members_that_share_their_bytes_are_refused() -> None:
    """The bomb whose entries all point at one member."""
    raw = packed({"manifest.json": b"{}", "bbbbbbbbbbbbb": b"{}"})
    first, second = raw.index(b"PK\x01\x02"), raw.rindex(b"PK\x01\x02")
    overlapping = raw[: second + 42] + raw[first + 42 : first + 46] + raw[second + 46 :]
    with pytest.raises(Wrong):
        members(io.BytesIO(overlapping))
