"""Pickles of arrays, without running anything else."""

import gzip
import io
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rilievo.errors import InputError
from rilievo.io.files.limits import BoundedReader, check_regular, reason

# Names that numpy 1 and 2 use to rebuild arrays, scalars and dtypes, and that old protocols use
# for bytes. Dictionaries, lists, tuples, texts and numbers need none.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    *(
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}

_MOST_PICKLE_RATIO = 32  # real numbers are below ten
_SMALL_PICKLE_BYTES = 2**26


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return super().find_class(module.replace("numpy.core.", "numpy._core."), name)


def read_gzip_pickle(path: Path) -> Any:
    """Read a compressed pickle of arrays and containers."""
    return _unpickle_bounded(
        path, "gzip-compressed pickle", lambda: gzip.open(path, "rb"), _MOST_PICKLE_RATIO
    )


def read_pickle(path: Path) -> Any:
    """Read a pickle of arrays and containers."""
    return _unpickle_bounded(path, "pickle", lambda: path.open("rb"), 1)


def _unpickle_bounded(path: Path, what: str, opened: Callable[[], Any], ratio: int) -> Any:
    most = max(_SMALL_PICKLE_BYTES, ratio * check_regular(path))
    broken = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError)
    broken += (ArithmeticError, RuntimeError, zlib.error)
    try:
        with opened() as file:
            # Pickles of Python 2 hold bytes that are not ASCII.
            bounded = BoundedReader(file, "it", most_bytes=most)
            return _ArrayUnpickler(io.BufferedReader(bounded), encoding="latin1").load()
    except MemoryError as error:
        raise InputError(f"{path}: there is not enough memory to unpack it") from error
    except (*broken, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: is no whole {what} of arrays ({reason(error)})") from error
