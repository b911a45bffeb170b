"""Names of classes: a public class name of the package means one class."""

import ast
from collections import defaultdict
from pathlib import Path

import rilievo

PACKAGE = Path(rilievo.__file__).parent


def public_classes(source: str) -> list[str]:
    """Public classes at the top of a module."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return [node.name for node in classes if not node.name.startswith("_")]


def test_a_public_class_name_exists_once() -> None:
    files = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in public_classes(path.read_text("utf-8")):
            files[name].append(path.relative_to(PACKAGE).as_posix())
    assert len(files) > 500
    assert {name: paths for name, paths in files.items() if len(paths) > 1} == {}
