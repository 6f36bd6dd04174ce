"""The statistics of replays: honest repeats, drift, other distributions; what is identical, sparse, of other shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from jupyter_quantum.client.compare import LEVEL, compare
from jupyter_quantum.client.results import counts_of
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.wire.results import Array, Bits, Experiment, PubResult, ResultView

IDEAL = [0.5, 0, 0, 0.5]
NOISY = [0.47, 0.03, 0.03, 0.47]


def run(*counts: Any, **fields: Any) -> ResultView:
    """A result of backend.run with these counts, a sequence or a mapping for each circuit."""
    given = [one if isinstance(one, dict) else {hex(i): int(n) for i, n in enumerate(one) if n} for one in counts]
    ran = [Experiment(name="c", shots=sum(one.values()), counts=one) for one in given]
    return ResultView(kind=JobKind.RUN, backend="x", experiments=ran, seconds=0.0, **fields)


def drawn(rng: np.random.Generator, shares: Any, shots: int = 1000) -> list[int]:
    return [int(n) for n in rng.multinomial(shots, shares)]


def estimated(evs: Any, stds: Any, precision: float = 0.0) -> ResultView:
    """A result of an estimator with one PUB."""

    def array(values: Any) -> Array:
        found = np.asarray(values, dtype="<f8")
        return Array(dtype="<f8", shape=list(found.shape), data=found.tobytes())

    pub = PubResult(
        shape=list(np.shape(evs)), evs=array(evs), stds=array(stds), metadata={"target_precision": precision}
    )
    return ResultView(kind=JobKind.ESTIMATOR, backend="x", pubs=[pub], seconds=0.0)


def sampled(bits: bytes, name: str = "meas") -> ResultView:
    """A result of a sampler with one PUB of one register of two bits."""
    found = Bits(num_bits=2, array=Array(dtype="|u1", shape=[len(bits), 1], data=bits))
    return ResultView(
        kind=JobKind.SAMPLER, backend="x", pubs=[PubResult(shape=[], registers={name: found})], seconds=0.0
    )


def test_the_same_bits_are_identical_whatever_else_differs() -> None:
    """Times, metadata and names do not count; one exchanged shot of a memory does."""
    one, other = run([500, 0, 0, 500]), run([500, 0, 0, 500], metadata={"time": 3})
    verdict = compare(one, other, success=(1.0, 1.0))
    assert (verdict.verdict, verdict.identical, verdict.words) == ("same", True, "Same: identical, bit for bit.")
    assert compare(sampled(b"\0\3"), sampled(b"\0\3"), success=(None, None)).identical
    swapped = compare(sampled(b"\0\3" * 50), sampled(b"\3\0" * 50), success=(1.0, 1.0))
    assert (swapped.verdict, swapped.identical) == ("same", False)


def test_the_g_test_is_scipys() -> None:
    """Without rare outcomes the statistic is the likelihood ratio of scipy, made smaller by Williams' correction."""
    one, other = [480, 30, 35, 455], [520, 20, 25, 435]
    (check,) = compare(run(one), run(other), success=(0.9, 0.9)).checks
    plain = chi2_contingency(np.array([one, other]), lambda_="log-likelihood", correction=False)
    assert check.test == "G-test"
    assert 0.99 < check.statistic / plain.statistic < 1
    assert check.p == pytest.approx(plain.pvalue, rel=0.05)
    assert check.distance == pytest.approx(0.04)


@pytest.mark.parametrize("shares", [IDEAL, NOISY, [1.0], [0.999, 0.001], np.full(64, 1 / 64), np.full(4096, 1 / 4096)])
def test_honest_repeats_are_called_the_same(shares: Any) -> None:
    """Over 300 pairs (60 of those that are permuted) no more than the level says are taken for something else.

    Allowed are as many as a true rate of 1 % is over in one case of 10 000.
    """
    rng, pairs = np.random.default_rng(5), 60 if min(shares) < 0.001 or shares[0] > 0.99 else 300
    wrong = 0
    for _ in range(pairs):
        one, other = run(drawn(rng, shares)), run(drawn(rng, shares))
        wrong += compare(one, other, success=(0.9, 0.9)).verdict != "same"
    assert wrong <= LEVEL * pairs + 3.7 * math.sqrt(LEVEL * pairs) + 1


def test_many_circuits_are_corrected_for() -> None:
    """50 circuits at once are no more often called something else than one."""
    rng, wrong = np.random.default_rng(6), 0
    for _ in range(60):
        one, other = (run(*(drawn(rng, NOISY) for _ in range(50))) for _ in range(2))
        wrong += compare(one, other, success=(0.9, 0.9)).verdict != "same"
    assert wrong <= 5


def test_what_the_calibration_explains_is_drift_and_more_is_different() -> None:
    """A tenth more errors within 0.2 is drift; another distribution is different; a simulator does not drift."""
    rng = np.random.default_rng(7)
    before, after = run(drawn(rng, NOISY, 8000)), run(drawn(rng, [0.42, 0.08, 0.08, 0.42], 8000))
    drifted = compare(before, after, success=(0.9, 0.8))
    assert drifted.verdict == "drifted"
    assert "G-test, p < 0.0001" in drifted.words
    assert "explain up to 0.2" in drifted.words
    other = compare(before, run(drawn(rng, [0.03, 0.47, 0.47, 0.03], 8000)), success=(0.9, 0.8))
    assert other.verdict == "different"
    assert compare(before, after, success=(1.0, 1.0)).verdict == "different"
    unknown = compare(before, after, success=(0.9, None))
    assert unknown.verdict == "different"
    assert "no calibration says" in unknown.words
    assert compare(before, after, success=(0.9, 0.8), same_work=False).verdict == "different"


def test_only_rare_outcomes_are_permuted() -> None:
    """Where every outcome is rare, shots are exchanged; disjoint sets of outcomes are found all the same."""
    one, other = run({hex(i): 1 for i in range(300)}), run({hex(i): 1 for i in range(1000, 1300)})
    (check,) = compare(one, one.model_copy(update={"experiments": other.experiments}), success=(0.5, 0.5)).checks
    assert check.p > 0  # each shot is its own outcome: nothing can be said of single ones
    few = run({"0x0": 4, "0x1": 2}), run({"0x0": 2, "0x1": 4})
    (check,) = compare(*few, success=(0.5, 0.5)).checks
    assert check.test in ("permutation test (G)", "G-test")
    assert check.p > 0.1


def test_expectation_values_are_compared_by_their_errors() -> None:
    """Within errors the same, beyond them drifted as far as two times the error times the norm, then different."""
    norms = [np.array(1.0)]
    near = compare(estimated(0.90, 0.01), estimated(0.92, 0.01), success=(0.9, 0.9), norms=norms)
    assert (near.verdict, near.checks[0].test) == ("same", "z-test")
    assert near.checks[0].p == pytest.approx(math.erfc(0.02 / math.hypot(0.01, 0.01) / math.sqrt(2)))
    off = compare(estimated(0.90, 0.01), estimated(0.80, 0.01), success=(0.9, 0.9), norms=norms)
    assert (off.verdict, off.checks[0].explained) == ("drifted", pytest.approx(0.2))
    far = compare(estimated(0.90, 0.01), estimated(0.20, 0.01), success=(0.9, 0.9), norms=norms)
    assert far.verdict == "different"
    assert compare(estimated(0.9, 0.01), estimated(0.8, 0.01), success=(0.9, 0.9)).verdict == "different"


def test_an_error_of_zero_is_not_believed() -> None:
    """1000 shots that all agree still leave room for one that does not."""
    norms = [np.array(1.0)]
    pair = estimated(1.0, 0.0, 0.03), estimated(0.998, 0.002, 0.03)
    assert compare(*pair, success=(0.9, 0.9), norms=norms).verdict == "same"


def test_results_of_other_shapes_are_not_compared() -> None:
    """Another register, another number of circuits, a missing part: an error that says so."""
    for one, other in (
        (sampled(b"\0"), sampled(b"\0", "other")),
        (run([1]), run([1], [1])),
        (run([1]), sampled(b"\0")),
    ):
        with pytest.raises(Conflict) as caught:
            compare(one, other, success=(1.0, 1.0))
        assert caught.value.code == "compare.shape"
    hole = ResultView(
        kind=JobKind.RUN, backend="x", experiments=[Experiment(name="c", shots=0, missing=True)], seconds=0.0
    )
    with pytest.raises(Conflict) as caught:
        compare(run([1]), hole, success=(1.0, 1.0))
    assert caught.value.code == "compare.missing"


def test_counts_of_every_kind() -> None:
    """Counts of a run, of its memory where there are none, and of a sampler's registers together."""
    memory = Experiment(name="c", shots=2, memory=["0x1", "0x1"])
    view = ResultView(kind=JobKind.RUN, backend="x", experiments=[memory], seconds=0.0)
    assert list(counts_of(view)) == [("circuit 0", {"0x1": 2})]
    assert list(counts_of(sampled(b"\0\3\3"))) == [("PUB 0", {"00": 1, "03": 2})]


def test_the_verdict_is_shown_with_its_test() -> None:
    """Text and HTML name part, test, corrected p, distance."""
    rng = np.random.default_rng(8)
    verdict = compare(run(drawn(rng, NOISY), [5]), run(drawn(rng, IDEAL), [5]), success=(0.9, 0.9))
    assert "circuit 0" in repr(verdict)
    assert "<table>" in verdict._repr_html_()
    assert verdict.deciding == verdict.checks[0]
