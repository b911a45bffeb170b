"""Change one place of ``src`` at a time and see whether the tests that import it notice.

Usage: python tools/mutants.py STATE.jsonl [--predict 60] [--others 60] [--seed 0] [--limit 90]
       python tools/mutants.py STATE.jsonl --report

Mutants are drawn by a seed, from the house and from the wings. Each is
tried in a copy of the committed tree, with the quick tests of the files that import its module,
nearest first and up to the first failure; what survives them is tried with the other quick tests of
the module's folder. What was tried is kept in the state file, so a run that
was stopped goes on. ``--report`` prints the survivors by folder, as Markdown.
"""

import argparse
import ast
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from walls import WINGS

ROOT = Path(__file__).resolve().parents[1]
MOST_FILES = 4
"""Most files of tests that one mutant is tried with."""
COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: (" is ", " is not "),
    ast.IsNot: (" is not ", " is "),
    ast.In: (" in ", " not in "),
    ast.NotIn: (" not in ", " in "),
}
OPERATORS: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"),
}
NAMES = {
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "ceil": "floor",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: columns count bytes, as those of ``ast`` do."""

    path: str
    line: int
    start: int
    end: int
    new: str

    def text(self, source: bytes) -> bytes:
        """Source with the change."""
        lines = source.splitlines(keepends=True)
        line = lines[self.line - 1]
        lines[self.line - 1] = line[: self.start] + self.new.encode() + line[self.end :]
        return b"".join(lines)

    def told(self, source: bytes) -> str:
        """The line before and after, in short."""
        old, new = (text.splitlines()[self.line - 1] for text in (source, self.text(source)))
        return f"{old.decode().strip()}  →  {new.decode().strip()}"


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """Every mutant of a file."""
    return [
        Mutant(path, line, start, end, new)
        for node in _behaviour(ast.parse(source))
        for line, start, end, new in _changes(node, source.splitlines())
    ]


def _behaviour(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that compute: no annotations, decorators, assertions, messages or checks of types."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "exc", "type_params", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Assert | ast.JoinedStr):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            yield child
            yield from _behaviour(child)


def _changes(node: ast.AST, lines: Sequence[bytes]) -> Iterator[tuple[int, int, int, str]]:
    match node:
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            yield from _between(left, right, COMPARISONS.get(type(operator)), lines)
        case ast.BinOp(left=left, op=operator, right=right):
            yield from _between(left, right, OPERATORS.get(type(operator)), lines)
        case ast.BoolOp(op=operator, values=[left, right, *_]):
            words = (" and ", " or ") if isinstance(operator, ast.And) else (" or ", " and ")
            yield from _between(left, right, words, lines)
        case ast.UnaryOp(op=ast.Not(), operand=operand) if operand.lineno == node.lineno:
            yield node.lineno, node.col_offset, operand.col_offset, ""
        case ast.Constant(value=bool(value)):
            yield node.lineno, node.col_offset, node.end_col_offset or 0, str(not value)
        case ast.Constant(value=int(value)):
            yield node.lineno, node.col_offset, node.end_col_offset or 0, str(value + 1)
        case ast.Constant(value=float(value)) if value:
            yield node.lineno, node.col_offset, node.end_col_offset or 0, repr(1.5 * value)
        case ast.Attribute(attr=name) if name in NAMES and node.end_col_offset:
            end = node.end_col_offset
            yield node.end_lineno or node.lineno, end - len(name), end, NAMES[name]
        case ast.Call(func=ast.Name(id=name) as called) if name in NAMES:
            yield called.lineno, called.col_offset, called.col_offset + len(name), NAMES[name]


def _between(
    left: ast.expr, right: ast.expr, words: tuple[str, str] | None, lines: Sequence[bytes]
) -> Iterator[tuple[int, int, int, str]]:
    """The change of an operator that stands once between two operands on one line."""
    if words is None or left.end_lineno != right.lineno or left.end_col_offset is None:
        return
    between = lines[right.lineno - 1][left.end_col_offset : right.col_offset]
    if between.count(words[0].encode()) == 1:
        start = left.end_col_offset + between.index(words[0].encode())
        yield right.lineno, start, start + len(words[0]), words[1]


def imports_of(path: Path) -> set[str]:
    """Modules that a file imports, at any depth of it, and what it takes from them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return found


def files_for(path: str, tests: dict[str, set[str]]) -> list[str]:
    """Files of tests that import a module: of its name, of its folder, of fewest imports first.

    Where none does, those of its folder.
    """
    module = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
    module = module.removesuffix(".__init__")
    parts = module.split(".")
    folder = f"tests/{parts[1]}/" if len(parts) > 2 else "tests/"
    found = [name for name, imported in tests.items() if module in imported]
    found = found or [name for name in tests if name.startswith(folder)]
    own = f"test_{parts[-1]}.py"
    found.sort(
        key=lambda name: (
            Path(name).name != own,
            not name.startswith(folder),
            len(tests[name]),
            name,
        )
    )
    return found[:MOST_FILES]


def rest_of(path: str, tests: Sequence[str], tried: Sequence[str]) -> list[str]:
    """Files of tests of a module's folder that were not tried yet."""
    folder = f"tests/{path.removeprefix('src/rilievo/').split('/')[0]}/"
    return [name for name in tests if name.startswith(folder) and name not in tried]


def draw(root: Path, seed: int, predict: int, others: int) -> list[Mutant]:
    """Mutants of both kinds in turns; more of a seed begin with those of fewer."""
    groups: dict[bool, list[Mutant]] = {True: [], False: []}
    for path in sorted((root / "src" / "rilievo").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        groups[name.split("/")[2] not in WINGS] += mutants_of(name, path.read_bytes())
    chance = random.Random(seed)
    for group in groups.values():
        chance.shuffle(group)
    needed, rest = groups[True][:predict], groups[False][:others]
    longest = max(len(needed), len(rest))
    return [each for k in range(longest) for each in (*needed[k : k + 1], *rest[k : k + 1])]


_PASSED: dict[str, bool] = {}


def passes(path: str, copy: Path, tests: Sequence[str]) -> bool:
    """Whether the tests of a module's folder pass where nothing is changed; asked once a folder."""
    folder = path.removeprefix("src/rilievo/").split("/")[0]
    if folder not in _PASSED:
        same = Mutant(path, 1, 0, 0, "")
        _PASSED[folder] = attempt(same, copy, rest_of(path, tests, ()), 1800) == "survived"
        print(f"tests/{folder} {'pass' if _PASSED[folder] else 'fail'} unchanged", flush=True)
    return _PASSED[folder]


def attempt(mutant: Mutant, copy: Path, files: Sequence[str], limit: float) -> str:
    """Try the tests on a mutant: caught, survived or undecided, in a copy of the tree."""
    if not files:
        return "survived"
    place = copy / mutant.path
    source = place.read_bytes()
    place.write_bytes(mutant.text(source))
    options = ("-x", "-q", "-m", "not slow", "-p", "no:cacheprovider")
    environment = {**os.environ, "PYTHONPATH": f"{copy / 'src'}{os.pathsep}{copy}"}
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *files],
        cwd=copy,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            code = process.wait(limit)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return "undecided"
        finally:
            place.write_bytes(source)
    # 5: no test is left without the slow ones.
    return "survived" if code in (0, 5) else "caught"


def main() -> int:
    """Try what was not tried yet, or print the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("state", type=Path, help="JSON lines of what was tried")
    parser.add_argument("--predict", type=int, default=60, help="mutants of what predict needs")
    parser.add_argument("--others", type=int, default=60, help="mutants of everything else")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=90, help="most seconds of a mutant")
    parser.add_argument("--minutes", type=float, default=1e9, help="time after which to stop")
    parser.add_argument("--report", action="store_true", help="print what was found, and stop")
    given = parser.parse_args()
    lines = given.state.read_text("utf-8").splitlines() if given.state.exists() else []
    tried = [json.loads(line) for line in lines]
    if given.report:
        print(report(tried))
        return 0
    done = {tuple(each[name] for name in Mutant.__dataclass_fields__) for each in tried}
    end = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory(prefix="rilievo-mutants-") as folder:
        copy = Path(folder)
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, stdout=-1)
        subprocess.run(["tar", "-x"], cwd=copy, check=True, input=archive.stdout)
        names = [each.relative_to(copy).as_posix() for each in copy.glob("tests/**/test_*.py")]
        tests = {name: imports_of(copy / name) for name in sorted(names)}
        for mutant in draw(copy, given.seed, given.predict, given.others):
            entry = asdict(mutant)
            if tuple(entry.values()) in done:
                continue
            if time.monotonic() > end:
                break
            told = mutant.told((copy / mutant.path).read_bytes())
            start = time.monotonic()
            files = files_for(mutant.path, tests)
            outcome = attempt(mutant, copy, files, given.limit)
            rest = rest_of(mutant.path, [*tests], files)
            if outcome == "survived" and attempt(mutant, copy, rest, 3 * given.limit) == "caught":
                outcome = "caught by its folder" if passes(mutant.path, copy, [*tests]) else outcome
            entry |= {"told": told, "tests": files, "outcome": outcome}
            print(f"{outcome} {time.monotonic() - start:.0f} s {mutant.path}: {told}", flush=True)
            with given.state.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return 0


def report(tried: Sequence[dict[str, object]]) -> str:
    """Counts by folder and the survivors, as Markdown."""
    counts: dict[str, Counter[str]] = {}
    for each in tried:
        folder = str(each["path"]).split("/")[2]
        counts.setdefault(folder, Counter())[str(each["outcome"])] += 1
    words = ("caught", "caught by its folder", "survived", "undecided")
    rows = [
        f"| `{folder}` | {' | '.join(str(found[word]) for word in words)} |"
        for folder, found in sorted(counts.items())
    ]
    together = sum(counts.values(), Counter())
    last = f"| together | {' | '.join(str(together[word]) for word in words)} |"
    survivors = [
        f"- `{str(each['path'])[len('src/rilievo/') :]}` line {each['line']}: `{each['told']}`"
        for each in sorted(tried, key=lambda each: (str(each["path"]), str(each["line"])))
        if each["outcome"] == "survived"
    ]
    head = [f"| folder | {' | '.join(words)} |", "|---|---:|---:|---:|---:|"]
    return "\n".join([*head, *rows, last, "", *survivors])


if __name__ == "__main__":
    sys.exit(main())
