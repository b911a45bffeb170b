"""Give local variables whose names are participles the noun of what they hold.

Usage: python3.12 tools/rename_participles.py PATH ... [--table TABLE.json]

``for each in photographs`` becomes ``for photograph in photographs``: the noun is the singular of
what is looped over. Other nouns come from a table, ``{"src/rilievo/io/colmap.py": {"read_camera":
{"found": "camera"}}}``, of files, functions (``Class.method``; ``*`` for any) and names. A name
stays where no noun follows, or where the noun is in use. Parameters, fields and globals stay too,
since other files use them.

A file is written if its compiled code is the same but for names of local variables. Python 3.12 or
newer is needed, whose syntax trees know the places of names in f-strings.
"""

import argparse
import ast
import builtins
import json
import keyword
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

if __package__:
    from tools.participles import PARTICIPLES
else:
    from participles import PARTICIPLES

# fmt: off
EMPTY = frozenset((
    "all", "any", "arange", "cls", "empty", "full", "fullmatch",
    "group", "groups", "it", "items", "keys", "loads", "match",
    "matches", "new", "old", "ones", "own", "re", "result",
    "results", "self", "stack", "value", "values", "where", "zeros",
))
# fmt: on
# fmt: off
TRANSPARENT = frozenset((
    "sorted", "list", "tuple", "reversed", "iter", "set", "frozenset",
    "filter", "islice", "tqdm", "dict", "chain",
))
# fmt: on
IRREGULAR = {
    "axes": "axis",
    "bases": "basis",
    "boxes": "box",
    "children": "child",
    "indices": "index",
    "lenses": "lens",
    "matrices": "matrix",
    "people": "person",
    "series": "",
    "vertices": "vertex",
}
CALLS: set[tuple[str, str]] = set()
"""Functions with the keywords by which some file calls them."""
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
LOOPS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

Nouns = Mapping[str, Mapping[str, str]]
Table = Mapping[str, Nouns]


def main(arguments: Sequence[str]) -> int:
    """Rename in files and folders; print the number of names that changed."""
    parser = argparse.ArgumentParser(description="Give local variables nouns for participles.")
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--table", type=Path, help="nouns by file, function and name")
    parser.add_argument("--list", action="store_true", help="print what stays, as a table's keys")
    options = parser.parse_args(arguments)
    table: Table = json.loads(options.table.read_text("utf-8")) if options.table else {}
    CALLS.update(_keywords_of_calls())
    total, rest = 0, {}
    for root in options.paths:
        for file in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            nouns = table.get(file.as_posix(), {})
            total += _rename_file(file, nouns)
            names = sorted({(scope.function, name) for scope, name in _locals(file.read_text())})
            if names:
                rest[file.as_posix()] = [f"{function} {name}" for function, name in names]
    if options.list:
        print(json.dumps(rest, indent=1))
    print(f"{total} names renamed", file=sys.stderr)
    return 0


def _rename_file(path: Path, nouns: Nouns) -> int:
    text, count = path.read_text(encoding="utf-8"), 0
    refusals: set[tuple[int, int, str]] = set()
    while True:
        renaming = next(
            (
                change
                for change in _renamings(text, nouns)
                if (*change.places[0], change.noun) not in refusals
            ),
            None,
        )
        if renaming is None:
            break
        changed = _rewrite(text, renaming)
        if _same_code(_compiled(text), _compiled(changed)):
            text, count = _documented(changed, renaming), count + len(renaming.places)
        else:
            refusals.add((*renaming.places[0], renaming.noun))
    if count:
        path.write_text(text, encoding="utf-8")
    return count


@dataclass(frozen=True)
class Renaming:
    """A local variable's name, its noun, and the places [line, byte column] of its uses."""

    name: str
    noun: str
    places: Sequence[tuple[int, int]]


@dataclass
class Scope:
    """A function, lambda or comprehension with the names that it binds."""

    node: ast.AST
    parent: "Scope | None"
    params: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    binders: dict[str, list[ast.AST]] = field(default_factory=dict)
    uses: list[ast.Name] = field(default_factory=list)
    children: list["Scope"] = field(default_factory=list)

    @property
    def function(self) -> str:
        """Dotted name of the function within its file; empty at the module's level."""
        parts: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            if isinstance(scope.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                parts.append(scope.node.name)
            scope = scope.parent
        return ".".join(reversed(parts))

    def binds(self, name: str) -> bool:
        """Whether a name is local to the scope."""
        return name in self.params or (name in self.binders and name not in self.shared)

    def all_uses(self, name: str) -> Iterator[ast.Name]:
        """Uses of a local name, those of closures too."""
        yield from (use for use in self.uses if use.id == name)
        for child in self.children:
            if not child.binds(name):
                yield from child.all_uses(name)

    def names(self) -> set[str]:
        """Names in the scope and in all below it."""
        names = {use.id for use in self.uses} | self.params
        return names.union(*(child.names() for child in self.children))


class Scopes(ast.NodeVisitor):
    """Scopes of a module."""

    def __init__(self) -> None:
        self.scope = Scope(node=ast.Module(body=[], type_ignores=[]), parent=None)
        self.all: list[Scope] = []
        self.binder: ast.AST | None = None

    def _enter(self, node: ast.AST) -> Scope:
        scope = Scope(node=node, parent=self.scope)
        self.scope.children.append(scope)
        self.all.append(scope)
        self.scope = scope
        return scope

    def _leave(self) -> None:
        assert self.scope.parent is not None
        self.scope = self.scope.parent

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        arguments = node.args
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self.visit(default)
        params = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        params += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
        if not isinstance(node, ast.Lambda):
            for decorator in node.decorator_list:
                self.visit(decorator)
            for annotation in [*(param.annotation for param in params), node.returns]:
                if annotation is not None:
                    self.visit(annotation)
        scope = self._enter(node)
        scope.params = {param.arg for param in params}
        for part in node.body if isinstance(node.body, list) else [node.body]:
            self.visit(part)
        self._leave()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function

    def _visit_comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    ) -> None:
        generators = node.generators
        self.visit(generators[0].iter)
        self._enter(node)
        for index, generator in enumerate(generators):
            if index:
                self.visit(generator.iter)
            self._visit_target(generator.target, generator)
            for condition in generator.ifs:
                self.visit(condition)
        for name in ("elt", "key", "value"):
            if hasattr(node, name):
                self.visit(getattr(node, name))
        self._leave()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Visit a class, whose fields are no local variables."""
        scope = self._enter(node)
        self.generic_visit(node)
        scope.shared |= set(scope.binders)
        self._leave()

    def _visit_target(self, target: ast.AST, binder: ast.AST) -> None:
        before, self.binder = self.binder, binder
        self.visit(target)
        self.binder = before

    def visit_Assign(self, node: ast.Assign) -> None:
        """Visit the value, then the targets."""
        self.visit(node.value)
        for target in node.targets:
            self._visit_target(target, node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Visit the value, then the target."""
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
        self._visit_target(node.target, node)

    def visit_For(self, node: ast.For) -> None:
        """Visit what is looped over, then the target and the body."""
        self.visit(node.iter)
        self._visit_target(node.target, node)
        for part in [*node.body, *node.orelse]:
            self.visit(part)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        """Leave names in asynchronous loops."""
        self.generic_visit(node)

    def visit_withitem(self, node: ast.withitem) -> None:
        """Visit the context, then the target."""
        self.visit(node.context_expr)
        if node.optional_vars is not None:
            self._visit_target(node.optional_vars, node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """Bind the name in the function around comprehensions."""
        self.visit(node.value)
        inner = self.scope
        while isinstance(self.scope.node, LOOPS) and self.scope.parent is not None:
            self.scope = self.scope.parent
        self._visit_target(node.target, node)
        self.scope = inner

    def _visit_shared(self, node: ast.Global | ast.Nonlocal) -> None:
        self.scope.shared |= set(node.names)

    visit_Global = visit_Nonlocal = _visit_shared

    def _visit_alias(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self.scope.shared.add((alias.asname or alias.name).split(".")[0])

    visit_Import = visit_ImportFrom = _visit_alias

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """Leave names of exceptions, which are no nodes."""
        if node.name:
            self.scope.shared.add(node.name)
        self.generic_visit(node)

    def _visit_match(self, node: ast.AST) -> None:
        for name in (getattr(node, "name", None), getattr(node, "rest", None)):
            if name:
                self.scope.shared.add(name)
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = visit_MatchMapping = _visit_match

    def visit_Name(self, node: ast.Name) -> None:
        """Note a use, and a binding with the statement that binds."""
        self.scope.uses.append(node)
        if not isinstance(node.ctx, ast.Load) and self.binder is not None:
            self.scope.binders.setdefault(node.id, []).append(self.binder)
        elif not isinstance(node.ctx, ast.Load):
            self.scope.binders.setdefault(node.id, [])


def _locals(text: str) -> list[tuple[Scope, str]]:
    """Local variables whose names are participles, with their scopes."""
    visitor = Scopes()
    visitor.visit(ast.parse(text))
    return [
        (scope, name)
        for scope in visitor.all
        if not isinstance(scope.node, ast.ClassDef)
        for name in sorted(set(scope.binders) & PARTICIPLES)
        if scope.binds(name) and name not in scope.params and scope.binders[name]
        if not any(name in child.shared for child in _below(scope))
    ]


def _keywords_of_calls() -> Iterator[tuple[str, str]]:
    for folder in ("src", "tests", "lab", "benchmarks", "tools"):
        for path in Path(folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    # What is called may stand among the arguments: partial(function, name=value).
                    called = [_called(node)]
                    called += [name.id for name in node.args if isinstance(name, ast.Name)]
                    keywords = [word.arg for word in node.keywords if word.arg]
                    yield from ((function, word) for function in called for word in keywords)


def _parameters(text: str, nouns: Nouns) -> Iterator[Renaming]:
    """Parameters for which a table has a noun, and which no call names."""
    module = ast.parse(text)
    visitor = Scopes()
    visitor.visit(module)
    for scope in visitor.all:
        node = scope.node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        last = scope.function.split(".")
        called = last[-2] if last[-1] == "__init__" else last[-1]
        for argument in (*node.args.posonlyargs, *node.args.args):
            name, noun = argument.arg, nouns.get(scope.function, {}).get(argument.arg, "")
            taken = scope.names() | _globals(module)
            if not noun or noun in taken or not _fits(noun) or (called, name) in CALLS:
                continue
            if any(name in child.shared for child in _below(scope)):
                continue
            places = {(use.lineno, use.col_offset) for use in scope.all_uses(name)}
            yield Renaming(name, noun, sorted(places | {(argument.lineno, argument.col_offset)}))


def _documented(text: str, renaming: Renaming) -> str:
    """Text in which the docstring of a function names its parameter by the noun."""
    line = renaming.places[0][0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if node.lineno <= line <= first.lineno and ast.get_docstring(node):
                rows = text.splitlines(keepends=True)
                assert first.end_lineno is not None
                for number in range(first.lineno - 1, first.end_lineno):
                    old = rf"^( +){renaming.name}:|``{renaming.name}``"
                    rows[number] = re.sub(
                        old,
                        lambda m: f"{m[1]}{renaming.noun}:" if m[1] else f"``{renaming.noun}``",
                        rows[number],
                    )
                return "".join(rows)
    return text


def _renamings(text: str, nouns: Nouns) -> Iterator[Renaming]:
    yield from _parameters(text, nouns)
    module = ast.parse(text)
    top = _globals(module)
    for scope, name in _locals(text):
        outer = scope
        while (
            outer.parent is not None
            and outer.parent.parent is not None
            and not isinstance(outer.parent.node, ast.ClassDef)
        ):
            outer = outer.parent
        inner, taken = set(use.id for use in scope.all_uses(name)), outer.names() | top
        named = [nouns.get(key, {}).get(name, "") for key in (scope.function, "*")]
        for noun in [*filter(None, named), *_nouns(name, scope.binders[name])]:
            if _fits(noun) and noun not in taken - inner:
                # A table's noun is for all comprehensions and loops of its function at once.
                scopes = [scope]
                if noun in named:
                    scopes = [
                        other
                        for other, its_name in _locals(text)
                        if (other.function, its_name) == (scope.function, name)
                    ]
                uses = [use for part in scopes for use in part.all_uses(name)]
                places = sorted({(use.lineno, use.col_offset) for use in uses})
                yield Renaming(name, noun, places)
                break


def _below(scope: Scope) -> Iterator[Scope]:
    for child in scope.children:
        yield child
        yield from _below(child)


def _globals(module: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


def _fits(noun: str) -> bool:
    return (
        noun.isidentifier()
        and len(noun) > 2
        and not keyword.iskeyword(noun)
        and not hasattr(builtins, noun)
        and not PARTICIPLES & {part for word in noun.split("_") for part in _stems(word)}
        and noun not in EMPTY
    )


def _stems(word: str) -> tuple[str, ...]:
    return word, word.removesuffix("s"), word.removesuffix("es")


def _nouns(name: str, binders: Sequence[ast.AST]) -> Iterator[str]:
    """Nouns for a variable, the best first."""
    for binder in binders:
        if isinstance(binder, ast.For | ast.AsyncFor | ast.comprehension):
            iterable = _element(binder.target, binder.iter, name)
            if isinstance(iterable, ast.Name | ast.Attribute):
                plural = iterable.id if isinstance(iterable, ast.Name) else iterable.attr
                single = _singular(plural.strip("_"))
                if single:
                    yield single
                    yield single.rpartition("_")[2]


def _element(target: ast.AST, iterable: ast.expr, name: str) -> ast.expr | None:
    """Return the expression whose elements a target of a loop takes."""
    while isinstance(iterable, ast.Call) and _called(iterable) in TRANSPARENT and iterable.args:
        iterable = iterable.args[1 if _called(iterable) == "filter" else 0]
    if isinstance(target, ast.Name):
        if isinstance(iterable, ast.Call) and _called(iterable) in {"values", "keys"}:
            function = iterable.func
            return function.value if isinstance(function, ast.Attribute) else None
        return iterable
    if not isinstance(target, ast.Tuple | ast.List):
        return None
    index = next(
        (
            index
            for index, part in enumerate(target.elts)
            if any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(part))
        ),
        None,
    )
    if index is None:
        return None
    part = target.elts[index]
    if isinstance(iterable, ast.Tuple) and len(iterable.elts) == len(target.elts):
        return iterable.elts[index] if isinstance(part, ast.Name) else None
    if not isinstance(iterable, ast.Call):
        return None
    called = _called(iterable)
    if called == "enumerate" and index == 1 and iterable.args:
        return _element(part, iterable.args[0], name)
    if called == "items" and index == 1 and isinstance(iterable.func, ast.Attribute):
        return iterable.func.value if isinstance(part, ast.Name) else None
    if called == "zip" and len(iterable.args) == len(target.elts):
        return _element(part, iterable.args[index], name)
    return None


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _singular(words: str) -> str:
    head, _, last = words.rpartition("_")
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif last.endswith("ies") and len(last) > 4:
        last = f"{last[:-3]}y"
    elif last.endswith(("sses", "xes", "ches", "shes")):
        last = last[:-2]
    elif last.endswith("s") and not last.endswith(("ss", "us", "is")):
        last = last[:-1]
    else:
        return ""
    return f"{head}_{last}" if head and last else last


def _rewrite(text: str, renaming: Renaming) -> str:
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    for line, column in sorted(renaming.places, reverse=True):
        old, noun = renaming.name.encode(), renaming.noun.encode()
        row = lines[line - 1]
        assert row[column : column + len(old)] == old, (renaming, row)
        lines[line - 1] = row[:column] + noun + row[column + len(old) :]
    return b"".join(lines).decode()


def _compiled(text: str) -> CodeType:
    """Code of a module without the annotations of parameters, which name these."""
    module = ast.parse(text)
    for node in ast.walk(module):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    return compile(module, "", "exec")


def _same_code(before: CodeType, after: CodeType) -> bool:
    """Whether code is the same but for names of local variables."""
    if before.co_code != after.co_code or before.co_names != after.co_names:
        return False
    return len(before.co_consts) == len(after.co_consts) and all(
        _same_code(constant, other)
        if isinstance(constant, CodeType) and isinstance(other, CodeType)
        else repr(constant) == repr(other)
        for constant, other in zip(before.co_consts, after.co_consts, strict=True)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
