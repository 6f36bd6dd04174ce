"""``jupyter quantum audit`` and ``admin forget``: what happens before the service is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jupyter_quantum.client import admin
from jupyter_quantum.client.moments import days, moment
from jupyter_quantum.client.terminal import writing
from jupyter_quantum.exceptions import InputError


@pytest.mark.parametrize("options", [["--json"], []])
def test_nobody_is_forgotten_without_a_yes(options: list[str]) -> None:
    """Where nobody can be asked, --yes has to be said, with --json too; the service hears nothing."""
    done = CliRunner().invoke(admin.app, ["forget", "ada", *options])
    assert (done.exit_code, "forget.confirm" in done.output) == (1, True), done.output


def test_moments_as_one_types_them() -> None:
    """A day, a moment with its zone, or so long ago."""
    assert moment(None) is None
    assert moment("2026-05-12") == datetime(2026, 5, 12, tzinfo=UTC)
    assert moment("2026-05-12T09:00+02:00") == datetime(2026, 5, 12, 7, tzinfo=UTC)
    ago = moment("2w")
    assert ago is not None
    assert timedelta(days=14) <= datetime.now(UTC) - ago < timedelta(days=14, minutes=1)
    assert days("12h") == 0.5
    for wrong in ("yesterday", "7 d", "99999999999d"):
        with pytest.raises(InputError, match="is not a moment"):
            moment(wrong)


def test_a_file_that_cannot_be_written_is_said_and_half_of_one_is_not_left(tmp_path: Path) -> None:
    """The reason in words; what failed on its way leaves no file that looks whole."""
    with pytest.raises(InputError, match="cannot be written: No such file"), writing(tmp_path / "none" / "x"):
        pass
    with pytest.raises(InputError, match="away"), writing(tmp_path / "x"):
        raise InputError("away")
    assert list(tmp_path.iterdir()) == []
