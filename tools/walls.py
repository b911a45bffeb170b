"""Judge the walls of the house: who imports whom, hidden imports included, and what a file holds.

Usage: python tools/walls.py [--check] [--source src/rilievo]

``import_graph.py`` says what counts as an import: statements at the top, in functions and under
TYPE_CHECKING, and modules named by strings. Of one file these last two do not count: the literal
table of the names of the wings, ``TABLE``, by which the house finds them and type checkers know
them. The house is all of the package but the folders of ``WINGS``; each of these imports the house
and those of a lower rank alone.

Counted are circles of modules, and circles of the folders and files beside each other (a folder
imports what any of its files imports; its own ``__init__`` stands aside); files that assign a
module-level name between two definitions; modules whose docstring needs an "and" in its first
sentence; folders of more than a dozen Python files, ``__init__`` included; files of one name in one
wing, or in the house, without ``__init__``. Lines are those of Python files.

``--check`` prints what is worse than ``BOUNDS``, and exits with 1 if anything is. Whoever makes a
number smaller makes its bound smaller too.
"""

import argparse
import ast
import gc
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from import_graph import Edge, Module, circles, read_edges, read_modules, shortest_cycle

ROOT = Path(__file__).resolve().parents[1]
BOUNDS = {
    "circles of modules": 0,
    "modules in circles": 0,
    "circles of neighbours": 0,
    "imports of a wing by the house": 0,
    "imports against the order of the wings": 0,
    "imports inside functions": 83,
    "files with a constant between definitions": 45,
    "first sentences with an and": 215,
    "folders of more than a dozen files": 5,
    "files of one name in one wing": 0,
}
WINGS = {"data": 1, "evaluation": 2, "training": 2, "serving": 2, "cluster": 3}
"""Ranks of the wings, by their folder; the house has rank 0."""
TABLE = "rilievo.wings"
MOST_FILES = 12


@dataclass(frozen=True, slots=True)
class Finding:
    """A count of things that stand against the plan.

    Attributes:
        name: Name of the count, as in ``BOUNDS``.
        count: The number.
        lines: The things, in words.
    """

    name: str
    count: int
    lines: list[str] = field(default_factory=list)


def judge(modules: Mapping[str, Module]) -> list[Finding]:
    """Count what stands against the plan of the house, in the order of ``BOUNDS``."""
    edges = [
        edge
        for edge in read_edges(modules)
        if edge.source != TABLE or edge.kind not in ("string", "type")
    ]
    return [
        *_circles_of_modules(edges),
        _circles_of_neighbours(edges),
        _house_to_wings(edges),
        _against_the_order(edges),
        _inside_functions(edges, modules),
        _constants_between_definitions(modules),
        _sentences_with_and(modules),
        _full_folders(modules),
        _same_names(modules),
    ]


def area(module: str) -> str:
    """Wing of a module, or "house"."""
    second = module.split(".")[1:2]
    return second[0] if second and second[0] in WINGS else "house"


def _circles_of_modules(edges: Sequence[Edge]) -> list[Finding]:
    pairs = {(edge.source, edge.target) for edge in edges}
    found = circles(pairs)
    lines = []
    for circle in found:
        cycle = shortest_cycle(circle, pairs)
        folders = Counter(name.rpartition(".")[0] for name in circle)
        inside = [edge for edge in edges if edge.source in circle and edge.target in circle]
        lines.append(
            f"{len(circle)} modules: "
            + ", ".join(f"{count} of {folder}" for folder, count in sorted(folders.items()))
        )
        lines += [f"    shortest: {_told(a, b, inside)}" for a, b in pairwise(cycle)]
        lines += [f"    {told}" for told in _hidden(inside)]
    total = sum(map(len, found))
    return [
        Finding("circles of modules", len(found), lines),
        Finding("modules in circles", total),
    ]


def _circles_of_neighbours(edges: Sequence[Edge]) -> Finding:
    by_folder: dict[str, dict[tuple[str, str], list[Edge]]] = defaultdict(lambda: defaultdict(list))
    for edge in edges:
        source, target = edge.source.split("."), edge.target.split(".")
        depth = next(
            (k for k, (a, b) in enumerate(zip(source, target, strict=False)) if a != b), None
        )
        if depth is not None:
            by_folder[".".join(source[:depth])][source[depth], target[depth]].append(edge)
    lines, count = [], 0
    for folder, pairs in sorted(by_folder.items()):
        for circle in circles(pairs):
            count += 1
            lines.append(f"{folder}: {', '.join(circle)}")
            for pair in pairwise(shortest_cycle(circle, pairs)):
                first, *more = sorted(pairs[pair], key=lambda edge: edge.kind != "top")
                rest = f" (+{len(more)} more)" if more else ""
                lines.append(f"    shortest: {_told(first.source, first.target, [first])}{rest}")
    return Finding("circles of neighbours", count, lines)


def _house_to_wings(edges: Sequence[Edge]) -> Finding:
    found = [each for each in edges if area(each.source) == "house" != area(each.target)]
    return _listed("imports of a wing by the house", found)


def _against_the_order(edges: Sequence[Edge]) -> Finding:
    found = [
        edge
        for edge in edges
        if (a := area(edge.source)) != "house" != (b := area(edge.target))
        if a != b and WINGS[b] >= WINGS[a]
    ]
    return _listed("imports against the order of the wings", found)


def _listed(name: str, edges: Sequence[Edge]) -> Finding:
    kinds = _kinds(edges)
    return Finding(name, len(kinds), [_told(*pair, edges) for pair in sorted(kinds)])


def _kinds(edges: Sequence[Edge]) -> dict[tuple[str, str], list[str]]:
    kinds: dict[tuple[str, str], list[str]] = defaultdict(list)
    for edge in sorted(edges, key=lambda edge: edge.line):
        told = f"{edge.kind}, line {edge.line}"
        if told not in kinds[edge.source, edge.target]:
            kinds[edge.source, edge.target].append(told)
    return kinds


def _told(source: str, target: str, edges: Sequence[Edge]) -> str:
    between = [edge for edge in edges if (edge.source, edge.target) == (source, target)]
    return f"{source} -> {target} ({'; '.join(_kinds(between)[source, target])})"


def _hidden(edges: Sequence[Edge]) -> list[str]:
    """Pairs between which there is no import at the top of a module."""
    top = {(edge.source, edge.target) for edge in edges if edge.kind == "top"}
    hidden = {(edge.source, edge.target) for edge in edges} - top
    return [f"hidden: {_told(*pair, edges)}" for pair in sorted(hidden)]


def _inside_functions(edges: Sequence[Edge], modules: Mapping[str, Module]) -> Finding:
    statements = {(edge.source, edge.line) for edge in edges if edge.kind == "lazy"}
    folders = Counter(modules[source].package for source, _ in statements)
    return Finding("imports inside functions", len(statements), _by_count(folders))


def _constants_between_definitions(modules: Mapping[str, Module]) -> Finding:
    found = [module for module in modules.values() if _has_a_second_head(module.tree)]
    return Finding("files with a constant between definitions", len(found), _paths(found))


def _has_a_second_head(tree: ast.Module) -> bool:
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    places = [k for k, node in enumerate(tree.body) if isinstance(node, definitions)]
    if not places:
        return False
    between = tree.body[places[0] : places[-1]]
    return any(isinstance(node, ast.Assign | ast.AnnAssign) for node in between)


def _sentences_with_and(modules: Mapping[str, Module]) -> Finding:
    found = []
    for module in modules.values():
        first = re.split(r"(?<=[.!?])\s", ast.get_docstring(module.tree) or "", maxsplit=1)[0]
        if re.search(r"\band\b", first):
            found.append(module)
    folders = Counter(module.package for module in found)
    return Finding("first sentences with an and", len(found), _by_count(folders))


def _full_folders(modules: Mapping[str, Module]) -> Finding:
    sizes = Counter(module.package for module in modules.values())
    full = {name: size for name, size in sizes.items() if size > MOST_FILES}
    return Finding("folders of more than a dozen files", len(full), _by_count(full))


def _same_names(modules: Mapping[str, Module]) -> Finding:
    found: dict[tuple[str, str], list[Module]] = defaultdict(list)
    for module in modules.values():
        if module.path.name != "__init__.py":
            found[area(module.name), module.path.name].append(module)
    twice = {key: each for key, each in sorted(found.items()) if len(each) > 1}
    lines = [f"{wing}: {' '.join(_paths(each))}" for (wing, _), each in twice.items()]
    return Finding("files of one name in one wing", len(twice), lines)


def _by_count(counts: Mapping[str, int]) -> list[str]:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [f"{count:3} {name}" for name, count in ordered]


def _paths(modules: Sequence[Module]) -> list[str]:
    return [module.name.replace(".", "/") + ".py" for module in modules]


def _lines(modules: Mapping[str, Module]) -> Iterator[str]:
    files, lines = Counter[str](), Counter[str]()
    for module in modules.values():
        files[area(module.name)] += 1
        lines[area(module.name)] += len(module.text.splitlines())
    for path in (ROOT / "making").rglob("*.py"):
        files["making/"] += 1
        lines["making/"] += len(path.read_text(encoding="utf-8").splitlines())
    for name in ("house", *WINGS, "making/"):
        yield f"{lines[name]:6,} lines in {files[name]:3} files: {name}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings; 1 where one is worse than its bound and that is asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="print what is worse than its bound")
    parser.add_argument("--source", type=Path, default=ROOT / "src" / "rilievo")
    given = parser.parse_args(arguments)
    modules = read_modules(given.source)
    findings = judge(modules)
    worse = [each for each in findings if each.count > BOUNDS[each.name]]
    for each in worse if given.check else findings:
        print(f"{each.name}: {each.count} (bound {BOUNDS[each.name]})")
        print("".join(f"  {line}\n" for line in each.lines), end="")
    if not given.check:
        print(*_lines(modules), sep="\n")
    return 1 if given.check and worse else 0


if __name__ == "__main__":
    # Half of the time otherwise, and nothing of a syntax tree is garbage.
    gc.disable()
    sys.exit(main())
