"""The house rules that no type checker sees: who imports whom, the face, and what docstrings promise."""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import semart_vectors
from semart_vectors import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "semart_vectors"


def layers_of_the_docs() -> list[frozenset[str]]:
    """Read the table of docs/design.md: the parts of each layer, before what they are for."""
    page = (ROOT / "docs" / "design.md").read_text()
    table = page.partition("<!-- layers -->")[2].partition("```text\n")[2].partition("```")[0]
    return [frozenset(line.split("  ")[0].split()) for line in table.splitlines()]


LAYERS = layers_of_the_docs()
"""From the leaves to the edge: each part imports from the layers above it in this list, and from itself."""

FOREIGN = {
    "aiohttp": "calls",
    "anyascii": "metadata",
    "anyio": "calls emulator",
    "bokeh": "map",
    "click": "cli demo emulator",
    "dotenv": "cli",
    "duckdb": "search",
    "filelock": "checkpoint",
    "httpx": "calls emulator",
    "pandas": "metadata",
    "PIL": "demo emulator images map search",
    "psycopg": "postgres",
    "pyarrow": "checkpoint gallery metadata postgres search",
    "simdjson": "service",
    "sklearn": "map",
    "starlette": "emulator",
    "threadpoolctl": "map",
    "tqdm": "cli duplicates map pipeline",
    "uvicorn": "emulator",
}
"""Libraries that are known to few: each is met at one seam, and its errors are translated there."""

NAME_OF = {"pillow": "PIL", "pysimdjson": "simdjson", "python-dotenv": "dotenv", "scikit-learn": "sklearn"}
"""Where a distribution is imported under another name."""


def part_of(path: Path) -> str:
    """Return the module, or the package within ours, that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def needed_at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, but for what is imported for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from needed_at_run_time(node)


def imports_of(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports, in functions too."""
    for node in needed_at_run_time(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules() -> list[str]:
    """Name every module of ours."""
    paths = (path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("*.py"))
    names = (".".join(path.parts).removesuffix(".__init__") for path in paths)
    return sorted(name for name in names if not name.endswith("__main__"))


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_part_has_its_layer() -> None:
    """A new module is put where it belongs, and one that went is taken out."""
    listed = [part for layer in LAYERS for part in layer]
    assert sorted(listed) == sorted({part_of(path) for path in FILES} - {"__init__"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_imports_upwards(path: Path) -> None:
    """The face imports nothing; the emulator nothing of ours, so that no bug can agree with itself."""
    part = part_of(path)
    layer = next((number for number, parts in enumerate(LAYERS) if part in parts), 0)
    allowed = {part}.union(*LAYERS[:layer])
    ours = {name.split(".")[1] for name in imports_of(path) if name.startswith("semart_vectors.")}
    assert ours <= allowed


@pytest.mark.parametrize("library", FOREIGN)
def test_a_library_is_known_to_few(library: str) -> None:
    """Whoever else needs it asks them; the job knows neither HTTP nor Parquet."""
    users = {part_of(path) for path in FILES for name in imports_of(path) if name.split(".")[0] == library}
    assert users
    assert users <= set(FOREIGN[library].split())


def test_dependencies_are_those_that_are_imported() -> None:
    """None is missing for who installs only us, and none is installed for nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = (extras[name] for name in ("map", "pgvector", "search"))
    declared = [*project["dependencies"], *chain.from_iterable(wanted)]
    names = (re.split(r"[^\w-]", text)[0] for text in declared)
    imported = {name.split(".")[0] for path in FILES for name in imports_of(path)}
    foreign = imported - sys.stdlib_module_names - {"semart_vectors"}
    foreign -= {"pytest"}  # who uses our plugin of it has it
    loaded_by_name = {"httptools"}  # uvicorn's parser, which it finds itself
    assert {NAME_OF.get(name, name) for name in names} - loaded_by_name == foreign


def imported_for_type_checkers() -> dict[str, str]:
    """Read the face's imports for type checkers: each name with its module."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("semart_vectors."):
            found |= {alias.name: (node.module or "").removeprefix("semart_vectors.") for alias in node.names}
    return found


def test_the_face_is_sorted_complete_and_real() -> None:
    """Its three lists are one, and every name is what its module says."""
    face = semart_vectors.__all__
    assert face == sorted(face)
    assert {*semart_vectors._HOME, "__version__"} == set(face)
    assert imported_for_type_checkers() == semart_vectors._HOME
    for name, module in semart_vectors._HOME.items():
        assert getattr(semart_vectors, name) is getattr(import_module(f"semart_vectors.{module}"), name)
    assert set(face) <= set(dir(semart_vectors))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = semart_vectors.nonsense


def test_every_error_is_on_the_face() -> None:
    """Whoever catches one need not look for it."""
    kinds = [name for name, value in vars(errors).items() if isinstance(value, type) and name[-5:] == "Error"]
    assert set(kinds) <= set(semart_vectors.__all__)


def annotations_of(node: ast.AST) -> Iterator[ast.expr | None]:
    """Yield the annotations of a function, or of what makes an object of a class and of its fields."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.returns
        yield from (each.annotation for each in (*node.args.args, *node.args.kwonlyargs))
    elif isinstance(node, ast.ClassDef):
        yield from (each.annotation for each in node.body if isinstance(each, ast.AnnAssign))
        methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
        makes = methods.get("open") or methods.get("__init__")  # what has an `open` is not made by hand
        if makes is not None and ast.get_docstring(makes):
            yield from annotations_of(makes)


def test_whatever_a_public_signature_takes_or_returns_is_on_the_face() -> None:
    """Of each function and class there, with its public methods and fields."""
    bodies = [ast.parse(path.read_bytes()).body for path in FILES]
    ours = {node.name for body in bodies for node in body if isinstance(node, ast.ClassDef)}
    ours |= {"ImageSource", "Outcome", "Vector"}
    missing: set[tuple[str, str]] = set()
    for name, module in semart_vectors._HOME.items():
        tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_bytes())
        for defined, node in public_definitions(tree.body):
            if defined.split(".")[0] == name:
                annotations = [each for each in annotations_of(node) if each is not None]
                named = {
                    each.id
                    for all_of in annotations
                    for each in ast.walk(all_of)
                    if isinstance(each, ast.Name)
                }
                missing |= {(defined, each) for each in named & ours - set(semart_vectors.__all__)}
    assert missing == set()


WATCHED_IMPORT = """
import collections, os, sys
class Watched(collections.UserDict):
    def __contains__(self, name):
        asked.add(name)
        return super().__contains__(name)
    def __getitem__(self, name):
        asked.add(name)
        return super().__getitem__(name)
asked = set()
os.environ = Watched(os.environ)
import semart_vectors
assert semart_vectors.__all__
heavy = {"httpx", "pandas", "pyarrow", "numpy", "PIL", "asyncio", "click", "orjson"}
print(*sorted(heavy & set(sys.modules)), *sorted(name for name in asked if "VISION" in name))
"""


def test_importing_us_is_cheap_and_reads_no_environment() -> None:
    """In a fresh interpreter, nothing heavy is loaded and no VISION_ variable is looked at."""
    told = subprocess.run([sys.executable, "-c", WATCHED_IMPORT], check=True, capture_output=True, text=True)
    assert told.stdout.split() == []


def drawn_tree() -> dict[str, set[str]]:
    """Read the tree at the top of `errors`: each class with the bases it is drawn with."""
    tree: dict[str, set[str]] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ((?:│   |    )*)([├└]── )?(\w+Error)(?: \(([\w, ]+)\))?(?: |$)", line):
            indent, branch, name, mixins = match.groups()
            depth = len(indent) // 4 + bool(branch)
            above[depth] = name
            tree[name] = {above[depth - 1] if depth else "Exception"} | set(
                (mixins or "").split(", ") if mixins else ()
            )
    return tree


def test_the_drawn_tree_of_errors_is_the_real_one() -> None:
    """Whoever reads the top of the module knows them all."""
    real = {
        name: {base.__name__ for base in value.__bases__}
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert drawn_tree() == real


def resolves_to_an_exception(name: str, module: ModuleType) -> bool:
    """Whether a name in a docstring means an exception to a reader of that module."""
    first, *rest = name.split(".")
    for place in (module, errors, builtins, sys.modules):
        found = place.get(first) if isinstance(place, dict) else getattr(place, first, None)
        for attribute in rest:
            found = getattr(found, attribute, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            return True
    return False


@pytest.mark.parametrize("name", modules())
def test_every_exception_that_a_docstring_names_exists(name: str) -> None:
    """A `Raises:` section is a contract."""
    module = import_module(name)
    promised: set[str] = set()
    for node in ast.walk(ast.parse(Path(module.__file__ or "").read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            _, _, section = (ast.get_docstring(node) or "").partition("Raises:\n")
            promised |= set(re.findall(r"^    ([\w.]+):", section, re.MULTILINE))
    assert [each for each in promised if not resolves_to_an_exception(each, module)] == []


def public_definitions(body: list[ast.stmt], within: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield the public classes, functions and methods of a module by name."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
            yield within + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body, f"{node.name}.")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_everything_public_says_what_it_does(path: Path) -> None:
    """Modules that hold anything, classes, functions and methods have a docstring."""
    tree = ast.parse(path.read_bytes())
    assert not tree.body or ast.get_docstring(tree)
    silent = [name for name, node in public_definitions(tree.body) if not ast.get_docstring(node)]  # type: ignore[arg-type] # those that have one
    assert silent == []


@pytest.mark.parametrize("module", ["records", "job", "calls/retry"])
def test_every_field_that_users_meet_is_documented(module: str) -> None:
    """Right under it, as a string."""
    silent: list[str] = []
    for name, node in public_definitions(ast.parse((PACKAGE / f"{module}.py").read_bytes()).body):
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            for field, after in zip(node.body, [*node.body[1:], None], strict=True):
                told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                if isinstance(field, ast.AnnAssign) and not told:
                    silent.append(f"{name}.{ast.unparse(field.target)}")
    assert silent == []
