"""No route answers without its scope, its kind of sign-in and its role: every route of the OpenAPI document is tried.

For each: without a token, with one that is not valid, with every other scope alone and all of them together, by cookie
without the page's token, by token where a person must be signed in, and as somebody who has all scopes but no role.
Somebody who has both gets through, so that the refusals say something.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.runners import ROUTES as RUNNER_ROUTES
from tests.prove.lab import EVERY_SCOPE, ProofLab, bell
from tests.unit.hub.test_hub_routes import EXAMPLES

_SAFE = ("get", "head")
_QUERIES = {"/api/v1/audit/proof/consistency": "?first=1&second=1"}
"""What a route cannot do without."""
_STREAM = "/api/v1/events"


class Operation:
    """One method on one path of the document."""

    def __init__(self, path: str, method: str, told: Mapping[str, Any]) -> None:
        self.path, self.method = path, method
        self.scope: str | None = told["x-scope"]
        self.cookie_only = told["security"] == [{"cookie": []}]
        self.by_id = "{" in path
        self.body: Any = EXAMPLES.get(f"{method.upper()} {path.removeprefix('/')}")
        if self.body is None and method not in _SAFE and method != "delete":
            self.body = {}

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def address(self) -> str:
        """With ids that nobody has; a device that is there."""
        path = self.path.replace("{name}", "aer")
        return re.sub(r"\{(\w+)\}", lambda _: new_id("job"), path) + _QUERIES.get(path, "")

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method in _SAFE


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Every operation."""
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield Operation(path, method, told)


class Trial:
    """Asks, and notes what should not have been answered."""

    def __init__(self, lab: ProofLab) -> None:
        self.lab = lab
        self.cases = 0
        self.violations: list[str] = []

    def refused(self, what: str, answer: requests.Response, status: int, *codes: str) -> None:
        """The answer must be this refusal."""
        self.cases += 1
        if (answer.status_code, code_of(answer)) not in {(status, code) for code in codes}:
            self.violations.append(f"{what}: {answer.status_code} {answer.text[:200]}")

    def through(self, what: str, answer: requests.Response) -> None:
        """The answer must not be a refusal of the door."""
        self.cases += 1
        code = code_of(answer)
        if answer.status_code in {401, 405, 500} or code == "scope.missing" or code.startswith("auth."):
            self.violations.append(f"{what} does not get through: {answer.status_code} {answer.text[:200]}")


def code_of(answer: requests.Response) -> str:
    """The error's code; empty where there is none."""
    try:
        found = answer.json()
    except json.JSONDecodeError:
        return ""
    return str(found.get("code", "")) if isinstance(found, dict) else ""


def without_scope(trial: Trial, op: Operation) -> None:
    """No token, a wrong one, each other scope alone, all others together."""
    lab, at = trial.lab, op.address
    trial.refused(f"{op} without a token", lab.bare(op.method, at, body=op.body), 401, "auth.missing")
    invalid = lab.bare(op.method, at, body=op.body, Authorization=f"token {'0' * 32}")
    trial.refused(f"{op} with an unknown token", invalid, 401, "auth.missing")
    others = [scope for scope in EVERY_SCOPE if scope != op.scope]
    for scopes in (*((one,) for one in others), tuple(others)):
        answer = lab.request("zoe", op.method, at, body=op.body, scopes=scopes)
        trial.refused(f"{op} with {', '.join(scopes)}", answer, 403, "scope.missing")


def without_sign_in(trial: Trial, op: Operation) -> None:
    """By cookie without the page's token, and by token where a person must be there."""
    lab, at = trial.lab, op.address
    bare = lab.request("zoe", op.method, at, body=op.body, cookie=True, xsrf=False)
    trial.refused(f"{op} by a script of another page", bare, 403, "auth.xsrf")
    if op.cookie_only:
        answer = lab.request("zoe", op.method, at, body=op.body, scopes=tuple(EVERY_SCOPE))
        trial.refused(f"{op} by token", answer, 403, "auth.interactive")


def without_role(trial: Trial, op: Operation, secrets: set[str]) -> None:
    """All scopes and no role: nothing is changed, and nothing of anybody is told."""
    for cookie in (False, True) if not op.cookie_only else (True,):
        answer = trial.lab.request(
            "sly", op.method, op.address, body=op.body, cookie=cookie, scopes=() if cookie else tuple(EVERY_SCOPE)
        )
        trial.cases += 1
        where = f"{op} without a role (cookie={cookie})"
        if answer.status_code >= 500 or answer.status_code in {422, 429}:
            trial.violations.append(f"{where} proves nothing: {answer.status_code} {answer.text[:200]}")
        elif answer.status_code < 400 and not (op.is_read or harmless(op) or each_refused(answer)):
            trial.violations.append(f"{where} is answered: {answer.status_code} {answer.text[:200]}")
        told = [secret for secret in secrets if secret in answer.text]
        if told:
            trial.violations.append(f"{where} tells {told}")


def harmless(op: Operation) -> bool:
    """Writes that everybody may make for themselves: asking to join, an address of one's own."""
    return op.path in {"/api/v1/requests", "/api/v1/webhooks"}


def each_refused(answer: requests.Response) -> bool:
    """Several were decided at once, and each of them was refused."""
    found = answer.json().get("decided")
    return bool(found) and all(one["error"] is not None for one in found)


def with_everything(trial: Trial, op: Operation) -> None:
    """The scope alone, and the role, get through."""
    if op.cookie_only:
        answer = trial.lab.request("zoe", op.method, op.address, body=op.body, cookie=True)
    else:
        assert op.scope is not None
        answer = trial.lab.request("zoe", op.method, op.address, body=op.body, scopes=(op.scope,))
    trial.through(str(op), answer)


def runners(trial: Trial, closed: list[Operation]) -> None:
    """A runner's routes take the token of a runner, which opens nothing else, and nobody else's with the same scope."""
    lab = trial.lab
    runner = {"Authorization": f"token {lab.runner_token}"}
    for op in closed:
        answer = lab.bare(op.method, op.address, body=op.body, **runner)
        trial.refused(f"{op} by a runner", answer, 403, "scope.missing")
    for route in RUNNER_ROUTES:
        told = {"x-scope": Scope.RUNNER.value, "security": []}
        op = Operation(f"/{route.path}", route.method.lower(), told)
        without_scope(trial, op)
        cookie = lab.request("zoe", op.method, op.address, body=op.body, cookie=True)
        trial.refused(f"{op} by cookie", cookie, 403, "scope.missing")
        for user, scopes in (("zoe", (Scope.RUNNER.value,)), ("sly", tuple(EVERY_SCOPE))):
            answer = lab.request(user, op.method, op.address, body=op.body, scopes=scopes)
            trial.refused(f"{op} by the person {user}", answer, 403, "runner.service")
        answer = lab.bare(op.method, op.address, body=op.body, **runner)
        trial.through(f"{op} by a runner", answer)
        if code_of(answer) != "request.malformed":
            trial.violations.append(f"{op} by a runner: {answer.status_code} {answer.text[:200]}")


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """Each operation of the document."""
    del cases, seed
    with ProofLab() as lab:
        trial = Trial(lab)
        ada = lab.hub("ada")
        job = ada.backend("campus_qpu").run(bell(), shots=1000)
        view = lab.job("ada", job.job_id())
        secrets = {view.id, view.approval or view.id, "ada@"}
        document = lab.bare("get", "/api/v1/openapi.json").json()
        closed = [op for op in operations(document) if op.scope is not None]
        for op in closed:
            without_scope(trial, op)
            without_sign_in(trial, op)
            if op.path != _STREAM:
                without_role(trial, op, secrets)
        for op in sorted(closed, key=lambda op: not op.is_read):
            if op.path != _STREAM:
                with_everything(trial, op)
        runners(trial, closed)
        if len(closed) < 30:
            trial.violations.append(f"only {len(closed)} operations were found in the OpenAPI document")
        return trial.cases, trial.violations
