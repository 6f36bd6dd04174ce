"""Exchange of a workload's token (RFC 8693), and the tokens of a project's workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from pydantic import ValidationError

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.exceptions import InputError, Unavailable
from jupyter_quantum.hub.api.json import malformed
from jupyter_quantum.hub.api.route import Query, Route
from jupyter_quantum.wire.tokens import TokenAnswer, TokenRequest, WorkloadList, WorkloadView

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_FORM: Final = "application/x-www-form-urlencoded"
_PROJECT = Query("project", {"type": "string"}, "The project.")


async def exchange_token(api: Api) -> TokenAnswer:
    """A token for a project, in exchange for one of an OIDC issuer that it declares."""
    asked = _asked(api)
    project = asked.project or asked.audience
    if project is None:
        raise InputError("Say for which project: project=…", code="token.project")
    verifier = api.context.verifier
    if verifier is None:
        raise Unavailable("Tokens are not exchanged here.", code="token.off")
    claims = await verifier.verify(asked.subject_token)
    return await api.pipeline.workloads.exchange(claims, project)


def _asked(api: Api) -> TokenRequest:
    kind = api.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        return api.body(TokenRequest)
    try:
        pairs = parse_qsl(api.raw.decode("utf-8"), keep_blank_values=False, strict_parsing=True, max_num_fields=30)
    except ValueError as error:
        raise InputError("The form cannot be read.", code="request.malformed") from error
    if len(dict(pairs)) < len(pairs):  # RFC 6749, section 3.2: no parameter twice
        raise InputError("A parameter is there twice.", code="request.malformed")
    try:
        return TokenRequest.model_validate(dict(pairs))
    except ValidationError as error:
        raise malformed(error) from error


async def tokens(api: Api) -> WorkloadList:
    """Tokens of a project's workloads."""
    return await api.pipeline.workloads.list(api.who, api.get_query_argument("project", ""))


async def revoke_token(api: Api, id: str) -> WorkloadView:  # noqa: A002
    """End one now."""
    return await api.pipeline.workloads.revoke(api.who, id)


ROUTES: Final = (
    Route(
        "POST",
        "api/v1/token",
        None,
        "Exchange a workload's token for a short-lived one of a project (RFC 8693)",
        TokenAnswer,
        exchange_token,
        body=TokenRequest,
        secret=True,
    ),
    Route(
        "GET",
        "api/v1/tokens",
        Scope.APPROVE,
        "Valid tokens of a project's workloads; for its leads",
        WorkloadList,
        tokens,
        query=(_PROJECT,),
        errors=(404,),
    ),
    Route(
        "POST",
        "api/v1/tokens/{id}/revoke",
        Scope.APPROVE,
        "End a workload's token now",
        WorkloadView,
        revoke_token,
        errors=(404,),
    ),
)
"""Routes about workloads' tokens."""
