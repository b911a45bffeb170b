"""Graph of the imports between the modules of a package, hidden ones included.

An edge leads from a module to the module that it names, in one of four ways:

- ``top``: an import statement that runs when the module is imported;
- ``lazy``: an import statement inside a function;
- ``type``: an import statement under ``if TYPE_CHECKING``;
- ``string``: a string literal that is, to the letter, ``package.module`` or
  ``package.module:name``; or an f-string or a sum that begins with our package, such as
  ``f"package.folder.{...}"``, where it leads to the modules of that form whose holes are literals
  of the same file or, where there is none, of the modules that it imports and of the TOML files in
  the folder and the one above. ``{__name__}`` and ``{__package__}`` are known.

``from package.folder import name`` leads to ``package.folder.name`` where that is a module, else to
``package.folder``. Importing a module also runs the ``__init__`` of the folders around it: that is
no edge, as it is none for import-linter. Not modules, and so no edges, are the group of entry
points (``group="package.models"``) and the folder around a module that it reads data from
(``files("package.folder")``). A name put together in another way is not seen.
"""

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import networkx

Kind = Literal["top", "lazy", "type", "string"]
HOLE = "\0"
_QUOTED = re.compile(r"\"([A-Za-z_]\w*)\"")


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """An import of one of our modules by another.

    Attributes:
        source: Module that imports.
        target: Module that is imported.
        kind: Way in which it is named.
        line: Line of the source.
    """

    source: str
    target: str
    kind: Kind
    line: int


@dataclass(frozen=True, slots=True)
class Module:
    """A Python file.

    Attributes:
        name: Dotted name; that of the folder for an ``__init__.py``.
        path: The file.
        text: Content of the file.
        tree: Syntax tree of the file.
    """

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """Name of the folder that holds the file."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @property
    def root(self) -> Path:
        """Folder of the outermost package."""
        return self.path.parents[self.package.count(".")]


def read_modules(root: Path) -> dict[str, Module]:
    """Read the Python files of a package, such as ``src/rilievo``, by their dotted names."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found[name] = Module(name, path, text, ast.parse(text))
    return found


def read_edges(modules: Mapping[str, Module]) -> list[Edge]:
    """List the imports of our own modules, several of one pair included, in order of source."""
    imported = {name: list(_statements(module, modules)) for name, module in modules.items()}
    top = min(modules, key=len)
    found = []
    for name, module in modules.items():
        beside = {edge.target for edge in imported[name]}
        strings = _strings(module, modules, top, beside)
        found += [edge for edge in chain(imported[name], strings) if edge.target != name]
    return found


def _statements(module: Module, modules: Collection[str]) -> Iterator[Edge]:
    waiting: list[tuple[ast.AST, Kind]] = [(module.tree, "top")]
    while waiting:
        node, kind = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            for target in _targets(node, module, modules):
                yield Edge(module.name, target, kind, node.lineno)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner: Kind = "lazy" if kind == "top" else kind
            waiting += [(each, inner) for each in node.body]
        elif isinstance(node, ast.If) and _is_for_types(node.test):
            waiting.extend((each, "type") for each in node.body)
            waiting += [(each, kind) for each in node.orelse]
        elif not isinstance(node, ast.expr):
            # Statements stand in these fields alone, and expressions hold no import.
            for field in {"body", "orelse", "finalbody", "handlers", "cases"} & {*node._fields}:
                waiting += [(each, kind) for each in getattr(node, field)]


def _is_for_types(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _targets(
    node: ast.Import | ast.ImportFrom, module: Module, modules: Collection[str]
) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (each.name for each in node.names if each.name in modules)
        return
    base = base_of(node, module)
    for each in node.names:
        name = f"{base}.{each.name}"
        if name in modules or base in modules:
            yield name if name in modules else base


def base_of(node: ast.ImportFrom, module: Module) -> str:
    """Name of the module that names are imported from, dots in front of it resolved."""
    if node.level == 0:
        return node.module or ""
    parts = module.package.split(".")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def _strings(
    module: Module, modules: Mapping[str, Module], top: str, beside: Collection[str]
) -> Iterator[Edge]:
    if not re.search(rf"[\"']{top}\.|\{{__(name|package)__\}}\.", module.text):
        return
    for node in _expressions(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            target = node.value.partition(":")[0]
            if target in modules and "." in target:
                yield Edge(module.name, target, "string", node.lineno)
        elif isinstance(node, ast.JoinedStr | ast.BinOp):
            form = _form(node, module)
            if form.startswith(f"{top}.") and HOLE in form:
                names = _named(form, _literals(module), modules) or _named(
                    form, _tables(form, module, [modules[each] for each in beside]), modules
                )
                for name in sorted(names):
                    yield Edge(module.name, name, "string", node.lineno)


def _expressions(module: Module) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = [module.tree]
    while waiting:
        node = waiting.pop()
        if not _names_no_module(node, module):
            yield node
            waiting.extend(ast.iter_child_nodes(node))


def _names_no_module(node: ast.AST, module: Module) -> bool:
    """Whether the text inside names a group of entry points, or the folder of the module's data."""
    if isinstance(node, ast.keyword):
        return node.arg == "group"
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    if node.func.id != "files" or not isinstance(node.args[0], ast.Constant):
        return False
    return module.name.startswith(f"{node.args[0].value}.")


def _form(node: ast.JoinedStr | ast.BinOp, module: Module) -> str:
    """Text with a ``HOLE`` for all that is not known."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node.left, node.right]
    own = {"__name__": module.name, "__package__": module.package}
    text = ""
    for part in parts:
        if isinstance(part, ast.FormattedValue):
            part = part.value
        if isinstance(part, ast.Constant):
            text += str(part.value)
        else:
            text += own.get(part.id, HOLE) if isinstance(part, ast.Name) else HOLE
    return text


def _literals(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _tables(form: str, module: Module, imported: Iterable[Module]) -> Iterator[str]:
    yield from chain.from_iterable(map(_literals, imported))
    parts = form.partition(HOLE)[0].split(".")[1:-1]
    folder = module.root.joinpath(*parts)
    for table in (*folder.glob("*.toml"), *folder.parent.glob("*.toml")):
        yield from _QUOTED.findall(table.read_text(encoding="utf-8"))


def _named(form: str, names: Iterable[str], modules: Collection[str]) -> set[str]:
    """Modules of a form, each of whose holes is one of the names, up to a colon."""
    known = {name.partition(":")[0] for name in names}
    pattern = re.compile(re.escape(form).replace(HOLE, r"([\w.]+)"))
    found = ((name, pattern.fullmatch(name)) for name in modules)
    return {name for name, match in found if match and known.issuperset(match.groups())}


def circles(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Find the sets of nodes that reach each other, the largest first.

    Args:
        pairs: Source and target of every edge.

    Returns:
        Nodes of each strongly connected component of two or more, sorted.
    """
    components = networkx.strongly_connected_components(networkx.DiGraph([*pairs]))
    largest = [sorted(nodes) for nodes in components if len(nodes) > 1]
    return sorted(largest, key=lambda circle: (-len(circle), circle))


def shortest_cycle(circle: Collection[str], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Find the shortest way from a node of a circle back to itself; that node is at both ends."""
    graph = networkx.DiGraph(sorted(pairs)).subgraph(circle)
    ways = (
        [start, *networkx.shortest_path(graph, target, start)]
        for start in sorted(circle)
        for target in graph[start]
    )
    return min(ways, key=len)
