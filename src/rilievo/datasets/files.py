"""Helpers for loaders: folders, patterns, lines of text, stored depth maps, pickled arrays."""

import gzip
import os
import pickle
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt

from rilievo.errors import InputError
from rilievo.io.limits import check_regular, printable, reason, unreadable
from rilievo.io.numbers import read_numbers

Entry = TypeVar("Entry")

_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a text file.

    Attributes:
        number: Line number, from 1.
        text: Text without surrounding white space; never empty.
    """

    number: int
    text: str


def text_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a text file that are neither empty nor comments ("#")."""
    check_regular(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is no text in UTF-8 (byte {error.start}); a text file is expected"
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield Line(number=number, text=stripped)


def scene_of(id: str, root: Path, *, names: int = 1) -> str:
    """Scene of an id: its leading folders, or the root's own name where it has none.

    Args:
        id: Id of an image, such as ``chess/seq-01/frame-000000``.
        root: Root of the dataset.
        names: Number of trailing parts of the id that belong to the image, not the scene.
    """
    return "/".join(id.split("/")[:-names]) or root.absolute().name


def numbers_of(text: str) -> tuple[float, ...] | None:
    """Numbers of a line, separated by white space; None where it holds anything else."""
    try:
        return tuple(float(word) for word in text.split())
    except ValueError:
        return None


def read_counts(path: Path, *, bits: int = 16) -> UInt[np.ndarray, "h w"]:
    """Read the stored integers of a depth map, a grey PNG or PGM."""
    numbers = read_numbers(path)
    if numbers.dtype != np.dtype(f"uint{bits}") or numbers.ndim != 2:
        raise InputError(
            f"{path}: has {numbers.dtype} numbers of shape {numbers.shape}, but depth is stored "
            f"here as {bits} bits of grey; fetch the original file again"
        )
    return numbers


def names_in(folder: Path) -> frozenset[str]:
    """Names in a folder, without links to nothing; empty where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(
                each.name for each in entries if not each.is_symlink() or os.path.exists(each)
            )
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({reason(error)})") from error


def found_in(folder: Path) -> str:
    """Contents of a folder for error messages: its first names, and the number of others."""
    if not folder.is_dir():
        return "a file" if folder.exists() else "no such folder"
    names = sorted(names_in(folder))
    if not names:
        return "an empty folder"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(printable(name) for name in names[:_SHOWN]) + more


def walk(top: Path, *, links: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk like ``os.walk``, but raise for unreadable folders, which it would take for empty.

    Args:
        top: Folder to start from; one that does not exist yields nothing.
        links: Whether to follow links to folders; the caller must avoid cycles.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise unreadable(error, top) from error

    return os.walk(top, onerror=refuse, followlinks=links)


def find_entry(entries: Mapping[str, Entry], id: str, root: Path) -> Entry:
    """Look up the entry of one image."""
    if id not in entries:
        raise InputError(f"{root}: has no image '{id}' in this split")
    return entries[id]


FARTHEST = 200.0
"""Largest plausible mean or median depth [m]; sensors do not measure beyond."""
NEAREST = 0.02
"""Least plausible mean or median depth [m]; photographs of scenes are not taken from nearer."""

TOO_FAR = (
    f"true depth is above {FARTHEST:g} m in the middle: it looks like millimetres or raw counts "
    "read as metres; check the scale"
)
TOO_NEAR = (
    f"true depth is below {NEAREST * 100:g} cm in the middle: it looks like metres that were "
    "divided once too often; check the scale"
)


def unit_doubt(middle: float) -> str | None:
    """Warning about true depth with this mean or median [m]; None where it is plausible."""
    if middle > FARTHEST:
        return TOO_FAR
    return TOO_NEAR if middle < NEAREST else None


def files_by_id(folder: Path, pattern: str) -> dict[str, Path]:
    """Find every file below a folder that matches a pattern; returns them by id, sorted.

    Args:
        folder: Folder to search.
        pattern: Path with ``{id}``, which matches any text and may include subfolders; ``*``
            matches any text without "/". Hidden files never match; links are followed.
    """
    fits = _expression(pattern)
    head = pattern.split("{id}")[0].split("*")[0]
    start = folder / head[: head.rfind("/") + 1]
    found: dict[str, Path] = {}
    for place, folders, names in walk(start, links=True):
        folders[:] = [
            name for name in folders if not name.startswith(".") and not _leads_back(place, name)
        ]
        for name in names:
            path = Path(place, name)
            match = fits.fullmatch(path.relative_to(folder).as_posix())
            if match is None or name.startswith("."):
                continue
            if match["id"] in found:
                raise InputError(
                    f"{path} and {found[match['id']].name} both fit '{pattern}' with the id "
                    f"'{match['id']}': say more in the pattern"
                )
            found[match["id"]] = path
    return dict(sorted(found.items()))


def _leads_back(place: str, name: str) -> bool:
    """Whether a folder is a link to one of its ancestors, which would be an endless cycle."""
    path = os.path.join(place, name)
    if not os.path.islink(path):
        return False
    target, here = os.path.realpath(path), os.path.realpath(place)
    return os.path.commonpath([target, here]) == target


def expected_path(folder: Path, pattern: str, id: str) -> Path:
    """Path where the file of an id would be."""
    return folder / PurePosixPath(pattern.replace("{id}", id))


def _expression(pattern: str) -> re.Pattern[str]:
    pieces = []
    named = False
    for piece in re.split(r"(\{id\}|\*)", pattern.removeprefix("./")):
        if piece == "{id}":
            pieces.append("(?P=id)" if named else "(?P<id>.+)")
            named = True
        else:
            pieces.append("[^/]*" if piece == "*" else re.escape(piece))
    # Names may contain line breaks.
    return re.compile("".join(pieces), re.DOTALL)


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


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return super().find_class(module.replace("numpy.core.", "numpy._core."), name)


def read_gzip_pickle(path: Path) -> Any:
    """Read a gzip-compressed pickle of arrays and plain containers of them."""
    return _read(path, "gzip-compressed pickle", lambda: gzip.open(path, "rb"))


def read_pickle(path: Path) -> Any:
    """Read a pickle of arrays and plain containers of them."""
    return _read(path, "pickle", lambda: path.open("rb"))


def _read(path: Path, what: str, opened: Callable[[], Any]) -> Any:
    check_regular(path)
    broken = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError)
    broken += (ArithmeticError, RuntimeError, zlib.error)
    try:
        with opened() as file:
            # Pickles of Python 2 hold bytes that are not ASCII.
            return _ArraysOnly(file, encoding="latin1").load()
    except MemoryError as error:
        raise InputError(f"{path}: there is not enough memory to unpack it") from error
    except (*broken, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: is no whole {what} of arrays ({reason(error)})") from error
