"""Count names that are participles, names of parts that are metaphors, files and import lines.

Usage: python tools/participles.py [FOLDER ...]

A folder (src by default) is one row: files, lines of the longest one, import lines, parameters and
all names that are one of the participles, and lines with a metaphor.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

PARTICIPLES = frozenset(
    ("asked", "each", "found", "given", "kept", "known", "said", "seen", "told"),
)
METAPHORS = re.compile(r"\b(houses?|wings?)\b", re.IGNORECASE)


def main(folders: Sequence[str]) -> int:
    """Print a row for each folder."""
    for folder in folders or ["src"]:
        print(f"{folder}: {counts(Path(folder))}")
    return 0


def counts(folder: Path) -> str:
    """Count names, files and imports of a folder's Python files."""
    params, names = Counter[str](), Counter[str]()
    files = longest = imports = metaphors = 0
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        files += 1
        longest = max(longest, text.count("\n"))
        metaphors += sum(bool(METAPHORS.search(line)) for line in text.splitlines())
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.arg(arg=name):
                    params[name] += name in PARTICIPLES
                    names[name] += name in PARTICIPLES
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                    names[name] += name in PARTICIPLES
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    names[name] += name in PARTICIPLES
                case ast.Import() | ast.ImportFrom():
                    imports += 1
    return (
        f"{files} files, the longest of {longest} lines, {imports} import lines; participles: "
        f"{params.total()} parameters, {names.total()} names; {metaphors} lines of metaphors"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
