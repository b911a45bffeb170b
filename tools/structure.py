"""Judge the imports between the modules of the package, hidden imports included.

Usage: python tools/structure.py [--source src/rilievo]

``import_graph.py`` says what counts as an import: statements at the top, in functions and under
TYPE_CHECKING, and modules named by strings, which import-linter does not see. The strings and the
TYPE_CHECKING imports of ``TABLE`` do not count: it is the table of names by which the core finds
its subpackages. The core is all of the package but the folders of ``SUBPACKAGES``. Each of these
imports the core and subpackages of a lower rank alone.

Reported are circles of modules, circles of the folders and files beside each other (a folder
imports what any of its files imports; its own ``__init__`` stands aside), and imports against the
order of the subpackages. The exit code is 1 if there is any.
"""

import argparse
import gc
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from import_graph import Edge, Module, circles, read_edges, read_modules, shortest_cycle

ROOT = Path(__file__).resolve().parents[1]
SUBPACKAGES = {"data": 1, "evaluation": 2, "training": 2, "serving": 2, "cluster": 3}
"""Ranks of the subpackages, by their folder; the core has rank 0."""
TABLE = "rilievo.extensions.subpackages"


@dataclass(frozen=True, slots=True)
class Finding:
    """Violations of one rule.

    Attributes:
        name: What the rule forbids.
        count: Number of violations.
        lines: Description of the violations.
    """

    name: str
    count: int
    lines: list[str] = field(default_factory=list)


def judge(modules: Mapping[str, Module]) -> list[Finding]:
    """Find the violations of each rule."""
    edges = [
        edge
        for edge in read_edges(modules)
        if edge.source != TABLE or edge.kind not in ("string", "type")
    ]
    return [
        _circles_of_modules(edges),
        _circles_of_neighbours(edges),
        _against_the_order(edges),
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the violations; 1 if there is any."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", type=Path, default=ROOT / "src" / "rilievo")
    options = parser.parse_args(arguments)
    findings = judge(read_modules(options.source))
    for finding in findings:
        print(f"{finding.name}: {finding.count}")
        print("".join(f"  {line}\n" for line in finding.lines), end="")
    return int(any(finding.count for finding in findings))


if __name__ == "__main__":
    # Half of the time otherwise, and nothing of a syntax tree is garbage.
    gc.disable()
    sys.exit(main())
