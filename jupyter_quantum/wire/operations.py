"""What operators see of attempts and decide about them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from jupyter_quantum.wire.base import Answer, Credits, Request, Time

__all__ = ["Difference", "Differences", "Resolution", "UnknownAttempt", "UnknownAttempts"]


class UnknownAttempt(Answer):
    """An attempt of which nobody can tell whether the device ran it."""

    tag: str = Field(description="what the vendor was told: look for it there")
    job: str
    device: str
    project: str
    owner: str
    since: Time
    handles: list[str] = Field(default_factory=list, description="the vendor's ids, as far as they are known")
    on_hold: Credits = Field(description="the most that can be charged")
    cancel_asked: Time | None = None
    can_look: bool = Field(description="whether the device can be asked by itself")
    words: str = ""


class UnknownAttempts(Answer):
    attempts: list[UnknownAttempt]


class Resolution(Request):
    """What became of an unknown attempt.

    *ran*: it did, and the result is lost; ``charge`` is what it cost. *not_run*: it did not; the job waits again.
    *look*: have the device asked (once more).
    """

    verdict: Literal["ran", "not_run", "look"]
    charge: Annotated[Credits | None, Field(ge=0, lt=2**63)] = Field(default=None, description="of *ran*: needed")
    note: Annotated[str, Field(max_length=500)] = ""


class Difference(Answer):
    """An attempt of which the vendor counted other seconds than we did; the vendor's were charged."""

    tag: str
    job: str
    device: str
    ended: Time | None
    seconds: float = Field(description="as we count them")
    vendor_seconds: float
    cost: Credits | None = None
    words: str


class Differences(Answer):
    differences: list[Difference]
