"""Place and settings of the Hugging Face hub's cache, read from the environment at every call.

The layout is that of huggingface_hub, so programs share downloads:
``models--ORG--NAME/blobs/SHA256`` holds a file, and ``models--ORG--NAME/snapshots/COMMIT/PATH``
links to it.
"""

import os
from pathlib import Path

from rilievo.models.engines import user_cache

_DEFAULT_ENDPOINT = "https://huggingface.co"
_TRUE = frozenset(("1", "on", "yes", "true"))


def endpoint() -> str:
    """URL of the hub or of a mirror (``HF_ENDPOINT``), without a trailing slash."""
    return (os.environ.get("HF_ENDPOINT") or _DEFAULT_ENDPOINT).rstrip("/")


def is_offline() -> bool:
    """Whether the environment forbids downloads (``HF_HUB_OFFLINE``)."""
    return any(_is_set(name) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def token() -> str | None:
    """The user's token for the hub: ``HF_TOKEN``, or else the file written by logging in."""
    if given := os.environ.get("HF_TOKEN", "").strip():
        return given
    if _is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    path = Path(os.environ.get("HF_TOKEN_PATH") or _home() / "token")
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def cache_folder() -> Path:
    """Folder of the cache: ``HF_HUB_CACHE``, or else ``hub`` in ``HF_HOME``."""
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(given) if given else _home() / "hub"


def repository_folder(repository: str) -> Path:
    """Folder of one repository, ``org/name`` or a URL, in the cache."""
    name = repository.partition("://")[2] or repository
    return cache_folder() / f"models--{name.replace('/', '--').replace(':', '-')}"


def _home() -> Path:
    if given := os.environ.get("HF_HOME"):
        return Path(given)
    return user_cache("HF_HOME") / "huggingface"


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in _TRUE
