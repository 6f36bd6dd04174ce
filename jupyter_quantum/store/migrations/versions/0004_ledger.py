"""Double entry, grants and quotas.

Entries of before said by how much each changed an account's limit, used and held; they become movements between parts.
The accounts' ids are new: a person appears in them by a pseudonym.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_people = sa.table(
    "people", sa.column("pseudonym", sa.Text), sa.column("principal", sa.Text), sa.column("created", sa.BigInteger)
)
_jobs = sa.table(
    "jobs",
    sa.column("id", sa.Text),
    sa.column("accounts", sa.Text),
    sa.column("on_hold", sa.BigInteger),
    sa.column("state", sa.Text),
    sa.column("submitted", sa.BigInteger),
    sa.column("queued", sa.BigInteger),
    sa.column("organisation", sa.Text),
    sa.column("project", sa.Text),
)


def upgrade() -> None:
    """To this version."""
    conn = op.get_bind()
    accounts = conn.execute(sa.text("SELECT * FROM accounts")).mappings().all()
    entries = conn.execute(sa.text("SELECT * FROM entries ORDER BY id")).mappings().all()
    op.drop_table("entries")
    op.drop_table("accounts")
    made = _tables()
    for name, kind in (
        ("queued", sa.BigInteger),
        ("not_before", sa.BigInteger),
        ("prices", sa.Text),
        ("token", sa.Text),
    ):
        op.add_column("jobs", sa.Column(name, kind(), nullable=True))
    names = _Names(conn)
    found = conn.execute(sa.select(_jobs.c.project, _jobs.c.organisation).distinct())
    organisations = {row.project: row.organisation for row in found}
    ids = {row["id"]: _account_id(row, names) for row in accounts}
    for row in accounts:
        conn.execute(sa.insert(made["accounts"]).values(**_account(row, ids, organisations)))
    for row in entries:
        for values in _postings(row, ids):
            conn.execute(sa.insert(made["entries"]).values(**values))
    _move_jobs(conn, ids)


def _account_id(row: Any, names: _Names) -> str:
    project = quote(f"project:{row['project']}", safe=" @:+,()")
    if row["scope"] == "project":
        return f"credits/funds/{project}/always"
    principal = row["id"].removeprefix("user:").removesuffix(f":{row['project']}:{row['period']}")
    return f"credits/user/{names.of(principal)}/{project}/any/month/{row['period']}"


def _account(row: Any, ids: dict[str, str], organisations: dict[str, str]) -> dict[str, Any]:
    new = ids[row["id"]]
    user = row["scope"] == "user"
    return {
        **{name: row[name] for name in ("scope", "project", "limit", "used", "held", "period", "resets")},
        "id": new,
        "name": new.split("/")[2] if user else row["name"],
        "organisation": organisations.get(row["project"], ""),
        "unit": "credits",
        "purpose": "quota" if user else "funds",
        "declared": row["limit"],
    }


def _postings(row: Any, ids: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The movements that an entry of before was; one of nothing is none."""
    amounts = {
        "grant": (row["granted"], "source", "available"),
        "hold": (row["held"], "available", "held"),
        "settle": (row["used"], "held", "used"),
        "release": (-row["held"], "held", "available"),
    }
    amount, part, to_part = amounts[row["kind"]]
    if amount < 0:
        amount, part, to_part = -amount, to_part, part
    if amount:
        account = ids[row["account"]]
        same = {name: row[name] for name in ("kind", "time", "job", "attempt", "actor")}
        yield same | {"amount": amount, "account": account, "part": part, "to_account": account, "to_part": to_part}


def _move_jobs(conn: Any, ids: dict[str, str]) -> None:
    """``accounts`` says from now on how much is on hold in each."""
    for job in conn.execute(sa.select(_jobs.c.id, _jobs.c.accounts, _jobs.c.on_hold, _jobs.c.submitted)).all():
        held = {ids[account]: job.on_hold for account in json.loads(job.accounts)}
        values = {"accounts": json.dumps(held), "queued": job.submitted}
        conn.execute(sa.update(_jobs).where(_jobs.c.id == job.id).values(**values))


class _Names:
    """Pseudonyms of principals, made where there is none yet."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self._known: dict[str, str] = {
            row.principal: row.pseudonym for row in conn.execute(sa.select(_people.c.principal, _people.c.pseudonym))
        }

    def of(self, principal: str) -> str:
        """As ``Tx.named``."""
        if principal not in self._known:
            self._known[principal] = f"ppl_{uuid.uuid4().hex}"
            values = {"pseudonym": self._known[principal], "principal": principal, "created": time.time_ns() // 1_000}
            self._conn.execute(sa.insert(_people).values(**values))
        return self._known[principal]


def _tables() -> dict[str, sa.Table]:
    made = {}
    made["accounts"] = op.create_table(
        "accounts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("limit", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.Text(), nullable=True),
        sa.Column("resets", sa.BigInteger(), nullable=True),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("device_kind", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("soft", sa.BigInteger(), nullable=True),
        sa.Column("starts", sa.BigInteger(), nullable=True),
        sa.Column("declared", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("held >= 0", name=op.f("ck_accounts_held")),
        sa.CheckConstraint("used >= 0", name=op.f("ck_accounts_used")),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_index("ix_accounts_project", "accounts", ["project"], unique=False)
    op.create_index("ix_accounts_purpose_resets", "accounts", ["purpose", "resets"], unique=False)
    made["entries"] = op.create_table(
        "entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("to_account", sa.Text(), nullable=False),
        sa.Column("to_part", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_entries_amount")),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_entries_account"),
        sa.ForeignKeyConstraint(["to_account"], ["accounts.id"], name="fk_entries_to_account"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_entries_job"),
        sa.PrimaryKeyConstraint("id", name="pk_entries"),
        sa.UniqueConstraint("job", "kind", "attempt", "account", name="uq_entries_job_kind_attempt_account"),
    )
    for column in ("time", "account", "to_account"):
        op.create_index(f"ix_entries_{column}", "entries", [column], unique=False)
    op.create_table(
        "loans",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("lender", sa.Text(), nullable=False),
        sa.Column("borrower", sa.Text(), nullable=False),
        sa.Column("from_project", sa.Text(), nullable=False),
        sa.Column("to_project", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("recalled", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=True),
        sa.Column("closed", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("recalled <= amount", name=op.f("ck_loans_recalled")),
        sa.ForeignKeyConstraint(["lender"], ["accounts.id"], name="fk_loans_lender"),
        sa.ForeignKeyConstraint(["borrower"], ["accounts.id"], name="fk_loans_borrower"),
        sa.PrimaryKeyConstraint("id", name="pk_loans"),
    )
    op.create_index("ix_loans_lender", "loans", ["lender"], unique=False)
    op.create_index("ix_loans_to_project", "loans", ["to_project"], unique=False)
    op.create_table(
        "raises",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("quota", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("starts", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_raises_amount")),
        sa.PrimaryKeyConstraint("id", name="pk_raises"),
    )
    op.create_index("ix_raises_quota", "raises", ["quota"], unique=False)
    op.create_table(
        "prices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("prices", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prices"),
        sa.UniqueConstraint("device", "since", name="uq_prices_device_since"),
    )
    return made
