"""``runner.toml``: what is wrong is said with its line, and a token that others may read is not used."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_quantum.exceptions import InputError
from jupyter_quantum.fabric.config import load

GOOD = """\
[service]
url = "https://hub.example.org/services/quantum/"
token_file = "token"

[runner]
name = "far"
workers = 3

[[devices]]
name = "one"
adapter = "aer"

[[devices]]
name = "two"
adapter = "ibm_fake"
fake = "FakeOsaka"
"""
EXAMPLE = Path(__file__).parents[3] / "hub_config" / "runner.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "token").chmod(0o600)
    return tmp_path / "runner.toml"


def test_a_file_becomes_settings(file: Path) -> None:
    """Each start gets an id of its own behind the name; what an adapter wants is kept for it."""
    file.write_text(GOOD)
    found, again = load(file, {}), load(file, {})
    assert (found.url, found.token, found.workers) == ("https://hub.example.org/services/quantum/", "s3cret", 3)
    assert found.runner.startswith("far.")
    assert found.runner != again.runner
    assert found.devices[1].model_extra == {"fake": "FakeOsaka"}
    assert "s3cret" not in repr(found)


def test_the_example_can_be_used(tmp_path: Path) -> None:
    """hub_config/runner.toml is a file that loads."""
    (tmp_path / "runner.token").write_text("s3cret")
    (tmp_path / "runner.token").chmod(0o600)
    file = tmp_path / "runner.toml"
    file.write_text(EXAMPLE.read_text())
    assert [device.name for device in load(file, {}).devices] == ["local_aer"]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("workers = 3", "wokers = 3", 7, "runner.wokers: there is no such setting"),
        ("workers = 3", "workers = 0", 7, "runner.workers: input should be greater"),
        ('adapter = "ibm_fake"', "", 13, "devices.2.adapter: field required"),
        ('name = "two"', 'name = "Two!"', 14, "devices.2.name: string should match"),
        ('name = "two"', 'name = "one"', 14, "there are two devices one"),
        ("https://hub", "http://hub", 2, "the token would cross the network unencrypted"),
        ("https://hub", "https://user:password@hub", 2, "service.url"),
        ('token_file = "token"', 'token_file = "token"\nca_file = "nowhere.pem"', 4, "there is no file nowhere.pem"),
        ("[service]", "[service", 1, "line 1"),
        ('token_file = "token"', 'token_file = "token"\ntoken_env = "T"', 4, "exclude each other"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(file: Path, old: str, new: str, line: int, words: str) -> None:
    """Setting, line and reason; never the value."""
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError) as error:
        load(file, {})
    assert f"line {line}" in error.value.message
    assert words in error.value.message
    assert "password" not in error.value.message


def test_http_is_for_this_machine(file: Path) -> None:
    """Loopback needs no certificate."""
    file.write_text(GOOD.replace("https://hub.example.org", "http://127.0.0.1:8000"))
    assert load(file, {}).url.startswith("http://127.0.0.1:8000/")


def test_a_token_that_others_may_read_is_not_used(file: Path) -> None:
    """The mode is said; from the environment it is taken where no file is named; an empty one is none."""
    file.write_text(GOOD)
    (file.parent / "token").chmod(0o640)
    with pytest.raises(InputError, match="mode 0640"):
        load(file, {})
    (file.parent / "token").chmod(0o600)
    (file.parent / "token").write_text("\n")
    with pytest.raises(InputError, match="token is empty"):
        load(file, {})
    file.write_text(GOOD.replace('token_file = "token"', 'token_env = "HERE"'))
    assert load(file, {"HERE": "t"}).token == "t"
    with pytest.raises(InputError, match="HERE is empty"):
        load(file, {})
