"""The OpenAPI 3.1 document, made from the table of routes and the shapes in :mod:`jupyter_quantum.wire`."""

from __future__ import annotations

import functools
import json
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from jupyter_quantum.hub.api.route import JSON, KEY, NDJSON, Query, Route
from jupyter_quantum.hub.api.routes import ROUTES
from jupyter_quantum.wire.base import ErrorBody
from jupyter_quantum.wire.codes import CODES, FAMILIES
from jupyter_quantum.wire.jobs import EventView

__all__ = ["document"]

_REF: Final = "#/components/schemas/{model}"
_ALWAYS: Final = (400, 401, 403, 413, 429, 500, 503)
_WORDS: Final = {
    201: "Made",
    202: "Taken up; it goes on by itself",
    204: "Done; there is nothing to say",
    304: "Not changed",
    400: "The request cannot be read",
    401: "Not signed in",
    403: "Not allowed: scope, policy or quota",
    404: "Absent, or not yours",
    409: "Not in a state that allows this, or an Idempotency-Key that came before",
    410: "Ended without a result",
    413: "Too large",
    422: "The request cannot be used; details.fields names what is wrong",
    429: "Too many requests; see Retry-After",
    500: "A defect on our side",
    503: "A part of the service does not answer",
}


def _models() -> list[tuple[type[BaseModel], str]]:
    bodies = [(route.body, "validation") for route in ROUTES if route.body is not None]
    answers = [(route.answer, "serialization") for route in ROUTES if route.answer is not None]
    answers += [(route.lines, "serialization") for route in ROUTES if route.lines is not None]
    return [*bodies, *answers, (ErrorBody, "serialization"), (EventView, "serialization")]


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _parameters(route: Route) -> list[dict[str, Any]]:
    def one(found: Query, where: str) -> dict[str, Any]:
        return {"name": found.name, "in": where, "schema": found.schema, "description": found.words}

    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    headers = (*route.headers, *((KEY,) if route.keyed or route.own_key else ()))
    return [*path, *(one(q, "query") for q in route.query), *(one(h, "header") for h in headers)]


def _statuses(route: Route) -> list[int]:
    keyed = route.keyed or route.own_key
    asked = (404, 422) if route.body or route.query else ()  # a project or a job may be named there
    with_key = (409, 422) if keyed else ()
    return sorted({*_ALWAYS, *route.errors, *asked, *with_key})


def _content(route: Route, refs: dict[tuple[Any, str], dict[str, Any]]) -> dict[str, Any]:
    answer = None if route.answer is None else refs[route.answer, "serialization"]
    if route.media != JSON:
        return {"content": _file(route.media, answer)}
    lines = {} if route.lines is None else _file(NDJSON, refs[route.lines, "serialization"])
    return {} if answer is None else {"content": _json(answer) | lines}


def _file(media: str, line: dict[str, Any] | None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "contentMediaType": media}
    return {media: {"schema": schema, **({} if line is None else {"x-line": line})}}


def _security(route: Route) -> list[dict[str, Any]]:
    if route.scope is None:
        return []
    return [{"cookie": []}] if route.cookie_only else [{"token": []}, {"cookie": []}]


def _operation(route: Route, refs: dict[tuple[Any, str], dict[str, Any]]) -> dict[str, Any]:
    error = refs[ErrorBody, "serialization"]
    answers: dict[str, Any] = {
        str(route.status): {"description": _WORDS.get(route.status, "The answer"), **_content(route, refs)}
    }
    for status in _statuses(route):
        content = {} if status == 304 else {"content": _json(error)}
        answers[str(status)] = {"description": _WORDS[status], **content}
    operation: dict[str, Any] = {
        "operationId": (route.call.__name__ if route.call else route.path),
        "summary": route.summary,
        "security": _security(route),
        "x-scope": route.scope.value if route.scope is not None else None,
        "parameters": _parameters(route),
        "responses": answers,
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(refs[route.body, "validation"])}
    return operation


def _stream(refs: dict[tuple[Any, str], dict[str, Any]]) -> dict[str, Any]:
    event = refs[EventView, "serialization"]
    return {
        "operationId": "stream",
        "summary": "Server-sent events; id is where to go on, data an EventView",
        "security": [{"token": []}, {"cookie": []}],
        "x-scope": "custom:quantum:read",
        "parameters": [
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer"}, "description": "Go on after it."}
        ],
        "responses": {
            "200": {
                "description": "A stream that ends when the caller's rights change",
                "content": {"text/event-stream": {"schema": {"type": "string"}, "x-event": event}},
            },
            **{
                str(status): {"description": _WORDS[status], "content": _json(refs[ErrorBody, "serialization"])}
                for status in (401, 403, 422, 429)
            },
        },
    }


@functools.cache
def document(prefix: str) -> str:
    """The document as JSON text; ``prefix`` is the service's path with both slashes."""
    refs, definitions = models_json_schema(_models(), ref_template=_REF)  # type: ignore[arg-type]
    error = definitions["$defs"]["ErrorBody"]["properties"]["code"]
    error["x-codes"] = [*CODES, *(f"{family}.*" for family in FAMILIES)]
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(f"/{route.path}", {})[route.method.lower()] = _operation(route, refs)  # type: ignore[arg-type]
    paths["/api/v1/events"] = {"get": _stream(refs)}  # type: ignore[arg-type]
    try:
        number = version("jupyter-quantum")
    except PackageNotFoundError:  # run from a checkout
        number = "0"
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "jupyter_quantum",
                "version": number,
                "description": "Amounts are integer micro-credits, times ISO 8601 in UTC, durations seconds.",
            },
            "servers": [{"url": prefix.rstrip("/")}],
            "paths": paths,
            "components": {
                "schemas": definitions.get("$defs", {}),
                "securitySchemes": {
                    "token": {
                        "type": "apiKey",
                        "in": "header",
                        "name": "Authorization",
                        "description": "token <token>",
                    },
                    "cookie": {
                        "type": "apiKey",
                        "in": "cookie",
                        "name": "service-quantum",
                        "description": "Login on the hub's page; unsafe methods need X-XSRFToken.",
                    },
                },
            },
        }
    )
