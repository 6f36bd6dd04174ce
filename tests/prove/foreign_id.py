"""Another user's id answers exactly like one that does not exist, on every route of the OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

from jupyter_quantum.core.ids import new_id
from tests.prove.lab import ProofLab, bell

_BODIES: dict[str, Any] = {
    "decision": {"verdict": "reject", "note": "not mine"},
    "cancel": {},
}


def _mine(lab: ProofLab) -> dict[str, str]:
    """A job, a report and an approval of ada's."""
    ada = lab.hub("ada")
    done = ada.backend("fake_torino").run(bell(), shots=100)
    done.result()
    waiting = ada.backend("campus_qpu").run(bell(), shots=1000)
    view = lab.job("ada", waiting.job_id())
    report = ada.report(bell(), shots=100)
    assert view.approval is not None
    return {"jobs": done.job_id(), "approvals": view.approval, "reports": report.id}


def _seen(lab: ProofLab, method: str, path: str, *, cookie: bool) -> tuple[int, Any, dict[str, str]]:
    """Status, body and the headers that could tell two answers apart; ids that were sent are blanked."""
    body = _BODIES.get(path.rsplit("/", 1)[-1]) if method == "post" else None
    answer = lab.request("ben", method, path, body=body, cookie=cookie)
    sent = path.split("/")[3]
    text = answer.text.replace(sent, "ID")
    headers = {k: v for k, v in answer.headers.items() if k.lower() not in ("date", "x-request-id", "set-cookie")}
    try:
        return answer.status_code, json.loads(text), headers
    except json.JSONDecodeError:
        return answer.status_code, text, headers


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """Every route with an id of a job, report or approval, by token and by the hub page's cookie."""
    del cases, seed
    found: list[str] = []
    tried = 0
    with ProofLab() as lab:
        own = _mine(lab)
        document = lab.request("ben", "get", "/api/v1/openapi.json").json()
        for path, operations in document["paths"].items():
            route = path[path.index("/api/v1/") :] if "/api/v1/" in path else path
            kind = route.split("/")[3] if route.count("/") >= 4 else ""
            if kind not in own or "{" not in route:
                continue
            prefix = {"jobs": "job", "reports": "rep", "approvals": "apr"}[kind]
            start, _, rest = route.partition("{")
            tail = rest.partition("}")[2]
            for method in operations:
                for cookie in (False, True):
                    foreign = _seen(lab, method, start + own[kind] + tail, cookie=cookie)
                    absent = _seen(lab, method, start + new_id(prefix) + tail, cookie=cookie)
                    tried += 1
                    if foreign != absent or not 400 <= foreign[0] < 500:
                        found.append(f"{method} {route} (cookie={cookie}): foreign {foreign}, absent {absent}")
    if tried < 12:
        found.append(f"only {tried} routes with an id were found in the OpenAPI document")
    return tried, found
