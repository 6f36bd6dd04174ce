"""The shape of the code: no import cycle, public names documented, light imports stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "jupyter_quantum"


def test_no_import_cycle() -> None:
    """No module imports itself through others."""
    graph = grimp.build_graph("jupyter_quantum")
    for module in sorted(graph.modules):
        for imported in graph.find_modules_directly_imported_by(module):
            back = graph.find_shortest_chain(imported, module)
            assert back is None, f"cycle: {module} → {' → '.join(back)}"


def test_public_names_have_docstrings() -> None:
    """Every module, and every public class and function of one, says what it is for."""
    bare = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if "labextension" in path.parts or "node_modules" in path.parts:
            continue
        tree = ast.parse(path.read_text())
        if tree.body and not ast.get_docstring(tree):
            bare.append(str(path.relative_to(ROOT)))
        bare += [
            f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            for node in tree.body
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
            and not _is_plain_shape(node)
        ]
    assert not bare, "\n".join(bare)


def _is_plain_shape(node: ast.AST) -> bool:
    """A list wrapper such as ``class Jobs(Answer)`` needs no words beyond its fields."""
    return isinstance(node, ast.ClassDef) and all(isinstance(line, ast.AnnAssign) for line in node.body)


def test_configure_needs_only_the_standard_library() -> None:
    """The hub's process imports ``jupyter_quantum.hub`` without any of our dependencies."""
    code = (
        "import sys; import jupyter_quantum.hub;"
        "heavy = {'sqlalchemy', 'tornado', 'qiskit', 'pydantic', 'cedarpy', 'traitlets', 'numpy'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr


def test_no_path_of_one_machine_is_committed() -> None:
    """Nothing tracked names a directory of somebody's machine."""
    found = subprocess.run(
        ["git", "grep", "-nE", r"(^|[^[:alnum:]_.])/(work|home|root)/[[:alnum:]._]"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert not found.stdout, found.stdout
