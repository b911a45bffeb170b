"""Remote files: s3://, gs://, https:// and others of fsspec."""

import shutil
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from rilievo.errors import InputError, MissingExtraError, OptionError, OutputError
from rilievo.frozen import frozen
from rilievo.io.files.limits import printable, reason
from rilievo.io.files.web import TIMEOUT, asked_for
from rilievo.messages import literal, template

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_READ_ONLY = ("http", "https")

TRIES = 4
"""Attempts of a request."""

FIRST_WAIT = 0.5
"""First wait [s], then doubled."""

Answer = TypeVar("Answer")


class WebFiles:
    """Part of an fsspec file system, for http:// and https://, without folders.

    Failures raise ``FileNotFoundError``, ``PermissionError`` or another ``OSError``.
    """

    def glob(self, address: str) -> list[str]:
        """Address itself: web servers expand no patterns."""
        return [address]

    def isdir(self, address: str) -> bool:
        """False, always."""
        del address
        return False

    def walk(self, address: str, on_error: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """Raise ``OSError``: there are no folders."""
        raise OSError("folders of a web server need pip install 'rilievo[cluster]'")

    def exists(self, address: str) -> bool:
        """Whether the server has the file."""
        try:
            self.info(address)
        except FileNotFoundError:
            return False
        return True

    def info(self, address: str) -> dict[str, Any]:
        """Size [bytes] and time of change, if sent."""
        with _answer(address) as answer:  # not HEAD, which many servers refuse
            headers = answer.headers
            size = headers.get("Content-Length", "")
            facts: dict[str, Any] = {"size": int(size) if size.isdigit() else None}
            if facts["size"] is None:
                facts["size"] = sum(len(part) for part in iter(lambda: answer.read(2**20), b""))
            return facts | {"Last-Modified": headers.get("Last-Modified")}

    def cat_file(self, address: str) -> bytes:
        """Read a file."""
        with _answer(address) as answer:
            return answer.read()

    def get_file(self, address: str, path: str) -> None:
        """Download a file."""
        with _answer(address) as answer, Path(path).open("wb") as file:
            shutil.copyfileobj(answer, file, 2**20)
            expected = answer.headers.get("Content-Length", "")
            if expected.isdigit() and file.tell() != int(expected):
                raise OSError(f"it broke off after {file.tell():,} of {int(expected):,} bytes")


def _answer(address: str) -> HTTPResponse:
    try:
        return urlopen(asked_for(address), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code in (404, 410):
            raise FileNotFoundError(str(error)) from None
        if error.code in (401, 403):
            raise PermissionError(str(error)) from None
        raise OSError(str(error)) from None
    except URLError as error:  # fsspec raises the same where no server answers
        cause = error.reason if isinstance(error.reason, OSError) else error
        raise FileNotFoundError(str(error)) from cause


@frozen
class Remote:
    """Remote file or folder."""

    files: Any
    path: str
    scheme: str

    @property
    def address(self) -> str:
        """Address on one line, without a signature's query."""
        return f"{self.scheme}://{printable(self.plain_path.split('://', 1)[-1])}"

    @property
    def plain_path(self) -> str:
        """Path without a signature's query."""
        return self.path.split("?", 1)[0]

    def at(self, path: str) -> "Remote":
        """Another file of the file system."""
        return Remote(files=self.files, path=path, scheme=self.scheme)

    def matching(self) -> "list[Remote]":
        """Files that match as a pattern, sorted, none hidden."""
        paths = self._asked(lambda: list(self.files.glob(self.path)))
        return [self.at(path) for path in sorted(paths) if "/." not in path]

    def exists(self) -> bool:
        """Whether it exists."""
        return self._asked(lambda: bool(self.files.exists(self.path)))

    def text(self) -> str:
        """Read a small text."""
        try:
            return self._asked(lambda: self.files.cat_file(self.path)).decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.address}: is no text") from error

    def size_and_time(self) -> tuple[int, int]:
        """Size [bytes] and time [ns since 1970], 0 if unknown."""
        info = self._asked(lambda: self.files.info(self.path))
        size = info.get("size")
        if not isinstance(size, int):
            raise InputError(f"{self.address}: the place does not say how large it is")
        return size, _modified(info)

    def fetch(self, path: Path) -> None:
        """Download to a path."""
        self._asked(lambda: self.files.get_file(self.path, str(path)))

    def store(self, path: Path) -> None:
        """Upload atomically."""
        try:
            self._asked(lambda: self.files.put_file(str(path), self.path))
        except InputError as error:
            raise OutputError(problem=template(error)) from error

    def remove(self) -> None:
        """Delete, if it exists."""
        try:
            if self.exists():
                self._asked(lambda: self.files.rm_file(self.path))
        except InputError as error:
            raise OutputError(problem=template(error)) from error

    def _asked(self, question: Callable[[], Answer]) -> Answer:
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
                # Every file system raises errors of its own and of the library below it.
                if number + 1 == TRIES:
                    raise InputError(
                        f"{self.address}: failed {TRIES} times ({type(error).__name__}: "
                        f"{reason(error)})"
                    ) from error
            time.sleep(FIRST_WAIT * 2**number)
        raise AssertionError("the last try returns or raises")


def _is_unreachable(error: OSError) -> bool:
    """Whether no server answered; fsspec's HTTP raises FileNotFoundError then."""
    cause = error.__cause__
    return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)


def remote(address: str, *, for_writing: bool = False) -> Remote:
    """Open the file system of an address.

    Raises:
        MissingExtraError: If its scheme's package is not installed.
        OptionError: If the scheme is not supported, or cannot be written to.
    """
    scheme = address.partition("://")[0]
    if for_writing and scheme in _READ_ONLY:
        raise OptionError(
            option="output", problem=f"{literal(address)}: nothing can be written to {scheme}"
        )
    if scheme in _READ_ONLY and (find_spec("fsspec") is None or find_spec("aiohttp") is None):
        return Remote(files=WebFiles(), path=address, scheme=scheme)
    if any(find_spec(package) is None for package in ("fsspec", _PACKAGES.get(scheme, "fsspec"))):
        raise MissingExtraError(f"{scheme}://", "cluster")
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError, OSError) as error:
        raise OptionError(
            f"{address}: such addresses cannot be reached ({reason(error)})"
        ) from error
    return Remote(files=files, path=path, scheme=scheme)


def walk(place: Remote) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk over folders, with subfolders to be pruned, and files."""
    try:
        yield from place.files.walk(place.path, on_error="raise")
    except Exception as error:
        # Every file system raises errors of its own and of the library below it.
        raise InputError(f"{place.address}: cannot be listed ({reason(error)})") from error


def _modified(info: dict[str, Any]) -> int:
    for key in ("LastModified", "last_modified", "updated", "mtime", "created", "Last-Modified"):
        moment = info.get(key)
        if isinstance(moment, int | float):
            return int(moment * 1e9)
        if isinstance(moment, str):
            try:
                return int(parsedate_to_datetime(moment).timestamp() * 1e9)
            except ValueError:
                continue
        if hasattr(moment, "timestamp"):
            assert moment is not None, "None has no timestamp"
            return int(moment.timestamp() * 1e9)
    return 0
