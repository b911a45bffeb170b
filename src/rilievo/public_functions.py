"""Public functions of ``rilievo``, for methods of classes that stand below them.

The package registers how they are loaded when it is imported, so that a class need not name a
module above it: ``model.predict(image)`` does what ``rilievo.predict`` does.
"""

from collections.abc import Callable
from typing import Any

_registered: list[Callable[[str], Any]] = []


def register(load: Callable[[str], Any]) -> None:
    """Register the function that loads a public function by its name."""
    _registered[:] = [load]


def public_function(name: str) -> Any:
    """Load a public function of ``rilievo``, such as "predict"."""
    [load] = _registered
    return load(name)
