"""The house rules that neither the linter nor the import contracts can see."""

import ast
import re
import statistics
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import kvtui

ROOT = Path(kvtui.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
MOST_LINES = 400
# modules whose functions run in threads: what they know reaches the state by messages alone
OF_WORKERS = ("tui/work/live.py", "tui/work/planning.py", "tui/work/pairs.py", "tui/server/jobs.py", "tui/server/attached.py")


def assigned(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Attributes that a module gives a value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node


def test_no_module_is_longer_than_a_person_reads_at_once() -> None:
    lines = {m.relative_to(ROOT).as_posix(): len(m.read_text("utf-8").splitlines()) for m in MODULES}
    assert {m: n for m, n in lines.items() if n >= MOST_LINES} == {}
    assert statistics.median(lines.values()) < 100


def test_no_module_rebinds_names_of_its_own() -> None:
    found = [m.name for m in MODULES if any(isinstance(n, ast.Global) for n in ast.walk(ast.parse(m.read_text("utf-8"))))]
    assert found == []


def test_only_the_app_itself_changes_its_state() -> None:
    """Panes, keys and workers say what they want by a method or a message; nobody reaches into `app.state`."""
    for module in (ROOT / "tui").rglob("*.py"):
        tree = ast.parse(module.read_text("utf-8"))
        for target in assigned(tree):
            if target.attr == "state":
                assert isinstance(target.value, ast.Name), f"{module}:{target.lineno}"
                assert target.value.id == "self", f"{module}:{target.lineno}"
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "become":
                assert isinstance(node.func.value, ast.Name), f"{module}:{node.lineno}"
                assert node.func.value.id == "self", f"{module}:{node.lineno}"


def test_what_runs_in_threads_knows_no_state() -> None:
    for name in OF_WORKERS:
        tree = ast.parse((ROOT / name).read_text("utf-8"))
        used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert "become" not in used, name
        assert not any(isinstance(n, ast.Name) and n.id in ("app", "desk") for n in ast.walk(tree)), name


def test_every_file_of_data_says_how_it_is_made_again() -> None:
    repository = Path(__file__).parents[2]
    text = (repository / "docs/data.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    there = [p for folder in ("tests/data", "kvtui/data") for p in (repository / folder).iterdir()]
    files = [p.relative_to(repository).as_posix() for p in there if p.is_file() and p.suffix not in (".md", ".py")]
    assert len(files) > 20
    assert [name for name in files if not any(fnmatch(name, pattern) for pattern in named)] == []
    scripts = set(re.findall(r"tests/data/make/\w+\.py", text))
    assert len(scripts) > 3
    assert [path for path in scripts if not (repository / path).is_file()] == []
