"""Parser of command lines, and their help."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from rilievo.cli.streams import printing
from rilievo.errors import OptionError
from rilievo.errors.messages import set_terminal_spelling, spell_flag, worded
from rilievo.schema.fields import OptionField, build_record, options_of
from rilievo.system.terminal import bold, dim, help_width, wrap_line

T = TypeVar("T")
_NUMBER = re.compile(r"-\.?\d")
_parsed: list[type] = []


class Helped(SystemExit):
    """End of a command that has shown its help."""

    def __init__(self, record: type) -> None:
        super().__init__(0)
        self.record = record


def parse(
    into: type[T],
    arguments: Sequence[str],
    *,
    prog: str,
    description: str,
    examples: Sequence[str] = (),
) -> T:
    """Parse the arguments of a command into a record.

    Raises:
        OptionError: If they are not understood, or a record refuses them.
    """
    # Imported on demand: most calls do not need it.
    if any(word in ("-h", "--help") for word in arguments):
        text = help_text(
            into,
            prog=prog,
            description=description,
            examples=examples,
            everything="--all" in arguments,
        )
        with printing():
            print(text)
        raise Helped(into)
    _parsed[:] = [into]
    set_terminal_spelling(label)
    return build_record(into, parse_words(into, arguments, prog))


def parse_words(into: type, words: Sequence[str], prog: str) -> Mapping[str, Any]:
    """Values of a command line, by options' paths.

    Raises:
        OptionError: If a word is not understood, or one is missing.
    """
    return _CommandLine(prog=prog, options=options_of(into)).parse_values(list(words))


def fields_in_arguments(into: type, arguments: Sequence[str], record: str) -> frozenset[str]:
    """Names of a record's fields that the arguments set."""
    written = parse_words(into, arguments, "")
    paths = [one.path for one in options_of(into) if one.flag and one.path in written]
    within = f"{record}."
    return frozenset(path.removeprefix(within) for path in paths if path.startswith(within))


def flag_as_written(into: type, arguments: Sequence[str], path: str) -> str:
    """Flag of an option, as the arguments spell it."""
    (one,) = [one for one in options_of(into) if one.path == path]
    words = [word.partition("=")[0] for word in arguments]
    return next((flag for flag in one.all_flags if flag in words), one.label)


@dataclass(frozen=True, kw_only=True)
class _CommandLine:
    prog: str
    options: Sequence[OptionField]

    @cached_property
    def option_of_flag(self) -> Mapping[str, OptionField]:
        return {flag: one for one in self.options for flag in one.all_flags}

    def error_with_help(self, text: str) -> OptionError:
        end = "" if text.endswith("?") else ";"
        return OptionError(f"{text}{end} '{self.prog} --help' lists the options")

    def parse_values(self, words: list[str]) -> Mapping[str, Any]:
        """Values by paths."""
        end = words.index("--") if "--" in words else len(words)
        try:
            flagged, others = self.flag_parser().parse_known_args(
                [*self.normalise_flags(words[:end])]
            )
        except argparse.ArgumentError as error:
            one = self.option_of_flag[str(error.argument_name).rpartition("/")[2]]
            wrong = "takes no value" if one.is_switch else f"is given without {one.metavar}"
            raise self.error_with_help(f"{one.label} {wrong}") from None
        for word in others:
            if word.startswith("-") and word != "-" and not _NUMBER.match(word):
                raise self.unknown_flag_error(word.partition("=")[0])
        texts = {**vars(flagged), **self.arguments([*others, *words[end + 1 :]])}
        needed = [one for one in self.options if one.is_required]
        missing = [one for one in needed if not texts.get(one.path)]
        if missing:
            names = (
                f"{one.flags[-1]} {one.metavar}" if one.flag else one.metavar for one in missing
            )
            raise self.error_with_help(f"missing: {', '.join(names)}")
        return {
            one.path: self.value(one, texts[one.path]) for one in self.options if one.path in texts
        }

    def flag_parser(self) -> argparse.ArgumentParser:
        """Parser of flags."""
        parser = argparse.ArgumentParser(
            add_help=False,
            allow_abbrev=False,
            exit_on_error=False,
            argument_default=argparse.SUPPRESS,
            # Each argument makes a formatter, which asks the terminal for its width otherwise.
            formatter_class=partial(argparse.HelpFormatter, width=80),
        )
        for one in self.options:
            flags = (*one.declaration.aliases, one.flag)
            if not one.flag:
                continue
            if one.is_switch:
                off = {"action": "append_const", "const": False}
                parser.add_argument(one.opposite, dest=one.path, **off)
            if one.is_switch and not one.words:
                parser.add_argument(*flags, dest=one.path, action="append_const", const=True)
            elif one.takes_many and not one.declaration.repeats:
                parser.add_argument(*flags, dest=one.path, action="extend", nargs="*")
            else:
                parser.add_argument(*flags, dest=one.path, action="append")
        return parser

    def normalise_flags(self, words: list[str]) -> Iterator[str]:
        """Words with one spelling of flags."""
        while words:
            flag, sign, value = words.pop(0).partition("=")
            if flag.startswith("--"):
                spelled = flag.replace("_", "-").replace("--color", "--colour", 1)
                # An unknown flag stays as it was typed, for the message about it.
                flag = spelled if spelled in self.option_of_flag else flag
            one = self.option_of_flag.get(flag)
            if one is not None and not sign:
                if one.words and flag == one.flag:
                    sign, value = "=", "yes"
                elif not one.is_switch and words and _NUMBER.match(words[0]):
                    sign, value = "=", words.pop(0)
            yield f"{flag}{sign}{value}"

    def arguments(self, words: list[str]) -> Mapping[str, Any]:
        """Values of words without a flag."""
        texts: dict[str, Any] = {}
        for one in self.options:
            if not one.flag and one.takes_many:
                texts[one.path], words = words, []
            elif not one.flag and words:
                texts[one.path] = [words.pop(0)]
        if words:
            raise self.error_with_help(f"one argument too many: '{words[0]}'")
        return texts

    def value(self, one: OptionField, texts: list[Any]) -> Any:
        """Value of an option."""
        if one.flag and (not texts or any(text in ([], "--") for text in texts)):
            # argparse drops the word "--", with which no value begins.
            raise self.error_with_help(f"{one.label} is given without {one.metavar}")
        if one.takes_many:
            return tuple(self.read_word(one, text) for text in texts)
        if len(texts) > 1 and not one.is_list:
            count = "twice" if len(texts) == 2 else f"{len(texts)} times"
            raise self.error_with_help(f"{one.label} is given {count}: give it once")
        if isinstance(texts[0], bool):
            return texts[0]
        return self.read_word(one, ",".join(texts))

    def read_word(self, one: OptionField, text: str) -> Any:
        if one.item_type is Path and not text:  # an empty variable of the shell
            raise self.error_with_help(f"{one.label} is given without {one.metavar}")
        try:
            value = one.read(text)
        except ValueError:
            from difflib import get_close_matches

            near = get_close_matches(text, [*one.choices], n=1)
            meant = f": did you mean '{near[0]}'?" if near else ""
            raise self.error_with_help(f"{one.label} is {one.takes}, got '{text}'{meant}") from None
        return value if one.takes_many else one.check(value)

    def unknown_flag_error(self, flag: str) -> OptionError:
        """Error that suggests other flags."""
        # Imported on demand: most command lines are understood.
        from difflib import get_close_matches

        from rilievo.errors.foreign_names import hint_for_flag

        hint = hint_for_flag(flag, self.option_of_flag, self.prog)
        if hint:
            return self.error_with_help(f"no option {flag}: {hint}")
        bare = flag.replace("_", "-").strip("-").removeprefix("no-").replace("-", "")
        flags = [one for one in self.options if one.flag]
        names = {one.flag.strip("-").replace("-", ""): one.flags[-1] for one in flags}
        # An abbreviation is often too short to be close to the whole name.
        near = [name for name in names if len(bare) > 1 and name.startswith(bare)]
        near = near or get_close_matches(bare, names, n=2, cutoff=0.75)
        if near:
            meant = " or ".join(repr(names[name]) for name in near[:2])
            return self.error_with_help(f"no option {flag}: did you mean {meant}?")
        return self.error_with_help(f"no option {flag}")


def label(name: str, value: str = "") -> str:
    """Flag of an option, or name of an argument."""
    options = [one for into in _parsed for one in options_of(into)]
    labels = {one.name: one.label for one in options}
    labels |= {one.flag[2:].replace("-", "_"): one.label for one in options}
    return spell_flag(name, value) if value or name not in labels else labels[name]


def message_with_flags(message: object) -> str:
    """Text of a message, its options as flags."""
    return worded(message, label)


MOST_FIRST = 25
"""Most options without ``--all``."""

_INDENT = 26


def help_text(
    command: type,
    *,
    prog: str,
    description: str,
    examples: Sequence[str],
    everything: bool = False,
) -> str:
    """Format the help of a command to the width of the terminal.

    Args:
        command: Record of the options, perhaps with ``OTHER_DEFAULTS``, ends of descriptions.
        prog: Command, such as ``rilievo predict``.
        description: Description in one sentence.
        examples: Example command lines.
        everything: Whether all of many options are shown.
    """
    others: Mapping[str, str] = getattr(command, "OTHER_DEFAULTS", {})
    width = help_width()
    options = options_of(command)
    places = [option for option in options if not option.flags]
    flagged = [option for option in options if option.flags]
    if len(flagged) > MOST_FIRST and not everything:
        flagged = [option for option in flagged if option.declaration.first]
    usage = f"usage: {prog} [OPTIONS] {' '.join(map(_argument_usage, places))}"
    lines = [wrap_line(usage, width, 7), "", wrap_line(description, width, 0), ""]
    if places:
        lines += [bold("Arguments:"), *_option_entries(places, width, others), ""]
    for title in [*dict.fromkeys(option.group for option in flagged)] or ["Options"]:
        members = [option for option in flagged if option.group == title]
        lines += [bold(f"{title}:"), *_option_entries(members, width, others), ""]
    lines[-1:] = ["  -h, --help              Show this text."]
    more = len(options) - len(places) - len(flagged)
    if more:
        lines += ["", dim(wrap_line(f"{more} more options: {prog} --help --all", width, 2))]
    if examples:
        lines += ["", bold("Examples:"), *_wrap_examples(examples, width)]
    return "\n".join(line.rstrip() for line in lines)


def _argument_usage(option: OptionField) -> str:
    text = option.metavar + (" ..." if option.takes_many else "")
    return text if option.is_required else f"[{text}]"


def _option_entries(
    options: Sequence[OptionField], width: int, others: Mapping[str, str]
) -> Iterator[str]:
    for option in options:
        text, default = option.help.replace("``", "'"), option.shown_default
        if option.opposite and default:  # its flag is --no-..., and its text is of the opposite
            text = text.removeprefix("Whether ")
            text, default = f"Turn off: {text[:1].lower()}{text[1:]}", "on"
            if option.off_help:
                text, default = option.off_help, ""
        default += others.get(option.path, "")
        notes = [
            "required" if option.is_required and option.flags else "",
            f"default: {default}" if default else "",
        ]
        details = "; ".join(note for note in notes if note)
        yield from _wrap_entry(
            _flags_and_metavar(option), f"{text} [{details}]" if details else text, width
        )


def _flags_and_metavar(option: OptionField) -> str:
    if not option.flags:
        return _argument_usage(option).strip("[]")
    flags = ", ".join(option.flags)
    # Options without a short name are aligned with the long names of the others.
    aligned = flags if option.flags[0][1] != "-" else f"    {flags}"
    gap = "" if option.metavar.startswith("[=") else " "
    return f"{aligned}{gap}{option.metavar}".rstrip()


def _wrap_entry(head: str, text: str, width: int) -> Iterator[str]:
    lines = wrap_line(text, width - _INDENT, 0).split("\n")
    head = f"  {head}"
    if len(head) + 2 > _INDENT:
        # Choices are wrapped after their bars.
        spaced = head if len(head) <= width else head.replace("|", "| ")
        yield bold(wrap_line(spaced, width).replace("| ", "|"))
    else:
        yield f"{bold(head)}{' ' * (_INDENT - len(head))}{lines.pop(0)}"
    yield from (" " * _INDENT + line for line in lines)


def _wrap_examples(examples: Sequence[str], width: int) -> Iterator[str]:
    for example in examples:
        line = f"  {example}"
        yield line if len(line) <= width else wrap_line(line, width - 2, 8).replace("\n", " \\\n")
