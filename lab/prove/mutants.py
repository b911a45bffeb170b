"""Change one expression of ``src`` at a time and see whether the tests notice.

Usage: python -m lab.prove.mutants                      # those without an outcome
       python -m lab.prove.mutants --replay STATE.json  # those that were caught, in today's code
       python -m lab.prove.mutants --sample 40          # some of those that were caught
       python -m lab.prove.mutants --report
       python -m lab.prove.mutants --follow             # write today's names of functions
       python -m lab.prove.mutants --draw 7             # other mutants, by a seed

``tests/mutants.json`` lists the mutants. Each is written down by its function and by its expression
before and after the change, so that it is found again where the code around it has changed, also in
another file.

A mutant is tried in a copy of the committed tree with the quick tests of the file that caught it,
or else of eight files that reach its function; tests in a browser are left out. To know what they
reach, all quick tests run once, for a quarter of an hour. ``--reached FOLDER`` keeps what was found
for the next time.

Outcomes are written as they come, so a run that was stopped goes on; a new draw drops all of them.
A replay or a sample ends with 1 if a mutant that was caught is not caught any more. ``--follow``
leaves out the mutants whose function or expression there is no more.
"""

import argparse
import ast
import builtins
import contextlib
import copy
import importlib.util
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from lab.prove import reached

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "tests" / "mutants.json"
COUNT = 120
FOLDERS = (
    "geometry",
    "alignment",
    "calibration",
    "measure",
    "evaluation/metrics",
    "evaluation/scoring",
    "predicting",
    "prediction",
    "io",
    "models",
    "data",
    "evaluation",
    "training",
    "training/losses",
    "options",
)
"""Folders of ``src/rilievo`` that mutants are drawn from in turns."""
MOST_FILES = 8
"""Most files of tests that one mutant is tried with."""
CPU_SECONDS = 90
"""Most time of the processor that one file of tests may take."""
PATIENCE = 3600.0
WARM = ("numpy", "scipy.stats", "PIL.Image", "cv2", "torch", "skimage")
"""Packages that are imported once for all runs.

pytest imports its plugins itself, and rilievo onnxruntime, whose telemetry it switches off.
"""
ENDED = (0, 1, 2, 3, 5)
"""Exit statuses of pytest: passed, failed, not importable, broken inside, no quick test."""
_OPPOSITES = (
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
    (ast.Add, ast.Sub),
    (ast.Mult, ast.Div),
    (ast.And, ast.Or),
)
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.FloorDiv: ast.Div,
    **dict(_OPPOSITES),
    **{second: first for first, second in _OPPOSITES},
}
_PAIRS = {"min": "max", "minimum": "maximum", "any": "all", "floor": "ceil"}
NAMES = {**_PAIRS, **{second: first for first, second in _PAIRS.items()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change.

    Attributes:
        function: Dotted name, from the package on.
        before: The expression, as ``ast.unparse`` writes it.
        after: Expression in its place.
        outcome: caught, survived or undecided (the tests took too long); "" before it is tried.
        by: File of tests that caught it.
    """

    function: str
    before: str
    after: str
    outcome: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """An expression in a file, and what stands in its place after the change."""

    path: Path
    node: ast.expr
    after: str

    def changed(self) -> bytes:
        """Source after the change; columns of ``ast`` count bytes."""
        node, lines = self.node, self.path.read_bytes().splitlines(keepends=True)
        end_line, end = node.end_lineno or node.lineno, node.end_col_offset or 0
        head = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
        tail = lines[end_line - 1][end:] + b"".join(lines[end_line:])
        return head + f"({self.after})".encode() + tail


Functions = Mapping[str, Sequence[ast.expr]]
"""Expressions of every function of a file, by its name within the file."""


def functions_of(source: bytes) -> Functions:
    """Expressions that compute, by function; those of a nested function count to both."""
    functions: dict[str, list[ast.expr]] = {}

    def enter(body: Sequence[ast.stmt], prefix: str) -> None:
        for statement in body:
            if isinstance(statement, ast.ClassDef):
                enter(statement.body, f"{prefix}{statement.name}.")
            elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                nodes = [node for node in _behaviour(statement) if isinstance(node, ast.expr)]
                functions.setdefault(f"{prefix}{statement.name}", []).extend(nodes)

    enter(ast.parse(source).body, "")
    return functions


def _behaviour(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that compute: no annotations, decorators, assertions, messages or docstrings."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "exc", "type_params", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Assert | ast.JoinedStr):
                continue
            yield child
            yield from _behaviour(child)


def changes_of(node: ast.expr) -> Iterator[str]:
    """Texts of an expression with one change in itself, or in a number or name right below it."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
        yield _changed(node, ops=[SWAPS[type(node.ops[0])]()])
    elif isinstance(node, ast.BinOp) and any(_is_text(each) for each in (node.left, node.right)):
        return  # paths and formats
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS:
        yield _changed(node, op=SWAPS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield ast.unparse(node.operand)
    elif isinstance(node, ast.Call):
        name = node.func
        if isinstance(name, ast.Name) and name.id in NAMES:
            yield _changed(node, func=ast.Name(NAMES[name.id]))
        elif isinstance(name, ast.Attribute) and name.attr in NAMES:
            yield _changed(node, func=ast.Attribute(name.value, NAMES[name.attr]))
    yield from _changes_below(node)


def _is_text(node: ast.expr) -> bool:
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return constant or isinstance(node, ast.JoinedStr)


def _changes_below(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.UnaryOp):
        return
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.Constant) and (other := _other(value)):
            yield _changed(node, **{name: other})
        elif isinstance(value, list):
            for number, child in enumerate(value):
                if isinstance(child, ast.Constant) and (other := _other(child)):
                    yield _changed(node, **{name: [*value[:number], other, *value[number + 1 :]]})


def _other(constant: ast.Constant) -> ast.Constant | None:
    match constant.value:
        case bool(value):
            return ast.Constant(not value)
        case int(value):
            return ast.Constant(value + 1)
        case float(value) if value:
            return ast.Constant(1.5 * value)
    return None


def _changed(node: ast.expr, **fields: object) -> str:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return ast.unparse(other)


def draw(root: Path, seed: int, count: int) -> list[Mutant]:
    """Mutants of the folders in turns, at most one of a function."""
    chance = random.Random(seed)
    groups: list[list[Mutant]] = []
    taken: set[str] = set()
    for folder in FOLDERS:
        mutants: list[Mutant] = []
        for path in sorted((root / "src" / "rilievo" / folder).rglob("*.py")):
            module = _module(root, path)
            for name, nodes in functions_of(path.read_bytes()).items():
                mutants += mutants_of(f"{module}.{name}", nodes)
        chance.shuffle(mutants)
        single: list[Mutant] = []
        for mutant in mutants:
            if mutant.function not in taken and len(single) < count:
                taken.add(mutant.function)
                single.append(mutant)
        groups.append(single)
    turns = [group[turn] for turn in range(count) for group in groups if turn < len(group)]
    return turns[:count]


def mutants_of(function: str, nodes: Sequence[ast.expr]) -> list[Mutant]:
    """Changes of the expressions that stand once in a function."""
    texts = [ast.unparse(node) for node in nodes]
    return [
        Mutant(function=function, before=before, after=after)
        for node, before in zip(nodes, texts, strict=True)
        if texts.count(before) == 1
        for after in changes_of(node)
        if _shape(before) and _shape(after)
    ]


def _shape(text: str) -> str:
    """An expression with numbers for the names of variables; empty where it is none, as a slice."""
    try:
        tree = ast.parse(f"({text})", mode="eval")
    except SyntaxError:
        return ""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not hasattr(builtins, node.id):
            node.id = names.setdefault(node.id, f"v{len(names)}")
    return ast.unparse(tree)


def _module(root: Path, path: Path) -> str:
    parts = path.relative_to(root / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find(mutant: Mutant, root: Path) -> Place | None:
    """The expression in its function: in its module, or in the one other that has both.

    Variables may have other names than before.
    """
    package = root / "src" / "rilievo"
    places = []
    for path in _own_files(mutant.function, root):
        name = mutant.function.removeprefix(f"{_module(root, path)}.")
        places += _places(mutant, path, name)
    if places:
        return places[0]
    name = _short(mutant.function)
    for path in sorted(package.rglob("*.py")):
        places += _places(mutant, path, name)[:1]
    return places[0] if len(places) == 1 else None


def _own_files(function: str, root: Path) -> Iterator[Path]:
    """Files of the module that a function's name begins with."""
    parts = function.split(".")
    for end in range(len(parts) - 1, 0, -1):
        stem = root.joinpath("src", *parts[:end])
        yield from filter(Path.is_file, (stem.with_suffix(".py"), stem / "__init__.py"))


def _places(mutant: Mutant, path: Path, name: str) -> list[Place]:
    source = path.read_bytes()
    if name.rpartition(".")[2].encode() not in source:
        return []
    nodes = functions_of(source).get(name, ())
    return [Place(path, node, after) for node, after in _same(mutant, nodes)]


def _same(mutant: Mutant, nodes: Sequence[ast.expr]) -> Iterator[tuple[ast.expr, str]]:
    """The expressions that read the same, then those that do but for names of variables."""
    texts = [(node, ast.unparse(node)) for node in nodes]
    yield from ((node, mutant.after) for node, text in texts if text == mutant.before)
    before, after = _shape(mutant.before), _shape(mutant.after)
    for node, text in texts:
        if text != mutant.before and _shape(text) == before:
            yield from ((node, other) for other in changes_of(node) if _shape(other) == after)


def _short(function: str) -> str:
    """Name within a file: classes begin with a capital, or an underscore and one."""
    parts = function.split(".")
    first = next((k for k, part in enumerate(parts) if part.lstrip("_")[:1].isupper()), -1)
    return ".".join(parts[first:])


def follow(mutants: Sequence[Mutant], root: Path) -> list[Mutant]:
    """Give mutants today's names of their functions; those that cannot be found leave."""
    places = [find(mutant, root) for mutant in mutants]
    return [
        replace(mutant, function=_dotted(mutant.function, _module(root, place.path)))
        for mutant, place in zip(mutants, places, strict=True)
        if place is not None
    ]


def _dotted(function: str, module: str) -> str:
    own = function.startswith(f"{module}.")
    return function if own else f"{module}.{_short(function)}"


def files_for(function: str, reached: Mapping[str, set[str]], by: str = "") -> list[str]:
    """Files of tests to try: the one that caught a mutant, or those that reach its function.

    Those come first that share most words with the function's name, and those that reach few other
    functions.
    """
    if by:
        return [by]
    words = set(re.findall("[a-z]+", function.lower()))
    ranks = {
        file: (-len(words.intersection(re.findall("[a-z]+", file))), len(names))
        for file, names in reached.items()
        if function in names
    }
    return sorted(ranks, key=lambda file: ranks[file])[:MOST_FILES]


def trace(root: Path, folder: Path) -> dict[str, set[str]]:
    """Run all quick tests of a tree once; return which functions each of their files reaches.

    ``folder`` is where the record is kept. A record that is there is read.
    """
    if not folder.exists():
        command = [sys.executable, "-m", "pytest", "-n", "auto", "-q", "-m", "not slow"]
        options = ["-p", "no:cacheprovider", "-p", "lab.prove.reached", "--reached", str(folder)]
        path = os.pathsep.join(str(root / name) for name in ("src", ".", "tests"))
        subprocess.run(
            [*command, *options],
            cwd=root,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            check=False,  # tests of speed may fail beside the record
        )
    return reached.read(folder)


def attempt(place: Place, root: Path, files: Sequence[str], cpu: int) -> tuple[str, str]:
    """Outcome of the tests on a mutant in a copy of the tree, and the file that caught it."""
    source = place.path.read_bytes()
    bytecode = Path(importlib.util.cache_from_source(str(place.path)))
    bytecode.unlink(missing_ok=True)
    place.path.write_bytes(place.changed())
    outcome = "survived"
    try:
        for file in files:
            code = _run(root, file, cpu)
            if code is None:
                outcome = "undecided"
            elif code in (1, 2, 3):
                return "caught", file
    finally:
        place.path.write_bytes(source)
        bytecode.unlink(missing_ok=True)
    return outcome, ""


def _run(root: Path, file: str, cpu: int) -> int | None:
    """Exit status of a file of tests; None if it took too long.

    The child is a fork of this process, which has imported what takes long and is not tested.
    """
    child = os.fork()
    if not child:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
        _test(root, file)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            if code not in (*ENDED, -signal.SIGXCPU, -signal.SIGKILL):
                raise SystemExit(f"{file}: the run of its tests ended with {code}")
            return code if code in ENDED else None
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _test(root: Path, file: str) -> None:
    """Run a file of tests in this process, and end it."""
    code = 3
    try:
        os.chdir(root)
        paths = [str(root / name) for name in ("src", ".", "tests")]
        sys.path[:0] = paths
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(silence, stream)
        options = ("-x", "-q", "-m", "not slow", "-p", "no:cacheprovider")
        code = int(pytest.main([*options, file]))
    finally:
        os._exit(code)


def _warm() -> None:
    """Import the packages that tests import, without anything of this project."""
    for name in WARM:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def read(path: Path) -> list[Mutant]:
    """Mutants of a file."""
    return [Mutant(**each) for each in json.loads(path.read_text("utf-8"))]


def write(path: Path, mutants: Sequence[Mutant]) -> None:
    """Write mutants, one a line, at once."""
    lines = ",\n".join(json.dumps(asdict(each), ensure_ascii=False) for each in mutants)
    part = path.with_suffix(".part")
    part.write_text(f"[\n{lines}\n]\n", "utf-8")
    part.replace(path)


def try_all(path: Path, end: float, cpu: int, traced: Path | None = None) -> list[Mutant]:
    """Try the mutants of a file that have no outcome yet, in a copy of the committed tree.

    ``traced`` keeps the record of which functions each file of tests reaches.
    """
    mutants = read(path)
    _warm()
    with tempfile.TemporaryDirectory(prefix="rilievo-mutants-") as folder:
        root = Path(folder)
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, stdout=-1)
        subprocess.run(["tar", "-x"], cwd=root, check=True, input=archive.stdout)
        untried = [each for each in mutants if not each.outcome and not (root / each.by).is_file()]
        record = trace(root, traced or root / "reached") if untried else {}
        record = {
            file: names
            for file, names in record.items()
            if "browser" not in (root / file).read_text("utf-8")
        }
        for number, mutant in enumerate(mutants):
            if mutant.outcome or time.monotonic() > end:
                continue
            start = time.monotonic()
            place = find(mutant, root)
            outcome, by = "gone", ""
            if place:
                function = _dotted(mutant.function, _module(root, place.path))
                by = mutant.by if (root / mutant.by).is_file() else ""
                files = files_for(function, record, by)
                outcome, by = attempt(place, root, files, cpu)
            mutants[number] = replace(mutant, outcome=outcome, by=by)
            write(path, mutants)
            took = time.monotonic() - start
            print(f"{outcome}, {took:.0f} s: {told(mutants[number])}", flush=True)
    return mutants


def told(mutant: Mutant) -> str:
    """One line about a mutant."""
    return f"{mutant.function}: {mutant.before}  →  {mutant.after}"


def report(mutants: Sequence[Mutant]) -> str:
    """Counts by folder, and what was not caught, as Markdown."""
    words = ("caught", "survived", "undecided", "gone", "")
    counts: dict[str, Counter[str]] = {}
    for mutant in mutants:
        counts.setdefault(mutant.function.split(".")[1], Counter())[mutant.outcome] += 1
    rows = [
        f"| {name} | {' | '.join(str(count[word]) for word in words)} |"
        for name, count in [
            *((f"`{name}`", count) for name, count in sorted(counts.items())),
            ("together", sum(counts.values(), Counter())),
        ]
    ]
    head = [f"| folder | {' | '.join(words[:-1])} | not tried |", f"|---|{5 * '---:|'}"]
    lines = [f"- {each.outcome}: `{told(each)}`" for each in mutants if each.outcome in words[1:4]]
    return "\n".join([*head, *rows, "", *lines])


def main() -> int:
    """Draw, try, replay or report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--draw", type=int, metavar="SEED", help="draw the list anew, and stop")
    parser.add_argument("--replay", type=Path, metavar="STATE.json", help="where outcomes go")
    parser.add_argument("--sample", type=int, metavar="N", help="try N that were caught")
    parser.add_argument("--follow", action="store_true", help="write today's names, and stop")
    parser.add_argument("--report", action="store_true", help="print the table, and stop")
    parser.add_argument("--reached", type=Path, metavar="FOLDER", help="keep what tests reach")
    parser.add_argument("--minutes", type=float, default=1e9, help="time after which to stop")
    parser.add_argument("--cpu", type=int, default=CPU_SECONDS, help="most seconds of a test file")
    options = parser.parse_args()
    path, end = options.replay or LIST, time.monotonic() + 60 * options.minutes
    if options.draw is not None:
        write(LIST, draw(ROOT, options.draw, COUNT))
    elif options.follow:
        write(LIST, follow(read(LIST), ROOT))
    elif options.report:
        print(report(read(path)))
    elif options.sample is not None:
        with tempfile.TemporaryDirectory(prefix="rilievo-sample-") as folder:
            state = Path(folder) / "state.json"
            write(state, _untried(random.Random().sample, options.sample))
            return _status(try_all(state, end, options.cpu))
    else:
        if options.replay and not path.exists():
            write(path, _untried())
        mutants = try_all(path, end, options.cpu, options.reached)
        return _status(mutants) if options.replay else 0
    return 0


def _untried(
    sample: Callable[[Sequence[Mutant], int], list[Mutant]] | None = None, count: int = COUNT
) -> list[Mutant]:
    """Mutants of the list that were caught, all or some, without their outcomes."""
    caught = [mutant for mutant in read(LIST) if mutant.outcome == "caught"]
    chosen = sample(caught, min(count, len(caught))) if sample else caught
    return [replace(mutant, outcome="") for mutant in chosen]


def _status(mutants: Sequence[Mutant]) -> int:
    missed = [mutant for mutant in mutants if mutant.outcome in ("survived", "undecided")]
    if missed:
        print("not caught any more:", *map(told, missed), sep="\n")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
