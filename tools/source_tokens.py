"""Tokens of Python source, without comments, docstrings and layout.

Neither pasting nor reformatting changes the count. The scanner is a regular expression over bytes,
since the module ``tokenize`` takes four times as long and divides an f-string since Python 3.12.
"""

import ast
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

TOKEN = re.compile(
    rb"""
    (?: [ \t\f\r\n]+ | \\\r?\n | \#[^\n]* )*+
    ( [rbfuRBFU]{0,2} (?: \"{3} (?:[^\\]|\\.)*? \"{3} | '{3} (?:[^\\]|\\.)*? '{3} )
    | [rbfuRBFU]{0,2} (?: \" (?:[^"\\\n]|\\.)* \" | ' (?:[^'\\\n]|\\.)* ' )
    | 0[xXbBoO]\w+ | (?: \d[\d_]*\.?[\d_]* | \.\d[\d_]* ) (?:[eE][+-]?\d[\d_]*)? [jJ]?
    | [\w\x80-\xff]+
    | \*\*= | //= | >>= | <<= | \.\.\. | -> | := | [-+*/%&|^@=!<>]= | \*\* | // | << | >> | . | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
LOGIC, OTHER, TEXT = range(3)
"""Kinds of tokens: expressions and statements; imports, signatures, fields, constants and what is
raised; docstrings and other strings that stand alone."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Function = (ast.FunctionDef, ast.AsyncFunctionDef)
Assignment = (ast.Assign, ast.AnnAssign)
Whole = (ast.Import, ast.ImportFrom, ast.Raise)


@dataclass(frozen=True, slots=True)
class Size:
    """Size of one module.

    Attributes:
        tokens: Tokens of code.
        logic: Those that are neither imports, signatures, fields of classes, constants of the
            module, nor statements that raise.
        functions: Names of public functions at the top of the module.
        classes: Names of public classes at the top of the module.
    """

    tokens: int
    logic: int
    functions: tuple[str, ...]
    classes: tuple[str, ...]


def measure(source: bytes) -> Size:
    """Measure the source of one module."""
    tree = ast.parse(source)
    starts = [match.start(1) for match in TOKEN.finditer(source) if match[1]]
    kinds = bytearray(len(starts))
    lines = [0, *accumulate(map(len, source.splitlines(keepends=True)))]
    # Text comes last: a docstring in a class or in a signature stays text.
    for span in sorted(_spans(tree), key=lambda span: span.kind):
        first = bisect_left(starts, lines[span.first_line - 1] + span.first_column)
        end = bisect_left(starts, lines[span.end_line - 1] + span.end_column)
        kinds[first:end] = bytes([span.kind]) * (end - first)
    names = [node for node in tree.body if isinstance(node, Definition) and node.name[0] != "_"]
    return Size(
        tokens=len(kinds) - kinds.count(TEXT),
        logic=kinds.count(LOGIC),
        functions=tuple(node.name for node in names if isinstance(node, Function)),
        classes=tuple(node.name for node in names if isinstance(node, ast.ClassDef)),
    )


@dataclass(frozen=True, slots=True)
class _Span:
    kind: int
    first_line: int
    first_column: int
    end_line: int
    end_column: int


def _spans(tree: ast.Module) -> Iterator[_Span]:
    """Parts of a module that are not logic, in any order."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Definition):
            yield _signature(node)
        if isinstance(node, (ast.Module, ast.ClassDef)):
            yield from (_whole(part, OTHER) for part in node.body if isinstance(part, Assignment))
        if isinstance(node, ast.Expr) and _is_text(node.value):
            yield _whole(node, TEXT)
        elif isinstance(node, Whole) or (isinstance(node, ast.If) and _is_for_types(node)):
            yield _whole(node, OTHER)
        # Expressions hold no statements.
        waiting += (part for part in ast.iter_child_nodes(node) if not isinstance(part, ast.expr))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_for_types(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _whole(node: ast.stmt, kind: int) -> _Span:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return _Span(kind, node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)


def _signature(node: Definition) -> _Span:
    """Span from the first decorator, with its @, to the body."""
    first: ast.expr | Definition = node.decorator_list[0] if node.decorator_list else node
    column = max(0, first.col_offset - bool(node.decorator_list))
    body = node.body[0]
    return _Span(OTHER, first.lineno, column, body.lineno, body.col_offset)
