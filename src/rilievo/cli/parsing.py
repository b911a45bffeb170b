"""Reading of command lines: tyro reads, and help and refusals are in our own words."""

import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import TypeVar

import tyro

from rilievo.cli.streams import printing
from rilievo.errors import OptionError, RilievoError

T = TypeVar("T")


def parse(
    into: type[T],
    arguments: Sequence[str],
    *,
    prog: str,
    description: str,
    examples: Sequence[str] = (),
) -> T:
    """Read the arguments of a command.

    Options refuse bad values by an ``OptionError``, which is a ``ValueError``; tyro takes that for
    an error of its own and frames it. Here it is raised as it is.

    Args:
        into: A dataclass, the options of the command.
        arguments: Words after the command's name.
        prog: The command, such as ``rilievo predict``.
        description: The command in one sentence, for ``--help``.
        examples: Commands as they are typed, for ``--help``.

    Raises:
        OptionError: If the arguments are not understood.
        RilievoError: If an option refuses its value.
        SystemExit: After ``--help``.
    """
    # Imported where they are needed: most calls need neither help nor a refusal.
    if any(word in ("-h", "--help") for word in arguments):
        from rilievo.cli.help_text import help_of

        with printing():
            print(help_of(into, prog=prog, description=description, examples=examples))
        raise SystemExit(0)
    config = (tyro.conf.FlagCreatePairsOff,)
    words = [_british(word) for word in arguments]
    framed = io.StringIO()
    try:
        with redirect_stderr(framed):
            return tyro.cli(into, args=words, prog=prog, description=description, config=config)
    except SystemExit as stop:
        refusal = _refusal(stop)
        if refusal is None:
            from rilievo.cli.options_of import options_of
            from rilievo.cli.refusals import in_one_line

            refusal = OptionError(in_one_line(framed.getvalue(), options_of(into), prog))
        raise refusal from None


def _british(word: str) -> str:
    """An option in the spelling that this program uses: --color-map is --colour-map."""
    return word.replace("--color", "--colour", 1) if word.startswith("--color") else word


def _refusal(error: BaseException | None) -> RilievoError | None:
    while error is not None and not isinstance(error, RilievoError):
        error = error.__cause__ or error.__context__
    return error
