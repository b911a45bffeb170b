"""The model that ``rilievo.predict`` keeps in memory between its calls."""

import os
from _thread import LockType, allocate_lock
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.models.finding import load
from rilievo.models.load_options import LoadOptions

if TYPE_CHECKING:
    from rilievo.models.base import Model


@dataclass(frozen=True, slots=True)
class _LoadedModel:
    """Model that is kept in memory.

    Attributes:
        key: Name, state of its files, and options.
        lock: Lock for models that only one thread may use at a time.
    """

    key: tuple[object, ...]
    model: "Model"
    lock: LockType


class _LastModel:
    """Cache of one model, the one that was loaded last."""

    def __init__(self) -> None:
        # Held during look-up and loading, so that threads that ask at once load it once.
        self.lock = allocate_lock()
        self.loaded: _LoadedModel | None = None


_last = _LastModel()


@contextmanager
def last_model(name: str | Path, options: LoadOptions | None = None) -> Iterator["Model"]:
    """Yield a model, which is loaded only if the last call had another name, file or options.

    A model that is not ``concurrent`` is locked while the caller uses it.
    """
    options = options or LoadOptions()
    key = (*_name_and_files_key(name), replace(options, trust_code=()))
    with _last.lock:
        loaded = _last.loaded
        if loaded is None or loaded.key != key:
            # Drop both references to the old model first, so that two are never in memory.
            loaded = None
            _last.loaded = None
            loaded = _LoadedModel(key, load(name, options), allocate_lock())
            _last.loaded = loaded
    with nullcontext() if loaded.model.concurrent else loaded.lock:
        yield loaded.model


def unload_model() -> None:
    """Release the model that ``rilievo.predict`` keeps.

    Examples:
        >>> rilievo.unload_model()
    """
    with _last.lock:
        _last.loaded = None


def _name_and_files_key(name: str | Path) -> tuple[object, ...]:
    """Key that changes with a name, and with size and time of the file or files at a path."""
    if not os.path.exists(name):
        return (type(name), name)
    path = os.path.abspath(name)
    files = [entry.path for entry in os.scandir(path)] if os.path.isdir(path) else [path]
    file_states = []
    for file in sorted(files):
        status = os.stat(file)
        file_states.append((file, status.st_mtime_ns, status.st_size))
    return (path, *file_states)
