"""Write the keywords of Python, for type checkers and editors, from the records of options.

Usage: python tools/write_keywords.py. It writes src/rilievo/options/keywords.pyi.
"""

import ast
import builtins
import inspect
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from rilievo.predicting.options import RECORDS
from rilievo.schema import Door, names_of

STUB = Path(__file__).resolve().parents[1] / "src/rilievo/options/keywords.pyi"
_CLASSES = {
    "PhotoKeywords": "Options of ``rilievo.predict`` and ``model.predict``.",
    "PredictKeywords": "Options of ``PredictOptions``, or whole records.",
}


def stub() -> str:
    """Text of the stub."""
    known = dict(row for kind in RECORDS.values() for row in _annotations(kind))
    explicit = {"model", "quality", "device", "engine", "precision", "trust_code"}
    photo = [name for kind in RECORDS.values() for name in names_of(kind, Door.PYTHON)]
    rows = {
        "PhotoKeywords": [name for name in photo if name not in explicit],
        "PredictKeywords": [name for kind in RECORDS.values() for name in names_of(kind)],
    }
    imports = {home for _, homes in known.values() for home in homes}
    imports |= {(kind.__module__, kind.__name__) for kind in RECORDS.values()}
    imports.add(("typing", "TypedDict"))
    lines = ["import numpy as np"]
    for home in sorted({module for module, _ in imports}):
        names = sorted(name for module, name in imports if module == home)
        lines.append(f"from {home} import {', '.join(names)}")
    for name, members in rows.items():
        lines += [f"class {name}(TypedDict, total=False):", f'    """{_CLASSES[name]}"""']
        lines += [f"    {member}: {known[member][0]}" for member in members]
        if name == "PredictKeywords":
            lines += [f"    {member}: {kind.__name__}" for member, kind in RECORDS.items()]
        lines.append("")
    return "\n".join(lines)


def _annotations(record: type) -> Iterator[tuple[str, tuple[str, list[tuple[str, str]]]]]:
    """Name, type and imports of each field, as the source of a record declares it."""
    own = names_of(record)
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
            return next((word.value for word in words if word.arg == "python"), kind)
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
