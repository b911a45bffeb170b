"""Files at http:// and https:// addresses with the standard library, where fsspec is missing.

Only single files are supported; a page of links does not count as a folder.
"""

import shutil
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from rilievo.io.web import TIMEOUT, asked_for


class WebFiles:
    """Methods of an fsspec file system that reading single files needs.

    Failed requests raise ``FileNotFoundError``, ``PermissionError`` or another ``OSError``.
    """

    def glob(self, address: str) -> list[str]:
        """The address itself, since web servers do not expand patterns."""
        return [address]

    def isdir(self, address: str) -> bool:
        """False, always."""
        del address
        return False

    def walk(self, address: str, on_error: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """Raise ``OSError``, since there are no folders."""
        raise OSError("folders of a web server need pip install 'rilievo[cluster]'")

    def exists(self, address: str) -> bool:
        """Whether the server has a file at the address."""
        try:
            self.info(address)
        except FileNotFoundError:
            return False
        return True

    def info(self, address: str) -> dict[str, Any]:
        """Size [bytes] and time of change; the time is None where the server does not send it."""
        with _answer(address) as answer:  # not HEAD, which many servers refuse
            said = answer.headers
            size = said.get("Content-Length", "")
            facts: dict[str, Any] = {"size": int(size) if size.isdigit() else None}
            if facts["size"] is None:
                facts["size"] = sum(len(part) for part in iter(lambda: answer.read(2**20), b""))
            return facts | {"Last-Modified": said.get("Last-Modified")}

    def cat_file(self, address: str) -> bytes:
        """Read all bytes of a file."""
        with _answer(address) as answer:
            return answer.read()

    def get_file(self, address: str, path: str) -> None:
        """Download a file to a path on disk."""
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
