"""Types that `make test-all` checks at every call can be checked."""

import ast
from pathlib import Path

import pytest

import rilievo
from support.checked_types import checked

PACKAGE = Path(rilievo.__file__).parent


def named(nodes: list[ast.expr]) -> set[str]:
    """Names of bases or decorators, without what they are given."""
    return {ast.unparse(node).partition("[")[0].rpartition(".")[2] for node in nodes}


@pytest.mark.slow
def test_protocols_can_be_checked_at_a_call() -> None:
    protocols = {
        f"{path.name}: {node.name}": named(node.decorator_list)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ClassDef) and "Protocol" in named(node.bases)
    }
    assert len(protocols) > 10
    assert {name for name, over in protocols.items() if "runtime_checkable" not in over} == set()


def test_records_of_options_alone_are_left_to_themselves() -> None:
    def __init__(self: object, number: int) -> None: ...

    __init__.__module__ = "rilievo.options.known_sizes"
    assert checked(__init__) is __init__
    __init__.__module__ = "rilievo.records.sample"
    assert checked(__init__) is not __init__
