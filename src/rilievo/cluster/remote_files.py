"""Files at addresses: s3://, gs://, https:// and others that fsspec supports."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError

from rilievo.errors import InputError, MissingExtraError, OptionError, OutputError
from rilievo.errors.messages import Text
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.io.files.web import open_url

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
"""Package that a scheme needs in addition to fsspec."""
_READ_ONLY = ("http", "https")
ATTEMPTS = 4
FIRST_WAIT = 0.5
"""Wait before the second attempt [s]. It doubles for each further attempt."""

Result = TypeVar("Result")


class WebFiles:
    """File system for http:// and https:// where fsspec is not installed.

    It has the methods of an fsspec file system that rilievo calls. Failures raise
    ``FileNotFoundError``, ``PermissionError`` or another ``OSError``.
    """

    def glob(self, address: str) -> list[str]:
        """The address itself, because web servers expand no patterns."""
        return [address]

    def isdir(self, address: str) -> bool:
        """Return False, because web servers have no folders."""
        del address
        return False

    def walk(self, address: str, on_error: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """Raise ``OSError``, because web servers have no folders."""
        raise OSError(
            "listing a folder on a web server needs the extra 'cluster': pip install "
            "'rilievo[cluster]'"
        )

    def exists(self, address: str) -> bool:
        """Whether the server has the file."""
        try:
            self.info(address)
        except FileNotFoundError:
            return False
        return True

    def info(self, address: str) -> dict[str, Any]:
        """Size of a file [bytes], and its Last-Modified header, or None if it has none."""
        # A GET request, because many servers refuse HEAD.
        with _open_url(address) as response:
            length = response.headers.get("Content-Length", "")
            if length.isdigit():
                size = int(length)
            else:
                size = sum(len(chunk) for chunk in iter(lambda: response.read(2**20), b""))
            return {"size": size, "Last-Modified": response.headers.get("Last-Modified")}

    def cat_file(self, address: str) -> bytes:
        """Content of a file."""
        with _open_url(address) as response:
            return response.read()

    def get_file(self, address: str, path: str) -> None:
        """Download a file to a path; raise ``OSError`` if the connection breaks off."""
        with _open_url(address) as response, Path(path).open("wb") as file:
            shutil.copyfileobj(response, file, 2**20)
            length = response.headers.get("Content-Length", "")
            if length.isdigit() and file.tell() != int(length):
                raise OSError(
                    f"the transfer stopped after {file.tell():,} of {int(length):,} bytes"
                )


def _open_url(address: str) -> HTTPResponse:
    """Send a GET request; raise the errors that fsspec raises for the same failures."""
    try:
        return open_url(address)
    except HTTPError as error:
        error.close()
        if error.code in (404, 410):
            raise FileNotFoundError(str(error)) from None
        if error.code in (401, 403):
            raise PermissionError(str(error)) from None
        raise OSError(str(error)) from None
    except URLError as error:  # no server answers
        cause = error.reason if isinstance(error.reason, OSError) else error
        raise FileNotFoundError(str(error)) from cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """File or folder at an address.

    Attributes:
        files: File system of fsspec.
        path: Path in the file system; its query may be a signature.
        scheme: Beginning of the address, such as "s3".
    """

    files: Any
    path: str
    scheme: str

    @property
    def address(self) -> str:
        """Address for messages, on one line and without the query, which may be secret."""
        return f"{self.scheme}://{printable(self.plain_path.split('://', 1)[-1])}"

    @property
    def plain_path(self) -> str:
        """Path without the query."""
        return self.path.split("?", 1)[0]

    def with_path(self, path: str) -> "Remote":
        """Another file or folder of this file system."""
        return Remote(files=self.files, path=path, scheme=self.scheme)

    def matching_files(self) -> "list[Remote]":
        """Files that match the path as a pattern, sorted, without hidden ones."""
        paths = self._call_with_retries(lambda: list(self.files.glob(self.path)))
        return [self.with_path(path) for path in sorted(paths) if "/." not in path]

    def exists(self) -> bool:
        """Whether the file or folder exists."""
        return self._call_with_retries(lambda: bool(self.files.exists(self.path)))

    def text(self) -> str:
        """Read a small text file."""
        try:
            return self._call_with_retries(lambda: self.files.cat_file(self.path)).decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.address}: is not a text file") from error

    def size_and_time(self) -> tuple[int, int]:
        """Size [bytes], and time of the last modification [ns since 1970], 0 if it is unknown."""
        info = self._call_with_retries(lambda: self.files.info(self.path))
        size = info.get("size")
        if not isinstance(size, int):
            raise InputError(
                f"{self.address}: the server does not state the size of this file; download it "
                "first"
            )
        return size, _modified_ns(info)

    def download(self, path: Path) -> None:
        """Download the file to a path."""
        self._call_with_retries(lambda: self.files.get_file(self.path, str(path)))

    def upload(self, path: Path) -> None:
        """Replace the file by a local one."""
        try:
            self._call_with_retries(lambda: self.files.put_file(str(path), self.path))
        except InputError as error:
            raise OutputError(problem=Text(error)) from error

    def remove(self) -> None:
        """Delete the file, if it exists."""
        try:
            if self.exists():
                self._call_with_retries(lambda: self.files.rm_file(self.path))
        except InputError as error:
            raise OutputError(problem=Text(error)) from error

    def _call_with_retries(self, request: Callable[[], Result]) -> Result:
        """Call the file system, and try again if it fails for a reason that may pass.

        Raises:
            InputError: If the file does not exist, permission is missing, or all attempts fail.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return request()
            # Each file system raises its own errors, and those of the libraries that it uses.
            except Exception as error:
                if _may_pass(error) and attempt < ATTEMPTS:
                    time.sleep(FIRST_WAIT * 2 ** (attempt - 1))
                    continue
                raise InputError(f"{self.address}: {_failure_text(error)}") from error
        raise AssertionError("the last attempt returns or raises")


def _may_pass(error: Exception) -> bool:
    """Whether a further attempt may succeed after an error."""
    if isinstance(error, FileNotFoundError | IsADirectoryError):
        return _is_unreachable(error)
    return not isinstance(error, PermissionError)


def _failure_text(error: Exception) -> str:
    """Say why a file at an address cannot be used, after the last attempt."""
    if isinstance(error, FileNotFoundError | IsADirectoryError):
        if _is_unreachable(error):
            return f"cannot be reached ({reason(error.__cause__ or error)})"
        return "does not exist"
    if isinstance(error, PermissionError):
        return (
            f"no permission ({reason(error)}); set the access keys on the machine that processes "
            "the files"
        )
    return f"all {ATTEMPTS} attempts failed ({type(error).__name__}: {reason(error)})"


def _is_unreachable(error: OSError) -> bool:
    """Whether no server answered. Over HTTP, fsspec raises FileNotFoundError for that too."""
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
        raise OptionError(
            option="output",
            problem=f"is {address}, but files cannot be written to {scheme} addresses; choose a "
            "folder on disk, or an address such as s3://BUCKET/FOLDER",
        )
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
            f"{address}: this kind of address cannot be opened ({reason(error)})"
        ) from error
    return Remote(files=files, path=path, scheme=scheme)


def walk(folder: Remote) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk through a folder as ``os.walk`` does."""
    try:
        yield from folder.files.walk(folder.path, on_error="raise")
    except Exception as error:
        # Each file system raises its own errors, and those of the libraries that it uses.
        raise InputError(
            f"{folder.address}: this folder cannot be listed ({reason(error)})"
        ) from error


def _modified_ns(info: dict[str, Any]) -> int:
    """Time of the last modification [ns since 1970], or 0 if it is unknown.

    ``info`` describes the file; each file system has its own key for the time.
    """
    for key in ("LastModified", "last_modified", "updated", "mtime", "created", "Last-Modified"):
        seconds = _seconds_since_1970(info.get(key))
        if seconds is not None:
            return int(seconds * 1e9)
    return 0


def _seconds_since_1970(moment: object) -> float | int | None:
    """Convert seconds, a ``datetime`` or an HTTP date to seconds; None for anything else."""
    if isinstance(moment, int | float):
        return moment
    if isinstance(moment, datetime):
        return moment.timestamp()
    if isinstance(moment, str):
        with suppress(ValueError):  # it is no HTTP date
            return parsedate_to_datetime(moment).timestamp()
    return None
