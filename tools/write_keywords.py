"""Write the keywords of Python, for type checkers and editors, from the records of options.

Usage: python tools/write_keywords.py. It writes src/rilievo/options/keywords.pyi.
"""

import ast
import builtins
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from rilievo.models.load_options import LoadOptions
from rilievo.options.photo_options import PhotoOptions
from rilievo.predicting.options import RECORDS, STREAM_NAMES, STREAM_RECORDS
from rilievo.schema.fields import Interface, option_names

STUB = Path(__file__).resolve().parents[1] / "src/rilievo/options/keywords.pyi"
_PHOTO = [*PhotoOptions.RECORDS.values()]
_CLASSES: Mapping[str, tuple[str, Sequence[type], Interface | None, str]] = {
    "PhotoKeywords": ("TypedDict", _PHOTO, Interface.PYTHON, "Options of ``model.predict``."),
    "LoadKeywords": ("TypedDict", [LoadOptions], None, "Options of ``rilievo.load_model``."),
    "ImageKeywords": (
        "PhotoKeywords",
        [LoadOptions],
        Interface.PYTHON,
        "Options of ``rilievo.predict``.",
    ),
    "StreamKeywords": (
        "TypedDict",
        [*STREAM_RECORDS.values()],
        None,
        "Options of ``rilievo.stream``.",
    ),
    "PredictKeywords": (
        "TypedDict",
        [*RECORDS.values()],
        None,
        "Options of ``PredictOptions``, or whole records.",
    ),
}
"""Classes of keywords: the base, the records, the interface and the docstring of each."""
_STREAM_NAMES = {*STREAM_NAMES} - {"model", "quality", "trim"}
"""Options of ``rilievo.stream`` that its signature does not write out."""


def stub() -> str:
    """Text of the stub."""
    imports = {(kind.__module__, kind.__name__) for kind in RECORDS.values()}
    imports.add(("typing", "TypedDict"))
    classes = []
    for title, (base, records, interface, text) in _CLASSES.items():
        classes += [f"class {title}({base}, total=False):", f'    """{text}"""']
        for record in records:
            known = dict(_annotations(record))
            for name in option_names(record, interface):
                if title == "StreamKeywords" and name not in _STREAM_NAMES:
                    continue
                classes.append(f"    {name}: {known[name][0]}")
                imports |= {*known[name][1]}
        if title == "PredictKeywords":
            classes += [f"    {member}: {kind.__name__}" for member, kind in RECORDS.items()]
        classes.append("")
    lines = ["import numpy as np"]
    for home in sorted({module for module, _ in imports}):
        names = sorted(name for module, name in imports if module == home)
        lines.append(f"from {home} import {', '.join(names)}")
    return "\n".join([*lines, *classes])


def _annotations(record: type) -> Iterator[tuple[str, tuple[str, list[tuple[str, str]]]]]:
    """Name, type and imports of each field, as the source of a record declares it."""
    own = option_names(record)
    for base in reversed(record.__mro__[:-1]):
        module = sys.modules[base.__module__]
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef), "the source of a class is a class"
        for row in definition.body:
            if not (isinstance(row, ast.AnnAssign) and isinstance(row.target, ast.Name)):
                continue
            if row.target.id in own:
                kind = _kind(row.annotation)
                yield row.target.id, (ast.unparse(kind), list(_imports(kind, module)))


def _kind(annotation: ast.expr) -> ast.expr:
    """Type in Python of an annotated field."""
    match annotation:
        case ast.Subscript(value=ast.Name("Annotated"), slice=ast.Tuple([kind, *marks])):
            calls = (mark for mark in marks if isinstance(mark, ast.Call))
            words = (word for call in calls for word in call.keywords)
            return next((word.value for word in words if word.arg == "python_type"), kind)
    return annotation


def _imports(kind: ast.expr, module: ModuleType) -> Iterator[tuple[str, str]]:
    """Modules and names of what a type mentions."""
    tree = ast.parse(inspect.getsource(module))
    froms = [row for row in tree.body if isinstance(row, ast.ImportFrom)]
    homes = {name.name: row.module for row in froms for name in row.names}
    for node in ast.walk(kind):
        if isinstance(node, ast.Name) and not hasattr(builtins, node.id) and node.id != "np":
            yield homes.get(node.id) or module.__name__, node.id


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
    sys.stdout.write(f"{STUB}\n")
