"""Reading of command lines: tyro, and our own refusals of values in our own words."""

import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import TypeVar

import tyro

from rilievo.cli.streams import printing
from rilievo.errors import RilievoError

T = TypeVar("T")


def parse(into: type[T], arguments: Sequence[str], *, prog: str, description: str) -> T:
    """Read the arguments of a command.

    Options refuse bad values by an ``OptionError``, which is a ``ValueError``; tyro takes that for
    an error of its own and frames it. Here it is raised as it is.

    Args:
        into: A dataclass, the options of the command.
        arguments: Words after the command's name.
        prog: The command, such as ``rilievo predict``.
        description: The command in one sentence, for ``--help``.

    Raises:
        RilievoError: If an option refuses its value.
        SystemExit: After ``--help``, or if tyro does not understand the arguments.
    """

    def read() -> T:
        config = (tyro.conf.FlagCreatePairsOff,)
        words = [_british(word) for word in arguments]
        return tyro.cli(into, args=words, prog=prog, description=description, config=config)

    with printing():
        try:
            with redirect_stderr(io.StringIO()):
                return read()
        except SystemExit as stop:
            if stop.code in (None, 0):
                raise
            refusal = _refusal(stop)
            if refusal is not None:
                raise refusal from None
        return read()  # says what it does not understand


def _british(word: str) -> str:
    """An option in the spelling that this program uses: --color-map is --colour-map."""
    return word.replace("--color", "--colour", 1) if word.startswith("--color") else word


def _refusal(error: BaseException | None) -> RilievoError | None:
    while error is not None and not isinstance(error, RilievoError):
        error = error.__cause__ or error.__context__
    return error
