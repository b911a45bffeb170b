"""Folder of rilievo's caches of networks."""

import os
from pathlib import Path

from rilievo.errors import ModelError


def cache_directory() -> Path:
    """Folder of compiled networks: ``$RILIEVO_CACHE``, or else one in the user's cache."""
    given = os.environ.get("RILIEVO_CACHE")
    return Path(given) if given else user_cache("RILIEVO_CACHE") / "rilievo"


def user_cache(variable: str) -> Path:
    """Folder of the user's caches for all programs.

    Args:
        variable: Environment variable that sets another folder; named in the error.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(base) if base else Path.home() / ".cache"
    except RuntimeError:
        text = f"this user has no home folder for networks: set a folder in {variable}"
        raise ModelError(text) from None
