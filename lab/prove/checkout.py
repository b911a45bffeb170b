"""Functions of a released program, run from a user's clone in a process of their own."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab.prove.other_python import reason_of_failure, run_other_python
from lab.prove.programs import Program
from rilievo.errors import InputError, OptionError
from rilievo.io.files.names import printable

LONGEST = 600.0
"""Seconds that the program's functions may take."""
_CALLER = Path(__file__).parent / "released_functions.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A clone on disk.

    Attributes:
        commit: Commit that is checked out.
        is_changed: Whether files of it were changed since.
    """

    folder: Path
    commit: str
    is_changed: bool


def open_checkout(folder: Path) -> Checkout:
    """The clone in a folder; nothing of it is run."""
    shown = printable(folder)
    if not os.path.isdir(folder):
        raise InputError(f"{shown}: there is no such folder of a checkout")
    if not os.path.exists(folder / ".git"):
        raise InputError(f"{shown}: is no checkout of git, so its commit is not known: clone it")
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return Checkout(folder=folder.resolve(), commit=commit, is_changed=bool(changed))


def check_commit(checkout: Checkout, program: Program, *, any_commit: bool) -> str:
    """A line that says which commit is expected and which is found.

    Raises:
        OptionError: If it is another, and that was not allowed.
    """
    found = checkout.commit[:10] + (" with changed files" if checkout.is_changed else "")
    line = f"{program.repository}: commit {' or '.join(program.commits)} expected, {found} found"
    is_other = not checkout.commit.startswith(program.commits) or checkout.is_changed
    if is_other and not any_commit:
        raise OptionError(f"{line}; check that out, or say --any-commit")
    return line


def call(
    program: Program,
    checkout: Checkout,
    python: Path,
    cases: Sequence[Mapping[str, np.ndarray]],
    arguments: Mapping[str, object],
    *,
    longest: float = LONGEST,
) -> list[dict[str, float]]:
    """Numbers of the program's own functions, by our names of metrics, for each case."""
    with tempfile.TemporaryDirectory() as place:
        paths = []
        for number, case in enumerate(cases):
            paths.append(os.path.join(place, f"{number}.npz"))
            np.savez(paths[-1], **dict(case))  # pyright: ignore
        request, answer = Path(place, "request.json"), Path(place, "answer.json")
        asked = {
            "program": program.name,
            "folder": str(checkout.folder / program.folder),
            "functions": program.functions,
            "cut": program.cut,
            "cases": paths,
            "arguments": dict(arguments),
        }
        request.write_text(json.dumps(asked), encoding="utf-8")
        # The child starts in the checkout; resolve() would leave a virtual environment.
        _run(
            [str(python.absolute()), "-B", str(_CALLER), str(request), str(answer)],
            checkout,
            longest,
        )
        try:
            found = json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{printable(checkout.folder)}: its functions gave no answer"
            ) from error
    return [dict(each) for each in found]


def _run(command: list[str], checkout: Checkout, longest: float) -> None:
    shown = printable(checkout.folder)
    try:
        done = run_other_python(command, longest=longest, folder=checkout.folder)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{shown}: its functions took more than {longest:g} seconds") from error
    except OSError as error:
        raise OptionError(
            f"{command[0]}: is no Python to run ({error.strerror}); see --python"
        ) from error
    if done.returncode:
        why = reason_of_failure(done)
        raise InputError(f"{shown}: its functions could not be run by {command[0]}: {why}")


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except FileNotFoundError as error:
        raise OptionError("git is not installed, which says what commit a checkout is") from error
    except subprocess.CalledProcessError as error:
        words_of_git = printable(
            error.stderr.strip().splitlines()[-1] if error.stderr.strip() else ""
        )
        raise InputError(f"{printable(folder)}: git cannot read it ({words_of_git})") from error
    return done.stdout.strip()
