"""Results of every kind become counts or expectation values, as Qiskit would print them."""

from __future__ import annotations

import numpy as np
from qiskit.primitives import BitArray

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.lab.widgets import plots
from jupyter_quantum.wire.reports import DryRun
from jupyter_quantum.wire.results import Array, Bits, Experiment, Mitigated, PubResult, ResultView


def run(counts: dict[str, int], **header: object) -> ResultView:
    ran = Experiment(name="bell", shots=sum(counts.values()), counts=counts, header=dict(header))
    return ResultView(kind=JobKind.RUN, backend="aer", experiments=[ran], seconds=0.1)


def packed_bits(bits: BitArray) -> Bits:
    array = Array(dtype="|u1", shape=list(bits.array.shape), data=bits.array.tobytes())
    return Bits(num_bits=bits.num_bits, array=array)


def number(value: float) -> Array:
    return Array(dtype="<f8", shape=[], data=np.float64(value).tobytes())


def test_hexadecimal_counts_get_all_their_bits() -> None:
    """The width is the circuit's, also where the high bits were never 1."""
    assert plots.measured_counts(run({"0x0": 3, "0x2": 1}, memory_slots=4)) == {"0000": 3, "0010": 1}
    assert plots.measured_counts(run({"0x0": 3, "0x2": 1})) == {"00": 3, "10": 1}


def test_registers_are_read_as_qiskit_reads_them() -> None:
    """A sampler's shots, two registers, nine bits: the same counts as Qiskit's ``BitArray``."""
    generator = np.random.default_rng(7)
    drawn = {"a": BitArray.from_samples(generator.integers(0, 512, 200).tolist(), 9)}
    drawn["b"] = BitArray.from_samples(generator.integers(0, 2, 200).tolist(), 1)
    packed = {
        name: Bits(
            num_bits=bits.num_bits, array=Array(dtype="|u1", shape=list(bits.array.shape), data=bits.array.tobytes())
        )
        for name, bits in drawn.items()
    }
    result = ResultView(kind=JobKind.SAMPLER, backend="aer", pubs=[PubResult(shape=[], registers=packed)], seconds=0.1)
    both = [b + a for a, b in zip(drawn["a"].get_bitstrings(), drawn["b"].get_bitstrings(), strict=True)]
    assert plots.measured_counts(result) == {label: both.count(label) for label in both}


def test_estimates_have_their_error() -> None:
    """Expectation values with their 95 % interval and a true minus; mitigated ones beside them."""
    values = {
        name: Array(dtype="<f8", shape=[], data=np.float64(v).tobytes())
        for name, v in (("evs", -1.137), ("stds", 0.008))
    }
    result = ResultView(kind=JobKind.ESTIMATOR, backend="aer", pubs=[PubResult(shape=[], **values)], seconds=0.1)
    assert plots.estimates(result) == ["−1.137 ± 0.016 (95 %)"]
    assert plots.result_plot(result, None) is None
    better = Mitigated(method="readout", evs=number(-1.15), stds=number(0.02))
    beside = result.pubs[0].model_copy(update={"mitigated": better})
    assert plots.estimates(result.model_copy(update={"pubs": [beside]})) == [
        "−1.137 ± 0.016 (95 %), mitigated −1.150 ± 0.039"
    ]


def test_quasi_probabilities_stand_beside_what_was_measured() -> None:
    """A series of its own, without an interval; what is below 0 has no bar."""
    bits = packed_bits(BitArray.from_samples([0, 3, 3, 3], 2))
    found = Mitigated(method="readout", quasi=[{"0x0": 0.2, "0x3": 0.85, "0x1": -0.05}], overhead=[1.2])
    pub = PubResult(shape=[], registers={"meas": bits}, mitigated=found)
    plot = plots.result_plot(ResultView(kind=JobKind.SAMPLER, backend="x", pubs=[pub], seconds=0.1), None)
    assert plot is not None
    assert plot["heads"][-1] == "mitigated"
    assert [row[0] for row in plot["rows"]] == ["00", "11"]


def test_result_stands_beside_its_dry_run() -> None:
    """Series share their labels, though the dry run writes spaces between registers."""
    dry = DryRun(device="fake_torino", shots=100, ideal={"0 0": 1.0}, noisy={"0 0": 0.9, "0 1": 0.1})
    plot = plots.result_plot(run({"0x0": 9, "0x1": 1}, memory_slots=2), dry)
    assert plot is not None
    assert plot["heads"] == ["outcome", "ideal", "noisy", "measured (95 %)"]
    assert [row[0] for row in plot["rows"]] == ["00", "01"]
