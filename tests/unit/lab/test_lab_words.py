"""Lab writes numbers as Python does: one format in Lab, hub, command line and representations."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from jupyter_quantum.core import words

EXTENSION = Path(__file__).resolve().parents[3] / "labextension"
MICRO = [None, 0, 1, 9_999, 10_000, 10_001, 420_000, 6_100_001, 12_404_999, 1_234_567_890_000]
SECONDS = [None, 0, 0.4, 1, 44.6, 59.4, 59.7, 60, 89, 3570, 3600, 4800, 86_399, 86_400, 183_600]
COUNTS = [1, 27, 999, 1000, 10_000, 1_234_567]

PROGRAM = """
const words = require(process.argv[1]);
const { micro, seconds, counts } = JSON.parse(process.argv[2]);
console.log(JSON.stringify({
  price: micro.map(words.price), left: micro.map(words.left),
  seconds: seconds.map(words.seconds), plural: counts.map(value => words.plural(value, "run")),
}));
"""


def _compiled(folder: Path) -> Path:
    compiler = EXTENSION / "node_modules" / "typescript" / "bin" / "tsc"
    options = ["--module", "commonjs", "--target", "es2021", "--outDir", str(folder)]
    subprocess.run([_node(), compiler, EXTENSION / "src" / "words.ts", *options], check=True, cwd=folder)
    return folder / "words.js"


def _node() -> str:
    found = shutil.which("node")
    assert found, "node builds the Lab extension; make install brings it"
    return found


def test_numbers_read_the_same_in_both_languages(tmp_path: Path) -> None:
    """Prices, what is left, durations and counts, with their roundings and thin spaces."""
    given = json.dumps({"micro": MICRO, "seconds": SECONDS, "counts": COUNTS})
    said = subprocess.run(
        [_node(), "-e", PROGRAM, str(_compiled(tmp_path)), given], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(said.stdout)
    assert found["price"] == [words.price(value) for value in MICRO]
    assert found["left"] == [words.left(value) for value in MICRO]
    assert found["seconds"] == [words.seconds(value) for value in SECONDS]
    assert found["plural"] == [words.plural(value, "run") for value in COUNTS]
