"""Parse command lines with tyro, but in our own words."""

import io
import math
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any, TypeVar, get_args, get_origin

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from rilievo.cli.streams import printing
from rilievo.cli.switches import switch_words
from rilievo.errors import OptionError, RilievoError

T = TypeVar("T")
_REGISTRY = ConstructorRegistry()
_parsed: list[type] = []
"""Class of the options of the command that runs."""


def parse(
    into: type[T],
    arguments: Sequence[str],
    *,
    prog: str,
    description: str,
    examples: Sequence[str] = (),
    worded: Sequence[str] = (),
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
        worded: Switches that may have a word after "=", such as ``--resume``; their fields are of
            type ``bool | Literal[...]``.
    """
    # Imported on demand: most calls need neither help nor an error message.
    if any(word in ("-h", "--help") for word in arguments):
        from rilievo.cli.help_text import help_of

        with printing():
            print(help_of(into, prog=prog, description=description, examples=examples))
        raise SystemExit(0)
    config = (tyro.conf.EnumChoicesFromValues,)
    words = [_with_word(_british(word), worded) for word in arguments]
    _parsed[:] = [into]
    framed = io.StringIO()
    try:
        with redirect_stderr(framed), _REGISTRY:
            return tyro.cli(into, args=words, prog=prog, description=description, config=config)
    except SystemExit as stop:
        refusal = _refusal(stop)
        if refusal is None:
            from rilievo.cli.options_of import options_of
            from rilievo.cli.refusals import in_one_line

            refusal = OptionError(in_one_line(framed.getvalue(), options_of(into), prog))
        raise refusal from None


def in_flags(error: RilievoError) -> str:
    """Message of an error; one about options names them in place of the fields of a class."""
    if not isinstance(error, OptionError):
        return str(error)
    from rilievo.cli import refusals
    from rilievo.cli.options_of import options_of

    return refusals.in_flags(str(error), [each for into in _parsed for each in options_of(into)])


def given_fields(into: type, arguments: Sequence[str], record: str) -> frozenset[str]:
    """Fields of one record of a command that its arguments set, such as ``losses.ssim``.

    Args:
        into: Dataclass of the command's options.
        arguments: Words after the command's name, which ``parse`` has accepted.
        record: Name of the field of ``into`` that holds the record.
    """
    from rilievo.cli.options_of import options_of

    written = {word.partition("=")[0].replace("_", "-") for word in arguments}
    given = (each for each in options_of(into) if written & {*each.flags, each.opposite})
    return frozenset(
        each.path.removeprefix(f"{record}.") for each in given if each.path.startswith(f"{record}.")
    )


@_REGISTRY.primitive_rule
def _numbers_with_commas(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Tuples of numbers are one word with commas between, such as ``--size 192,640``."""
    kinds = get_args(info.type)
    if get_origin(info.type) is not tuple or not {*kinds} <= {int, float, ...}:
        return None

    def parse_numbers(words: list[str]) -> tuple[float, ...]:
        try:
            values = tuple(kinds[0](part) for part in words[0].split(","))
        except ValueError:
            values = ()
        wanted = len(values) if ... in kinds else len(kinds)
        if not values or len(values) != wanted or not all(map(math.isfinite, values)):
            raise ValueError(f"expected finite numbers, got {words}")
        return values

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="N,...",
        instance_from_str=parse_numbers,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda values: [",".join(map(str, values))],
    )


@_REGISTRY.primitive_rule
def _switch_or_word(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """A switch that may have a word: --resume, --no-resume, --resume=hash."""
    words = switch_words(info.type)
    if not words:
        return None
    choices: dict[str, bool | str] = {"no": False, "yes": True, **{word: word for word in words}}

    def value(found: list[str]) -> bool | str:
        if found[0] not in choices:
            raise ValueError(f"expected one of {', '.join(words)}, got {found}")
        return choices[found[0]]

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="|".join(words),
        instance_from_str=value,
        is_instance=lambda found: found in choices.values(),
        str_from_instance=lambda found: [next(name for name in choices if choices[name] is found)],
    )


def _with_word(word: str, worded: Sequence[str]) -> str:
    """A switch without its optional word, as one with a word."""
    if word in worded:
        return f"{word}=yes"
    positive = word.replace("--no-", "--", 1)
    return f"{positive}=no" if word != positive and positive in worded else word


def _british(word: str) -> str:
    """Convert an option to British spelling: --color-map becomes --colour-map."""
    return word.replace("--color", "--colour", 1) if word.startswith("--color") else word


def _refusal(error: BaseException | None) -> RilievoError | None:
    while error is not None and not isinstance(error, RilievoError):
        error = error.__cause__ or error.__context__
    return error
