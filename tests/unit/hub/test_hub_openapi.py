"""The OpenAPI document is whole: every route, every error code, and nothing that nobody serves."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from jupyter_quantum.hub.api.routes import ROUTES
from jupyter_quantum.hub.openapi import document
from jupyter_quantum.hub.web import web_application
from jupyter_quantum.pipeline.limits import KINDS
from jupyter_quantum.wire.codes import CODES, FAMILIES
from tests.unit.hub.support import PREFIX, Service

PACKAGE = Path(__file__).parents[3] / "jupyter_quantum"
SERVICE = ("hub", "pipeline", "store", "core", "wire", "fabric")
STARTS = {"config", "service.address", "service.locked", "demo"}
"""Codes that only a starting process says, to whom starts it."""


def literals(value: ast.expr) -> Iterator[str]:
    """Texts that an expression may be; of a formatted text its beginning with a star."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        first = value.values[0]
        yield (str(first.value) if isinstance(first, ast.Constant) else "") + "*"
    elif isinstance(value, ast.IfExp):
        yield from literals(value.body)
        yield from literals(value.orelse)


def said() -> set[str]:
    """Codes of the errors that the service raises, as its sources have them."""
    found: set[str] = set()
    files = [file for part in SERVICE for file in (PACKAGE / part).rglob("*.py") if "demo" not in file.parts]
    for file in [*files, PACKAGE / "exceptions.py"]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code":
                found |= set(literals(node.value))
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(t, ast.Name) and t.id == "default_code" for t in targets):
                    found |= set(literals(node.value))
    return {code for code in found if re.fullmatch(r"[a-z]+(\.[a-z_*]+)*", code)} - STARTS


def test_every_code_is_listed() -> None:
    """What may come as ``code`` is in the document, one by one or as a family, and nothing else."""
    codes = said()
    starred = {code for code in codes if code.endswith("*")}
    assert sorted(starred - {f"{family}.*" for family in FAMILIES}) == []
    assert sorted(codes - starred - set(CODES)) == [], "add these to jupyter_quantum/wire/codes.py"
    assert sorted(set(CODES) - codes) == [], "nobody says these any more"
    told = json.loads(document(PREFIX))["components"]["schemas"]["ErrorBody"]["properties"]["code"]
    assert told["x-codes"] == [*CODES, *(f"{family}.*" for family in FAMILIES)]


async def test_every_address_of_the_api_is_described(service: Service) -> None:
    """Each path that is served below api/v1 is in the document, with each of its methods, and vice versa."""
    paths = json.loads(document(PREFIX))["paths"]
    app = web_application(service.context, set(), b"0" * 32)
    served = {
        re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", rule.matcher.regex.pattern).replace("\\", "")
        for rule in app.wildcard_router.rules
        if "api/v1" in rule.matcher.regex.pattern
    }
    here = {path.removeprefix(PREFIX).rstrip("$") for path in served} - {"api/v1/openapi.json"}
    assert {f"/{path}" for path in here} == set(paths)
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == {(route.method, f"/{route.path}") for route in ROUTES} | {("GET", "/api/v1/events")}


def test_every_operation_says_what_it_needs() -> None:
    """Names are unique; scope, sign-in, answers, parameters of the path, and the key of a write are there."""
    paths = json.loads(document(PREFIX))["paths"]
    operations = {(method, path): told for path, methods in paths.items() for method, told in methods.items()}
    names = [told["operationId"] for told in operations.values()]
    assert sorted(set(names)) == sorted(names)
    for (method, path), told in operations.items():
        assert told["summary"]
        assert "x-scope" in told
        assert {"401", "403", "429"} <= set(told["responses"]) or told["security"] == []
        named = {one["name"] for one in told["parameters"] if one["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path))
        if named:
            assert "404" in told["responses"], path
        has_key = any(one["name"] == "Idempotency-Key" for one in told["parameters"])
        assert has_key == (method != "get" and told["security"] != []), path


def test_every_route_has_a_limit() -> None:
    """Each route counts against a class of requests that is configured."""
    assert {route.rate_limit for route in ROUTES} <= set(KINDS)
