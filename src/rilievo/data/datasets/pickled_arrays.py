"""Pickles of arrays, read without running any code that they name."""

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

_MAX_COMPRESSION = 32
"""Bytes of a pickle over those of its compressed file. Real files have less than ten."""
_ALWAYS_ALLOWED_BYTES = 2**26
"""Bytes of a pickle that are unpacked at any compression."""
_PYTHON_ERRORS = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError)
_DAMAGE_ERRORS = (
    *_PYTHON_ERRORS,
    ArithmeticError,
    RuntimeError,
    zlib.error,
    pickle.UnpicklingError,
)
"""Errors that a broken pickle or gzip file raises."""


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that refuses every global name except those that rebuild arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is not an array")
        # Numpy 2 has moved this module.
        return super().find_class(module.replace("numpy.core.", "numpy._core."), name)


def read_gzip_pickle(path: Path) -> Any:
    """Read a gzip-compressed pickle of arrays and containers.

    Raises:
        InputError: If it is broken, unpacks to too much, or names any other object.
    """
    return _unpickle_bounded(
        path, "gzip-compressed pickle", lambda: gzip.open(path, "rb"), _MAX_COMPRESSION
    )


def read_pickle(path: Path) -> Any:
    """Read a pickle of arrays and containers.

    Raises:
        InputError: If it is broken, or names any other object.
    """
    return _unpickle_bounded(path, "pickle", lambda: path.open("rb"), 1)


def _unpickle_bounded(
    path: Path, format_name: str, open_file: Callable[[], Any], max_compression_ratio: int
) -> Any:
    """Read a pickle, but refuse one that unpacks to more than a multiple of its file's size."""
    max_bytes = max(_ALWAYS_ALLOWED_BYTES, max_compression_ratio * check_regular(path))
    try:
        with open_file() as file:
            bounded = BoundedReader(file, "it", most_bytes=max_bytes)
            # Latin-1, because pickles of Python 2 hold bytes that are not ASCII.
            return _ArrayUnpickler(io.BufferedReader(bounded), encoding="latin1").load()
    except MemoryError as error:
        raise InputError(f"{path}: there is not enough memory to unpack this file") from error
    except _DAMAGE_ERRORS as error:
        raise InputError(
            f"{path}: is not a valid {format_name} of arrays ({reason(error)}); download it again"
        ) from error
