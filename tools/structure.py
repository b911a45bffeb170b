"""Judge the structure of the package: who imports whom, hidden imports included, and how files lie.

Usage: python tools/structure.py [--check] [--source src/rilievo]

``import_graph.py`` says what counts as an import: statements at the top, in functions and under
TYPE_CHECKING, and modules named by strings. Of one file these last two do not count: the literal
table of the names of the subpackages, ``TABLE``, by which the core finds them and type checkers
know them. The core is all of the package but the folders of ``SUBPACKAGES``; each of these imports
the core and those of a lower rank alone.

Counted are circles of modules, and circles of the folders and files beside each other (a folder
imports what any of its files imports; its own ``__init__`` stands aside); imports against the order
of the subpackages; imports inside functions; folders of more than a dozen Python files,
``__init__`` included; files of one name in one subpackage, or in the core, without ``__init__``.

``--check`` prints what is worse than ``BOUNDS``, and exits with 1 if anything is. Whoever makes a
number smaller makes its bound smaller too.
"""

import argparse
import gc
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from import_graph import Edge, Module, circles, read_edges, read_modules, shortest_cycle

ROOT = Path(__file__).resolve().parents[1]
BOUNDS = {
    "circles of modules": 0,
    "circles of neighbours": 0,
    "imports against the order of the subpackages": 0,
    "imports inside functions": 99,
    "folders of more than a dozen files": 8,
    "files of one name in one subpackage": 0,
}
SUBPACKAGES = {"data": 1, "evaluation": 2, "training": 2, "serving": 2, "cluster": 3}
"""Ranks of the subpackages, by their folder; the core has rank 0."""
TABLE = "rilievo.registry"
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
    """Count what stands against the plan of the package, in the order of ``BOUNDS``."""
    edges = [
        edge
        for edge in read_edges(modules)
        if edge.source != TABLE or edge.kind not in ("string", "type")
    ]
    return [
        _circles_of_modules(edges),
        _circles_of_neighbours(edges),
        _against_the_order(edges),
        _inside_functions(edges, modules),
        _full_folders(modules),
        _same_names(modules),
    ]


def area(module: str) -> str:
    """Subpackage of a module, or "core"."""
    second = module.split(".")[1:2]
    return second[0] if second and second[0] in SUBPACKAGES else "core"


def _circles_of_modules(edges: Sequence[Edge]) -> Finding:
    pairs = {(edge.source, edge.target) for edge in edges}
    lines, found = [], circles(pairs)
    for circle in found:
        lines.append(", ".join(circle))
        for a, b in pairwise(shortest_cycle(circle, pairs)):
            lines.append(f"    shortest: {_told(a, b, edges)}")
    return Finding("circles of modules", len(found), lines)


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


def _against_the_order(edges: Sequence[Edge]) -> Finding:
    found = [
        edge
        for edge in edges
        if (a := area(edge.source)) != (b := area(edge.target))
        if SUBPACKAGES.get(b, 0) >= SUBPACKAGES.get(a, 0)
    ]
    kinds = _kinds(found)
    lines = [_told(*pair, found) for pair in sorted(kinds)]
    return Finding("imports against the order of the subpackages", len(kinds), lines)


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


def _inside_functions(edges: Sequence[Edge], modules: Mapping[str, Module]) -> Finding:
    statements = {(edge.source, edge.line) for edge in edges if edge.kind == "lazy"}
    folders = Counter(modules[source].package for source, _ in statements)
    return Finding("imports inside functions", len(statements), _by_count(folders))


def _full_folders(modules: Mapping[str, Module]) -> Finding:
    sizes = Counter(module.package for module in modules.values())
    full = {name: size for name, size in sizes.items() if size > MOST_FILES}
    return Finding("folders of more than a dozen files", len(full), _by_count(full))


def _same_names(modules: Mapping[str, Module]) -> Finding:
    groups: dict[tuple[str, str], list[Module]] = defaultdict(list)
    for module in modules.values():
        if module.path.name != "__init__.py":
            groups[area(module.name), module.path.name].append(module)
    twice = {key: paths for key, paths in sorted(groups.items()) if len(paths) > 1}
    lines = [f"{subpackage}: {' '.join(_paths(paths))}" for (subpackage, _), paths in twice.items()]
    return Finding("files of one name in one subpackage", len(twice), lines)


def _by_count(counts: Mapping[str, int]) -> list[str]:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [f"{count:3} {name}" for name, count in ordered]


def _paths(modules: Sequence[Module]) -> list[str]:
    return [module.name.replace(".", "/") + ".py" for module in modules]


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
    return 1 if given.check and worse else 0


if __name__ == "__main__":
    # Half of the time otherwise, and nothing of a syntax tree is garbage.
    gc.disable()
    sys.exit(main())
