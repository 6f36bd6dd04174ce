"""The tables. Portable between SQLite and PostgreSQL: integers, texts, bytes; times are microseconds since 1970 in UTC.

Column names are the fields of the rows (:mod:`jupyter_quantum.store.rows`). ``migrations/`` brings a database here; a
test compares the two.
"""

from jupyter_quantum.store.tables.admissions import admissions
from jupyter_quantum.store.tables.audit import checkpoints, cursors, nodes, tree
from jupyter_quantum.store.tables.base import metadata
from jupyter_quantum.store.tables.data import keys
from jupyter_quantum.store.tables.door import answers, buckets, dead_letters, webhooks
from jupyter_quantum.store.tables.events import events
from jupyter_quantum.store.tables.exports import exports
from jupyter_quantum.store.tables.jobs import approvals, attempts, devices, jobs, reports
from jupyter_quantum.store.tables.keep import artefacts, leases, trash
from jupyter_quantum.store.tables.ledger import accounts, entries, loans, prices, raises
from jupyter_quantum.store.tables.people import people
from jupyter_quantum.store.tables.policy import decisions, envelope_uses, envelopes
from jupyter_quantum.store.tables.requests import requests
from jupyter_quantum.store.tables.series import scores, series, series_runs
from jupyter_quantum.store.tables.sessions import sessions
from jupyter_quantum.store.tables.tenancy import declared, memberships, revisions, seen_tokens, workloads

__all__ = [
    "accounts",
    "admissions",
    "answers",
    "approvals",
    "artefacts",
    "attempts",
    "buckets",
    "checkpoints",
    "cursors",
    "dead_letters",
    "decisions",
    "declared",
    "devices",
    "entries",
    "envelope_uses",
    "envelopes",
    "events",
    "exports",
    "jobs",
    "keys",
    "leases",
    "loans",
    "memberships",
    "metadata",
    "nodes",
    "people",
    "prices",
    "raises",
    "reports",
    "requests",
    "revisions",
    "scores",
    "seen_tokens",
    "series",
    "series_runs",
    "sessions",
    "trash",
    "tree",
    "webhooks",
    "workloads",
]
