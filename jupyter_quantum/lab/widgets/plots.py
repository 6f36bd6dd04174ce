"""Counts of a dry run or of a result → the charts and the table that the widget shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jupyter_quantum import charts
from jupyter_quantum.wire.reports import DryRun
from jupyter_quantum.wire.results import Array, Bits, Experiment, PubResult, ResultView

__all__ = ["dry_run_plot", "estimates", "measured_counts", "result_plot"]

_WIDTHS = {"wide": 640, "narrow": 296}


def dry_run_plot(dry: DryRun | None) -> dict[str, Any] | None:
    """Ideal beside noisy; None where there is nothing to say, only a note where there are no counts."""
    if dry is None or not (dry.ideal or dry.noisy or dry.note):
        return None
    series = _predicted(dry)
    what = "Dry run of a Clifford stand-in" if dry.stand_in else "Dry run"
    return _plot(series, dry.note, f"{what}: ideal and noisy shares of each outcome")


def _predicted(dry: DryRun) -> list[charts.Series]:
    said = " (stand-in)" if dry.stand_in else ""
    return [
        charts.Series(f"ideal{said}", _plain(dry.ideal), "ideal"),
        charts.Series(f"noisy{said}", _plain(dry.noisy), "noisy"),
    ]


def _plain(shares: Mapping[str, float]) -> dict[str, float]:
    """Bit strings without the spaces that separate registers, so that all series share their labels."""
    return {label.replace(" ", ""): share for label, share in shares.items()}


def _plot(series: list[charts.Series], note: str | None, caption: str) -> dict[str, Any]:
    shown = [one for one in series if one.shares]
    if not shown:
        return {"note": note or "", "svg": {}, "heads": [], "rows": [], "caption": caption, "finding": ""}
    heads, rows = charts.counts_table(shown)
    return {
        "svg": {name: charts.counts_chart(shown, width=width) for name, width in _WIDTHS.items()},
        "heads": heads,
        "rows": rows,
        "caption": caption,
        "finding": charts.finding(shown),
        "note": note or "",
    }


def measured_counts(result: ResultView) -> dict[str, int]:
    """Counts of the first circuit (bit string → shots, highest bit first); empty where there are none."""
    if result.experiments:
        return _from_experiment(result.experiments[0])
    return _from_registers(result.pubs[0]) if result.pubs else {}


def _from_experiment(one: Experiment) -> dict[str, int]:
    width = one.header.get("memory_slots")
    numbers = {int(key, 16) if key.startswith("0x") else int(key.replace(" ", ""), 2): n for key, n in _counts(one)}
    digits = width if isinstance(width, int) and width > 0 else max((n.bit_length() for n in numbers), default=1) or 1
    return {format(value, f"0{digits}b"): n for value, n in numbers.items()}


def _counts(one: Experiment) -> list[tuple[str, int]]:
    return list((one.counts or {}).items())


def _from_registers(one: PubResult) -> dict[str, int]:
    """Shots of all registers side by side, the last register first, as Qiskit prints them."""
    columns = [_strings(bits) for bits in reversed(list(one.registers.values()))]
    counts: dict[str, int] = {}
    for shot in zip(*columns, strict=True) if columns else ():
        label = "".join(shot)
        counts[label] = counts.get(label, 0) + 1
    return counts


def _numbers(array: Array) -> np.ndarray[Any, Any]:
    return np.frombuffer(array.data, dtype=np.dtype(array.dtype)).reshape(array.shape)


def _strings(bits: Bits) -> list[str]:
    if bits.num_bits == 0:
        return []
    packed = _numbers(bits.array)
    rows = packed.reshape(-1, packed.shape[-1])
    return [format(int.from_bytes(row.tobytes(), "big"), f"0{bits.num_bits}b") for row in rows]


def result_plot(result: ResultView, dry: DryRun | None) -> dict[str, Any] | None:
    """What was measured, with its 95 % intervals, beside the dry run of the same device."""
    counts = measured_counts(result)
    shots = sum(counts.values())
    if not shots:
        return None
    measured = charts.Series("measured", {label: n / shots for label, n in counts.items()}, "measured", shots)
    # A stand-in's outcomes are its own: beside a result they would mislead.
    before = _predicted(dry) if dry is not None and not dry.stand_in else []
    return _plot(
        [*before, measured, *_mitigated(result)], None, "Result: share of each outcome, with its 95 % interval"
    )


def _mitigated(result: ResultView) -> list[charts.Series]:
    """Quasi-probabilities of a sampler's first PUB; those below 0 have no bar."""
    first = result.pubs[0] if result.pubs else None
    if first is None or first.mitigated is None or not first.mitigated.quasi:
        return []
    width = sum(bits.num_bits for bits in first.registers.values())
    shares = {f"{int(key, 16):0{width}b}": max(0.0, share) for key, share in first.mitigated.quasi[0].items()}
    return [charts.Series("mitigated", shares, "fourth")]


def estimates(result: ResultView) -> list[str]:
    """Expectation values of an estimator's first PUB: ``−1.137 ± 0.016 (95 %), mitigated −1.150 ± 0.040``."""
    if not result.pubs or result.pubs[0].evs is None:
        return []
    first, found = result.pubs[0], result.pubs[0].mitigated
    raw = _spread(first.evs, first.stds)
    better = [] if found is None else _spread(found.evs, found.stds)
    return [
        f"{one} (95 %)" + (f", mitigated {better[at]}" if at < len(better) else "")
        for at, one in enumerate(raw[: charts.TOP])
    ]


def _spread(evs: Array | None, stds: Array | None) -> list[str]:
    """Each value ± 1.96 standard errors, with a true minus."""
    if evs is None:
        return []
    values = np.atleast_1d(_numbers(evs)).ravel()
    errors = np.zeros_like(values) if stds is None else 1.959964 * np.atleast_1d(_numbers(stds)).ravel()
    return [f"{value:.3f} ± {error:.3f}".replace("-", "−") for value, error in zip(values, errors, strict=True)]
