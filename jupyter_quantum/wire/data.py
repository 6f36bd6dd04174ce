"""Data at rest: keys, what is due to be deleted, exports."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from jupyter_quantum.wire.base import Answer, Request, Time

__all__ = [
    "AskExport",
    "DataClass",
    "DueView",
    "ExportList",
    "ExportView",
    "KeyView",
    "KeysView",
    "RetentionDone",
    "RetentionPlan",
    "RotateKeys",
    "ShredKeys",
    "TenantKeys",
]

Tenant = Annotated[str, StringConstraints(min_length=1, max_length=255)]
DataClass = Literal["inputs", "results", "logs"]


class RotateKeys(Request):
    """Start a new data key for a tenant (for every tenant where none is named), or a new master key."""

    tenant: Tenant | None = Field(default=None, description="a project, or `service`")
    master: bool = Field(default=False, description="wrap every data key with a new version of the master key instead")


class ShredKeys(Request):
    """Destroy a tenant's keys: nobody can read its artefacts any more."""

    tenant: Tenant
    confirm: Tenant = Field(description="the tenant's name again: this cannot be undone")
    reason: Annotated[str, StringConstraints(max_length=1000)] = ""


class KeyView(Answer):
    """A data key; never the key itself."""

    id: str
    version: int
    algorithm: str
    master: str = Field(description="the master key that wraps it, as its provider calls it")
    state: Literal["current", "retired", "destroyed"]
    created: Time
    retired: Time | None = None
    destroyed: Time | None = None


class TenantKeys(Answer):
    """A tenant's keys and artefacts."""

    tenant: str
    keys: list[KeyView]
    artefacts: int = 0
    bytes: int = 0
    pending: int = Field(default=0, description="artefacts that wait to be sealed with the current key")


class KeysView(Answer):
    """Every tenant's keys, and the master key that wraps new ones."""

    provider: str
    master: str | None = Field(description="None where the provider does not answer")
    tenants: list[TenantKeys]


class DueView(Answer):
    """What is due in one project."""

    project: str
    data: Literal["inputs", "results", "logs", "reports"]
    days: float = Field(description="how long the project keeps it")
    count: int = Field(description="jobs, or reports")


class RetentionPlan(Answer):
    """What retention would delete now, and how long each class is kept."""

    kept: dict[str, dict[str, float]] = Field(description="project → class → days; a class that is absent is kept")
    due: list[DueView]


class RetentionDone(Answer):
    """What retention deleted."""

    jobs: int = Field(description="jobs that data was erased of")
    archived: int
    reports: int
    artefacts: int
    files: int


class AskExport(Request):
    """Data of a job is to leave its project."""

    job: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    classes: Annotated[list[Literal["inputs", "results"]], Field(min_length=1, max_length=2)] = Field(
        default=["results"]
    )
    target: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(description="one of the project's")
    reason: Annotated[str, StringConstraints(max_length=1000)] = ""


class ExportView(Answer):
    """An export, as it is now."""

    id: str
    job: str
    project: str
    target: str
    classes: list[str]
    reason: str
    asked_by: str
    state: Literal["review", "approved", "written", "ready", "taken", "rejected", "expired", "failed"]
    words: str = Field(description="what it waits for, or where it is")
    created: Time
    changed: Time
    request: str | None = Field(default=None, description="the request that a person decides")
    expires: Time | None = None
    place: str | None = None
    digest: str | None = None
    size: int | None = None
    link: str | None = Field(default=None, description="below api/v1/, for who asked, once")


class ExportList(Answer):
    """Exports, newest first."""

    exports: list[ExportView]
    next: str | None = None
