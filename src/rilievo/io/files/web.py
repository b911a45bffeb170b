"""Downloads over HTTP."""

from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from rilievo.errors import InputError
from rilievo.io.files.limits import reason
from rilievo.version import VERSION

_MAX_BYTES = 256 * 2**20
"""Largest photograph that is downloaded."""
_TIMEOUT = 30  # [s], without any byte
_NOT_QUOTED = "%/:=&?~#+!$,;'@()*[]"
"""Characters of an address that stay as users paste them; spaces and accents are quoted."""


def open_url(url: str) -> HTTPResponse:
    """Request an address, as users paste it, through the system's proxies.

    Raises:
        HTTPError: If the server answers with an error.
        URLError: If no server answers.
    """
    request = Request(quote(url, safe=_NOT_QUOTED), headers={"User-Agent": f"rilievo/{VERSION}"})
    return urlopen(request, timeout=_TIMEOUT)


def fetch(url: str) -> bytes:
    """Download an address through the system's proxies; raise ``InputError`` if that fails."""
    try:
        with open_url(url) as response:
            content = response.read(_MAX_BYTES + 1)
    except HTTPError as error:
        error.close()
        raise InputError(f"{url}: the server answers {error.code} ({error.reason})") from error
    except URLError as error:
        raise InputError(f"{url}: the server cannot be reached ({error.reason})") from error
    except (OSError, ValueError, HTTPException) as error:
        raise InputError(f"{url}: the file cannot be downloaded ({reason(error)})") from error
    if len(content) > _MAX_BYTES:
        raise InputError(
            f"{url}: the file is larger than {_MAX_BYTES // 2**20} MiB; make it smaller first"
        )
    return content
