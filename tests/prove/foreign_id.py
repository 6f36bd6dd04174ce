"""An id of somebody else answers exactly like one that does not exist, on every route of the OpenAPI document.

Every path with an id needs a case here: a route without one is a violation.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from jupyter_quantum.client.backend import HubBackend
from jupyter_quantum.client.modes import Session
from jupyter_quantum.client.primitives import SamplerV2
from jupyter_quantum.core.ids import new_id
from jupyter_quantum.store import Store, Tx
from jupyter_quantum.store.codec import LOANS
from jupyter_quantum.store.rows import ExportRow, LoanRow, SeriesRow, SeriesRunRow, WorkloadRow
from jupyter_quantum.wire.base import digest_of
from tests.prove.lab import EVERY_SCOPE, ProofLab, bell
from tests.unit.hub.test_hub_routes import EXAMPLES

_ASKERS: Mapping[str, tuple[str, ...]] = {
    "ben": (),
    "lena": tuple(f"custom:quantum:{word}" for word in ("read", "submit", "approve")),
    "sly": tuple(EVERY_SCOPE),
}
"""A member of the same project, the lead of another one, and somebody with all scopes and no role."""


_SHARED = {"/api/v1/envelopes/{id}"}
"""What members of a project see of each other."""
_HOUR = timedelta(hours=1)
DIGEST = digest_of(b"")
_BUDGET = {"device": "campus_qpu", "amount": 14_000_000, "until": (datetime.now(UTC) + _HOUR).isoformat()}


class Own:
    """One thing of each kind that has an id, none of which the askers may see."""

    def __init__(self, lab: ProofLab) -> None:
        self.lab = lab
        ada = lab.hub("ada")
        done = ada.backend("fake_torino").run(bell(), shots=100)
        done.result()
        waiting = lab.job("ada", ada.backend("campus_qpu").run(bell(), shots=1000).job_id())
        webhook = ada.webhooks.add("http://127.0.0.1:9/", events=["nothing"]).webhook.id
        lab.hub("ben").webhooks.add("http://127.0.0.1:9/", events=["nothing"])
        asked = {"kind": "budget", "project": "qcourse", "reason": "the workshop", "body": _BUDGET}
        self.ids: dict[str, str] = {
            "/api/v1/jobs/{id}": done.job_id(),
            "/api/v1/attempts/{tag}": f"{done.job_id()}-1",
            "/api/v1/sessions/{id}": self._session(ada.backend("aer")),
            "/api/v1/approvals/{id}": waiting.approval or "",
            "/api/v1/reports/{id}": ada.report(bell(), shots=100).id,
            "/api/v1/envelopes/{id}": self._envelope(),
            "/api/v1/requests/{id}": self._made("ada", "/api/v1/requests", asked),
            "/api/v1/members/{id}": self._made(
                "zoe", "/api/v1/members", {"name": "lise", "project": "qcourse"}, "custom:quantum:admin"
            ),
            "/api/v1/webhooks/{id}": webhook,
            **asyncio.run(self._written(webhook, done.job_id())),
        }

    def _made(self, user: str, path: str, body: Any, *scopes: str) -> str:
        answer = self.lab.request(user, "post", path, body=body, scopes=scopes)
        answer.raise_for_status()
        return str(answer.json()["id"])

    @staticmethod
    def _session(backend: HubBackend) -> str:
        """A session with a job in it."""
        session = Session(backend)
        SamplerV2(mode=session).run([bell()], shots=10).result()
        return session.session_id

    def _envelope(self) -> str:
        """What grace's approval of a job of ada's binds."""
        view = self.lab.job("ada", self.lab.hub("ada").backend("campus_qpu").run(bell(), shots=1001).job_id())
        decision = f"/api/v1/approvals/{view.approval}/decision"
        standing = {"until": (datetime.now(UTC) + _HOUR).isoformat()}
        body = {"verdict": "approve", "standing": standing}
        self.lab.request("grace", "post", decision, body=body, cookie=True).raise_for_status()
        found = self.lab.request("ada", "get", "/api/v1/envelopes?ended=1").json()
        return str(found["envelopes"][0]["id"])

    async def _written(self, webhook: str, job_id: str) -> dict[str, str]:
        """What takes a day, a target or an identity provider to come about, written past the service."""
        folder = self.lab.folder / "data"
        store = Store(f"sqlite:///{folder}/quantum.sqlite", artefacts=f"file://{folder}/artefacts")

        def write(tx: Tx) -> dict[str, str]:
            job, now = tx.job(job_id), tx.now
            token = WorkloadRow("0" * 64, new_id("wkt"), "ci@workload", "qcourse", "https://issuer", now, now + _HOUR)
            funds = next(account.id for account in tx.accounts(project="qcourse"))
            loan = LoanRow(new_id("lon"), funds, funds, "qcourse", "crowd", 1, 0, now, "service")
            words = {"reason": "", "created": now, "changed": now, "state": "ready", "decision": "Allowed."}
            export = ExportRow(
                new_id("exp"), job.id, "qcourse", job.principal, "ada", "download", '["results"]', **words
            )
            tx.add_workload(token)
            tx.add_export(export)
            tx._shelf(LOANS).add(loan)
            return {
                "/api/v1/webhooks/{id}/dead/{letter}": tx.bury(webhook, tx.events(0, limit=1)[0], error="Silence.").id,
                "/api/v1/tokens/{id}": token.id,
                "/api/v1/exports/{id}": export.id,
                "/api/v1/ledger/loans/{id}": loan.id,
                "/api/v1/series/{id}": _series(tx),
            }

        try:
            return await store.write(write)
        finally:
            store.close()


def parted(path: str, ids: Mapping[str, str]) -> tuple[str, str, str] | None:
    """The case that a path belongs to: what comes before its last id, the id, and what follows; None without a case."""
    cases = [case for case in ids if re.match(re.sub(r"\{\w+\}", r"\\{\\w+\\}", case) + "(/|$)", path)]
    if not cases:
        return None
    case = max(cases, key=len)
    parts = path.split("/")
    size = case.count("/") + 1
    return "/".join(parts[: size - 1]), ids[case], "".join(f"/{part}" for part in parts[size:])


def _series(tx: Tx) -> str:
    """A series of benchmarks: who sees the devices sees it."""
    run = SeriesRunRow(new_id("bmr"), "aer", "sha256:set", "{}", tx.now)
    row = SeriesRow(new_id("ser"), "key", "aer", "set", DIGEST, "{}", DIGEST, None, "{}", tx.now)
    tx.add_series_run(run, actor="service")
    tx.end_series_run(run.id, row, score=0.5)
    return row.id


class Trial:
    """Asks with one id and with another, and compares."""

    def __init__(self, lab: ProofLab, own: Own) -> None:
        self.lab, self.own = lab, own
        self.tried = 0
        self.violations: list[str] = []

    def path(self, path: str, method: str) -> None:
        """All askers, by token and by cookie."""
        case = parted(path, self.own.ids)
        if case is None or "{" in case[2]:
            self.violations.append(f"{method} {path} has an id, and no case in this proof")
            return
        before, foreign, rest = case
        absent = new_id(foreign.partition("_")[0])
        shared = any(path.startswith(case) for case in _SHARED)
        for asker in _ASKERS:
            if shared and asker == "ben":
                continue
            above = self._above(before, asker)
            for start in above:
                for cookie in (False, True):
                    seen = [self._seen(asker, method, path, start, one, rest, cookie) for one in (foreign, absent)]
                    self.tried += 1
                    if seen[0] != seen[1] or not 400 <= seen[0][0] < 500 or seen[0][0] in {422, 429}:
                        self.violations.append(f"{asker}: {method} {path} (cookie={cookie}): foreign, absent: {seen}")

    def _above(self, before: str, asker: str) -> list[str]:
        """The path above the id; where it has an id itself, one of the owner's, and one of the asker's own."""
        if "{" not in before:
            return [before]
        outer = parted(before, self.own.ids)
        assert outer is not None
        starts = [f"{outer[0]}/{outer[1]}{outer[2]}"]
        mine = self.lab.request(asker, "get", "/api/v1/webhooks").json().get("webhooks", [])
        return starts + [f"{outer[0]}/{one['id']}{outer[2]}" for one in mine]

    def _seen(
        self, asker: str, method: str, path: str, start: str, one: str, rest: str, cookie: bool
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, body and the headers that could tell two answers apart; the id that was sent is blanked."""
        body = EXAMPLES.get(f"{method.upper()} {path.removeprefix('/')}")
        scopes = () if cookie else _ASKERS[asker]
        sent = f"{start}/{one}{rest}"
        answer = self.lab.request(asker, method, sent, body=body, cookie=cookie, scopes=scopes)
        text = answer.text.replace(one, "ID")
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in ("date", "x-request-id", "set-cookie")}
        try:
            return answer.status_code, json.loads(text), headers
        except json.JSONDecodeError:
            return answer.status_code, text, headers


def devices(trial: Trial) -> None:
    """Devices and their series are all members': to somebody without a role one that is there is like one that is
    not."""
    series = trial.own.ids["/api/v1/series/{id}"]
    for start, there, rest in (("devices", "aer", ""), ("devices", "aer", "/target"), ("series", series, "")):
        names = (there, new_id("ser"))
        answers = [
            trial.lab.request("sly", "get", f"/api/v1/{start}/{name}{rest}", scopes=tuple(EVERY_SCOPE))
            for name in names
        ]
        trial.tried += 1
        seen = {(answer.status_code, re.sub("|".join(names), "NAME", answer.text)) for answer in answers}
        if len(seen) != 1 or answers[0].status_code != 404:
            trial.violations.append(f"{start}{rest} without a role: {seen}")


def admissions(trial: Trial) -> None:
    """Whether a device waits for an operator is told to nobody else: any name gets the same refusal."""
    for asker, scopes in _ASKERS.items():
        for body in ({"verdict": "admit"}, {"verdict": "reject"}):
            seen = set()
            for name in ("aer", "nothing"):
                path = f"/api/v1/devices/{name}/admission"
                answer = trial.lab.request(asker, "post", path, body=body, scopes=scopes)
                seen.add((answer.status_code, answer.text.replace(name, "NAME")))
            trial.tried += 1
            if len(seen) != 1 or next(iter(seen))[0] != 403:
                trial.violations.append(f"{asker}: admission: {seen}")


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """Every route with an id, by token and by the hub page's cookie."""
    del cases, seed
    with ProofLab() as lab:
        trial = Trial(lab, Own(lab))
        document = lab.bare("get", "/api/v1/openapi.json").json()
        for path, operations in document["paths"].items():
            for method in operations:
                if "{" in path and not path.startswith(("/api/v1/devices/", "/api/v1/series/")):
                    trial.path(path, method)
        devices(trial)
        admissions(trial)
        if trial.tried < 100:
            trial.violations.append(f"only {trial.tried} cases were found in the OpenAPI document")
        return trial.tried, trial.violations
