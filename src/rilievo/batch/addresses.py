"""Files that are not on this machine's disk: s3://, gs://, https:// and whatever fsspec reaches.

``Path`` keeps no two slashes in a row, so an address that has been a path reads ``s3:/bucket/key``;
it is an address all the same.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from rilievo.errors import InputError, MissingExtraError, OptionError, OutputError
from rilievo.io.limits import printable, reason

_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):/+(?P<rest>.*)", re.DOTALL)
_EXTRAS = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gs"), "gcs": ("gcsfs", "gs")}
_READ_ONLY = ("http", "https")

TRIES = 4
"""How often a place is asked before it is taken to fail."""

FIRST_WAIT = 0.5
"""Before the second time [s]; twice as long before every further one."""

Answer = TypeVar("Answer")


def address_of(name: str | Path) -> str | None:
    """The address that a name means; None where it is a path on disk.

    ``file://`` is a path too: ``local_path`` says which.
    """
    match = _ADDRESS.fullmatch(str(name))
    if match is None or match["scheme"] == "file":
        return None
    return f"{match['scheme']}://{match['rest']}"


def local_path(name: str | Path) -> str:
    """The path of a ``file://`` address; any other name as it is."""
    match = _ADDRESS.fullmatch(str(name))
    if match is None or match["scheme"] != "file":
        return str(name)
    return "/" + match["rest"].lstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A file or a folder elsewhere.

    Attributes:
        files: The file system of fsspec.
        path: As that system calls it.
        scheme: Of the address.
    """

    files: Any
    path: str
    scheme: str

    @property
    def address(self) -> str:
        """With the scheme, on one line, without what a signed address has behind it."""
        bare = self.path.split("://", 1)[-1].split("?", 1)[0]
        return f"{self.scheme}://{printable(bare)}"

    def at(self, path: str) -> "Remote":
        """Another file of the same system."""
        return Remote(files=self.files, path=path, scheme=self.scheme)

    def matching(self) -> "list[Remote]":
        """What fits it as a pattern, in order, hidden files left out.

        Raises:
            InputError: If the place does not answer.
        """
        found = self._asked(lambda: list(self.files.glob(self.path)))
        return [self.at(path) for path in sorted(found) if "/." not in path]

    def exists(self) -> bool:
        """Whether it is there.

        Raises:
            InputError: If the place does not answer.
        """
        return self._asked(lambda: bool(self.files.exists(self.path)))

    def text(self) -> str:
        """All of a small file.

        Raises:
            InputError: If it is not there, or no text.
        """
        try:
            return self._asked(lambda: self.files.cat_file(self.path)).decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.address}: is no text") from error

    def size_and_time(self) -> tuple[int, int]:
        """Its bytes, and when it was changed [ns since 1970]; 0 where the place does not say.

        Raises:
            InputError: If it is not there, or of an unknown size.
        """
        info = self._asked(lambda: self.files.info(self.path))
        size = info.get("size")
        if not isinstance(size, int):
            raise InputError(f"{self.address}: the place does not say how large it is")
        return size, _modified(info)

    def fetch(self, path: Path) -> None:
        """Copy it to a path on disk.

        Raises:
            InputError: If it is not there, or the place fails again and again.
        """
        self._asked(lambda: self.files.get_file(self.path, str(path)))

    def store(self, path: Path) -> None:
        """Put a file of the disk here, as a whole: nobody sees half of it.

        Raises:
            OutputError: If the place refuses, or fails again and again.
        """
        try:
            self._asked(lambda: self.files.put_file(str(path), self.path))
        except InputError as error:
            raise OutputError(str(error)) from error

    def remove(self) -> None:
        """Take it away, if it is there.

        Raises:
            OutputError: If the place refuses.
        """
        try:
            if self.exists():
                self._asked(lambda: self.files.rm_file(self.path))
        except InputError as error:
            raise OutputError(str(error)) from error

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        """Ask, and again after a while where that may help."""
        for number in range(TRIES):
            try:
                return question()
            except (FileNotFoundError, IsADirectoryError) as error:
                if not _is_unreachable(error):
                    raise InputError(f"{self.address}: is not there") from error
                if number + 1 == TRIES:
                    raise InputError(
                        f"{self.address}: cannot be reached ({reason(error.__cause__ or error)})"
                    ) from error
            except PermissionError as error:
                raise InputError(
                    f"{self.address}: no permission ({reason(error)}): are the keys of the place "
                    "set where the work is done?"
                ) from error
            except Exception as error:
                # Every file system has errors of its own, and of the library below it.
                if number + 1 == TRIES:
                    raise InputError(
                        f"{self.address}: failed {TRIES} times ({type(error).__name__}: "
                        f"{reason(error)})"
                    ) from error
            time.sleep(FIRST_WAIT * 2**number)
        raise AssertionError("the last try returns or raises")


def _is_unreachable(error: OSError) -> bool:
    """Whether no server answered: fsspec's HTTP calls that, too, a file that is not found."""
    cause = error.__cause__
    return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)


def remote(address: str, *, for_writing: bool = False) -> Remote:
    """What stands at an address.

    Raises:
        MissingExtraError: If what reaches it is not installed.
        OptionError: If nothing reaches such addresses, or nothing can be written to them.
    """
    scheme = address.partition("://")[0]
    if for_writing and scheme in _READ_ONLY:
        raise OptionError(f"--output {printable(address)}: nothing can be written to {scheme}")
    if find_spec("fsspec") is None:
        raise MissingExtraError(f"{scheme}://", "ray")
    package, extra = _EXTRAS.get(scheme, ("fsspec", "ray"))
    if find_spec(package) is None:
        raise MissingExtraError(f"{scheme}://", extra)
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError, OSError) as error:
        raise OptionError(
            f"{printable(address)}: such addresses cannot be reached ({reason(error)})"
        ) from error
    return Remote(files=files, path=path, scheme=scheme)


def walk(place: Remote) -> Iterator[tuple[str, list[str], list[str]]]:
    """Each folder below a place with the names of its folders, which may be struck out, and files.

    Raises:
        InputError: If it cannot be listed.
    """
    try:
        yield from place.files.walk(place.path, on_error="raise")
    except Exception as error:
        # Every file system has errors of its own, and of the library below it.
        raise InputError(f"{place.address}: cannot be listed ({reason(error)})") from error


def _modified(info: dict[str, Any]) -> int:
    """The time of change in what file systems say of a file, each with words of its own."""
    for key in ("LastModified", "last_modified", "updated", "mtime", "created", "Last-Modified"):
        found = info.get(key)
        if isinstance(found, int | float):
            return int(found * 1e9)
        if isinstance(found, str):
            try:
                return int(parsedate_to_datetime(found).timestamp() * 1e9)
            except ValueError:
                continue
        if hasattr(found, "timestamp"):
            assert found is not None, "None has no timestamp"
            return int(found.timestamp() * 1e9)
    return 0
