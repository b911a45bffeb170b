"""Releases of readers, and an environment for each."""

import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lab.prove.other_python import reason_of_failure, run_other_python
from rilievo.errors import InputError, RilievoError

_TABLE = Path(__file__).with_name("readers.toml")
_SCRIPT = Path(__file__).with_name("reading.py")
_LONGEST = 1200  # [s], of an installation or of reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A package that opens exports.

    Attributes:
        name: Name of the row.
        function: Function of ``reading.py``.
        kinds: Kinds of exports that it opens.
        leaves: Exports of these kinds that it does not read in any release, or another row reads.
        only: Exports of these kinds that it reads, where it does not read all.
        shares: Whether it takes torch from this environment.
        installed: Whether it is tried as it is installed here alone.
        checks: Whether it says that a file is valid, and no numbers.
    """

    name: str
    function: str
    package: str
    licence: str
    kinds: tuple[str, ...]
    oldest: str = ""
    newest: str = ""
    oldest_with: tuple[str, ...] = ()
    newest_with: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    shares: bool = False
    installed: bool = False
    checks: bool = False

    def opens(self, export: str) -> bool:
        """Whether an export is one for this reader."""
        if self.only:
            return export in self.only
        return export.partition("/")[0] in self.kinds and export not in self.leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release of a reader; without ``version`` it is the one that the index has as newest."""

    reader: Reader
    version: str
    beside: tuple[str, ...] = ()

    @property
    def requirements(self) -> list[str]:
        """What pip installs."""
        package = self.reader.package
        return [f"{package}=={self.version}" if self.version else package, "numpy", *self.beside]


def read_readers() -> tuple[Reader, ...]:
    """The readers of the table."""
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    readers = []
    for name, row in table.items():
        entries: dict[str, Any] = {"name": name, "function": name, "package": name}
        for key, value in row.items():
            entries[key] = tuple(value) if isinstance(value, list) else value
        readers.append(Reader(**entries))
    return tuple(readers)


def releases_of(reader: Reader, *, latest: bool) -> tuple[Release, ...]:
    """The oldest and the newest; ``latest`` takes what the index has in place of the newest."""
    if reader.installed:
        return (Release(reader=reader, version=version(reader.package)),) * 2
    oldest = Release(reader=reader, version=reader.oldest, beside=reader.oldest_with)
    if latest:
        return oldest, Release(reader=reader, version="", beside=_names(reader.newest_with))
    return oldest, Release(reader=reader, version=reader.newest, beside=reader.newest_with)


def _names(requirements: Sequence[str]) -> tuple[str, ...]:
    return tuple(requirement.partition("==")[0] for requirement in requirements)


def make_environment(release: Release, folder: Path) -> Path:
    """Install a release into an environment of its own, and return its Python.

    Raises:
        RilievoError: If it cannot be installed.
    """
    if release.reader.installed:
        return Path(sys.executable)
    place = folder / f"{release.reader.package}-{release.version or 'latest'}"
    python = place / "bin" / "python"
    if (place / "complete").exists():
        return python
    venv.create(place, clear=True, with_pip=False)
    if release.reader.shares:
        _share_torch(place)
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    _run([*command, "--disable-pip-version-check", *release.requirements], "cannot be installed")
    (place / "complete").touch()
    return python


def _share_torch(place: Path) -> None:
    """Let an environment see the packages of this one, after its own."""
    import torch

    [packages] = place.glob("lib/python*/site-packages")
    shared = Path(torch.__file__).parents[1]
    (packages / "zz_shared.pth").write_text(f"{shared}\n", encoding="utf-8")


def read_by(python: Path, reader: Reader, paths: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Arrays of the exports as the reader of an environment has them, by ``EXPORT/ARRAY``.

    Raises:
        RilievoError: If it cannot read one of them.
    """
    with tempfile.TemporaryDirectory() as place:
        request, answer = Path(place, "request.json"), Path(place, "answer.npz")
        asked = {
            "reader": reader.function,
            "paths": {name: str(path) for name, path in paths.items()},
        }
        request.write_text(json.dumps(asked), encoding="utf-8")
        _run([str(python), "-B", str(_SCRIPT), str(request), str(answer)], "does not read it")
        with np.load(answer) as held:
            return {name: held[name] for name in held.files}


def version_in(python: Path, reader: Reader) -> str:
    """Version of a reader that an environment has."""
    code = f"from importlib.metadata import version; print(version({reader.package!r}))"
    return _run([str(python), "-c", code], "is not installed").strip()


def _run(command: Sequence[str], problem: str) -> str:
    try:
        done = run_other_python(command, longest=_LONGEST, settings={"OMP_NUM_THREADS": "1"})
    except subprocess.TimeoutExpired as error:
        raise RilievoError(f"{problem} within {_LONGEST} s") from error
    except OSError as error:
        raise InputError(f"{command[0]}: is no Python to run ({error.strerror})") from error
    if done.returncode:
        raise RilievoError(f"{problem}: {reason_of_failure(done)}")
    return done.stdout
