"""tenants.yaml as a file: what is wrong is named with its line; a plan reads as one expects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jupyter_quantum.client import admin, tenancy_commands
from jupyter_quantum.client.tenancy import PlanCard
from jupyter_quantum.client.tenants_file import read_tenants
from jupyter_quantum.exceptions import InputError
from jupyter_quantum.wire.tenancy import Change, FieldChange, Problem

GOOD = """\
organisations:
  campus:
    weight: 2
    terms: [{name: W26, start: 2026-10-01, end: 2027-04-01}]
projects:
  vqe:
    organisation: campus
    tier: pilot
    owner: grace
    roles:
      user: [students]
      lead: [staff]
    grants: [{id: g1, credits: 12.5, start: "2026-10-01T08:00:00+02:00"}]
    quotas: [{scope: user, limit: 3600, unit: qpu_seconds, window: term}]
    identities:
      - issuer: https://ci.example.org
        audience: quantum
        subject: "repo:lab/vqe:*"
    retention: {inputs: 30}
    export: {targets: [zenodo], review: null}
"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "tenants.yaml"
    path.write_text(text)
    return str(path)


def test_a_good_file(tmp_path: Path) -> None:
    """Days become moments in UTC, credits stay exact, lines are known."""
    told = read_tenants(written(tmp_path, GOOD))
    vqe = told.tenants.projects["vqe"]
    assert told.tenants.organisations["campus"].terms[0].start.isoformat() == "2026-10-01T00:00:00+00:00"
    assert (str(vqe.grants[0].credits), vqe.export.review, vqe.tier.value) == ("12.5", None, "pilot")
    assert told.where("projects.vqe.tier").endswith("tenants.yaml:8")
    assert told.where("projects.vqe.identities.0.issuer").endswith(":16")
    assert told.where("projects.vqe.export.nothing").endswith(":20")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("tier: pilot", "tier: gold"), "yaml:8: projects.vqe.tier"),
        (GOOD.replace("owner: grace", "ownr: grace"), "yaml:9: projects.vqe.ownr"),
        (GOOD.replace("weight: 2", "weight: 0"), "yaml:3: organisations.campus.weight"),
        (GOOD.replace('"repo:lab/vqe:*"', '"*"'), "yaml:16: projects.vqe.identities.0"),
        (GOOD.replace("12.5", "-1"), "yaml:13: projects.vqe.grants.0.credits"),
        (GOOD.replace("end: 2027-04-01", "end: 2026-01-01"), "yaml:4: organisations.campus.terms.0"),
        (GOOD + "  vqe: {organisation: campus}\n", "yaml:21: projects.vqe is there twice"),
        ("projects: [", "yaml:1: this is not YAML"),
        ("- a\n", "the file"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    """File, line and key of each mistake."""
    with pytest.raises(InputError) as error:
        read_tenants(written(tmp_path, text))
    assert error.value.code == "tenants.file"
    assert said in str(error.value), error.value


def test_a_file_that_is_not_there() -> None:
    """Its name and the reason."""
    with pytest.raises(InputError) as error:
        read_tenants("/nowhere/tenants.yaml")
    assert error.value.code == "file.unreadable"


PLAN = PlanCard(
    version=3,
    digest="sha256:" + "0" * 64,
    changes=[
        Change(action="add", kind="organisation", name="campus"),
        Change(
            action="change",
            kind="project",
            name="vqe",
            fields=[FieldChange(field="tier", before="sandbox", after="pilot")],
        ),
        Change(action="remove", kind="project", name="old\x1b"),
    ],
    problems=[],
)


def test_a_plan_reads_as_one_expects() -> None:
    """Signs, fields, counts; names colour no terminal."""
    assert repr(PLAN).splitlines() == [
        "+ organisation campus",
        "~ project vqe",
        "    tier: sandbox → pilot",
        "− project old�",
        "Plan: 1 to add, 1 to change, 1 to remove.",
    ]
    assert "Nothing to change" in repr(PLAN.model_copy(update={"changes": []}))


def test_a_plan_speaks_as_the_file_does() -> None:
    """Lists of parts get a line each; whole numbers, days and words look as one wrote them."""
    grant = {"id": "eu", "credits": "200", "start": "2026-10-01T00:00:00Z", "end": None, "lendable": True}
    fields = [
        FieldChange(field="grants", before=None, after=[grant]),
        FieldChange(field="retention", before=None, after={"inputs": 90.0}),
        FieldChange(field="roles", before={"user": ["a"]}, after={"user": ["a", "b"]}),
    ]
    change = Change(action="change", kind="project", name="vqe", fields=fields)
    assert repr(PLAN.model_copy(update={"changes": [change]})).splitlines()[1:-1] == [
        "    grants:",
        "      - { id: eu, credits: 200, start: 2026-10-01, lendable: true }",
        "    retention: { inputs: 90 }",
        "    roles: { user: [a] } → { user: [a, b] }",
    ]


class _Tenancy:
    """The service's side of the command."""

    def __init__(self, plan: PlanCard) -> None:
        self.plan_, self.applied = plan, []

    def plan(self, _: Any) -> PlanCard:
        return self.plan_

    def apply(self, _: Any, *, version: int) -> PlanCard:
        self.applied.append(version)
        return self.plan_.model_copy(update={"version": version + 1})


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`admin apply` of the good file against a plan."""

    def run(plan: PlanCard, *words: str) -> tuple[Any, _Tenancy]:
        from jupyter_quantum.client import hub

        tenancy = _Tenancy(plan)
        monkeypatch.setattr(hub, "Hub", lambda: type("H", (), {"tenancy": tenancy})())
        return CliRunner().invoke(admin.app, ["apply", written(tmp_path, GOOD), *words]), tenancy

    assert tenancy_commands.apply
    return run


def test_apply_asks_first(command: Any) -> None:
    """Without --yes and without a person nothing is applied; --plan applies nothing; --yes applies the version seen."""
    done, tenancy = command(PLAN)
    assert (done.exit_code, tenancy.applied) == (1, [])
    done, tenancy = command(PLAN, "--plan")
    assert (done.exit_code, tenancy.applied, "~ project vqe" in done.stdout) == (0, [], True)
    done, tenancy = command(PLAN, "--yes")
    assert (done.exit_code, tenancy.applied) == (0, [3])
    assert "version 4" in done.stderr
    done, tenancy = command(PLAN, "--yes", "--json")
    assert (json.loads(done.stdout)["applied"], json.loads(done.stdout)["version"]) == (True, 4)


def test_apply_with_nothing_to_do_or_something_wrong(command: Any) -> None:
    """Nothing to do is fine; what is wrong is said with its line, and nothing is applied."""
    done, tenancy = command(PLAN.model_copy(update={"changes": []}), "--yes")
    assert (done.exit_code, tenancy.applied) == (0, [])
    wrong = Problem(key="projects.vqe.parent", code="tenants.parent", message="There is no project x.", hint="Add it.")
    done, tenancy = command(PLAN.model_copy(update={"problems": [wrong]}), "--yes")
    assert (done.exit_code, tenancy.applied) == (1, [])
    assert "tenants.yaml:6: projects.vqe.parent: There is no project x. Add it." in done.stderr


def test_the_file_that_administrators_copy() -> None:
    """hub_config/tenants.yaml is read, and says what its comments say."""
    told = read_tenants(Path(__file__).parents[3] / "hub_config/tenants.yaml").tenants
    assert told.projects["qlab"].parent == "physics"
    assert told.projects["physics"].onboarding
