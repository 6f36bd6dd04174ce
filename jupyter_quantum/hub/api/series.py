"""Benchmark series: how devices do, for everybody who sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import File, Query, Route
from jupyter_quantum.wire.series import Leaderboards, RunSeries, SeriesList, SeriesRunView, SeriesView

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_DEVICE: Final = Query("device", {"type": "string"}, "Only of this device.")


async def series(api: Api) -> SeriesList:
    """Series with their runs."""
    return await api.pipeline.series.all(api.who, api.get_query_argument("device", None))


async def one_series(api: Api, id: str) -> SeriesView:  # noqa: A002
    """One series."""
    return await api.pipeline.series.one(api.who, id)


async def series_csv(api: Api) -> File:
    """Every figure as CSV."""
    return File(await api.pipeline.series.csv(api.who, api.get_query_argument("device", None)), "series.csv")


async def leaderboards(api: Api) -> Leaderboards:
    """Devices by their latest run."""
    return await api.pipeline.series.leaderboards(api.who)


async def run_series(api: Api) -> SeriesRunView:
    """Run the set on a device now."""
    return await api.pipeline.series.run(api.who, api.body(RunSeries).device)


_S: Final = "api/v1/series"

ROUTES: Final = (
    Route(
        "GET",
        _S,
        Scope.READ,
        "Benchmark series with their runs, the newest first; figures of each series' latest run",
        SeriesList,
        series,
        query=(_DEVICE,),
    ),
    Route("GET", f"{_S}/{{id}}", Scope.READ, "One series with every figure", SeriesView, one_series, errors=(404,)),
    Route(
        "GET",
        f"{_S}.csv",
        Scope.READ,
        "Every figure of every run as CSV",
        None,
        series_csv,
        query=(_DEVICE,),
        media="text/csv",
    ),
    Route("GET", "api/v1/leaderboards", Scope.READ, "Devices by their latest run", Leaderboards, leaderboards),
    Route(
        "POST",
        _S,
        Scope.OPERATE,
        "Run the benchmarks on a device now; their own budget pays",
        SeriesRunView,
        run_series,
        body=RunSeries,
        errors=(404, 409),
    ),
)
"""Routes about benchmark series."""
