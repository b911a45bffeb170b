"""The most recently used model, kept so that a loop does not load it again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock

from rilievo.models import load_model
from rilievo.models.base import Model

_Key = tuple[object, ...]


class _Last:
    """The model that is kept.

    Attributes:
        lock: Lock held during look-up and loading, so that threads that ask at once load it once.
        key: Name and files of the model; None if none is kept.
        model: The model, with a lock for models that only one thread may use at a time.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.key: _Key | None = None
        self.model: tuple[Model, Lock] | None = None


_last = _Last()


@contextmanager
def last_model(name: str | Path) -> Iterator[Model]:
    """Yield the model of this name: the kept one if it is the same, otherwise newly loaded.

    A file or folder that has changed since counts as another model.
    """
    key = _key(name)
    with _last.lock:
        if _last.model is None or _last.key != key:
            _last.key, _last.model = None, None  # the memory of two is not held at once
            _last.model = (load_model(name), Lock())
            _last.key = key
        model, in_turn = _last.model
    with nullcontext() if model.concurrent else in_turn:
        yield model


def unload_model() -> None:
    """Release the model that ``rilievo.predict`` keeps for the next call, and its memory.

    A call in another thread that is using it finishes first. Without a kept model nothing happens.
    """
    with _last.lock:
        _last.key, _last.model = None, None


def _key(name: str | Path) -> _Key:
    """Identity of a model: its name, or its files with their sizes and times."""
    if not os.path.exists(name):
        return (type(name), name)
    path = os.path.abspath(name)
    files = [path] if not os.path.isdir(path) else [each.path for each in os.scandir(path)]
    stamps = ((each, os.stat(each)) for each in sorted(files))
    return (path, *((each, found.st_mtime_ns, found.st_size) for each, found in stamps))
