"""Exchange of a workload's token for one of ours (RFC 8693), and the list of those that are valid."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from jupyter_quantum.wire.base import Answer, Time

__all__ = ["ACCESS", "EXCHANGE", "JWT", "TokenAnswer", "TokenRequest", "WorkloadList", "WorkloadView"]

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a name of RFC 8693
ACCESS = "urn:ietf:params:oauth:token-type:access_token"


class TokenRequest(BaseModel):
    """RFC 8693, section 2.1, as a form or as JSON; what is not known is ignored, as the standard asks."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    grant_type: Literal["urn:ietf:params:oauth:grant-type:token-exchange"]
    subject_token: Annotated[str, Field(min_length=1, max_length=16_384, description="the workload's JWT")]
    subject_token_type: Literal["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"]
    project: Annotated[str | None, Field(max_length=64, description="the project to act for")] = None
    audience: Annotated[str | None, Field(max_length=64, description="the same, in the standard's word")] = None
    requested_token_type: Literal["urn:ietf:params:oauth:token-type:access_token"] | None = None


class TokenAnswer(Answer):
    """RFC 8693, section 2.2.1."""

    access_token: str = Field(description="opaque; shown once")
    issued_token_type: str = ACCESS
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a word of RFC 6750
    expires_in: int = Field(description="seconds")
    scope: str
    project: str
    id: str = Field(description="with which the token can be revoked")


class WorkloadView(Answer):
    """A token of a workload that is valid now."""

    id: str
    project: str
    subject: str
    issuer: str
    created: Time
    expires: Time
    revoked: Time | None = None


class WorkloadList(Answer):
    tokens: list[WorkloadView]
