"""Master keys: file, PKCS#11 token (SoftHSM), Vault's transit engine (a fake of its HTTP API)."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jupyter_quantum.exceptions import InputError, Unavailable
from jupyter_quantum.store.crypt import FileMaster, MasterKey, Wrapped
from jupyter_quantum.store.crypt.choose import choose
from tests.unit.store.vault import FakeVault

RAW = bytes(range(32))
TOKEN = "s.fake-token"  # nobody's


@pytest.fixture(scope="module")
def vault() -> Iterator[FakeVault]:
    """A transit engine."""
    with FakeVault(TOKEN) as server:
        yield server


@pytest.fixture(params=["file", "vault", "pkcs11"])
def master(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MasterKey:
    """Each of the providers, with keys of its own."""
    tmp_path = tmp_path_factory.mktemp("master")
    if request.param == "file":
        return choose({}, tmp_path)
    if request.param == "pkcs11":
        token: MasterKey = request.getfixturevalue("token")
        return token
    (tmp_path / "vault-token").write_text(TOKEN)
    server: FakeVault = request.getfixturevalue("vault")
    told = {"provider": "vault", "url": server.url, "key": tmp_path.name, "token_file": str(tmp_path / "vault-token")}
    return choose(told, tmp_path)


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """SoftHSM's module reads its configuration once in a process: one directory of tokens for all tests."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    made = ["softhsm2-util", "--init-token", "--free", "--label", "campus", "--so-pin", "1234", "--pin", "5678"]
    subprocess.run(made, check=True, capture_output=True)
    (folder / "pin").write_text("5678\n")
    yield folder, next(Path("/usr/lib").rglob("libsofthsm2.so"))
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture
def token(hsm: tuple[Path, Path], request: pytest.FixtureRequest) -> MasterKey:
    """Keys of this test's own in the token."""
    folder, library = hsm
    told = {"provider": "pkcs11", "library": str(library), "token": "campus", "pin_file": str(folder / "pin")}
    return choose(told | {"key": f"key-{abs(hash(request.node.name))}"}, folder)


def test_a_data_key_comes_back(master: MasterKey) -> None:
    """What a provider wraps it unwraps; the wrapped form names the master key and does not hold the data key."""
    wrapped = master.wrap("qcourse", RAW)
    assert wrapped.master == master.current()
    assert wrapped.master.startswith(f"{master.name}:")
    assert RAW not in wrapped.wrapped
    assert master.unwrap("qcourse", wrapped) == RAW


def test_rotation_keeps_the_old_until_it_is_forgotten(master: MasterKey) -> None:
    """After a rotation new keys are wrapped by the new version; old ones open until their version is forgotten."""
    old = master.wrap("qcourse", RAW)
    assert master.rotate() == master.current() != old.master
    assert master.unwrap("qcourse", old) == RAW
    new = master.rewrap("qcourse", old)
    assert new.master == master.current()
    assert master.forget({old.master, new.master}) == []
    assert master.forget({new.master}) == [old.master]
    assert master.unwrap("qcourse", new) == RAW
    with pytest.raises(Unavailable) as refused:
        master.unwrap("qcourse", old)
    assert refused.value.code == "keys.unwrap", repr(refused.value.__cause__)


def test_a_damaged_key_is_refused(master: MasterKey) -> None:
    """A changed byte is an error that names the provider's refusal, never a wrong key."""
    wrapped = master.wrap("qcourse", RAW)
    raw = bytearray(wrapped.wrapped)
    at = len(raw) // 2
    raw[at] = ord("A") if raw[at] != ord("A") else ord("B")
    with pytest.raises(Unavailable) as refused:
        master.unwrap("qcourse", Wrapped(wrapped.master, bytes(raw)))
    assert refused.value.code == "keys.unwrap", repr(refused.value.__cause__)


def test_threads_share_a_provider(master: MasterKey) -> None:
    """Readers and the writer unwrap at once."""
    wrapped = [(f"t{n}", master.wrap(f"t{n}", bytes([n]) * 32)) for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda pair: master.unwrap(*pair), wrapped * 4))
    assert found == [bytes([n]) * 32 for n in range(8)] * 4


@pytest.mark.parametrize("master", ["file", "vault"], indirect=True)
def test_a_wrapped_key_is_bound_to_its_tenant(master: MasterKey) -> None:
    """Another tenant's name does not unwrap it, where the provider can bind one."""
    wrapped = master.wrap("qcourse", RAW)
    with pytest.raises(Unavailable) as refused:
        master.unwrap("lab", wrapped)
    assert refused.value.code == "keys.unwrap", repr(refused.value.__cause__)


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It is made with mode 0600; one that others can read is refused; one that is no keys says so."""
    master = FileMaster(tmp_path / "keys.json")
    wrapped = master.wrap("qcourse", RAW)
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    (tmp_path / "keys.json").chmod(0o640)
    with pytest.raises(Unavailable) as refused:
        FileMaster(tmp_path / "keys.json").unwrap("qcourse", wrapped)
    assert refused.value.code == "keys.mode"
    (tmp_path / "keys.json").chmod(0o600)
    (tmp_path / "keys.json").write_text('{"keys": 3}')
    with pytest.raises(Unavailable) as refused:
        FileMaster(tmp_path / "keys.json").current()
    assert refused.value.code == "keys.provider"


def test_processes_that_start_at_once_make_one_file(tmp_path: Path) -> None:
    """Many first uses agree on one key."""
    masters = [FileMaster(tmp_path / "keys.json") for _ in range(16)]
    barrier = threading.Barrier(16)

    def first(master: FileMaster) -> Wrapped:
        barrier.wait()
        return master.wrap("qcourse", RAW)

    with ThreadPoolExecutor(16) as pool:
        wrapped = list(pool.map(first, masters))
    assert all(FileMaster(tmp_path / "keys.json").unwrap("qcourse", one) == RAW for one in wrapped)
    assert list(tmp_path.iterdir()) == [tmp_path / "keys.json"]
    assert len(json.loads((tmp_path / "keys.json").read_text())["keys"]) == 1


def test_another_process_rotated_the_file(tmp_path: Path) -> None:
    """A key wrapped by a version that came later is found by reading the file again."""
    here, there = FileMaster(tmp_path / "keys.json"), FileMaster(tmp_path / "keys.json")
    here.current()
    there.rotate()
    assert here.unwrap("qcourse", there.wrap("qcourse", RAW)) == RAW


def test_a_provider_that_does_not_answer_says_so(tmp_path: Path, vault: FakeVault, hsm: tuple[Path, Path]) -> None:
    """Unreachable, a wrong token, a missing token: ``keys.provider``, and nothing of the secret in the words."""
    wrong = tmp_path / "wrong"
    wrong.write_text("s.not-the-token")
    cases = [
        {"provider": "vault", "url": "http://127.0.0.1:9", "token_file": str(wrong)},
        {"provider": "vault", "url": vault.url, "token_file": str(wrong)},
        {"provider": "vault", "url": vault.url, "token_file": str(tmp_path / "absent")},
        {"provider": "pkcs11", "library": str(hsm[1]), "token": "absent", "pin_file": str(wrong)},
        {"provider": "pkcs11", "library": str(tmp_path / "absent.so"), "token": "campus", "pin_file": str(wrong)},
    ]
    for told in cases:
        with pytest.raises(Unavailable) as refused:
            choose(told, tmp_path).wrap("qcourse", RAW)
        assert refused.value.code == "keys.provider"
        assert "s.not" not in str(refused.value)


def test_a_key_that_does_not_derive_is_refused(tmp_path: Path, vault: FakeVault) -> None:
    """Vault would ignore the tenant with a plain key: it is not used."""
    vault.make("plain", derived=False)
    (tmp_path / "token").write_text(TOKEN)
    told = {"provider": "vault", "url": vault.url, "key": "plain", "token_file": str(tmp_path / "token")}
    with pytest.raises(Unavailable) as refused:
        choose(told, tmp_path).wrap("qcourse", RAW)
    assert refused.value.code == "keys.provider"


@pytest.mark.parametrize(
    "told",
    [{"provider": "cloud"}, {"provider": "file", "colour": "red"}, {"provider": "vault"}, {"provider": "pkcs11"}],
)
def test_a_configuration_that_cannot_be_used_is_named(told: dict[str, str], tmp_path: Path) -> None:
    """Unknown provider, unknown setting, missing setting."""
    with pytest.raises(InputError) as refused:
        choose(told, tmp_path)
    assert refused.value.code == "config"
