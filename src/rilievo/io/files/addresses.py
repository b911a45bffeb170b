"""Names that are addresses, such as s3://bucket/key, told from paths on disk.

``Path`` collapses double slashes, so an address that was a path reads ``s3:/bucket/key``; it is
accepted as an address too.
"""

import re
from pathlib import Path

_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):/+(?P<rest>.*)", re.DOTALL)


def address_of(name: str | Path) -> str | None:
    """Return the address that a name stands for; None for a path on disk.

    A ``file://`` address counts as a path; ``local_path`` converts it.
    """
    match = _ADDRESS.fullmatch(str(name))
    if match is None or match["scheme"] == "file":
        return None
    return f"{match['scheme']}://{match['rest']}"


def local_path(name: str | Path) -> str:
    """Return the path of a ``file://`` address; any other name unchanged."""
    match = _ADDRESS.fullmatch(str(name))
    if match is None or match["scheme"] != "file":
        return str(name)
    return "/" + match["rest"].lstrip("/")
