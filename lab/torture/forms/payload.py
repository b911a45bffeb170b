"""Pickles that make a file as soon as anybody loads them."""

import os
import pickle
from pathlib import Path


class _Touches:
    """Unpickling it opens a file for writing: what an attacker would do worse things with."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


def marker() -> Path:
    """The file that a payload makes; it must never be there."""
    return Path(os.environ["TORTURE_MARKER"])


def payload(protocol: int = 2) -> bytes:
    """A pickle that makes the marker."""
    return pickle.dumps(_Touches(str(marker())), protocol=protocol)


def shell_payload() -> bytes:
    """The same through a shell, in the oldest protocol."""
    return f"cos\nsystem\n(S'touch {marker()}'\ntR.".encode()
