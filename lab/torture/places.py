"""Other objects in the place of a file: links, pipes, devices, folders."""

import os
from collections.abc import Callable
from pathlib import Path

Place = Callable[[Path, Path], None]
"""Function that puts something else at the first path; the second is a file outside."""


def _gone(path: Path, outside: Path) -> None:
    path.unlink()


def _folder(path: Path, outside: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path, outside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _device(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _link_outside(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to(outside)


def _link_to_itself(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _link_to_nothing(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to("../nothing")


def _empty(path: Path, outside: Path) -> None:
    path.write_bytes(b"")


PLACES: tuple[Place, ...] = (
    *(_gone, _folder, _pipe, _device),
    *(_link_outside, _link_to_itself, _link_to_nothing, _empty),
)
