"""A planted secret stays where it belongs: in its file, in the runner's memory and in the device's vendor process."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.money import PriceList
from jupyter_quantum.fabric.vendors.scrub import HIDDEN
from jupyter_quantum.testing.adapters.server import Behaviour, VendorServer
from jupyter_quantum.wire.jobs import JobView
from jupyter_quantum.wire.runner import Announce, Reported, TaskReport, Welcome
from tests.integration.runners.certificates import Authority, authority
from tests.integration.runners.support import ADA, FarRunner, Site, far_runner, settings_file, site, until
from tests.integration.vendors import leaky

CANARY = f"canary-{secrets.token_hex(12)}"
WRONG = f"canary-{secrets.token_hex(12)}"

DEVICES = """
[secrets]
provider = "file"
path = "../vault/secrets.json"

[[devices]]
name = "far_memory"
adapter = "memory"
region = "eu"
secret = "good"
url = "{url}"

[[devices]]
name = "far_leaky"
adapter = "tests.integration.vendors.leaky:LeakyDevice"
region = "eu"
secret = "good"
url = "{url}"
recovery = "searchable"
submit_s = 1
slots = 4

[[devices]]
name = "far_wrong"
adapter = "memory"
region = "eu"
secret = "wrong"
url = "{url}"
"""


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"), "campus")


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    """It opens to the canary only, and repeats any other key in its words."""
    with VendorServer(Behaviour(key=CANARY, echo=True)) as server:
        yield server


def record(here: Site) -> list[str]:
    """What runners say to the service from now on, as JSON."""
    said: list[str] = []
    started = here.context.started
    assert started is not None
    announce, report = started.announce, started.report_task

    async def announced(words: Announce, *more: object) -> Welcome:
        said.append(words.model_dump_json())
        return await announce(words, *more)

    async def reported(task_id: str, words: TaskReport, *more: object) -> Reported:
        said.append(words.model_dump_json())
        return await report(task_id, words, *more)

    started.announce, started.report_task = announced, reported
    return said


def everywhere(runner: FarRunner) -> Iterator[tuple[str, bytes]]:
    """Command line and environment of each process that we can look into."""
    for process in psutil.process_iter():
        for what in ("cmdline", "environ"):
            try:
                yield f"{process.pid}/{what}", Path(f"/proc/{process.pid}/{what}").read_bytes()
            except OSError:
                continue


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file that the service, the runner and its children wrote."""
    homes = [*Path("/tmp").glob("jq-runner-*"), *Path("/tmp").glob("jq-vendor-*")]
    for path in [one for root in (folder, *homes) for one in root.rglob("*") if one.is_file()]:
        if path.name != "secrets.json":
            yield str(path), path.read_bytes()


async def test_secret_is_nowhere(
    tmp_path: Path, trusted: Authority, vendor: VendorServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs that succeed, fail, are refused with the key in the words, crash with a traceback: it is in no log, row,
    report, result, artefact, file, command line or environment."""
    caplog.set_level(logging.DEBUG)
    place = tmp_path / "vault" / "secrets.json"
    place.parent.mkdir()
    place.write_text(json.dumps({"good": {"key": CANARY}, "wrong": {"key": WRONG}}))
    place.chmod(0o600)
    prices = {"far_memory": PriceList(), "far_leaky": PriceList()}
    async with site(tmp_path, trusted, prices=prices) as here:
        reports = record(here)
        token = here.token("quantum-far")
        file = settings_file(tmp_path / "far", here.url, token, trusted.ca, DEVICES.format(url=vendor.url))
        async with far_runner(file) as runner:
            await until(lambda: {"far_memory", "far_leaky"} <= set(here.states()), lambda: "".join(runner.said), 120)
            views = [await here.run("far_memory", 20)]
            views += [await here.run("far_leaky", shots) for shots in (20, leaky.RETURNS, leaky.REFUSES)]
            views += [await here.submit("far_leaky", shots) for shots in (leaky.RAISES, leaky.NAMES, leaky.CRASHES)]
            await until(lambda: "Authorization: Bearer" in "".join(runner.said), lambda: "".join(runner.said), 60)
            views += [await here.run("far_leaky", 21)]  # in a new process
            found = list(everywhere(runner)) + list(files(tmp_path))
        said = "".join(runner.said)
        results = [await _told(here, view) for view in views]
    found += [("runner's log", said.encode()), ("service's log", caplog.text.encode())]
    found += [("reports", "".join(reports).encode()), ("results", "".join(results).encode())]
    for where, content in found:
        for secret in (CANARY, WRONG):
            assert secret.encode() not in content, where
    _was_tried(views, said, reports, results)


async def _told(here: Site, view: JobView) -> str:
    """Everything that its owner is told of a job."""
    now = await here.house.pipeline.job(ADA, view.id, wait_s=0)
    text = now.model_dump_json()
    if now.state is JobState.COMPLETED:
        text += (await here.house.pipeline.result(ADA, view.id)).model_dump_json()
    return text


def _was_tried(views: list[JobView], said: str, reports: list[str], results: list[str]) -> None:
    """The canary sang: each leak happened, and was stopped."""
    assert [view.state for view in views[:4]] == [JobState.COMPLETED] * 3 + [JobState.FAILED]
    assert views[-1].state is JobState.COMPLETED
    for words in ("connecting with", "key is", "POST /v1/jobs?key=", "Authorization: Bearer", "this key opens nothing"):
        assert any(words in line and HIDDEN in line for line in said.splitlines()), f"{words}\n{said}"
    assert any("has no budget" in one and HIDDEN in one for one in reports)
    assert any(f'"headers":{{"key":"{HIDDEN}"}}' in one for one in results)
