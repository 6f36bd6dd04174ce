"""Artefacts of the first version, which were not sealed, stay readable, each for the tenants that refer to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import jupyter_quantum.store as package
from jupyter_quantum.exceptions import NotFound
from jupyter_quantum.store import Store
from jupyter_quantum.store import codec as c
from jupyter_quantum.store.artefacts import INLINE
from jupyter_quantum.store.tables import artefacts
from jupyter_quantum.testing.rows import a_job
from jupyter_quantum.wire.base import digest_of

SMALL, LARGE, LOST = b"small circuit", b"large circuit" * INLINE, b"circuit of a rejected job"


def _old(tmp_path: Path) -> Store:
    """A database of the first version: two projects that share artefacts, and a device."""
    store = Store(f"sqlite:///{tmp_path}/old.sqlite", artefacts=f"file://{tmp_path}/artefacts")
    config = Config()
    config.set_main_option("script_location", str(Path(package.__file__).parent / "migrations"))
    with store.engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "0001")
        conn.execute(
            sa.text("INSERT INTO blobs (digest, raw) VALUES (:digest, :raw)"),
            [{"digest": digest_of(raw), "raw": raw} for raw in (SMALL, b"target", b"nobody's")],
        )
        known = {column["name"] for column in sa.inspect(conn).get_columns("jobs")}
        for project, source in (("lab", SMALL), ("qcourse", SMALL), ("lab", LARGE), ("lab", LOST)):
            job = replace(a_job(), project=project, source=digest_of(source), idempotency=None)
            values: dict[str, Any] = {name: v for name, v in c.JOBS.encode(job).items() if name in known}
            names = ", ".join(values)
            conn.execute(sa.text(f"INSERT INTO jobs ({names}) VALUES ({', '.join(':' + n for n in values)})"), values)
        conn.execute(
            sa.text(
                "INSERT INTO devices (name, announcement, runner, seen, admitted, state, target) "
                "VALUES ('aer', '{}', 'r', 1, true, 'ready', :target)"
            ),
            {"target": digest_of(b"target")},
        )
    name = digest_of(LARGE).removeprefix("sha256:")
    path = tmp_path / "artefacts" / name[:2] / name[2:4] / name
    path.parent.mkdir(parents=True)
    path.write_bytes(LARGE)
    store.migrate()
    return store


@pytest.fixture
def old(tmp_path: Path) -> Any:
    """The old database, migrated."""
    store = _old(tmp_path)
    yield store
    store.close()


def get(store: Store, tenant: str, raw: bytes) -> bytes:
    """The artefact with these bytes."""
    return asyncio.run(store.artefacts.get(tenant, digest_of(raw)))


def test_old_artefacts_are_there_for_who_refers_to_them(old: Store) -> None:
    """Small and large, of projects and of devices; absent for the others, and what was never kept is absent."""
    for tenant, raw in (("lab", SMALL), ("qcourse", SMALL), ("lab", LARGE), ("service", b"target")):
        assert get(old, tenant, raw) == raw
    for tenant, raw in (("qcourse", LARGE), ("service", SMALL), ("lab", LOST), ("lab", b"nobody's")):
        with pytest.raises(NotFound):
            get(old, tenant, raw)


@pytest.mark.parametrize("raw", [SMALL, LARGE, LOST])
def test_keeping_old_bytes_again_seals_them(old: Store, raw: bytes) -> None:
    """The row of before is replaced by a sealed one, also where its bytes were never kept."""
    asyncio.run(old.artefacts.put("lab", raw))
    assert get(old, "lab", raw) == raw
    where = (artefacts.c.tenant == "lab") & (artefacts.c.digest == digest_of(raw))
    (key,) = asyncio.run(old.read(lambda view: list(view.query(sa.select(artefacts.c.key).where(where)))))
    assert key[0] is not None
