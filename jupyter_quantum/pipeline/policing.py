"""Policy for people: what is in force, why a job was decided as it was, and what other files would have decided."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from jupyter_quantum.core.facts import Decision
from jupyter_quantum.core.tenancy import Principal, name_of
from jupyter_quantum.exceptions import InputError, Refused
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.policy.engine import evaluate
from jupyter_quantum.pipeline.policy.explain import explain
from jupyter_quantum.pipeline.policy.files import SCHEMA, Loaded, PolicyBroken, load
from jupyter_quantum.pipeline.policy.replay import Changed, Made, Replayed, replay
from jupyter_quantum.store import View
from jupyter_quantum.store.rows import DecisionRow
from jupyter_quantum.wire.policy import (
    DecisionMade,
    Explanation,
    PolicyFiles,
    PolicyRule,
    PolicyView,
    ReplayExample,
    ReplayPerson,
    ReplayView,
    RuleExplained,
)

__all__ = ["Policing"]

_PEOPLE: Final = 50


class Policing:
    """Shows, explains, replays."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def show(self, who: Principal) -> PolicyView:
        """The policies in force; their files for those who operate or audit."""
        policies, loaded = self._context.policies, self._context.policies.loaded
        staff = bool(self._context.people.staff(who))
        if not staff and not self._context.people.roles(who):
            raise Refused("You are in no project, so no policy is about you.", code="project.none")
        rules = [
            PolicyRule(
                id=policy.id,
                effect=policy.effect,
                approval=policy.approval,
                actions=sorted(policy.actions),
                words=policy.words,
                facts=list(policy.looks_at),
            )
            for policy in loaded.policies.values()
        ]
        return PolicyView(
            version=loaded.version,
            rules=rules,
            facts={action: dict(facts) for action, facts in loaded.facts.items()},
            problem=policies.problem if staff else None,
            files=dict(loaded.texts) if staff else None,
        )

    async def explain(self, who: Principal, job_id: str) -> Explanation:
        """Why a job was decided as it was. For its owner and the leads of its project."""

        def read(view: View) -> tuple[list[DecisionRow], dict[str, Any]]:
            job = self._context.people.check_job(who, view.job(job_id))
            made = view.job_decisions(job_id)
            facts = json.loads(_last(made).context) if made else {}
            return made, facts | ({"user": name_of(job.principal)} if made else {})

        made, facts = await self._context.store.read(read)
        loaded = self._context.policies.loaded
        if not made:
            return Explanation(job=job_id, made=[], facts={}, changed=False, rules=[])
        last = _last(made)
        action = last.action
        known = action in loaded.facts and facts.keys() == loaded.facts[action].keys()
        rules = explain(loaded, action, facts) if known else []
        now = evaluate(loaded, action, facts)
        return Explanation(
            job=job_id,
            made=[_made(row) for row in made],
            facts=facts,
            now=_now(last, now),
            changed=loaded.version != last.version,
            rules=[RuleExplained(**{name: getattr(rule, name) for name in rule.__slots__}) for rule in rules],
        )

    async def replay(self, who: Principal, asked: PolicyFiles) -> ReplayView:
        """The decisions of the last days under other files; InputError ``policy.files`` where these are broken."""
        if not self._context.people.operates(who):
            raise Refused("Operators do this.", code="policy.role")
        since = self._context.clock() - timedelta(days=asked.days)
        loaded = await asyncio.to_thread(_loaded, asked.files)

        def read(view: View) -> list[Made]:
            names: dict[str, str] = {}
            rows = list(view.decisions(since, limit=asked.limit))
            return [_named(view, row, names) for row in rows]

        decisions = await self._context.store.read(read)
        found = await asyncio.to_thread(replay, loaded, decisions, examples=asked.examples)
        return ReplayView(
            version=found.version,
            since=since,
            total=found.total,
            same=found.total - found.moves.total(),
            moves={f"{before} → {after}": count for (before, after), count in found.moves.most_common()},
            people=_people(found),
            wins=[_example(one) for one in found.examples["wins"]],
            loses=[_example(one) for one in found.examples["loses"]],
        )


def _loaded(files: Mapping[str, str]) -> Loaded:
    if SCHEMA not in files:
        raise InputError(f"{SCHEMA} is missing.", code="policy.files", hint="Send every file of the directory.")
    ordered = [SCHEMA, *sorted(name for name in files if name != SCHEMA)]
    try:
        return load([(name, files[name].encode()) for name in ordered])
    except PolicyBroken as error:
        raise InputError(f"The files cannot be used: {error}.", code="policy.files") from error


def _named(view: View, row: DecisionRow, names: dict[str, str]) -> Made:
    """A stored decision with the user's name in its place again, as the policies saw it."""
    if row.person not in names:
        names[row.person] = name_of(view.person(row.person) or row.person)
    name = names[row.person]
    context = json.loads(row.context)
    if "user" in context:
        context["user"] = name
    return Made(row.id, row.time, row.action, name, row.project, row.job, row.effect, row.words, context)


def _last(made: Sequence[DecisionRow]) -> DecisionRow:
    """The last decision about running it; whether it may wait for a budget, or leave, is another question."""
    return next((row for row in reversed(made) if row.action == "submit"), made[-1])


def _made(row: DecisionRow) -> DecisionMade:
    return DecisionMade(
        id=row.id,
        time=row.time,
        effect=row.effect,
        policies=json.loads(row.policies),
        roles=json.loads(row.roles),
        version=row.version,
        code=row.code,
        words=row.words,
    )


def _now(last: DecisionRow, now: Decision) -> DecisionMade:
    return DecisionMade(
        id=last.id,
        time=last.time,
        effect=now.effect,
        policies=list(now.policies),
        roles=list(now.roles),
        version=now.version,
        code=now.code,
        words=now.words,
    )


def _people(found: Replayed) -> list[ReplayPerson]:
    people = [
        ReplayPerson(person=person, project=project, wins=counts["wins"], loses=counts["loses"])
        for (person, project), counts in found.people.items()
    ]
    return sorted(people, key=lambda one: (-one.loses, -one.wins, one.project, one.person))[:_PEOPLE]


def _example(one: Changed) -> ReplayExample:
    made = one.made
    return ReplayExample(
        decision=made.id,
        time=made.time,
        job=made.job,
        action=made.action,
        person=made.person,
        project=made.project,
        before=made.effect,
        after=one.now.effect,
        policies=list(one.now.policies),
        words=one.now.words,
    )
