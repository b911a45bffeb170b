"""Remote files: s3://, gs://, https:// and others of fsspec."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from rilievo.errors import InputError, MissingExtraError, OptionError, OutputError
from rilievo.errors.messages import Text
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.io.files.web import TIMEOUT, make_request

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_READ_ONLY = ("http", "https")
TRIES = 4

# First wait [s], then doubled.
FIRST_WAIT = 0.5
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
        with _open_address(address) as answer:  # not HEAD, which many servers refuse
            headers = answer.headers
            size = headers.get("Content-Length", "")
            facts: dict[str, Any] = {"size": int(size) if size.isdigit() else None}
            if facts["size"] is None:
                facts["size"] = sum(len(part) for part in iter(lambda: answer.read(2**20), b""))
            return facts | {"Last-Modified": headers.get("Last-Modified")}

    def cat_file(self, address: str) -> bytes:
        """Bytes of a file."""
        with _open_address(address) as answer:
            return answer.read()

    def get_file(self, address: str, path: str) -> None:
        """Download; ``OSError`` for less than the announced bytes."""
        with _open_address(address) as answer, Path(path).open("wb") as file:
            shutil.copyfileobj(answer, file, 2**20)
            expected = answer.headers.get("Content-Length", "")
            if expected.isdigit() and file.tell() != int(expected):
                raise OSError(f"it broke off after {file.tell():,} of {int(expected):,} bytes")


def _open_address(address: str) -> HTTPResponse:
    try:
        return urlopen(make_request(address), timeout=TIMEOUT)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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

    def with_path(self, path: str) -> "Remote":
        """Other file of this file system."""
        return Remote(files=self.files, path=path, scheme=self.scheme)

    def matching_files(self) -> "list[Remote]":
        """Sorted matches of the path as a pattern, none hidden."""
        paths = self._ask_with_retries(lambda: list(self.files.glob(self.path)))
        return [self.with_path(path) for path in sorted(paths) if "/." not in path]

    def exists(self) -> bool:
        """Whether a file or folder is there."""
        return self._ask_with_retries(lambda: bool(self.files.exists(self.path)))

    def text(self) -> str:
        """Read a small text file."""
        try:
            return self._ask_with_retries(lambda: self.files.cat_file(self.path)).decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.address}: is no text") from error

    def size_and_time(self) -> tuple[int, int]:
        """Size [bytes] and time [ns since 1970], 0 if unknown."""
        info = self._ask_with_retries(lambda: self.files.info(self.path))
        size = info.get("size")
        if not isinstance(size, int):
            raise InputError(f"{self.address}: the place does not say how large it is")
        return size, _nanoseconds_of_change(info)

    def download(self, path: Path) -> None:
        """Copy it to a path."""
        self._ask_with_retries(lambda: self.files.get_file(self.path, str(path)))

    def upload(self, path: Path) -> None:
        """Replace it by a local file."""
        try:
            self._ask_with_retries(lambda: self.files.put_file(str(path), self.path))
        except InputError as error:
            raise OutputError(problem=Text(error)) from error

    def remove(self) -> None:
        """Delete, if it exists."""
        try:
            if self.exists():
                self._ask_with_retries(lambda: self.files.rm_file(self.path))
        except InputError as error:
            raise OutputError(problem=Text(error)) from error

    def _ask_with_retries(self, question: Callable[[], Answer]) -> Answer:
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


def open_remote(address: str, *, for_writing: bool = False) -> Remote:
    """Open the file system of an address.

    Raises:
        MissingExtraError: If its scheme's package is not installed.
        OptionError: If the scheme is not supported, or cannot be written to.
    """
    scheme = address.partition("://")[0]
    if for_writing and scheme in _READ_ONLY:
        raise OptionError(option="output", problem=f"{address}: nothing can be written to {scheme}")
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


def _nanoseconds_of_change(info: dict[str, Any]) -> int:
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
