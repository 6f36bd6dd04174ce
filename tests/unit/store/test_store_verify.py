"""The proofs notice what a database cannot have come to by honest means."""

from __future__ import annotations

from sqlite3 import connect

import pytest

from jupyter_quantum.store import Store, verify

TAMPERS = {
    "a balance": ("balances", "UPDATE accounts SET used = used - 1 WHERE id LIKE 'credits/funds/%'"),
    "an entry that moves less": ("balances", "UPDATE entries SET amount = 1 WHERE kind = 'settle'"),
    "an entry that goes elsewhere": ("postings", "UPDATE entries SET to_part = 'available' WHERE kind = 'settle'"),
    "an entry into another account": (
        "postings",
        "UPDATE entries SET to_account = 'credits/funds/project:qcourse/always' WHERE account LIKE 'credits/user/%'",
    ),
    "money from nowhere": ("trial", 'UPDATE accounts SET "limit" = "limit" + 1 WHERE id LIKE \'credits/user/%\''),
    "a lost account": ("balances", "DELETE FROM accounts WHERE id LIKE 'credits/funds/%'"),
    "a lost entry": ("holds", "DELETE FROM entries WHERE kind = 'release' AND account LIKE 'credits/funds/%'"),
    "a hold of a final job": ("holds", "UPDATE jobs SET on_hold = 1 WHERE state = 'completed'"),
    "a queue without a hold": ("holds", "UPDATE jobs SET held = NULL WHERE state = 'queued'"),
    "a lost job": ("holds", "DELETE FROM jobs WHERE state = 'cancelled'"),
    "a second charge": (
        "charges",
        "INSERT INTO entries (kind, time, amount, account, part, to_account, to_part, job, attempt, actor)"
        " SELECT kind, time, amount, account, part, to_account, to_part, job, 2, actor FROM entries"
        " WHERE kind = 'settle'",
    ),
    "a charge beyond the hold": ("charges", "UPDATE entries SET amount = 1001 WHERE kind = 'settle'"),
    "a charge without an attempt": ("charges", "DELETE FROM attempts"),
    "a state without a move": ("moves", "UPDATE jobs SET state = 'failed' WHERE state = 'completed'"),
    "a lost event": ("moves", 'DELETE FROM events WHERE payload LIKE \'%"to":"scheduled"%\''),
    "events of no job": ("moves", "UPDATE events SET job = 'job_x' WHERE pos = 1"),
    "an impossible state": ("moves", "UPDATE events SET payload = replace(payload, 'queued', 'nonsense')"),
    "an unreadable text": ("moves", "UPDATE events SET payload = '[' WHERE job IS NOT NULL"),
    "a lost number": ("record", "DELETE FROM events WHERE seq = 3"),
    "a changed text": ("record", "UPDATE events SET payload = replace(payload, 'ppl_', 'ppx_') WHERE seq = 4"),
    "a changed text with its hash": (
        "record",
        "UPDATE events SET payload = '{\"data\":{}}', leaf = x'00' WHERE seq = 4",
    ),
    "a changed leaf": ("record", "UPDATE events SET leaf = x'00' WHERE seq = 2"),
    "two events in each other's place": ("record", "UPDATE events SET seq = CASE seq WHEN 2 THEN 102 ELSE seq END"),
    "a changed column": ("record", "UPDATE events SET project = 'lab' WHERE seq = 5"),
    "a changed moment": ("record", "UPDATE events SET time = time + 1 WHERE seq = 5"),
    "a changed edge": ("record", "UPDATE tree SET size = size - 1"),
    "a lost edge": ("record", "DELETE FROM tree"),
    "a changed node": ("record", "UPDATE nodes SET hash = x'00'"),
    "a lost node": ("record", "DELETE FROM nodes"),
    "a node too many": ("record", "INSERT INTO nodes (level, place, hash) VALUES (9, 9, x'00')"),
    "the last event": ("record", "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)"),
}


async def test_an_honest_life_has_no_violation(lived: Store) -> None:
    """Nothing is reported where nothing is wrong."""
    assert await lived.read(verify) == []


@pytest.mark.parametrize("tamper", TAMPERS)
async def test_tampering_is_found(lived: Store, tamper: str) -> None:
    """By the check that is there for it."""
    check, statement = TAMPERS[tamper]
    with connect(lived.path) as raw:
        assert raw.execute(statement).rowcount > 0
    raw.close()
    assert [found for found in await lived.read(verify) if found.startswith(check + ":")]
