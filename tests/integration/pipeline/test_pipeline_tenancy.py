"""Organisations and projects are planned and applied whole, over a real store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from jupyter_quantum.core.tenancy import Role
from jupyter_quantum.exceptions import Conflict, Refused
from jupyter_quantum.pipeline import Pipeline, Settings
from jupyter_quantum.testing.runner import MemoryRunner
from jupyter_quantum.wire.tenancy import ApplyTenants, Tenants
from tests.integration.pipeline.conftest import ADA, EVE, GRACE, LISE, House, person, request, running, until

ROOT = person("root", "quantum-admins", interactive=True)
MIA = person("mia", "physics")
LENA = person("lena", "physics-leads", interactive=True)

FILE: dict[str, Any] = {
    "organisations": {"campus": {"weight": 2}, "city": {}},
    "projects": {
        "physics": {
            "organisation": "campus",
            "owner": "lena",
            "roles": {"user": ["physics"], "lead": ["physics-leads"]},
        },
        "vqe": {"organisation": "campus", "parent": "physics", "tier": "pilot", "roles": {"user": ["vqe"]}},
    },
}


def file(**projects: Any) -> Tenants:
    """The file with other or more projects; None takes one out."""
    merged = {name: told for name, told in (FILE["projects"] | projects).items() if told is not None}
    return Tenants.model_validate(FILE | {"projects": merged})


async def apply(house: House, tenants: Tenants) -> int:
    plan = await house.pipeline.tenancy.plan(ROOT, tenants)
    assert plan.problems == []
    return (await house.pipeline.tenancy.apply(ROOT, ApplyTenants(tenants=tenants, version=plan.version))).version


async def test_plan_apply_again(house: House) -> None:
    """The plan says what comes; applying makes it so; the same file again changes nothing."""
    tenancy = house.pipeline.tenancy
    plan = await tenancy.plan(ROOT, file())
    assert [(one.action, one.kind, one.name) for one in plan.changes] == [
        ("add", "organisation", "campus"),
        ("add", "organisation", "city"),
        ("add", "project", "physics"),
        ("add", "project", "vqe"),
    ]
    assert (await house.pipeline.me(MIA)).projects == {}
    assert await apply(house, file()) == 1
    assert (await house.pipeline.me(MIA)).projects == {"physics": "user"}
    assert await apply(house, file()) == 1
    view = await tenancy.get(ROOT)
    assert (view.version, set(view.tenants.projects), set(view.configured.projects)) == (
        1,
        {"physics", "vqe"},
        {"qcourse", "lab"},
    )
    changed = file(vqe=FILE["projects"]["vqe"] | {"tier": "production"})
    fields = [(one.name, [f.field for f in one.fields]) for one in (await tenancy.plan(ROOT, changed)).changes]
    assert fields == [("vqe", ["tier"])]


async def test_leads_of_a_project_lead_its_parts(house: House, runner: MemoryRunner) -> None:
    """A lead above leads below; a member above is none below; jobs run in an applied project."""
    await apply(house, file())
    tenants = house.pipeline._context.tenants
    assert tenants.role(LENA, "vqe") is Role.LEAD
    assert tenants.role(MIA, "vqe") is None
    assert tenants.role(ROOT, "vqe") is None
    job = await house.pipeline.submit(MIA, request(project="physics"), key=None, wait_s=5)
    assert job.state == "completed"


async def test_only_administrators(house: House) -> None:
    """Leads, operators and a service that was not named may neither read nor apply."""
    tenancy = house.pipeline.tenancy
    robot = replace(person("ci"), created="service")
    for who in (GRACE, ADA, robot):
        for act in (tenancy.get(who), tenancy.plan(who, file())):
            with pytest.raises(Refused) as refused:
                await act
            assert refused.value.code == "admin.role"


async def test_a_named_service_may_apply(settings: Settings) -> None:
    """CI that the configuration names applies tenants."""
    async with running(settings, admin_services=frozenset({"ci"})) as house:
        robot = replace(person("ci"), created="service")
        asked = ApplyTenants(tenants=file(), version=0)
        assert (await house.pipeline.tenancy.apply(robot, asked)).version == 1
        with pytest.raises(Refused):
            await house.pipeline.tenancy.get(person("ci"))


async def test_a_plan_on_an_older_version_is_refused(house: House) -> None:
    """Of two plans made on the same version one is applied."""
    first, second = ApplyTenants(tenants=file(), version=0), ApplyTenants(tenants=file(vqe=None), version=0)
    both = await asyncio.gather(
        *(house.pipeline.tenancy.apply(ROOT, one) for one in (first, second)), return_exceptions=True
    )
    assert [getattr(one, "code", "applied") for one in both].count("tenants.version") == 1
    assert (await house.pipeline.tenancy.get(ROOT)).version == 1


@pytest.mark.parametrize(
    ("project", "key", "code"),
    [
        ({"organisation": "nowhere"}, "projects.x.organisation", "tenants.organisation"),
        ({"organisation": "campus", "parent": "nobody"}, "projects.x.parent", "tenants.parent"),
        ({"organisation": "city", "parent": "physics"}, "projects.x.parent", "tenants.parent"),
        ({"organisation": "campus", "parent": "x"}, "projects.x.parent", "tenants.cycle"),
        ({"organisation": "campus", "regions": ["moon"]}, "projects.x.regions", "tenants.region"),
        (
            {"organisation": "campus", "grants": [{"id": "g", "credits": 1}, {"id": "g", "credits": 2}]},
            "projects.x.grants",
            "tenants.duplicate",
        ),
        (
            {"organisation": "campus", "identities": [{"issuer": "http://x.org", "audience": "a", "subject": "b"}]},
            "projects.x.identities.0.issuer",
            "tenants.issuer",
        ),
    ],
)
async def test_what_does_not_fit_together(house: House, project: dict[str, Any], key: str, code: str) -> None:
    """Each mistake is named with its key, and the file is not applied."""
    tenants = file(x=project)
    found = (await house.pipeline.tenancy.plan(ROOT, tenants)).problems
    assert [(one.key, one.code) for one in found] == [(key, code)]
    with pytest.raises(Conflict) as refused:
        await house.pipeline.tenancy.apply(ROOT, ApplyTenants(tenants=tenants, version=0))
    assert refused.value.code == "tenants.refused"
    assert (await house.pipeline.tenancy.get(ROOT)).version == 0


async def test_configured_projects_stay(house: House) -> None:
    """A file may not declare a project of the configuration; one that leaves them out does not remove them."""
    found = (await house.pipeline.tenancy.plan(ROOT, file(qcourse={"organisation": "campus"}))).problems
    assert [one.code for one in found] == ["tenants.configured"]
    await apply(house, file())
    assert (await house.pipeline.me(ADA)).projects == {"qcourse": "user"}


async def test_a_circle_of_three(house: House) -> None:
    """Each project of a circle is named."""
    circle = {
        name: {"organisation": "campus", "parent": parent} for name, parent in (("a", "b"), ("b", "c"), ("c", "a"))
    }
    found = (await house.pipeline.tenancy.plan(ROOT, file(**circle))).problems
    assert [one.key for one in found] == [f"projects.{name}.parent" for name in "abc"]


async def test_jobs_keep_their_home(house: House) -> None:
    """A project with open jobs is neither removed nor moved; once they have ended it is."""
    await apply(house, file())
    async with house.runner() as runner:
        runner.hold()
        job = await house.pipeline.submit(MIA, request(project="physics"), key=None, wait_s=0)
        moved = FILE["projects"]["physics"] | {"organisation": "city"}
        for tenants, key in (
            (file(physics=None, vqe=None), "projects.physics"),
            (file(physics=moved, vqe=None), "projects.physics.organisation"),
        ):
            found = (await house.pipeline.tenancy.plan(ROOT, tenants)).problems
            assert [(one.key, one.code) for one in found] == [(key, "tenants.orphan")]
        runner.go()
        await house.pipeline.job(MIA, job.id, wait_s=5, version=job.version)
        await until(lambda: _ended(house, job.id))
    await apply(house, file(physics=None, vqe=None))
    assert (await house.pipeline.me(MIA)).projects == {}


async def _ended(house: House, job: str) -> bool:
    return (await house.store.read(lambda view: view.job(job))).state == "completed"


async def test_running_grants_keep_their_home(house: House) -> None:
    """A project or an organisation with a grant that has not ended is not removed."""
    funded = FILE["projects"]["vqe"] | {"grants": [{"id": "dfg", "credits": 10, "end": "2999-01-01"}]}
    await apply(house, file(vqe=funded))
    found = (await house.pipeline.tenancy.plan(ROOT, file(vqe=None))).problems
    assert [(one.key, one.code) for one in found] == [("projects.vqe", "tenants.grant")]
    await apply(house, file(vqe=funded | {"grants": [{"id": "dfg", "credits": 10, "end": "2020-01-01"}]}))
    await apply(house, file(vqe=None))


async def test_another_replica_sees_it(house: House) -> None:
    """A second service on the same database has the new tenants within a few seconds, and after a restart."""
    second = Pipeline(house.settings, house.store, house.directory)
    await second.tenancy.refresh()
    await apply(house, file())
    assert (await second.me(MIA)).projects == {}
    await second.tenancy.refresh()
    assert (await second.me(MIA)).projects == {"physics": "user"}
    await house.close()
    await house.open()
    assert (await house.pipeline.me(MIA)).projects == {"physics": "user"}


async def test_the_record_names_no_person(house: House) -> None:
    """The event of an apply says what changed, not what the values are: an owner is a person."""
    await apply(house, file())
    events = await house.store.read(lambda view: [one for one in view.events(0) if one.type == "tenants.applied"])

    async def numbered() -> Any:
        return await house.store.read(lambda view: [one for one in view.events(0) if one.type == "tenants.applied"])

    events = await until(numbered)
    assert "lena" not in events[0].payload
    assert events[0].data["changes"][2]["name"] == "physics"


async def test_strangers_stay_strangers(house: House) -> None:
    """Somebody in no group of a new project has nothing of it."""
    await apply(house, file())
    for who in (EVE, LISE):
        assert "physics" not in (await house.pipeline.me(who)).projects


async def test_what_waits_in_a_project_that_is_gone_is_taken_back(settings: Settings) -> None:
    """Configuration without a project: its waiting jobs end with the reason and no hold; the service starts."""
    async with running(settings) as house, house.runner() as runner:
        runner.hold()
        jobs = [await house.pipeline.submit(LISE, request("fake_torino"), key=None, wait_s=0) for _ in range(3)]
        await until(lambda: runner.executed)
    left = {name: spec for name, spec in settings.projects.items() if name != "lab"}
    async with running(settings, projects=left) as house, house.runner():

        async def settled() -> bool:
            rows = await house.store.read(lambda view: [view.job(job.id) for job in jobs])
            return all(row.on_hold == 0 for row in rows)

        await house.pipeline._sweeping.once()
        await until(settled, 20)
