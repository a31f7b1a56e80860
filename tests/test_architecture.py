"""The walls of the house, kept by reading the source. Nothing here runs the package."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "memos_integrations"
FILES = sorted(PACKAGE.rglob("*.py"))

DOORS = {"langchain", "langgraph", "llama_index", "cli"}
MAY_KNOW = {
    "core": {"core"},
    "vaults": {"core", "vaults"},
    "backends": {"core", "backends"},
    "testing": {"core", "testing"},
    "memos": {"core", "vaults", "backends"},
    "pseudonyms": {"core", "memos"},
    "face": {"core", "vaults", "backends", "memos"},
}
GUESTS_OF_CORE = {"pydantic", "numpy", "orjson"}
WORDS_TO_AVOID = {
    "manager", "helper", "helpers", "handler", "util", "utils", "common", "misc", "base", "general", "simple", "impl",
    "data", "info", "process", "types", "schemas", "config", "settings", "factory", "registry",
}  # fmt: skip
LOADERS_OF_CODE = {
    "eval", "exec", "compile", "pickle.load", "pickle.loads", "torch.load", "yaml.load", "joblib.load", "dill.load",
    "dill.loads", "marshal.loads", "shelve.open", "os.system", "os.popen",
}  # fmt: skip


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {module(path) for path in FILES}


def room(name: str) -> str:
    """The part of the house that a module stands in; the package itself is its face."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "face"


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Dotted names that a file imports, wherever in it, with their lines."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports relatively; write the whole name"
            yield from ((f"{node.module}.{name.name}", node.lineno) for name in node.names)


def own_imports(path: Path) -> Iterator[tuple[str, int]]:
    """The modules of this package that a file imports, with their lines."""
    for name, line in imports(path):
        parts = name.split(".")
        known = [stem for n in range(len(parts), 0, -1) if (stem := ".".join(parts[:n])) in NAMES]
        if known:
            yield known[0], line


def nodes(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[str, ast.AST]]:
    """Every node of a kind in the package, with its place."""
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, kind):
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node


def test_there_is_a_house_to_look_at() -> None:
    assert {"memos_integrations.core.cube", "memos_integrations.memos"} <= NAMES
    assert {room(name) for name in NAMES} <= MAY_KNOW.keys() | DOORS


def test_a_room_knows_only_the_floors_below_it() -> None:
    everything, wrong = {"core", "vaults", "backends", "memos", "face"}, []
    for path in FILES:
        mine = room(module(path))
        allowed = MAY_KNOW.get(mine, everything | (DOORS if mine == "cli" else {mine}))
        wrong += [f"{path}:{line} imports {name}" for name, line in own_imports(path) if room(name) not in allowed]
    assert not wrong


def test_the_core_has_few_guests() -> None:
    import sys

    welcome, wrong = sys.stdlib_module_names | GUESTS_OF_CORE | {"memos_integrations"}, []
    for path in FILES:
        if room(module(path)) == "core":
            guests = [(name, line) for name, line in imports(path) if name.partition(".")[0] not in welcome]
            wrong += [f"{path}:{line} imports {name}" for name, line in guests]
            wrong += [f"{path}:{line} speaks SQL" for name, line in imports(path) if name.startswith("sqlite3")]
    assert not wrong


def test_no_import_goes_round_in_a_ring() -> None:
    graph = {module(path): {name for name, _ in own_imports(path)} - {module(path)} for path in FILES}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the ring


def test_the_command_line_opens_the_other_doors_only_when_asked() -> None:
    early = [
        f"{path}:{node.lineno}"
        for path in FILES
        if room(module(path)) == "cli"
        for node in tree(path).body
        if isinstance(node, ast.ImportFrom) and node.module and room(node.module) in DOORS - {"cli"}
    ]
    assert not early


def test_names_say_what_a_thing_is() -> None:
    wrong = [module(path) for path in FILES if path.stem in WORDS_TO_AVOID or path.parent.name in WORDS_TO_AVOID]
    for place, node in nodes(ast.ClassDef):
        assert isinstance(node, ast.ClassDef)
        words = {word.lower() for word in re.findall(r"[A-Z][a-z]+", node.name)}
        wrong += [f"{place} {node.name}" for word in words & WORDS_TO_AVOID]
    assert not wrong


def test_files_and_functions_can_be_read_in_one_go() -> None:
    long = [f"{module(p)}: {n} lines" for p in FILES if (n := len(p.read_text("utf-8").splitlines())) > 350]
    for place, node in nodes((ast.FunctionDef, ast.AsyncFunctionDef)):
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        length = (node.end_lineno or 0) - node.lineno + 1
        long += [f"{place} {node.name}: {length} lines"] if length > 60 else []
    assert not long


def test_no_error_is_swallowed_unseen() -> None:
    """`except Exception` is allowed where it translates (its last line raises), and once, to fence off a subscriber."""
    broad = []
    for place, node in nodes(ast.ExceptHandler):
        assert isinstance(node, ast.ExceptHandler)
        caught = (
            [part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)] if node.type else ["everything"]
        )
        if {"Exception", "BaseException", "everything"} & {*caught} and not isinstance(node.body[-1], ast.Raise):
            broad.append(place.partition(":")[0])
    assert broad == ["memos_integrations/core/memstore/store.py"]


@pytest.mark.answers("CVE-2026-28277", "CVE-2026-45829", "input 11")
def test_nothing_stored_is_ever_run() -> None:
    wrong = [place for place, node in nodes(ast.Call) if ast.unparse(node.func) in LOADERS_OF_CODE]  # type: ignore[attr-defined]
    wrong += [
        f"{path}:{line} imports {name}"
        for path in FILES
        for name, line in imports(path)
        if name.partition(".")[0] in {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    ]
    wrong += [
        place
        for place, node in nodes(ast.keyword)
        if ast.unparse(node) in {"shell=True", "trust_remote_code=True", "allow_pickle=True", "weights_only=False"}
    ]
    assert not wrong


def dynamic_parts(node: ast.expr, fixed: set[str]) -> list[str]:
    """What a statement is put together from, besides literals, names that stand for literals, and joined conditions."""
    match node:
        case ast.Constant():
            return []
        case ast.Name(id=name) if name.isupper() or name in fixed:
            return []
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=" AND "), attr="join")):
            return []
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return dynamic_parts(left, fixed) + dynamic_parts(right, fixed)
        case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]) if start.startswith("PRAGMA "):
            return []  # takes no parameters
        case ast.JoinedStr(values=values):
            return [part for value in values for part in dynamic_parts(value, fixed)]
        case ast.FormattedValue(value=value):
            return dynamic_parts(value, fixed)
    return [ast.unparse(node)]


def loops_over_literals(path: Path) -> set[str]:
    """Names that a file only ever binds by `for name in ("a", "b")`."""
    targets = [
        (node.target.id, isinstance(node.iter, ast.Tuple) and all(isinstance(x, ast.Constant) for x in node.iter.elts))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name)
    ]
    return {name for name, is_literal in targets if is_literal} - {
        name for name, is_literal in targets if not is_literal
    }


@pytest.mark.answers("CVE-2025-67644, CVE-2026-27022")
@pytest.mark.parametrize("path", [p for p in FILES if "sqlite3" in p.read_text("utf-8")], ids=module)
def test_sql_is_written_not_assembled(path: Path) -> None:
    """Values go in as parameters. A statement is put together, where it is run, from fixed fragments only."""
    wrong = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            built = isinstance(node.args[0], ast.JoinedStr | ast.BinOp | ast.Call)
            if built and node.func.attr in {"execute", "executemany", "executescript"}:
                parts = dynamic_parts(node.args[0], loops_over_literals(path))
                wrong += [f"{path}:{node.lineno} {part}" for part in parts]
    assert not wrong


def test_every_public_name_is_explained() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in FILES
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not bare


def test_tests_run_on_real_parts() -> None:
    """No mocks of our own parts: a test that needs one is a test of the mock."""
    mocks = re.compile(r"\b(?:unittest\.mock|Magic" + r"Mock|mock" + r"er)\b")
    assert not [path for path in sorted((ROOT / "tests").rglob("*.py")) if mocks.search(path.read_text("utf-8"))]


def test_no_file_names_the_machine_it_was_written_on() -> None:
    """Paths of one machine and addresses of package registries stay out of what is shipped."""
    wrong = re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w")
    suffixes = {".py", ".md", ".toml", ".txt", ".yaml", ".ipynb", ".json"}
    places = [
        *FILES,
        *(ROOT / "tests").rglob("*"),
        *(ROOT / "cookbook").rglob("*"),
        *ROOT.iterdir(),
        *PACKAGE.rglob("*"),
    ]
    texts = {path for path in places if path.is_file() and path.suffix in suffixes and path != Path(__file__).resolve()}
    assert not sorted(str(path) for path in texts if wrong.search(path.read_text("utf-8")))
