"""A vendor process: what it inherits, what it says, how long it may take, and what happens when it dies."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from jupyter_quantum.fabric.adapters.vendor import VendorError, VendorRefused, VendorUnavailable, VendorUnsure
from jupyter_quantum.fabric.secrets import FileSecrets
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.vendors.host import Host
from jupyter_quantum.fabric.vendors.messages import Call, Reply
from jupyter_quantum.fabric.vendors.process import VendorProcess
from jupyter_quantum.fabric.vendors.scrub import HIDDEN, Scrubber
from tests.integration.vendors.odd import Odd

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "a-key-of-tests-4711"
ADAPTER = "tests.integration.vendors.odd:OddDevice"


def made(directory: Path, way: str = "", secret: str = "odd", key: str = KEY) -> VendorProcess:
    place = directory / "secrets.json"
    place.write_text(json.dumps({"odd": {"key": key}}))
    place.chmod(0o600)
    spec = DeviceSpec.model_validate({"name": "odd", "adapter": ADAPTER, "secret": secret, "way": way, "url": "none"})
    return VendorProcess(spec, FileSecrets(provider="file", path=place))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VendorProcess]:
    process = made(tmp_path_factory.mktemp("odd"))
    yield process
    await process.close()


async def test_it_inherits_nothing(vendor: VendorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables of the runner nor arguments, except what reaching a network takes."""
    monkeypatch.setenv("SECRET_OF_THE_RUNNER", "x")
    names = json.loads(await vendor.submit("tag", b"environment", 60))
    assert "SECRET_OF_THE_RUNNER" not in names
    assert set(names) <= {*_EXPECTED, "LC_CTYPE"}, names
    assert await vendor.submit("tag", b"arguments", 60) == "['vendor odd']"


_EXPECTED = {
    *("PATH", "LANG", "HOME", "TMPDIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"),
    *("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "QDK_PYTHON_TELEMETRY"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
}


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        ("unavailable", VendorUnavailable),
        ("refused", VendorRefused),
        ("unsure", VendorUnsure),
        ("other", VendorUnavailable),
    ],
)
async def test_errors_are_of_three_kinds(vendor: VendorProcess, handle: str, kind: type[VendorError]) -> None:
    """Each arrives as what it was; any other one as *unavailable*, and without the secret."""
    with pytest.raises(kind) as caught:
        await vendor.status(handle)
    assert KEY not in str(caught.value)


async def test_nonsense_is_not_passed_on(vendor: VendorProcess) -> None:
    """Seconds that are none are unknown; words have no secret and no control characters; metadata is JSON."""
    assert (await vendor.status("nan")).usage_s is None
    assert (await vendor.status("negative")).usage_s is None
    assert (await vendor.status("secret")).words == f"key {HIDDEN} [31mred"
    with pytest.raises(VendorUnavailable):
        await vendor.result("v1")


async def test_handle_that_cannot_be_kept(vendor: VendorProcess) -> None:
    """One that holds the secret, or is longer than any id, is an unsure submission and never reported."""
    for tag in (f"tag-{KEY}", "x" * 600):
        with pytest.raises(VendorUnsure) as caught:
            await vendor.submit(tag, b"", 30)
        assert KEY not in str(caught.value)


async def test_answer_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused once and for all: to ask for it again would break the process each time, for ever."""
    monkeypatch.setattr("jupyter_quantum.fabric.vendors.host.MOST", 2**20)
    host = Host(Odd("", {"key": KEY}), Scrubber([KEY]))
    reply = Reply.model_validate_json(host.say(Call(id=1, verb="result", name="large")))
    assert (reply.error, reply.words) == ("refused", "the answer to result is larger than 1 MiB")


async def test_slow_question_delays_nobody(vendor: VendorProcess) -> None:
    """Calls run beside each other."""
    slow = asyncio.create_task(vendor.find("hang"))
    assert await asyncio.wait_for(vendor.cancel("v1"), 20) is True
    assert not slow.done()
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)


async def test_submission_that_takes_too_long_is_ended(vendor: VendorProcess) -> None:
    """It is unsure, and its process is gone: nothing can be sent for it later. The next call has a new one."""
    await vendor.cancel("v1")
    pid = vendor.pid
    assert pid is not None
    with pytest.raises(VendorUnsure):
        await vendor.submit("tag", b"hang", 1.0)
    for _ in range(100):
        if not psutil.pid_exists(pid):
            break
        await asyncio.sleep(0.1)
    assert not psutil.pid_exists(pid)
    assert await vendor.cancel("v1") is True
    assert vendor.pid not in (pid, None)


async def test_death_in_a_submission_is_unsure(vendor: VendorProcess) -> None:
    """And unavailable in any other call."""
    await vendor.cancel("v1")
    slow = asyncio.create_task(vendor.find("hang"))
    await asyncio.sleep(0.5)
    with pytest.raises(VendorUnsure):
        await vendor.submit("tag", b"die", 30)
    with pytest.raises(VendorUnavailable):
        await slow


async def test_memory_is_its_own(vendor: VendorProcess) -> None:
    """No core file, and nothing in ``/proc`` that others of the same user could read."""
    assert await vendor.submit("tag", b"dumpable", 60) == "0"
    assert psutil.Process(vendor.pid).rlimit(psutil.RLIMIT_CORE) == (0, 0)


async def test_slow_start_is_no_submission(tmp_path: Path) -> None:
    """The time that the lease allows runs while the process starts: what is too late is not sent at all."""
    late = made(tmp_path)
    with pytest.raises(VendorUnavailable, match="too long to start"):
        await late.submit("tag", b"", 0.3)
    assert await late.submit("tag", b"", 30) == "tag"
    await late.close()


async def test_that_cannot_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing was done, so *unavailable*; why stands in the log, without the secret."""
    caplog.set_level(logging.INFO)
    for broken in (made(tmp_path, "no-start"), made(tmp_path, secret="absent")):
        with pytest.raises(VendorUnavailable) as caught:
            await broken.submit("tag", b"", 5.0)
        assert KEY not in str(caught.value)
        await broken.close()
    assert f"no connection with {{'key': '{HIDDEN}'}}" in caplog.text
    assert KEY not in caplog.text


async def test_a_key_of_several_lines_is_not_printed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What an SDK prints comes line by line; no line of a private key is in the runner's log."""
    lines = ["-----BEGIN PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG", "-----END PRIVATE KEY-----"]
    printing = made(tmp_path, key="\n".join([*lines, ""]))
    assert await printing.submit("tag", b"print", 60) == "tag"
    await printing.close()
    assert caplog.text.count(HIDDEN) == len(lines)
    assert not any(line in caplog.text for line in lines)
