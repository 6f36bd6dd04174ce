"""Results as Qiskit has them: what is missing raises, awkward registers keep their bits, mitigated values beside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jupyter_quantum.charts import wilson
from jupyter_quantum.client.intervals import intervals
from jupyter_quantum.client.results import array_of, check_whole, primitive_result, run_result
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.wire.results import Array, Bits, Experiment, Mitigated, PubResult, ResultView


def numbers(*values: float) -> Array:
    found = np.array(values, dtype="<f8")
    return Array(dtype="<f8", shape=list(found.shape), data=found.tobytes())


def bits(*shots: int) -> Bits:
    return Bits(num_bits=2, array=Array(dtype="|u1", shape=[len(shots), 1], data=bytes(shots)))


def sampled(*pubs: PubResult, **fields: Any) -> ResultView:
    return ResultView(kind=JobKind.SAMPLER, backend="x", pubs=list(pubs), seconds=0.0, **fields)


def ran(*experiments: Experiment) -> ResultView:
    return ResultView(kind=JobKind.RUN, backend="far", experiments=list(experiments), seconds=0.0)


def test_a_result_with_a_hole_raises_when_it_is_read_as_whole() -> None:
    """The error names the parts; what is there can be had, and a missing circuit says so instead of giving zeros."""
    view = ran(Experiment(name="a", shots=4, counts={"0x1": 4}), Experiment(name="b", shots=0, missing=True))
    with pytest.raises(JobFailed, match=r"far gave no result for 1 of 2 circuits: 1\.") as caught:
        check_whole(view, "job_1")
    assert (caught.value.code, caught.value.details["missing"]) == ("result.partial", [1])
    partial = run_result(view, "job_1")
    assert partial.get_counts(0) == {"1": 4}
    assert (partial.success, partial.results[1].success, partial.results[1].status) == (False, False, "MISSING")
    pub = sampled(PubResult(shape=[], registers={"m": bits(0, 3)}), PubResult(shape=[], missing=True))
    with pytest.raises(JobFailed, match="1 of 2 PUBs: 1"):
        check_whole(pub)
    found = primitive_result(pub)
    assert found[0].data.m.get_counts() == {"00": 1, "11": 1}
    assert (found[1].metadata["missing"], list(found[1].data)) == (True, [])
    assert [part.missing for part in intervals(pub)] == [False, True]
    check_whole(sampled(PubResult(shape=[])))


@pytest.mark.parametrize("name", ["keys", "values", "items", "shape", "ndim", "size", "_hidden"])
def test_a_register_that_databin_needs_itself_keeps_its_bits(name: str) -> None:
    """It has an underscore behind its name; the metadata say which one was renamed."""
    found = primitive_result(sampled(PubResult(shape=[], registers={name: bits(1, 1), "other": bits(0, 0)})))[0]
    now = found.metadata["renamed"][name]
    assert now == f"{name.strip('_')}_"
    assert found.data[now].get_counts() == {"01": 2}
    assert sorted(found.data.keys()) == sorted([now, "other"])


def test_a_new_name_is_not_one_that_is_taken() -> None:
    """A circuit may have both ``keys`` and ``keys_``."""
    found = primitive_result(sampled(PubResult(shape=[], registers={"keys": bits(1), "keys_": bits(2)})))[0]
    assert found.data["keys_"].get_counts() == {"10": 1}
    assert found.data[found.metadata["renamed"]["keys"]].get_counts() == {"01": 1}


def test_the_job_goes_with_its_result() -> None:
    """One id from the cell to the result."""
    assert primitive_result(sampled(), job_id="job_7").metadata["job_id"] == "job_7"
    assert run_result(ran(), "job_7").job_id == "job_7"


def test_intervals_are_wilsons_and_normal_ones() -> None:
    """Shares with Wilson's interval, values ± 1.96 standard errors, mitigated ones beside, quasi-probabilities too."""
    (part,) = intervals(ran(Experiment(name="a", shots=100, counts={"0x0": 90, "0x1": 10})))
    assert (part.values["0"].low, part.values["0"].high) == pytest.approx(wilson(0.9, 100))
    assert part.counts == {"0": 90, "1": 10}
    better = Mitigated(method="readout", evs=numbers(0.9, 0.2), stds=numbers(0.02, 0.02))
    pub = PubResult(shape=[2], evs=numbers(0.8, 0.1), stds=numbers(0.01, 0.01), mitigated=better)
    view = ResultView(kind=JobKind.ESTIMATOR, backend="x", pubs=[pub], seconds=0.0)
    (values,) = intervals(view)
    assert values.values["[0]"].low == pytest.approx(0.8 - 1.96 * 0.01, abs=1e-4)
    assert values.mitigated["[1]"].high == pytest.approx(0.2 + 1.96 * 0.02, abs=1e-4)
    assert "0.900 (0.861–0.939)" in repr(intervals(view))
    data = primitive_result(view)[0].data
    assert data.evs_mitigated.tolist() == [0.9, 0.2]
    quasi = Mitigated(method="readout", quasi=[{"0x0": 1.02, "0x3": -0.02}], overhead=[1.21])
    mitigated = PubResult(shape=[], registers={"m": bits(0, 0)}, mitigated=quasi, metadata={"shots": 100})
    raw, made = intervals(sampled(mitigated))
    assert raw.values["00"].value == 1
    assert made.mitigated["11"].low == pytest.approx(-0.02 - 1.96 * 0.11, abs=1e-3)
    assert "<table>" in intervals(sampled(mitigated))._repr_html_()


def test_numbers_come_back_as_they_were_sent() -> None:
    """Bit for bit, also those that JSON would round."""
    assert array_of(numbers(0.1 + 0.2, -0.0)).tobytes() == np.array([0.1 + 0.2, -0.0]).tobytes()
