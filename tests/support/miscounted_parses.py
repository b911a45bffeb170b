"""Parses that fail now and then, as those of Python 3.11 do beside another thread."""

import ast
from collections.abc import Callable
from typing import Any

import pytest

MISCOUNTED = "AST constructor recursion depth mismatch (before=39, after=37)"


@pytest.fixture
def miscounting(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let one of seven parses fail, from when it is called, as it does beside another thread."""
    evaluate, calls = ast.literal_eval, iter(range(10_000))

    def sometimes(*args: Any, **options: Any) -> object:
        if next(calls) % 7 == 0:
            raise SystemError(MISCOUNTED)
        return evaluate(*args, **options)

    return lambda: monkeypatch.setattr(ast, "literal_eval", sometimes)
