"""Compare the tests that tests/LAWS.md names with what they asserted at an earlier commit.

Usage: python tools/laws.py
       python tools/laws.py --record COMMIT

Each file with a weaker test is one line, and the exit status is 1. A test is weaker that

- is gone, or has fewer assertions: ``assert``, ``pytest.raises``, ``warns``, calls of ``assert_*``;
- lacks a number that it expected, or a bound or tolerance at least as narrow: bounds are
  comparisons with numbers by ``<`` and ``>``, tolerances the keywords rtol, atol, abs and rel;
- has fewer strings in its assertions (their words may change) or fewer rows in its parameters;
- is now marked slow, skip, skipif or xfail.

A name of the module that is assigned a number stands for the number. A test is found by its name,
in its own file first and then in any other, or by its body under another name; so a moved or
renamed file is the same file. The table of tests/LAWS.md excuses what left with its feature.

``--record`` writes tests/laws.json anew from the files of a commit, which needs git.
"""

import argparse
import ast
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TypeGuard

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("tests", "lab/tests")
MARKS = frozenset(("slow", "skip", "skipif", "xfail"))
TOLERANCES = frozenset(("rtol", "atol", "abs", "rel"))
CONTEXTS = frozenset(("raises", "warns"))
BELOW, ABOVE = (ast.Lt, ast.LtE), (ast.Gt, ast.GtE)
MOST_TOLD = 3

Numbers = dict[str, float]
"""Values of the names of a module that are assigned numbers."""


@dataclass(slots=True)
class Law:
    """Assertions of one function of a test file.

    Attributes:
        body: Hash of the body's text, without its layout.
        count: Number of assertions.
        strings: Number of strings in assertions.
        rows: Number of rows of literal parameters.
        marks: Marks that keep a test from running in ``make test``.
        values: Numbers that are expected.
        below: Numbers that something lies below.
        above: Numbers that something lies above.
        tolerances: Tolerances of comparisons.
    """

    body: str = ""
    count: int = 0
    strings: int = 0
    rows: int = 0
    marks: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    below: list[float] = field(default_factory=list)
    above: list[float] = field(default_factory=list)
    tolerances: list[float] = field(default_factory=list)


Laws = Mapping[str, Law]
"""Laws of a file, by the name of their function, with its class before it."""


def read_laws(source: str) -> dict[str, Law]:
    """Read what the functions of a test file assert; those that assert nothing are left out."""
    tree = ast.parse(source)
    numbers = {
        target.id: value
        for node in tree.body
        if isinstance(node, ast.Assign) and (value := _number(node.value, {})) is not None
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    marks = [
        mark
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
        for mark in _marks(node.value)
    ]
    laws = dict(_laws_of(tree, numbers, marks, source.splitlines()))
    return {name: law for name, law in laws.items() if law.count or law.rows}


def _laws_of(
    parent: ast.Module | ast.ClassDef,
    numbers: Numbers,
    marks: Sequence[str],
    lines: Sequence[str],
    prefix: str = "",
) -> Iterator[tuple[str, Law]]:
    for node in parent.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        own = [*marks, *(mark for part in node.decorator_list for mark in _marks(part))]
        if isinstance(node, ast.ClassDef):
            yield from _laws_of(node, numbers, own, lines, f"{prefix}{node.name}.")
        else:
            yield prefix + node.name, _law(node, numbers, own, lines)


def _marks(node: ast.expr) -> list[str]:
    return sorted({part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)} & MARKS)


def _law(
    function: ast.FunctionDef | ast.AsyncFunctionDef,
    numbers: Numbers,
    marks: Sequence[str],
    lines: Sequence[str],
) -> Law:
    last = function.body[-1].end_lineno
    body = " ".join(" ".join(lines[function.body[0].lineno - 1 : last]).split())
    law = Law(body=hashlib.sha256(body.encode()).hexdigest()[:10], marks=sorted({*marks}))
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and _name(decorator.func) == "parametrize":
            rows = decorator.args[1] if len(decorator.args) > 1 else None
            law.rows += len(rows.elts) if isinstance(rows, ast.List | ast.Tuple) else 0
            _read(law, decorator, numbers)
            law.strings = 0
    for assertion in _assertions(function.body):
        law.count += 1
        _read(law, assertion, numbers)
    for values in (law.values, law.below, law.above, law.tolerances):
        values.sort()
    return law


def _assertions(statements: Sequence[ast.stmt]) -> Iterator[ast.expr]:
    """Assertions of the statements, and of those within them; other expressions are left out."""
    waiting: list[ast.AST] = [*statements]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Assert):
            yield node.test
        elif isinstance(node, ast.Expr):
            yield from filter(_is_assertion, [node.value])
        elif isinstance(node, ast.withitem):
            yield from filter(_is_assertion, ast.walk(node.context_expr))
        elif not isinstance(node, ast.expr):
            waiting += ast.iter_child_nodes(node)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_assertion(node: ast.AST) -> TypeGuard[ast.Call]:
    name = _name(node.func) if isinstance(node, ast.Call) else ""
    return name in CONTEXTS or name.startswith("assert_")


def _read(law: Law, node: ast.AST, numbers: Numbers) -> None:
    """Read the numbers of an expression, each as what it is there."""
    if isinstance(node, ast.Subscript):  # places are no expectations
        _read(law, node.value, numbers)
        return
    if isinstance(node, ast.Compare):
        _read_comparison(law, node, numbers)
        return
    if isinstance(node, ast.keyword) and node.arg in TOLERANCES:
        value = _number(node.value, numbers)
        if value is not None:
            law.tolerances.append(value)
            return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        law.strings += 1
        return
    if isinstance(node, ast.expr) and (value := _number(node, numbers)) is not None:
        law.values.append(value)
        return
    for part in ast.iter_child_nodes(node):
        _read(law, part, numbers)


def _read_comparison(law: Law, node: ast.Compare, numbers: Numbers) -> None:
    sides = [node.left, *node.comparators]
    bounds: set[int] = set()
    for index, operator in enumerate(node.ops):
        for place, turned in ((index + 1, False), (index, True)):
            value = _number(sides[place], numbers)
            if value is not None and isinstance(operator, (*BELOW, *ABOVE)):
                is_below = isinstance(operator, BELOW) != turned
                (law.below if is_below else law.above).append(value)
                bounds.add(place)
    for place, side in enumerate(sides):
        if place not in bounds:
            _read(law, side, numbers)


def _number(node: ast.expr, numbers: Numbers) -> float | None:
    """Value of a number, a negative one, a power of two numbers, or a name for one."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, int | float) else None
    if isinstance(node, ast.Name):
        return numbers.get(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _number(node.operand, numbers)
        return None if value is None else -value
    return None


def weaknesses(law: Law, now: Law) -> Iterator[str]:
    """Describe in what a law is weaker than it was."""
    if now.count < law.count:
        yield f"{now.count} of {law.count} assertions"
    if now.strings < law.strings:
        yield f"{now.strings} of {law.strings} strings"
    if now.rows < law.rows:
        yield f"{now.rows} of {law.rows} rows"
    if lost := Counter(law.values) - Counter(now.values):
        yield f"no longer expects {_shown(lost.elements())}"
    for name in ("below", "tolerances"):
        was, is_now = getattr(law, name), getattr(now, name)
        wider = [one for one, other in zip(was, is_now, strict=False) if other > one]
        if wider or len(is_now) < len(was):
            yield f"{name} {_shown(is_now)}, expected at most {_shown(was)}"
    was, is_now = law.above[::-1], now.above[::-1]
    if len(is_now) < len(was) or any(a > b for a, b in zip(was, is_now, strict=False)):
        yield f"above {_shown(is_now)}, expected at least {_shown(was)}"
    if more := {*now.marks} - {*law.marks}:
        yield f"marked {', '.join(sorted(more))}"


def _shown(values: Iterable[float]) -> str:
    return ", ".join(f"{value!r}" for value in values) or "nothing"


@dataclass
class Tree:
    """Test files, read when they are needed.

    Attributes:
        folders: Folders of tests; a file is looked for in each.
    """

    folders: Sequence[Path]

    def file(self, name: str) -> Laws:
        """Laws of one file; none if there is no such file."""
        paths = [path for folder in self.folders if (path := folder / name).is_file()]
        return read_laws(paths[0].read_text(encoding="utf-8")) if paths else {}

    @cached_property
    def every(self) -> list[tuple[str, Law]]:
        """Laws of all files, by the names of their functions."""
        files = sorted(file for folder in self.folders for file in folder.rglob("*.py"))
        return [law for file in files for law in read_laws(file.read_text("utf-8")).items()]

    @cached_property
    def named(self) -> dict[str, list[Law]]:
        """All laws of each name."""
        laws: dict[str, list[Law]] = {}
        for name, law in self.every:
            laws.setdefault(name, []).append(law)
        return laws

    @cached_property
    def bodies(self) -> dict[str, Law]:
        """A law of each body."""
        return {law.body: law for _, law in self.every}


@dataclass(frozen=True, slots=True)
class Book:
    """Facts of LAWS.md.

    Attributes:
        patterns: Files that hold laws.
        excused: Files, or ``file::test``, that left or changed with their feature.
    """

    patterns: tuple[str, ...]
    excused: frozenset[str]


def read_book(text: str) -> Book:
    """Read the list of files and the first column of the tables."""
    return Book(
        tuple(re.findall(r"`([^`\s]+\.py)`", "\n".join(re.findall(r"^- .*", text, re.MULTILINE)))),
        frozenset(re.findall(r"^\| *`([^`]+)`", text, re.MULTILINE)),
    )


def compare(book: Book, laws: Mapping[str, Laws], *folders: Path) -> Iterator[str]:
    """Describe each file that is weaker than its laws, in one line."""
    tree = Tree(folders)
    known = {*laws, *(f"{file}::{name}" for file, own in laws.items() for name in own)}
    for name in sorted(book.excused - known):
        yield f"{name}: no such law at the recorded commit; correct the table of tests/LAWS.md"
    for file, own in laws.items():
        if file in book.excused:
            continue
        here = tree.file(file)
        faults = []
        for name, law in own.items():
            if f"{file}::{name}" in book.excused:
                continue
            now = here.get(name)
            weak = ["is gone"] if now is None else [*weaknesses(law, now)]
            if weak and not _stands_elsewhere(name, law, tree):
                faults.append(f"{name} ({'; '.join(weak)})")
        if faults:
            more = f", and {len(faults) - MOST_TOLD} more" if len(faults) > MOST_TOLD else ""
            yield f"{file}: weaker: {', '.join(faults[:MOST_TOLD])}{more}"


def _stands_elsewhere(name: str, law: Law, tree: Tree) -> bool:
    same = [*tree.named.get(name, ())]
    if law.body in tree.bodies:
        same.append(tree.bodies[law.body])
    return any(not [*weaknesses(law, now)] for now in same)


def record(book: Book, commit: str) -> dict[str, Laws]:
    """Read the laws of a commit's files."""
    files = [
        (name.removeprefix(f"{folder}/"), name)
        for folder in FOLDERS
        for name in _git("ls-tree", "-r", "--name-only", commit, folder).splitlines()
        if any(PurePosixPath(name).match(pattern) for pattern in book.patterns)
    ]
    return {file: read_laws(_git("show", f"{commit}:{name}")) for file, name in files}


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], stdout=subprocess.PIPE, encoding="utf-8", check=True
    ).stdout


def _compact(facts: Mapping[str, object]) -> str:
    return json.dumps(facts, separators=(",", ":"))


def stored(commit: str, laws: Mapping[str, Laws]) -> str:
    """Text of laws.json: a line for each function, without what is empty."""
    files = []
    for file, own in laws.items():
        lines = [
            f"{json.dumps(name)}:{_compact({k: v for k, v in asdict(law).items() if v})}"
            for name, law in own.items()
        ]
        files.append(f"{json.dumps(file)}: {{\n" + ",\n".join(lines) + "\n}")
    return f'{{"commit": {json.dumps(commit)}, "files": {{\n' + ",\n".join(files) + "\n}}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the laws, or record them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", metavar="COMMIT", help="write tests/laws.json of a commit")
    options = parser.parse_args(arguments)
    file = ROOT / "tests/laws.json"
    book = read_book((ROOT / "tests/LAWS.md").read_text(encoding="utf-8"))
    if options.record:
        commit = _git("rev-parse", options.record).strip()
        file.write_text(stored(commit, record(book, commit)), encoding="utf-8")
    files = json.loads(file.read_text(encoding="utf-8"))["files"]
    laws = {
        name: {test: Law(**facts) for test, facts in own.items()} for name, own in files.items()
    }
    lines = [*compare(book, laws, *(ROOT / folder for folder in FOLDERS))]
    print("".join(f"{line}\n" for line in lines), end="", file=sys.stderr)
    print(f"{len(laws)} files, {sum(map(len, laws.values()))} laws, {len(lines)} files weaker")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
