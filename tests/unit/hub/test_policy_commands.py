"""``jupyter quantum policy check|test`` on directories: the shipped one passes, each kind of mistake is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jupyter_quantum.hub.policy_commands import check_files, run_tests

SHIPPED = Path(__file__).parents[3] / "hub_config" / "policies"
app = typer.Typer()
app.command("check")(check_files)
app.command("test")(run_tests)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the shipped files that a test may spoil."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "policies"))


def run(*words: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.output


def test_the_shipped_policies_pass_their_checks_and_tests() -> None:
    """No error; every policy decides in some case; each case passes."""
    code, said = run("check", str(SHIPPED), "--json")
    found = json.loads(said)
    assert (code, found["passed"]) == (0, True)
    assert [one for one in found["findings"] if one["policy"]] == []
    code, said = run("test", "--json")
    found = json.loads(said)
    assert (code, found["failed"], found["total"] >= 20) == (0, 0, True)


MISTAKES = {
    "syntax": ("permit (", "policies:"),
    "two of one id": ('@id("regions") permit (principal, action == Action::"submit", resource);', "two policies have"),
    "role": (
        '@id("x") @approval("dean") forbid (principal, action == Action::"submit", resource);',
        'nobody can hold the role in @approval("dean")',
    ),
    "no tier": (
        '@id("x") permit (principal, action == Action::"submit", resource) when { context.tier == "gold" };',
        "x: this permit can never apply",
    ),
    "nothing between": (
        '@id("x") permit (principal, action == Action::"submit", resource) '
        "when { context.shots > 100 && context.shots < 100 };",
        "x: this permit can never apply",
    ),
    "no hour": (
        '@id("x") forbid (principal, action == Action::"submit", resource) when { context.hour > 23 };',
        "x: this forbid can never apply",
    ),
    "words": (
        '@id("x") @words("{shot}") forbid (principal, action == Action::"submit", resource);',
        "@words names shot, which is no fact",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_named_and_fails(directory: Path, case: str) -> None:
    """The policy and what is wrong with it; exit code 1."""
    text, words = MISTAKES[case]
    (directory / "90-new.cedar").write_text(text)
    code, said = run("check", str(directory))
    assert (code, words in said) == (1, True), said


def test_a_policy_without_a_test_is_a_warning(directory: Path) -> None:
    """It passes, unless warnings shall fail."""
    (directory / "90-new.cedar").write_text(
        '@id("x") forbid (principal, action == Action::"submit", resource) when { context.data_class == "secret" };'
    )
    code, said = run("check", str(directory))
    assert (code, "▲ x: no test has this policy decide" in said) == (0, True)
    assert run("check", str(directory), "--strict")[0] == 1


CASES = {
    "passes": ("effect: allow", 0, "1 of 1 cases passed"),
    "effect": ("effect: refuse", 1, "effect: expected 'refuse', got 'allow'"),
    "policies": ("{effect: allow, policies: [regions]}", 1, "policies: expected ['regions']"),
    "unknown key": ("{effect: allow, word: no}", 1, "word"),
}


@pytest.mark.parametrize("case", CASES)
def test_cases_say_what_came_instead(directory: Path, case: str) -> None:
    """Expected and got, for whatever differs; a file that is none is an error."""
    expect, code, words = CASES[case]
    expect = expect if expect.startswith("{") else f"{{{expect}}}"
    shutil.rmtree(directory / "tests")
    (directory / "tests").mkdir()
    (directory / "tests" / "one.yaml").write_text(f"cases:\n  - name: a case\n    expect: {expect}\n")
    assert run("test", str(directory))[0] == code
    done = CliRunner().invoke(app, ["test", str(directory)])
    assert words in done.output


def test_unknown_facts_and_no_cases_fail(directory: Path) -> None:
    """A fact that the schema does not know is not ignored; a directory without a case has not been tested."""
    shutil.rmtree(directory / "tests")
    assert run("test", str(directory))[0] == 1
    (directory / "tests").mkdir()
    (directory / "tests" / "one.yaml").write_text(
        "cases:\n  - name: a case\n    facts: {shot: 1}\n    expect: {effect: allow}\n"
    )
    code, said = run("test", str(directory))
    assert (code, "there is no fact shot" in said) == (1, True)
