"""Benchmark series and their runs, and how estimates turned out."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Table, UniqueConstraint

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["scores", "series", "series_runs"]


def _number(name: str) -> Column[float]:
    return Column(name, Float, nullable=True)


series = Table(
    "series",
    metadata,
    text("id", primary_key=True),
    text("key"),
    text("device"),
    text("name"),
    text("circuits"),
    text("options"),
    text("calibration"),
    integer("calibrated", null=True),
    text("compiler"),
    integer("created"),
    UniqueConstraint("key"),
    Index(None, "device", "id"),
)

series_runs = Table(
    "series_runs",
    metadata,
    text("id", primary_key=True),
    text("device"),
    text("circuits"),
    text("options"),
    integer("created"),
    text("state"),
    text("job", null=True),
    text("series", ForeignKey("series.id"), null=True),
    integer("ended", null=True),
    text("figures"),
    _number("score"),
    text("code", null=True),
    Index(None, "device", "id"),
    Index(None, "series", "id"),
    Index(None, "state"),
)

scores = Table(
    "scores",
    metadata,
    text("job", ForeignKey("jobs.id"), primary_key=True),
    text("device"),
    integer("created"),
    _number("success"),
    _number("success_low"),
    _number("success_high"),
    _number("agreement"),
    Column("known", Boolean, nullable=True),
    _number("seconds"),
    _number("seconds_low"),
    _number("seconds_high"),
    _number("took"),
    integer("price", null=True),
    integer("price_at_most", null=True),
    integer("cost", null=True),
    _number("wait"),
    _number("wait_high"),
    _number("waited"),
    Index(None, "device", "created"),
)
