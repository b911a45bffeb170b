"""Functions of a package that the value of a parameter reaches, read from the source alone.

An expression stands for a set of marks: what it may be. A mark *holds* if it is the value itself, a
record of our own with the value in a field (``Plan(options=options)``, ``self.options = options``),
or a function that carries it (a lambda, a nested function, a method of such a record). Lists,
tuples, dicts, iterators and context managers are taken for what is in them. Outside functions lose
the value, but for those of ``KEEPING``, which copy it or give it another form.

Classes, and so the methods called, are known from constructors and from the annotations of
parameters, fields and results. The way ends at names looked up in strings, and at subclasses of the
class that an annotation names: at registries. A field of the value is another value, unless the
flow is one of fields too.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from import_graph import Module, base_of

# fmt: off
KEEPING = frozenset((
    "list", "tuple", "set", "frozenset", "dict", "iter", "next", "sorted", "reversed", "enumerate",
    "zip", "chain", "from_iterable", "islice", "cast", "replace", "copy", "deepcopy", "partial",
    "Path", "str", "fspath", "open", "BytesIO", "bytes", "bytearray", "asarray", "fromarray",
    "nullcontext", "closing", "enter_context",
))
"""Outside functions whose result is what they are called with, in another form."""
_TAKING = frozenset((
    "values", "items", "get", "pop", "popleft", "copy", "setdefault", "read", "read_bytes", "open",
))
_ADDING = frozenset((
    "append", "add", "extend", "insert", "update", "setdefault", "appendleft", "put",
))
# fmt: on
_UNTYPED = frozenset(("Callable", "type", "Literal", "ClassVar"))
_OBJECTS = ("value", "record", "instance")
_WORD = re.compile(r"[A-Za-z_]\w*")
_DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, eq=False)
class Class:
    """A class of the package."""

    module: Module
    node: ast.ClassDef


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function or method of the package; nested functions are part of the one around them."""

    module: Module
    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: Class | None = None

    def __str__(self) -> str:
        owner = "" if self.owner is None else f"{self.owner.node.name}."
        return f"{self.module.name}:{owner}{self.node.name}"

    def has(self, *decorators: str) -> bool:
        """Whether it has one of these decorators, by their last names."""
        names = {_last_name(node) for node in self.node.decorator_list}
        return not names.isdisjoint(decorators)


@dataclass(frozen=True, slots=True)
class Mark:
    """Value that an expression may have.

    Attributes:
        kind: value, record (with the value in it), instance, class, function, closure or module.
        of: Class of an object, or the class, function, nested function or module itself.
        bound: Object that a method is called on.
    """

    kind: str
    of: Class | Function | ast.AST | Module | None = None
    bound: "Mark | None" = None


Marks = frozenset[Mark]
NOTHING: Marks = frozenset()


@dataclass(frozen=True, slots=True)
class Arguments:
    """Marks of the arguments of a call; those after a star may be any."""

    positional: Sequence[Marks] = ()
    keywords: Mapping[str, Marks] = field(default_factory=dict)
    starred: Marks = NOTHING

    def all(self) -> Marks:
        """Marks of all of them."""
        return NOTHING.union(*self.positional, *self.keywords.values(), self.starred)

    def by_name(self, names: Sequence[str], others: str, known: Iterable[str]) -> dict[str, Marks]:
        """Marks by parameter: of positional names, of ``*others``, and of those for keywords."""
        marks = dict(zip(names, self.positional, strict=False))
        more = self.positional[len(names) :]
        for name in {*names, *known} - {*marks, *self.keywords}:
            marks[name] = self.starred
        if others:
            marks[others] = self.starred.union(*more)
        return {**marks, **self.keywords}


class Flow:
    """Marks of names, fields and results of a package, from one parameter on.

    Attributes:
        calls: Functions that a function calls with the value or on an object that holds it, by the
            place where the call ends: in the order in which they run.
        touching: Functions in which the value itself comes up, or a function that carries it is
            called.
    """

    def __init__(self, modules: Mapping[str, Module], *, fields: bool = False) -> None:
        """Begin with nothing marked; ``fields``: whether fields of the value count as the value."""
        self._fields = fields
        self.calls: dict[Function, dict[tuple[int, int], dict[Function, None]]] = {}
        self.touching: set[Function] = set()
        self._modules = modules
        self._marks: defaultdict[tuple[object, str], set[Mark]] = defaultdict(set)
        self._carrying: set[ast.AST] = set()
        self._records: set[Class] = set()
        self._entities: dict[ast.AST, Class | Function] = {}
        self._tables: dict[str, dict[str, ast.AST]] = {}
        self._open: set[tuple[str, str]] = set()
        self._looked_up: dict[tuple[str, str], Marks] = {}
        self._annotations: dict[ast.expr, Marks] = {}
        self._bases: dict[Class, list[Class]] = {}
        self._is_new = False

    def follow(self, function: Function, parameter: str) -> None:
        """Follow the value of a parameter, until nothing new is marked.

        Raises:
            SystemExit: If there is no such parameter.
        """
        parameters = _parameters(function.node)
        if parameter not in parameters:
            raise SystemExit(f"no parameter {parameter} of {function}")
        annotation = parameters[parameter]
        kinds = self.annotation(annotation, function.module)
        self.put((function.node, parameter), _values(kinds))
        self.calls[function] = {}
        self._is_new = True
        while self._is_new:
            self._is_new = False
            for reached in list(self.calls):
                Reader(self, reached.module, reached).read_function()

    def put(self, key: tuple[object, str], marks: Iterable[Mark]) -> None:
        """Add marks to a name, a field or a result."""
        new = {*marks} - self._marks[key]
        if new:
            self._marks[key] |= new
            self._is_new = True

    def get(self, owner: object, name: str) -> Marks:
        """Marks of a name, a field or a result."""
        return frozenset(self._marks.get((owner, name), set()))

    def has(self, owner: object, name: str) -> bool:
        """Whether something was put there."""
        return (owner, name) in self._marks

    def holds(self, mark: Mark) -> bool:
        """Whether the value is in what is marked."""
        if mark.bound is not None and self.holds(mark.bound):
            return True
        return mark.kind in ("value", "record") or mark.of in self._carrying

    def is_record(self, kind: Class) -> bool:
        """Whether the value is in a field of some object of a class."""
        return kind in self._records

    def add_record(self, kind: Class) -> None:
        """Note that the value is in a field of some object of a class."""
        self._is_new |= kind not in self._records
        self._records.add(kind)

    def passed(self, marks: Iterable[Mark]) -> Marks:
        """Marks that a function learns from its caller: all else it knows by its annotations."""
        return frozenset(m for m in marks if self.holds(m) or m.kind in ("function", "closure"))

    def carry(self, closure: ast.AST) -> None:
        """Note that a nested function carries the value."""
        if closure not in self._carrying:
            self._carrying.add(closure)
            self._is_new = True

    def note_call(self, caller: Function, place: ast.expr, callee: Function) -> None:
        """Note that a function passes the value on to another."""
        end = (place.end_lineno or 0, place.end_col_offset or 0)
        self.calls[caller].setdefault(end, {})[callee] = None
        if callee not in self.calls:
            self.calls[callee] = {}
            self._is_new = True

    # Names of modules and classes

    def entity(self, module: Module, node: ast.AST, owner: Class | None = None) -> Mark:
        """Mark of a definition."""
        if isinstance(node, ast.ClassDef):
            return Mark("class", self._entities.setdefault(node, Class(module, node)))
        assert isinstance(node, _DEFINITION)
        return Mark("function", self._entities.setdefault(node, Function(module, node, owner)))

    def function(self, name: str) -> Function:
        """Function of a name: ``package.module:function`` or ``package.module:Class.method``.

        Raises:
            SystemExit: If there is none.
        """
        module, _, path = name.partition(":")
        marks = self.lookup(module, path.partition(".")[0]) if module in self._modules else NOTHING
        for part in path.split(".")[1:]:
            marks = frozenset(m for c in marks for m in self.member(c, part))
        for mark in marks:
            if isinstance(mark.of, Function):
                return mark.of
        raise SystemExit(f"no function {name}")

    def lookup(self, module: str, name: str) -> Marks:
        """Marks of a name at the top of a module."""
        key = (module, name)
        if key not in self._looked_up:
            marks = self._look_up(module, name)
            if self._open:  # what leads in a circle is not known whole
                return marks
            self._looked_up[key] = marks
        return self._looked_up[key]

    def _look_up(self, module: str, name: str) -> Marks:
        if f"{module}.{name}" in self._modules:
            return frozenset([Mark("module", self._modules[f"{module}.{name}"])])
        home = self._modules[module]
        node = self._names(home).get(name)
        if node is None or (module, name) in self._open:
            return NOTHING
        self._open.add((module, name))
        try:
            if isinstance(node, ast.ClassDef | _DEFINITION):
                return frozenset([self.entity(home, node)])
            if isinstance(node, ast.Import | ast.ImportFrom):
                return self.imported(node, home)[name]
            if isinstance(node, ast.AnnAssign):
                return self.annotation(node.annotation, home) | self._value(node, home)
            return self._value(node, home)
        finally:
            self._open.remove((module, name))

    def _value(self, node: ast.AST, home: Module) -> Marks:
        value = getattr(node, "value", None)
        return NOTHING if value is None else Reader(self, home).marks(value)

    def _names(self, module: Module) -> dict[str, ast.AST]:
        if module.name not in self._tables:
            self._tables[module.name] = dict(_names_below(module.tree))
        return self._tables[module.name]

    def imported(self, node: ast.Import | ast.ImportFrom, home: Module) -> dict[str, Marks]:
        """Marks of the names that an import statement binds."""
        marks: dict[str, Marks] = {}
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            if isinstance(node, ast.Import):
                module = self._modules.get(alias.name if alias.asname else name)
                marks[name] = NOTHING if module is None else frozenset([Mark("module", module)])
            else:
                base = base_of(node, home)
                marks[name] = self.lookup(base, alias.name) if base in self._modules else NOTHING
        return marks

    def annotation(self, node: ast.expr | None, module: Module) -> Marks:
        """Marks of what has an annotation: of all classes in it, containers left out."""
        if node is None:
            return NOTHING
        if node not in self._annotations:
            marks = self._annotated(node, module)
            if self._open:
                return marks
            self._annotations[node] = marks
        return self._annotations[node]

    def _annotated(self, node: ast.expr, module: Module) -> Marks:
        match node:
            case ast.Constant(value=str(text)):
                names = map(ast.Name, _WORD.findall(text))
                return NOTHING.union(*(self.annotation(name, module) for name in names))
            case ast.Subscript(value=outer, slice=inner):
                name = _last_name(outer)
                if name in _UNTYPED:
                    return NOTHING
                parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                parts = parts[:1] if name == "Annotated" else [outer, *parts]
                return NOTHING.union(*(self.annotation(part, module) for part in parts))
            case ast.BinOp(left=left, right=right):
                return self.annotation(left, module) | self.annotation(right, module)
            case ast.Name() | ast.Attribute():
                marks = Reader(self, module).marks(node)
                return frozenset(Mark("instance", m.of) for m in marks if m.kind == "class")
        return NOTHING

    def bases(self, kind: Class) -> list[Class]:
        """A class and those that it inherits from."""
        if kind not in self._bases:
            marks = NOTHING.union(*(self.annotation(n, kind.module) for n in kind.node.bases))
            bases = [mark.of for mark in marks if isinstance(mark.of, Class)]
            bases.sort(key=lambda base: base.node.name)
            self._bases[kind] = [kind, *(above for base in bases for above in self.bases(base))]
        return self._bases[kind]

    def fields(self, kind: Class) -> list[str]:
        """Names of the annotated fields, those of bases first."""
        names: dict[str, None] = {}
        for base in reversed(self.bases(kind)):
            for node in base.node.body:
                if isinstance(node, ast.AnnAssign) and _last_name(node.annotation) != "ClassVar":
                    names[ast.unparse(node.target)] = None
        return [*names]

    def member(self, mark: Mark, name: str, skip: int = 0) -> Marks:
        """Marks of an attribute of an object or class: a method, or what a field may be."""
        if not isinstance(mark.of, Class):
            return NOTHING
        marks = self.get(mark.of, name) if mark.kind == "record" else NOTHING
        for base in self.bases(mark.of)[skip:]:
            for node in reversed(base.node.body):
                if isinstance(node, _DEFINITION) and node.name == name:
                    method = self.entity(base.module, node, base).of
                    return frozenset([Mark("function", method, mark)])
                if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
                    marks |= self.annotation(node.annotation, base.module)
                    return _values(marks) if self._fields and mark.kind == "value" else marks
            marks |= self._initial(base, name)
        return marks

    def _initial(self, kind: Class, name: str) -> Marks:
        """Marks of what ``__init__`` assigns to an attribute, as far as annotations tell."""
        marks = NOTHING
        for start in kind.node.body:
            if isinstance(start, _DEFINITION) and start.name == "__init__":
                parameters = _parameters(start)
                for node in ast.walk(start):
                    if isinstance(node, ast.Assign) and _targets_self(node, name):
                        value = node.value.func if isinstance(node.value, ast.Call) else node.value
                        known = parameters.get(ast.unparse(value), value)
                        marks |= self.annotation(known, kind.module)
        return marks


class Reader:
    """Reader of the body of a function, or of expressions at the top of a module."""

    def __init__(
        self, flow: Flow, module: Module, function: Function | None = None, *inner: ast.AST
    ) -> None:
        self._flow, self._module, self._function = flow, module, function
        self._scopes = (*inner, *(() if function is None else (function.node,)))
        self._subject = NOTHING

    def read_function(self) -> None:
        """Read the innermost function."""
        node = self._scopes[0]
        for name, annotation in _parameters(node).items():
            marks = self._flow.annotation(annotation, self._module)
            self._flow.put((node, name), marks)
        for name, default in _defaults(node):
            self._flow.put((node, name), self._flow.passed(self.marks(default)))
        if isinstance(node, ast.Lambda):
            self._flow.put((node, "return"), self.marks(node.body))
        else:
            assert isinstance(node, _DEFINITION)
            self._read(node.body)

    def _read(self, body: Iterable[ast.AST]) -> None:
        for node in body:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self._bind(ast.Name(node.name), self._closure(node))
                case ast.ClassDef():
                    pass
                case ast.Import() | ast.ImportFrom():
                    for name, marks in self._flow.imported(node, self._module).items():
                        self._bind(ast.Name(name), marks)
                case ast.Return(value=ast.expr() as value):
                    self._flow.put((self._scopes[0], "return"), self.marks(value))
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign(target, value)
                case ast.AnnAssign(target=target, annotation=annotation, value=value):
                    marks = NOTHING if value is None else self.marks(value)
                    self._bind(target, marks | self._flow.annotation(annotation, self._module))
                case ast.AugAssign(target=target, value=value):
                    self._bind(target, self.marks(value))
                case ast.For() | ast.AsyncFor():
                    self._bind(node.target, self._entered(node.iter, "__iter__"))
                    self._read([*node.body, *node.orelse])
                case ast.withitem(context_expr=context, optional_vars=target):
                    marks = self._entered(context, "__enter__")
                    if target is not None:
                        self._bind(target, marks)
                case ast.MatchAs(name=str(name)):
                    self._bind(ast.Name(name), self._subject)
                    self._read(ast.iter_child_nodes(node))
                case ast.Match(subject=subject):
                    self._subject = self.marks(subject)
                    self._read(node.cases)
                case ast.expr():
                    self.marks(node)
                case _:
                    self._read(ast.iter_child_nodes(node))

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        parts, values = getattr(target, "elts", ()), getattr(value, "elts", ())
        if parts and len(parts) == len(values):
            for part, source in zip(parts, values, strict=True):
                self._assign(part, source)
        else:
            self._bind(target, self.marks(value))

    def _bind(self, target: ast.expr, marks: Marks) -> None:
        match target:
            case ast.Name(id=name) if self._scopes:
                self._flow.put((self._scopes[0], name), marks)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._bind(part, marks)
            case ast.Starred(value=inner):
                self._bind(inner, marks)
            case ast.Subscript(value=inner):
                self._bind(inner, self._flow.passed(marks))
            case ast.Attribute(value=inner, attr=name):
                self._bind(inner, self._with_field(self.marks(inner), name, marks))

    def _with_field(self, objects: Marks, name: str, marks: Marks) -> Marks:
        """Put marks into a field of objects; records, where they hold."""
        holding = self._flow.passed(marks)
        records = set()
        for mark in objects:
            if isinstance(mark.of, Class) and mark.kind in _OBJECTS and holding:
                self._flow.put((mark.of, name), holding)
                if any(map(self._flow.holds, holding)):
                    self._flow.add_record(mark.of)
                    records.add(Mark("record", mark.of))
        return frozenset(records)

    def marks(self, node: ast.expr) -> Marks:
        """Marks of an expression; what it calls is noted."""
        marks = self._marks(node)
        if self._function is not None and any(map(self._flow.holds, marks)):
            for closure in self._scopes[:-1]:
                self._flow.carry(closure)
            if any(mark.kind == "value" for mark in marks):
                self._flow.touching.add(self._function)
        return marks

    def _marks(self, node: ast.expr) -> Marks:
        match node:
            case ast.Name(id=name):
                for scope in self._scopes:
                    if self._flow.has(scope, name):
                        return self._flow.get(scope, name)
                return self._flow.lookup(self._module.name, name)
            case ast.Attribute(value=value, attr=name):
                return self._attribute(node, self.marks(value), name)
            case ast.Call():
                return self._call(node)
            case ast.Lambda():
                return self._closure(node)
            case ast.NamedExpr(target=target, value=value):
                self._assign(target, value)
                return self.marks(value)
            case ast.Yield(value=ast.expr() as value) | ast.YieldFrom(value=ast.expr() as value):
                self._flow.put((self._scopes[0], "return"), self.marks(value))
                return NOTHING
            case ast.Subscript(value=value, slice=index):
                self.marks(index)
                return self._entered(value, "__getitem__")
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                for part in node.generators:
                    self._bind(part.target, self._entered(part.iter, "__iter__"))
                    self._read(part.ifs)
                return self.marks(node.value if isinstance(node, ast.DictComp) else node.elt)
        parts = [
            self.marks(part) for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)
        ]
        match node:
            case ast.IfExp():
                return NOTHING.union(*parts[1:])
            case ast.BoolOp() | ast.Tuple() | ast.List() | ast.Set() | ast.Dict():
                return NOTHING.union(*parts)
            case ast.Starred() | ast.Await():
                return parts[0]
            case ast.BinOp(op=ast.Add() | ast.BitOr()):
                return NOTHING.union(*parts)
        return NOTHING

    def _closure(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Marks:
        Reader(self._flow, self._module, self._function, node, *self._scopes[:-1]).read_function()
        return frozenset([Mark("closure", node)])

    def _entered(self, node: ast.expr, method: str) -> Marks:
        """Marks of what is taken out of an object by a method that has no call in the source."""
        marks = NOTHING
        for mark in self.marks(node):
            methods = self._flow.member(mark, method) if mark.kind in _OBJECTS else NOTHING
            results = [self._invoke(node, getter, Arguments()) for getter in methods]
            marks |= NOTHING.union(*results) or {mark}
        return marks

    def _attribute(self, place: ast.expr, objects: Marks, name: str) -> Marks:
        marks = NOTHING
        for mark in objects:
            if isinstance(mark.of, Module):
                marks |= self._flow.lookup(mark.of.name, name)
            for member in self._flow.member(mark, name):
                method = member.of
                is_property = isinstance(method, Function) and method.has(
                    "property", "cached_property"
                )
                marks |= self._invoke(place, member, Arguments()) if is_property else {member}
        return marks

    def _call(self, node: ast.Call) -> Marks:
        arguments = Arguments(
            [self.marks(part) for part in node.args if not isinstance(part, ast.Starred)],
            {part.arg: self.marks(part.value) for part in node.keywords if part.arg},
            NOTHING.union(
                *(self.marks(part) for part in node.args if isinstance(part, ast.Starred)),
                *(self.marks(part.value) for part in node.keywords if not part.arg),
            ),
        )
        functions = self._called(node.func)
        ours = [
            m
            for m in functions
            if m.kind in ("function", "closure", "class") or self._flow.member(m, "__call__")
        ]
        if not ours:
            return self._outside(node, arguments)
        return NOTHING.union(*(self._invoke(node, mark, arguments) for mark in ours))

    def _called(self, node: ast.expr) -> Marks:
        match node:
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=name):
                owner = self._function.owner if self._function is not None else None
                own = self.marks(ast.Name("self"))
                return NOTHING.union(*(self._flow.member(m, name, 1) for m in own if owner))
        return self.marks(node)

    def _invoke(self, place: ast.expr, called: Mark, arguments: Arguments) -> Marks:
        """Marks of the result of a call of ours; what holds is passed on."""
        flow = self._flow
        if called.kind in _OBJECTS:
            methods = flow.member(called, "__call__")
            return NOTHING.union(*(self._invoke(place, m, arguments) for m in methods))
        holds = any(map(flow.holds, arguments.all()))
        if isinstance(called.of, Class):
            return self._make(place, called.of, arguments, holds=holds)
        if isinstance(called.of, Function):
            function, node = called.of, called.of.node
            result = flow.annotation(node.returns, function.module)
            if not holds and not (called.bound is not None and flow.holds(called.bound)):
                return result
            if self._function is not None and not _is_empty(node):
                flow.note_call(self._function, place, function)
        else:
            node, result = called.of, NOTHING
            assert isinstance(node, ast.Lambda | _DEFINITION)
            if self._function is not None and flow.holds(called):
                flow.touching.add(self._function)
        positional = [part.arg for part in (*node.args.posonlyargs, *node.args.args)]
        is_static = isinstance(called.of, Function) and called.of.has("staticmethod")
        if called.bound is not None and positional and not is_static:
            flow.put((node, positional.pop(0)), [called.bound])
        others = node.args.vararg.arg if node.args.vararg else ""
        named = [part.arg for part in node.args.kwonlyargs]
        rest = node.args.kwarg.arg if node.args.kwarg else ""
        for name, marks in arguments.by_name(positional, others, [*named, rest]).items():
            known = name if name in {*positional, *named, others, rest} else rest
            if known:
                flow.put((node, known), flow.passed(marks))
        return result | flow.get(node, "return")

    def _make(self, place: ast.expr, kind: Class, arguments: Arguments, *, holds: bool) -> Marks:
        """Mark of a new object: a record, if something that holds is put into it."""
        flow, plain = self._flow, frozenset([Mark("instance", kind)])
        if not holds:
            return plain
        if any(mark.kind == "value" for mark in arguments.starred):
            return frozenset([Mark("value", kind)])
        record = Mark("record", kind)
        start = flow.member(record, "__init__")
        for method in start:
            self._invoke(place, method, arguments)
        names = flow.fields(kind)
        if not start:
            for name, marks in arguments.by_name(names, "", ()).items():
                self._with_field(plain, name, marks)
        is_record = flow.is_record(kind)
        for method in flow.member(record, "__post_init__") if is_record else ():
            self._invoke(place, method, Arguments())
        return frozenset([record]) if is_record else plain

    def _outside(self, node: ast.Call, arguments: Arguments) -> Marks:
        """Marks of the result of a call of a function that is not ours."""
        name, marks = _last_name(node.func), arguments.all()
        receiver = self.marks(node.func.value) if isinstance(node.func, ast.Attribute) else NOTHING
        for mark in marks:
            if mark.kind in ("function", "closure"):
                others = [*arguments.positional, *arguments.keywords.values()]
                positional = [part for part in others if mark not in part]
                marks |= self._invoke(node, mark, Arguments(positional, {}, arguments.starred))
        if name == "replace" and arguments.positional:
            first = arguments.positional[0]
            for key, part in arguments.keywords.items():
                first |= self._with_field(first, key, part)
            return first
        if name in _ADDING and isinstance(node.func, ast.Attribute):
            self._bind(node.func.value, self._flow.passed(marks))
        if name in _TAKING:
            return receiver
        return marks if name in KEEPING else NOTHING


def _values(kinds: Marks) -> Marks:
    """Marks of the value, as an object of one of these classes."""
    return frozenset(Mark("value", kind) for kind in {mark.of for mark in kinds} or {None})


def _names_below(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Names that are bound at the top of a module, with the statements that bind them."""
    for child in ast.iter_child_nodes(node):
        match child:
            case (
                ast.ClassDef(name=name)
                | ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
            ):
                yield name, child
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((n.asname or n.name.partition(".")[0], child) for n in names)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name, child
            case ast.stmt() | ast.ExceptHandler():
                yield from _names_below(child)


def _parameters(node: ast.AST) -> dict[str, ast.expr | None]:
    """Annotations of parameters, by name."""
    assert isinstance(node, ast.Lambda | _DEFINITION)
    listed = node.args
    more = [part for part in (listed.vararg, listed.kwarg) if part is not None]
    parts = (*listed.posonlyargs, *listed.args, *listed.kwonlyargs, *more)
    return {part.arg: part.annotation for part in parts}


def _defaults(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    assert isinstance(node, ast.Lambda | _DEFINITION)
    listed = node.args
    positional = [*listed.posonlyargs, *listed.args]
    pairs = zip(reversed(positional), reversed(listed.defaults), strict=False)
    yield from ((part.arg, value) for part, value in pairs)
    for part, value in zip(listed.kwonlyargs, listed.kw_defaults, strict=True):
        if value is not None:
            yield part.arg, value


def _last_name(node: ast.expr) -> str:
    """Last name of what is called, subscripted or named: ``d`` of ``a.d[int](1)``."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _targets_self(node: ast.Assign, name: str) -> bool:
    return any(ast.unparse(target) == f"self.{name}" for target in node.targets)


def _is_empty(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function only declares what others do, as in a protocol."""
    return all(
        isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) for part in node.body
    )
