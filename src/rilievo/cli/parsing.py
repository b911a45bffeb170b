"""Parse command lines with tyro, with our own help texts and error messages."""

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
    """Parse the arguments of a command.

    Options refuse bad values with an ``OptionError``, which is a ``ValueError``; tyro would present
    it as an error of its own. Here it is raised unchanged.

    Args:
        into: Dataclass of the command's options.
        arguments: Words after the command's name.
        prog: The command, such as ``rilievo predict``.
        description: Description in one sentence, for ``--help``.
        examples: Example command lines, for ``--help``.

    Raises:
        OptionError: If the arguments are not valid.
        RilievoError: If an option refuses its value.
        SystemExit: After ``--help``.
    """
    # Imported on demand: most calls need neither help nor an error message.
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
    """Convert an option to British spelling: --color-map becomes --colour-map."""
    return word.replace("--color", "--colour", 1) if word.startswith("--color") else word


def _refusal(error: BaseException | None) -> RilievoError | None:
    while error is not None and not isinstance(error, RilievoError):
        error = error.__cause__ or error.__context__
    return error
