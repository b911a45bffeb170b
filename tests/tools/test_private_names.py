"""Files that pytest loads beside the tests touch no private name: a release may take it away."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LOADED = [
    *sorted(TESTS.rglob("conftest.py")),
    *(TESTS / "support" / f"{name}.py" for name in ("shared_fixtures", "without_extras")),
]
PRIVATE = re.compile(r"_(?!_)\w*|__\w*(?<!__)")
# A whole string that names something: "name", "package.module.name", "package.module:name".
NAMED = re.compile(r"\w+(?:[.:]\w+)*")


def touched(source: str) -> Iterator[str]:
    """Names that a program reaches in others: by a dot, by an import, or in a string."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name):
                yield name
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=module, names=names):
                yield from (module or "", *(each.name for each in names))
            case ast.Constant(value=str(text)) if NAMED.fullmatch(text):
                yield text


def private(source: str) -> list[str]:
    parts = (part for name in touched(source) for part in re.split("[.:]", name))
    return [part for part in parts if PRIVATE.fullmatch(part)]


@pytest.mark.parametrize(
    "line",
    [
        "from jaxtyping import _hidden",
        "from jaxtyping._hidden import Loader",
        "import jaxtyping._hidden",
        "pytest.Module.obj._hidden",
        "module._hidden = 1",
        "getattr(pytest, '_hidden', None)",
        "patch.setattr('PIL.Image._hidden', 1)",
        "import_module('a._hidden.b')",
    ],
)
def test_private_names_are_found(line: str) -> None:
    assert private(line) == ["_hidden"]


def test_own_and_special_names_are_none() -> None:
    source = "self._own, cls._own, a.__name__, _own('own')\nfrom __future__ import annotations"
    assert private(source) == []


@pytest.mark.parametrize("path", LOADED, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_private_name_is_touched(path: Path) -> None:
    assert private(path.read_text("utf-8")) == []
