"""Arrays of MATLAB files."""

import atexit
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.errors import InputError, MissingExtraError, RilievoError
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

# MATLAB writes a header of 512 bytes before the HDF5 part; other programs write none.
_SIGNATURE_OFFSETS = (0, 512)
_LARGEST = 2**31  # bytes at once
_MOST_RATIO = 64  # of compression, of an older file
_SMALL_BYTES = 2**29
_CHILD = """
import pickle, sys
from scipy.io import loadmat
def bound(most):
    if sys.platform == "linux":
        import os, resource
        with open("/proc/self/statm") as file:
            most += int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
while True:
    try:
        path, names, most = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    try:
        bound(most)
        answer = loadmat(path, variable_names=names or None, appendmat=False)
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""


class MatSlices:
    """File of version 7.3, read along the first stored axis."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None
        self._process = 0  # each process opens it, so that forks share no position

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        self.path, self._file, self._process = path, None, 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of arrays by name, with MATLAB's axes in reverse."""
        with self._one_line_errors("its list of arrays cannot be read"):
            # h5py returns names that are not UTF-8 as bytes.
            shapes = {
                str(name): getattr(item, "shape", None)
                for name, item in self._file_of_this_process().items()
            }
        return {name: tuple(shape) for name, shape in shapes.items() if shape is not None}

    def slice(self, name: str, index: int) -> np.ndarray:
        """Read entry ``index`` of the first stored axis."""
        with self._one_line_errors(f"'{name}' cannot be read at {index}"):
            return np.asarray(self._local_dataset(name, parts=True)[index])

    def whole(self, name: str) -> np.ndarray:
        """Read a whole array as stored."""
        with self._one_line_errors(f"'{name}' cannot be read"):
            return np.asarray(self._local_dataset(name))

    def text(self, name: str, index: int) -> str | None:
        """Read a text of a cell array, if the file has that."""
        file = self._file_of_this_process()
        if name not in file:
            return None
        with self._one_line_errors(f"'{name}' cannot be read at {index}"):
            stored = np.asarray(file[np.asarray(file[name]).ravel()[index]])
            return "".join(map(chr, stored.ravel().tolist()))

    @contextmanager
    def _one_line_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except RilievoError:  # of opening the file
            raise
        except (OSError, LookupError, ValueError, TypeError, RuntimeError, MemoryError) as error:
            raise InputError(
                f"{self.path}: {what} ({reason(error)}); fetch the file again"
            ) from error

    def close(self) -> None:
        """Close the file until the next read."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file = None

    def _local_dataset(self, name: str, *, parts: bool = False) -> Any:
        """HDF5 dataset; external links are refused."""
        file = self._file_of_this_process()
        link, array = file.get(name, getlink=True), file[name]
        if not hasattr(array, "is_virtual"):
            raise ValueError("it is no array")
        if type(link).__name__ == "ExternalLink" or array.external or array.is_virtual:
            raise ValueError("its numbers lie in another file, which is not read")
        size = array.nbytes // max(1, array.shape[0]) if parts and array.shape else array.nbytes
        if size > _LARGEST:
            raise ValueError(f"it unpacks to {size / 2**30:.1f} GiB")
        return array

    def _file_of_this_process(self) -> Any:
        if self._file is None or self._process != os.getpid():
            self._file, self._process = _open_hdf5(self.path), os.getpid()
        return self._file


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5."""
    check_regular(path)
    try:
        with path.open("rb") as file:
            head = file.read(_SIGNATURE_OFFSETS[-1] + len(_HDF5_SIGNATURE))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    return any(head[at : at + len(_HDF5_SIGNATURE)] == _HDF5_SIGNATURE for at in _SIGNATURE_OFFSETS)


def read_mat(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Read variables of version 5 to 7.3, axes as in MATLAB."""
    if is_hdf5(path):
        slices = MatSlices(path)
        try:
            variable_names = sorted(slices.shapes())
            _refuse_missing_names(path, names, variable_names)
            return {name: slices.whole(name).T for name in names or variable_names}
        finally:
            slices.close()
    variables = _SCIPY.load(path, names)
    if not set(names) <= set(variables):
        variables = _SCIPY.load(path, ())
    variable_names = sorted(variables)
    _refuse_missing_names(path, names, variable_names)
    return {name: variables[name] for name in names or variable_names}


class _ScipyProcess:
    """SciPy in a process, since damaged files crash it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._process = 0
        atexit.register(self._kill)

    def load(self, path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        size = check_regular(path)
        most = min(_LARGEST, max(_SMALL_BYTES, _MOST_RATIO * size)) + size
        with self._lock:
            child = self._process_started_if_needed()
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                pickle.dump((os.path.abspath(path), names, most), child.stdin)
                child.stdin.flush()
                answer = pickle.load(child.stdout)
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                self._kill()
                raise _damage_error(path, ValueError("SciPy cannot survive it")) from error
            except BaseException:
                self._kill()  # or its answer, still on the way, would be taken for the next file's
                raise
        if isinstance(answer, str):
            raise _damage_error(path, ValueError(answer))
        # Names such as __header__ hold facts about the file.
        return {name: array for name, array in answer.items() if not name.startswith("__")}

    def _process_started_if_needed(self) -> "subprocess.Popen[bytes]":
        # A forked process does not share the child of its parent.
        child = self._child
        if child is not None and self._process == os.getpid() and child.poll() is not None:
            self._kill()  # it was killed while nothing was read
            child = None
        if child is None or self._process != os.getpid():
            if find_spec("scipy") is None:
                raise MissingExtraError("reading MATLAB files", "evaluate")
            pipe = subprocess.PIPE
            # -P: a pickle.py of the current folder is not imported.
            command = [sys.executable, "-P", "-c", _CHILD]
            child = self._child = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
            )
            self._process = os.getpid()
        return child

    def _kill(self) -> None:
        if self._child is not None and self._process == os.getpid():
            self._child.kill()
            self._child.communicate()
        self._child = None


_SCIPY = _ScipyProcess()


def _refuse_missing_names(path: Path, names: tuple[str, ...], present: list[str]) -> None:
    missing = [name for name in names if name not in present]
    if missing:
        raise InputError(
            f"{path}: has no variable '{missing[0]}', but "
            f"{', '.join(printable(name) for name in present) or 'none at all'}"
        )


def _open_hdf5(path: Path) -> Any:
    if not is_hdf5(path):
        raise InputError(f"{path}: is no MATLAB file of version 7.3 (HDF5)")
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("reading MATLAB files of version 7.3", "evaluate") from error
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise _damage_error(path, error) from error


def _damage_error(path: Path, error: Exception) -> InputError:
    why = reason(error)
    fault = "is cut short" if "trunc" in why.lower() else "is damaged"
    return InputError(f"{path}: this MATLAB file {fault} ({why}); fetch it again")
