"""Files at addresses: s3://, gs://, https:// and others that fsspec knows."""

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
"""Package that a scheme needs besides fsspec."""
_READ_ONLY = ("http", "https")
ATTEMPTS = 4
FIRST_WAIT = 0.5
"""Wait before the second attempt [s], which doubles for each further one."""

Answer = TypeVar("Answer")


class WebFiles:
    """File system for http:// and https:// where fsspec is not installed.

    It has those methods of an fsspec file system that do not need folders. Failures raise
    ``FileNotFoundError``, ``PermissionError`` or another ``OSError``.
    """

    def glob(self, address: str) -> list[str]:
        """The address itself, because web servers expand no patterns."""
        return [address]

    def isdir(self, address: str) -> bool:
        """Always false, because web servers have no folders."""
        del address
        return False

    def walk(self, address: str, on_error: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """Raise ``OSError``, because web servers have no folders."""
        raise OSError("folders of a web server need pip install 'rilievo[cluster]'")

    def exists(self, address: str) -> bool:
        """Whether the server has the file."""
        try:
            self.info(address)
        except FileNotFoundError:
            return False
        return True

    def info(self, address: str) -> dict[str, Any]:
        """Size of a file [bytes], and the header with the time of its last change, if sent."""
        with _open_address(address) as response:  # not HEAD, which many servers refuse
            length = response.headers.get("Content-Length", "")
            if length.isdigit():
                size = int(length)
            else:
                size = sum(len(part) for part in iter(lambda: response.read(2**20), b""))
            return {"size": size, "Last-Modified": response.headers.get("Last-Modified")}

    def cat_file(self, address: str) -> bytes:
        """Content of a file."""
        with _open_address(address) as response:
            return response.read()

    def get_file(self, address: str, path: str) -> None:
        """Download a file to a path; raise ``OSError`` if it breaks off."""
        with _open_address(address) as response, Path(path).open("wb") as file:
            shutil.copyfileobj(response, file, 2**20)
            expected = response.headers.get("Content-Length", "")
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
    """File or folder at an address.

    Attributes:
        files: File system of fsspec.
        path: Path in it, perhaps with a signature in a query.
        scheme: Beginning of the address, such as "s3".
    """

    files: Any
    path: str
    scheme: str

    @property
    def address(self) -> str:
        """Address for messages, on one line and without the query, which may be a signature."""
        return f"{self.scheme}://{printable(self.plain_path.split('://', 1)[-1])}"

    @property
    def plain_path(self) -> str:
        """Path without the query."""
        return self.path.split("?", 1)[0]

    def with_path(self, path: str) -> "Remote":
        """Another file or folder of this file system."""
        return Remote(files=self.files, path=path, scheme=self.scheme)

    def matching_files(self) -> "list[Remote]":
        """Files that match the path as a pattern, in order and without hidden ones."""
        paths = self._ask_with_retries(lambda: list(self.files.glob(self.path)))
        return [self.with_path(path) for path in sorted(paths) if "/." not in path]

    def exists(self) -> bool:
        """Whether the file or folder exists."""
        return self._ask_with_retries(lambda: bool(self.files.exists(self.path)))

    def text(self) -> str:
        """Read a small text file.

        Raises:
            InputError: If it cannot be read, or is no text.
        """
        try:
            return self._ask_with_retries(lambda: self.files.cat_file(self.path)).decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.address}: is no text") from error

    def size_and_time(self) -> tuple[int, int]:
        """Size [bytes], and time of the last change [ns since 1970]; 0 if that is unknown."""
        info = self._ask_with_retries(lambda: self.files.info(self.path))
        size = info.get("size")
        if not isinstance(size, int):
            raise InputError(f"{self.address}: the place does not say how large it is")
        return size, _nanoseconds_of_change(info)

    def download(self, path: Path) -> None:
        """Download the file to a path."""
        self._ask_with_retries(lambda: self.files.get_file(self.path, str(path)))

    def upload(self, path: Path) -> None:
        """Replace the file by a local one.

        Raises:
            OutputError: If it cannot be written.
        """
        try:
            self._ask_with_retries(lambda: self.files.put_file(str(path), self.path))
        except InputError as error:
            raise OutputError(problem=Text(error)) from error

    def remove(self) -> None:
        """Delete the file, if it exists.

        Raises:
            OutputError: If it cannot be deleted.
        """
        try:
            if self.exists():
                self._ask_with_retries(lambda: self.files.rm_file(self.path))
        except InputError as error:
            raise OutputError(problem=Text(error)) from error

    def _ask_with_retries(self, request: Callable[[], Answer]) -> Answer:
        """Call the file system, repeatedly if it fails for a reason that may pass.

        Raises:
            InputError: If it fails for good.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return request()
            except (FileNotFoundError, IsADirectoryError) as error:
                if not _is_unreachable(error):
                    raise InputError(f"{self.address}: is not there") from error
                if attempt == ATTEMPTS:
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
                if attempt == ATTEMPTS:
                    raise InputError(
                        f"{self.address}: failed {ATTEMPTS} times ({type(error).__name__}: "
                        f"{reason(error)})"
                    ) from error
            time.sleep(FIRST_WAIT * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")


def _is_unreachable(error: OSError) -> bool:
    """Whether no server answered, for which fsspec raises a FileNotFoundError over HTTP."""
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
    packages = ("fsspec", _PACKAGES.get(scheme, "fsspec"))
    if any(find_spec(package) is None for package in packages):
        raise MissingExtraError(f"{scheme}://", "cluster")
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError, OSError) as error:
        raise OptionError(
            f"{address}: such addresses cannot be reached ({reason(error)})"
        ) from error
    return Remote(files=files, path=path, scheme=scheme)


def walk(folder: Remote) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk over a folder as ``os.walk`` does: yield path, names of subfolders, names of files.

    Raises:
        InputError: If a folder cannot be listed.
    """
    try:
        yield from folder.files.walk(folder.path, on_error="raise")
    except Exception as error:
        # Every file system raises errors of its own and of the library below it.
        raise InputError(f"{folder.address}: cannot be listed ({reason(error)})") from error


def _nanoseconds_of_change(info: dict[str, Any]) -> int:
    """Time of the last change [ns since 1970], under any of the names that file systems have."""
    for key in ("LastModified", "last_modified", "updated", "mtime", "created", "Last-Modified"):
        time_of_change = info.get(key)
        if isinstance(time_of_change, int | float):
            return int(time_of_change * 1e9)
        if isinstance(time_of_change, str):
            try:
                return int(parsedate_to_datetime(time_of_change).timestamp() * 1e9)
            except ValueError:
                continue
        if hasattr(time_of_change, "timestamp"):
            assert time_of_change is not None, "None has no timestamp"
            return int(time_of_change.timestamp() * 1e9)
    return 0
