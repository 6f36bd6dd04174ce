"""The ledger from Python and the command line; the proof of the sums of a database without a service."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from jupyter_quantum import Hub
from jupyter_quantum.client import ledger_commands
from jupyter_quantum.client.ledger import AccountTable, EntryTable
from jupyter_quantum.store import Store
from jupyter_quantum.testing.rows import queue
from jupyter_quantum.wire.ledger import AccountView, EntryView

ROW = {
    "group": {"project": "qcourse"},
    "cost": 841_000,
    "entries": 2,
    "jobs": 3,
    "completed": 2,
    "validated": 1,
    "shots": 2000,
    "seconds": 3.5,
    "queue_minutes": 1.5,
    "cost_per_queue_minute": 560_667,
    "cost_per_completed": 420_500,
    "cost_per_validated": 841_000,
}
USAGE = {"by": ["project"], "since": None, "until": None, "rows": [ROW], "total": ROW | {"group": {}}}
LOAN = {
    "id": "lon_1",
    "grant": "eu",
    "from_project": "qcourse",
    "to_project": "lab",
    "amount": 1_500_000,
    "recalled": 0,
    "created": "2026-05-12T09:00:00Z",
}
PRICES = {
    "prices": [
        {
            "device": "campus_qpu",
            "since": None,
            "in_force": True,
            "per_task": 96_000,
            "per_shot": 6000,
            "per_second": 8000,
            "per_queue_minute": 0,
            "queue_minutes": 60,
        }
    ]
}
BOOKS = {"ok": False, "violations": ["balances: out"], "accounts": 1, "entries": 2, "jobs": 3, "units": {}}
ANSWERS = {
    ("GET", "usage"): USAGE,
    ("POST", "loans"): LOAN,
    ("POST", "loans/lon_1/recall"): LOAN | {"recalled": 500_000},
    ("GET", "prices"): PRICES,
    ("POST", "prices"): PRICES,
    ("GET", "verify"): BOOKS,
    ("GET", "accounts"): {"accounts": []},
    ("GET", "grants"): {"grants": []},
    ("GET", "entries"): {"entries": []},
    ("GET", "charges"): {"entries": [], "amount": 841_000, "count": 2},
}


class Handler(BaseHTTPRequestHandler):
    """Answers as the service would, and remembers what was asked."""

    asked: ClassVar[list[tuple[str, str, Any]]] = []

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """Any GET."""
        self._serve("GET")

    def do_POST(self) -> None:
        """Any POST."""
        self._serve("POST")

    def _serve(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("/ledger/")[2].partition("?")
        self.asked.append((method, f"{path}?{query}" if query else path, json.loads(raw or b"{}")))
        text = b"project,cost\r\n" if path == "usage.csv" else json.dumps(ANSWERS[method, path]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/csv" if path == "usage.csv" else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The stand-in's address, also where a command looks for it."""
    Handler.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/services/quantum"
    monkeypatch.setenv("JUPYTER_QUANTUM_URL", address)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
    yield address
    server.shutdown()
    server.server_close()


def test_figures_from_python(url: str) -> None:
    """By groups and filters; a table in words; and the entries that they are made of."""
    ledger = Hub(url, "t").ledger
    shown = ledger.usage("project", "user", since=datetime(2026, 5, 1, tzinfo=UTC), device="aer")
    assert "qcourse" in repr(shown)
    assert "0.85" in repr(shown)  # rounded up, as costs are
    assert "<table" in shown._repr_html_()
    assert Handler.asked[0][1] == "usage?by=project%2Cuser&since=2026-05-01T00%3A00%3A00%2B00%3A00&device=aer"
    assert ledger.charges(project="qcourse").amount == 841_000
    assert ledger.usage_csv("project") == b"project,cost\r\n"


def test_loans_and_prices_from_python(url: str) -> None:
    """Credits become micro-credits; answers speak."""
    ledger = Hub(url, "t").ledger
    assert "qcourse lent 1.50 credits to lab" in repr(ledger.lend("eu", 1.5, from_project="qcourse", to_project="lab"))
    assert Handler.asked[-1][2]["amount"] == 1_500_000
    assert repr(ledger.recall("lon_1")).endswith("0.50 came back")
    when = datetime(2030, 1, 1, tzinfo=UTC)
    assert "campus_qpu" in repr(ledger.set_prices("campus_qpu", when, per_shot="0.006", per_queue_minute=0.5))
    assert Handler.asked[-1][2] == {
        "device": "campus_qpu",
        "since": "2030-01-01T00:00:00Z",
        "per_shot": 6000,
        "per_queue_minute": 500_000,
    }


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["usage", "--by", "project", "--since", "2026-05-01"], 0, "qcourse"),
        (["usage", "--csv"], 0, "project,cost"),
        (["usage", "--json"], 0, '"cost": 841000'),
        (["accounts"], 0, "No accounts yet."),
        (["grants"], 0, "No grants."),
        (["entries", "--job", "job_1"], 0, "No entries."),
        (["lend", "eu", "1.5", "--from", "qcourse", "--to", "lab"], 0, "lon_1"),
        (["recall", "lon_1"], 0, "0.50 came back"),
        (["prices"], 0, "campus_qpu"),
        (["prices", "--device", "aer"], 2, ""),
        (["verify"], 1, "balances: out"),
    ],
)
def test_commands(url: str, words: list[str], code: int, said: str) -> None:
    """Each speaks in words or JSON, and leaves with its exit code."""
    answer = CliRunner().invoke(ledger_commands.app, words)
    assert (answer.exit_code, said in answer.stdout) == (code, True), answer.output


def test_an_amount_that_is_none_is_said(url: str) -> None:
    """Words and an exit code, no stack trace; nothing is sent."""
    for words in (
        ["lend", "eu", "much", "--from", "qcourse", "--to", "lab"],
        ["prices", "--device", "aer", "--since", "2026-05-12", "--per-shot", "NaN"],
    ):
        answer = CliRunner().invoke(ledger_commands.app, words)
        assert (answer.exit_code, "is not an amount of credits" in answer.stderr) == (1, True), answer.output
    assert Handler.asked == []


def test_an_entry_says_what_moved_in_one_column() -> None:
    """Long names come last; the moment is UTC."""
    when = datetime(2026, 5, 12, 9, tzinfo=UTC)
    one = {"id": 4, "time": when, "kind": "hold", "amount": 421_000, "part": "available", "to_part": "held"}
    told = EntryView.model_construct(**one, account="credits/a", to_account="credits/a", job="job_1", ref=None)
    shown = repr(EntryTable.model_construct(entries=[told])).splitlines()[1]
    moved = "4 2026-05-12T09:00:00Z hold 0.43 available → held job_1 credits/a"
    assert " ".join(shown.split()) == moved


def test_what_is_used_is_rounded_up_and_what_is_left_down() -> None:
    """0.421 used shows as 0.43, as the job's cost does; what is left is never shown too high."""
    sums = {"limit": 1_000_000, "used": 421_000, "held": 1000, "available": 578_000}
    told = {"id": "credits/user/ppl_1", "unit": "credits", "purpose": "user", "project": None, "owner": "ppl_1"}
    shown = repr(AccountTable.model_construct(accounts=[AccountView.model_construct(**told, **sums)]))
    assert shown.splitlines()[1].split()[1:] == ["1.00", "0.43", "<0.01", "0.57"]


def test_the_books_of_a_database_without_a_service(tmp_path: Path) -> None:
    """Right as it was written; wrong once a balance was changed; words where there is no database."""
    store = Store(f"sqlite:///{tmp_path}/store.sqlite", artefacts=f"file://{tmp_path}/artefacts")
    store.migrate()
    asyncio.run(store.write(lambda tx: queue(tx, 1000)))
    address = f"sqlite:///{tmp_path}/store.sqlite"
    answer = CliRunner().invoke(ledger_commands.app, ["verify", "--db", address])
    assert (answer.exit_code, answer.stdout) == (0, "✓ The books are right: 2 accounts, 4 entries, 1 job.\n")
    with store.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE accounts SET held = 1")
    store.close()
    answer = CliRunner().invoke(ledger_commands.app, ["verify", "--db", address, "--json"])
    assert answer.exit_code == 1
    assert json.loads(answer.stdout)["ok"] is False
    for wrong in (f"sqlite:///{tmp_path}/none.sqlite", "nothing"):
        answer = CliRunner().invoke(ledger_commands.app, ["verify", "--db", wrong])
        assert answer.exit_code == 3
        assert "could not be read" in answer.stderr
        assert "Traceback" not in answer.stderr
    assert not (tmp_path / "none.sqlite").exists()
