"""A database of the first release keeps its money: balances, holds and charges are the same after the migration."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.store import Store, migrate
from jupyter_quantum.store.books import BOOKS
from jupyter_quantum.store.rows import JobRow

ADA = "ada@2026-05-12T09:00:00Z"
MONTH = f"user:{ADA}:qcourse:2026-05"
JOB = {
    "principal": ADA,
    "owner": "ada",
    "organisation": "campus",
    "project": "qcourse",
    "device": "fake_torino",
    "device_kind": "emulator",
    "device_label": "emulator",
    "kind": "run",
    "name": "bell",
    "created": 1,
    "changed": 1,
    "source": "sha256:0",
    "source_format": "qpy",
    "num_circuits": 1,
    "transpile": "auto",
    "pubs": "[]",
    "options": "{}",
    "attempts": 1,
    "version": 4,
    "submitted": 5,
}


def first_release(conn: Connection) -> None:
    """A job that was charged 3 of 10, and one that waits with 4 on hold; the month was 50 and is 20."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    command.upgrade(config, "0001")
    for account, scope, name, limit, period in (
        (MONTH, "user", "ada", 20, "2026-05"),
        ("project:qcourse", "project", "qcourse", 100, None),
    ):
        conn.execute(
            text(
                'INSERT INTO accounts (id, scope, name, project, "limit", used, held, period, resets)'
                " VALUES (:id, :scope, :name, 'qcourse', :limit, 3, 4, :period, NULL)"
            ),
            {"id": account, "scope": scope, "name": name, "limit": limit, "period": period},
        )
    both = json.dumps([MONTH, "project:qcourse"])
    for job, state, held, on_hold, cost in (("job_1", "completed", 10, 0, 3), ("job_2", "queued", 4, 4, None)):
        row = JOB | {"id": job, "state": state, "held": held, "on_hold": on_hold, "cost": cost, "accounts": both}
        names = ", ".join(row)
        conn.execute(text(f"INSERT INTO jobs ({names}) VALUES ({', '.join(f':{n}' for n in row)})"), row)
    conn.execute(
        text(
            "INSERT INTO attempts (tag, job, number, state, runner, fence, created, lease_until, charged, usage, cost)"
            " VALUES ('job_1-1', 'job_1', 1, 'completed', 'run_1', 1, 1, 1, :yes, 1.0, 3)"
        ),
        {"yes": True},
    )
    for account, grants in ((MONTH, (50, -30)), ("project:qcourse", (100,))):
        entries = [("grant", None, 0, granted, 0, 0) for granted in grants]
        entries += [("hold", "job_1", 0, 0, 0, 10), ("settle", "job_1", 1, 0, 3, -3), ("release", "job_1", 0, 0, 0, -7)]
        entries += [("hold", "job_2", 0, 0, 0, 4), ("settle", "job_2", 1, 0, 0, 0)]
        for kind, job, attempt, granted, used, held in entries:
            conn.execute(
                text(
                    "INSERT INTO entries (account, kind, time, job, attempt, granted, used, held, actor)"
                    " VALUES (:account, :kind, 1, :job, :attempt, :granted, :used, :held, 'service')"
                ),
                {"account": account, "kind": kind, "job": job, "attempt": attempt, "granted": granted, "used": used}
                | {"held": held},
            )


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without a table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.sqlite"
    url: str = request.getfixturevalue("postgres").empty()
    return url


def test_money_survives(empty: str, tmp_path: Path) -> None:
    """The books are right, the job that waits may still be cancelled, and nobody's name is in an account's id."""
    store = Store(empty, artefacts=f"file://{tmp_path}/artefacts")
    with store.engine.begin() as conn:
        first_release(conn)
    store.migrate()

    async def look() -> None:
        found = await store.read(lambda view: [said for check in BOOKS.values() for said in check(view)])
        assert found == []
        accounts = await store.read(lambda view: view.accounts())
        pseudonym = await store.read(lambda view: view.pseudonym(ADA))
        assert [row.id for row in accounts] == [
            "credits/funds/project:qcourse/always",
            f"credits/user/{pseudonym}/project:qcourse/any/month/2026-05",
        ]
        assert [(row.limit, row.used, row.held, row.organisation) for row in accounts] == [
            (100, 3, 4, "campus"),
            (20, 3, 4, "campus"),
        ]

        cancel: Callable[..., JobRow] = lambda tx: tx.release("job_2")  # noqa: E731
        job = await store.write(cancel)
        assert (job.state, job.on_hold, set(json.loads(job.accounts).values())) == (JobState.QUEUED, 0, {0})
        assert [row.held for row in await store.read(lambda view: view.accounts())] == [0, 0]

    asyncio.run(look())
    store.close()
