"""Arrays of MATLAB files: of version 7.3, which is HDF5, and of the versions before it."""

import atexit
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.errors import InputError, MissingExtraError, RilievoError
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SIGNATURE_OFFSETS = (0, 512)
"""MATLAB writes a header of 512 bytes before the HDF5 part; other programs write none."""
_MAX_BYTES = 2**31  # of an array that is read at once, and of a whole file before version 7.3
_MAX_COMPRESSION_RATIO = 64  # of a file before version 7.3, above which it is taken as hostile
_MIN_MEMORY_LIMIT = 2**29  # [bytes], which small files may take whatever their ratio is
_SCIPY_PROGRAM = Path(__file__).with_name("scipy_mat_process.py")


def read_mat(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Read variables of a file of version 5 to 7.3 by name, with the axes as in MATLAB.

    All variables are read if no names are given.

    Raises:
        InputError: If the file is damaged, or lacks one of the variables.
        MissingExtraError: If h5py or SciPy is not installed.
    """
    if is_hdf5(path):
        return _read_hdf5_variables(path, names)
    variables = _SCIPY.load(path, names)
    if not set(names) <= set(variables):
        variables = _SCIPY.load(path, ())  # all, so that the error can name them
    _require_variables(path, names, sorted(variables))
    return {name: variables[name] for name in names or sorted(variables)}


def _read_hdf5_variables(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    file = Hdf5MatFile(path)
    try:
        present = sorted(file.shapes())
        _require_variables(path, names, present)
        return {name: file.whole(name).T for name in names or present}
    finally:
        file.close()


def _require_variables(path: Path, names: Sequence[str], present: Sequence[str]) -> None:
    missing = [name for name in names if name not in present]
    if missing:
        raise InputError(
            f"{path}: has no variable '{missing[0]}'; its variables are: "
            f"{', '.join(printable(name) for name in present) or 'none'}"
        )


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5, as MATLAB's version 7.3 is."""
    check_regular(path)
    try:
        with path.open("rb") as file:
            head = file.read(_SIGNATURE_OFFSETS[-1] + len(_HDF5_SIGNATURE))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    return any(head[offset:].startswith(_HDF5_SIGNATURE) for offset in _SIGNATURE_OFFSETS)


class Hdf5MatFile:
    """MATLAB file of version 7.3, whose arrays are read whole or in slices.

    The file is opened at the first read, and again in each forked process, because processes must
    not share a file position. HDF5 stores MATLAB's axes in reverse order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None
        self._opening_pid = 0  # process that opened the file

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        self.path, self._file, self._opening_pid = path, None, 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Stored shapes of the arrays by name."""
        with self._one_line_errors("its list of arrays cannot be read"):
            # h5py returns names that are not UTF-8 as bytes.
            shapes = {
                str(name): getattr(item, "shape", None) for name, item in self._open().items()
            }
        return {name: tuple(shape) for name, shape in shapes.items() if shape is not None}

    def slice(self, name: str, index: int) -> np.ndarray:
        """Read entry ``index`` of the first stored axis."""
        with self._one_line_errors(f"entry {index} of '{name}' cannot be read"):
            return np.asarray(self._checked_array(name, is_sliced=True)[index])

    def whole(self, name: str) -> np.ndarray:
        """Read a whole array as stored."""
        with self._one_line_errors(f"'{name}' cannot be read"):
            return np.asarray(self._checked_array(name))

    def text(self, name: str, index: int) -> str | None:
        """Read a text of a cell array; None if the file has no such array."""
        file = self._open()
        if name not in file:
            return None
        with self._one_line_errors(f"entry {index} of '{name}' cannot be read"):
            references = np.asarray(file[name]).ravel()
            characters = np.asarray(file[references[index]])
            return "".join(map(chr, characters.ravel().tolist()))

    def close(self) -> None:
        """Close the file until the next read."""
        if self._file is not None and self._opening_pid == os.getpid():
            self._file.close()
        self._file = None

    def _checked_array(self, name: str, *, is_sliced: bool = False) -> Any:
        """HDF5 array whose numbers lie in this file, and are not too many to be read at once."""
        file = self._open()
        link, array = file.get(name, getlink=True), file[name]
        if not hasattr(array, "is_virtual"):
            raise ValueError("it is not an array")
        if type(link).__name__ == "ExternalLink" or array.external or array.is_virtual:
            raise ValueError("its data is stored in another file, which rilievo does not read")
        size_bytes = array.nbytes
        if is_sliced and array.shape:
            size_bytes //= max(1, array.shape[0])
        if size_bytes > _MAX_BYTES:
            raise ValueError(
                f"it would take {size_bytes / 2**30:.1f} GiB of memory; expected at most "
                f"{_MAX_BYTES / 2**30:g} GiB"
            )
        return array

    def _open(self) -> Any:
        """Return the file of h5py, and open it if this process has not yet."""
        if self._file is None or self._opening_pid != os.getpid():
            self._file, self._opening_pid = _open_hdf5(self.path), os.getpid()
        return self._file

    @contextmanager
    def _one_line_errors(self, problem: str) -> Iterator[None]:
        """Turn errors of h5py and NumPy into an ``InputError`` that names file and problem."""
        try:
            yield
        except RilievoError:  # raised when the file is opened
            raise
        except (OSError, LookupError, ValueError, TypeError, RuntimeError, MemoryError) as error:
            raise InputError(
                f"{self.path}: {problem} ({reason(error)}); download the file again"
            ) from error


def _open_hdf5(path: Path) -> Any:
    if not is_hdf5(path):
        raise InputError(
            f"{path}: is not a MATLAB 7.3 file (HDF5); download the original file again"
        )
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("reading MATLAB 7.3 files", "evaluate") from error
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise _damage_error(path, error) from error


class _ScipyProcess:
    """SciPy in a process of its own, since damaged files crash it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._parent_pid = 0  # process that started the child
        atexit.register(self._kill)

    def load(self, path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Read the named variables that a file has, or all if no names are given."""
        file_size = check_regular(path)
        unpacked_size = max(_MIN_MEMORY_LIMIT, _MAX_COMPRESSION_RATIO * file_size)
        max_bytes = min(_MAX_BYTES, unpacked_size) + file_size
        with self._lock:
            response = self._send_request((os.path.abspath(path), tuple(names), max_bytes), path)
        if isinstance(response, str):
            raise _damage_error(path, ValueError(response))
        # Entries such as __header__ describe the file.
        return {name: array for name, array in response.items() if not name.startswith("__")}

    def _send_request(self, request: tuple[str, tuple[str, ...], int], path: Path) -> Any:
        """Send a request to the process, and wait for its response: variables or an error text."""
        child = self._ensure_child()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            pickle.dump(request, child.stdin)
            child.stdin.flush()
            return pickle.load(child.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self._kill()
            raise _damage_error(path, ValueError("it crashes SciPy")) from error
        except BaseException:
            # A pending response would be taken for that of the next file.
            self._kill()
            raise

    def _ensure_child(self) -> "subprocess.Popen[bytes]":
        """Return the running process, and start one if there is none.

        A forked process starts one of its own, and does not share that of its parent.
        """
        if self._child is not None and self._parent_pid == os.getpid():
            if self._child.poll() is None:
                return self._child
            self._kill()  # it ended while nothing was read
        if find_spec("scipy") is None:
            raise MissingExtraError("reading MATLAB files", "evaluate")
        self._child = subprocess.Popen(
            # -P: a pickle.py in the program's folder must not be imported.
            [sys.executable, "-P", str(_SCIPY_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._parent_pid = os.getpid()
        return self._child

    def _kill(self) -> None:
        if self._child is not None and self._parent_pid == os.getpid():
            self._child.kill()
            self._child.communicate()
        self._child = None


_SCIPY = _ScipyProcess()


def _damage_error(path: Path, error: Exception) -> InputError:
    why = reason(error)
    fault = "is cut short" if "trunc" in why.lower() else "is damaged"
    return InputError(f"{path}: this MATLAB file {fault} ({why}); download it again")
