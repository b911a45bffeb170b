"""Options of every command, as its help lists them."""

import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache

from rilievo.cli import COMMANDS, main
from rilievo.cli.parsing import HelpShown
from rilievo.schema.fields import OptionField, list_options

_KINDS = {
    "train": ("probe", "supervised", "video"),
    "probe": ("", "correspondence"),
    "models": ("", "fetch"),
}
COMMAND_LINES = tuple(
    (name, *filter(None, [kind])) for name in COMMANDS for kind in _KINDS.get(name, ("",))
)
"""Every command, of those with kinds each of these."""


@cache
def record_of(command: Sequence[str]) -> type:
    """Record of a command's options."""
    try:
        with redirect_stdout(io.StringIO()):
            main([*command, "--help"])
    except HelpShown as helped:
        return helped.record
    raise AssertionError(f"{command} has no help")


def flagged(command: Sequence[str]) -> Iterator[OptionField]:
    """Options of a command that are written with a flag."""
    return (one for one in list_options(record_of(command)) if one.flag)


def needed_words(command: Sequence[str], without: OptionField | None = None) -> list[str]:
    """Words that a command does not go without, of files that do not exist."""
    words: list[str] = []
    for one in list_options(record_of(command)):
        if one.is_required and one is not without:
            word = next(iter(one.choices), "missing")
            words += [one.flag, word] if one.flag else [word]
    return words
