"""Compiled functions work where their results cannot be kept."""

import pytest

from rilievo.training.engine.compiled import compiled

pytest.importorskip("numba")


def defined_at(path: str):
    """A function whose source lies at ``path``."""
    names = {}
    exec(compile("def doubled(x): return 2 * x", path, "exec"), names)
    return names["doubled"]


def test_a_function_that_cannot_be_cached_is_compiled_all_the_same() -> None:
    # numba caches nothing for a file that is not there, as where no folder can be written.
    function = compiled(defined_at("/not/there/kernel.py"))
    assert function(21) == 42
