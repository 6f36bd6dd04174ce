"""Policy as people see it: the rules in force, a decision explained, a month of decisions under other files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jupyter_quantum.wire.base import Answer, Digest, Request, Time

__all__ = [
    "DecisionMade",
    "Explanation",
    "PolicyFiles",
    "PolicyRule",
    "PolicyView",
    "ReplayExample",
    "ReplayPerson",
    "ReplayView",
    "RuleExplained",
]

Effect = Literal["allow", "refuse", "needs_approval"]
_Name = Annotated[str, Field(pattern=r"^(schema\.cedarschema|[\w.-]{1,80}\.cedar)$")]


class PolicyRule(Answer):
    """One policy in force."""

    id: str
    effect: Literal["permit", "forbid"]
    approval: str | None = Field(default=None, description="whose approval lifts it")
    actions: list[str]
    words: str | None = None
    facts: list[str] = Field(description="facts that it looks at")


class PolicyView(Answer):
    """The policies in force; ``files`` and ``problem`` for those who operate or audit."""

    version: Digest
    rules: list[PolicyRule]
    facts: dict[str, dict[str, str]] = Field(description="action → fact → type")
    problem: str | None = Field(default=None, description="why the files as they are now are not in force")
    files: dict[str, str] | None = None


class DecisionMade(Answer):
    """One stored answer of policy."""

    id: str
    time: Time
    effect: Effect
    policies: list[str]
    roles: list[str] = Field(default_factory=list)
    version: Digest
    code: str | None = None
    words: str


class RuleExplained(Answer):
    """One policy and the facts of a job."""

    policy: str
    effect: Literal["permit", "forbid"]
    approval: str | None = None
    applies: bool
    words: str = Field(description="why it applies, or not")
    change: str = Field(description="what would have to be otherwise; empty where nothing need be")


class Explanation(Answer):
    """Which policies decided about a job, on which facts, and what would have to change."""

    job: str
    made: list[DecisionMade] = Field(description="as it was decided, oldest first")
    facts: dict[str, Any] = Field(description="what policy was told the last time")
    now: DecisionMade | None = Field(default=None, description="the same facts under the policies in force now")
    changed: bool = Field(description="whether other policies are in force than the last time")
    rules: list[RuleExplained] = Field(description="under the policies in force now; those that apply first")


class PolicyFiles(Request):
    """Policy files to try on the decisions that were made."""

    files: dict[_Name, Annotated[str, Field(max_length=200_000)]] = Field(
        description="file name → text", max_length=100
    )
    days: Annotated[float, Field(gt=0, le=366)] = Field(default=30, description="how far back")
    limit: Annotated[int, Field(ge=1, le=50_000)] = Field(default=20_000, description="decisions, the newest")
    examples: Annotated[int, Field(ge=0, le=100)] = Field(default=20, description="of each side")


class ReplayExample(Answer):
    """One decision that would be another."""

    decision: str
    time: Time
    job: str | None
    action: str
    person: str
    project: str
    before: Effect
    after: Effect
    policies: list[str]
    words: str


class ReplayPerson(Answer):
    """How many of somebody's requests would win or lose."""

    person: str
    project: str
    wins: int
    loses: int


class ReplayView(Answer):
    """Who would win, who would lose."""

    version: Digest
    since: Time
    total: int = Field(description="decisions that were evaluated")
    same: int
    moves: dict[str, int] = Field(description="'before → after' → how many")
    people: list[ReplayPerson] = Field(description="who loses most first")
    wins: list[ReplayExample]
    loses: list[ReplayExample]
