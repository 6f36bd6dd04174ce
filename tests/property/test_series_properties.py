"""Properties of series' keys, of the agreement of counts, and of how scores add up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jupyter_quantum.charts import wilson
from jupyter_quantum.core.scores import Scored, summary
from jupyter_quantum.core.series import COMPILER, Conditions, agreement

TEXT = st.text(max_size=8)
OPTIONS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(0, 10**6) | TEXT, max_size=4)
COMPILERS = st.fixed_dictionaries(
    {}, optional={name: st.none() | st.integers(0, 9) | TEXT for name in (*COMPILER, "layout", "circuits")}
)
CONDITIONS = st.builds(Conditions, TEXT, TEXT, OPTIONS, TEXT, COMPILERS)
COUNTS = st.dictionaries(st.integers(0, 15), st.integers(0, 1000), min_size=1, max_size=16)
SHARE = st.floats(0, 1, allow_subnormal=False)


def counts_for(one: Conditions) -> tuple[Any, ...]:
    """Everything that makes a series, as a value."""
    return (one.device, one.circuits, sorted(one.options.items(), key=str), one.calibration, one.compiled)


@given(CONDITIONS, CONDITIONS)
def test_keys_are_equal_just_where_the_conditions_are(one: Conditions, other: Conditions) -> None:
    """Device, circuits, options, calibration, compiler: any difference is another series, nothing else is."""
    same = repr(counts_for(one)) == repr(counts_for(other))
    assert (one.key == other.key) == same


@given(CONDITIONS, TEXT)
def test_each_part_of_the_conditions_counts(one: Conditions, word: str) -> None:
    """Changing one part alone changes the key; a layout that the compiler found does not."""
    for part in ("device", "circuits", "calibration"):
        if getattr(one, part) != word:
            assert replace(one, **{part: word}).key != one.key
    for name in COMPILER:
        if one.compiler.get(name) != word:
            assert replace(one, compiler={**one.compiler, name: word}).key != one.key
    assert replace(one, compiler={**one.compiler, "layout": word}).key == one.key
    assert replace(one, options={**one.options, "shots": -1}).key != one.key


@given(CONDITIONS)
def test_the_order_of_options_does_not_count(one: Conditions) -> None:
    """Mappings are the same in any order."""
    turned = dict(reversed(list(one.options.items())))
    assert replace(one, options=turned).key == one.key


@given(COUNTS)
def test_counts_agree_fully_with_themselves(counts: dict[int, int]) -> None:
    """And with nothing where they share no outcome."""
    total = sum(counts.values())
    assume(total > 0)
    shares = {outcome: count / total for outcome, count in counts.items()}
    assert agreement(counts, shares) == pytest.approx(1.0)
    assert agreement(counts, {outcome + 16: share for outcome, share in shares.items()}) == 0.0


@given(COUNTS, st.integers(0, 15))
def test_of_a_known_string_the_agreement_is_its_share(counts: dict[int, int], known: int) -> None:
    """So success of mirror circuits and fidelity to a distribution are one measure."""
    total = sum(counts.values())
    assume(total > 0)
    found = agreement(counts, {known: 1.0})
    assert found == pytest.approx(counts.get(known, 0) / total)
    low, high = wilson(found, total)
    assert 0 <= low <= found + 1e-12
    assert found - 1e-12 <= high <= 1


@pytest.mark.parametrize("counts", [{}, {1: 0}, {1: -1, 2: 5}])
def test_what_is_no_counts_is_refused(counts: dict[int, int]) -> None:
    """Nothing is made up of an empty or an impossible result."""
    with pytest.raises(ValueError, match="no counts"):
        agreement(counts, {1: 1.0})


POINTS = st.lists(
    st.builds(lambda v, a, b, x: Scored(v, v - a, v + b, x), *[st.floats(0, 1e6, allow_subnormal=False)] * 4),
    max_size=30,
)


@given(POINTS, st.booleans())
def test_scores_add_up(points: list[Scored], relative: bool) -> None:
    """Coverage is the share inside; the error is reached by half of the runs; order does not matter."""
    kept = [one for one in points if one.value > 0 or not relative]
    found = summary(points, relative=relative)
    if not kept:
        assert found is None
        return
    assert found is not None
    assert found == summary(reversed(points), relative=relative)
    assert found.runs == len(kept)
    assert found.covered * found.runs == pytest.approx(sum(one.inside for one in kept))
    errors = [abs(one.actual - one.value) / (one.value if relative else 1) for one in kept]
    assert 2 * sum(error <= found.error for error in errors) >= len(kept)
    assert 2 * sum(error >= found.error for error in errors) >= len(kept)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_perfect_estimate_is_inside_and_off_by_nothing(value: float, high: float) -> None:
    """Also where the range has no lower end."""
    found = summary([Scored(value, None, value + high, value)])
    assert found is not None
    assert (found.covered, found.error) == (1.0, 0.0)
