"""Parse command lines into records of options, and format their help."""

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
_NEGATIVE_NUMBER = re.compile(r"-\.?\d")
_parsed: list[type] = []
"""Record that was parsed last, by which messages spell options as its command does."""


class HelpShown(SystemExit):
    """End of a command that has only shown its help; ``record`` declares its options."""

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
    """Parse the arguments of a command into a record, or show the help.

    Args:
        into: Class of the record, which declares the options.
        arguments: Words after the command.
        prog: Command, such as ``rilievo predict``.
        description: Description for the help, in one sentence.
        examples: Example command lines for the help.

    Raises:
        OptionError: If an argument is not understood, or the record refuses its value.
        HelpShown: If the arguments ask for the help, after it was printed.
    """
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
        raise HelpShown(into)
    _parsed[:] = [into]
    set_terminal_spelling(label)
    return build_record(into, parse_words(into, arguments, prog))


def parse_words(into: type, words: Sequence[str], prog: str) -> Mapping[str, Any]:
    """Read the values of a command line by the paths of the options.

    The path of a field in a nested record is such as ``options.saving.output``.

    Raises:
        OptionError: If a word is not understood, or one is missing.
    """
    return _CommandLine(prog=prog, options=options_of(into)).parse_values(list(words))


def fields_in_arguments(into: type, arguments: Sequence[str], record: str) -> frozenset[str]:
    """Names of the fields of a nested record that the arguments set."""
    written = parse_words(into, arguments, "")
    paths = [option.path for option in options_of(into) if option.flag and option.path in written]
    prefix = f"{record}."
    return frozenset(path.removeprefix(prefix) for path in paths if path.startswith(prefix))


def flag_as_written(into: type, arguments: Sequence[str], path: str) -> str:
    """Flag of an option at a path, as the arguments spell it."""
    (option,) = [option for option in options_of(into) if option.path == path]
    words = [word.partition("=")[0] for word in arguments]
    return next((flag for flag in option.all_flags if flag in words), option.label)


@dataclass(frozen=True, kw_only=True)
class _CommandLine:
    """Parser of the command line of one command, with these options."""

    prog: str
    options: Sequence[OptionField]

    @cached_property
    def option_of_flag(self) -> Mapping[str, OptionField]:
        return {flag: option for option in self.options for flag in option.all_flags}

    def error_with_help(self, text: str) -> OptionError:
        """Error that also says how to show the help."""
        end = "" if text.endswith("?") else ";"
        return OptionError(f"{text}{end} '{self.prog} --help' lists the options")

    def parse_values(self, words: list[str]) -> Mapping[str, Any]:
        """Read the values of all words by the paths of the options."""
        end_of_flags = words.index("--") if "--" in words else len(words)
        try:
            normalised = list(self.normalise_flags(words[:end_of_flags]))
            flagged, unflagged = self.flag_parser().parse_known_args(normalised)
        except argparse.ArgumentError as error:
            option = self.option_of_flag[str(error.argument_name).rpartition("/")[2]]
            problem = "takes no value" if option.is_switch else f"is given without {option.metavar}"
            raise self.error_with_help(f"{option.label} {problem}") from None
        for word in unflagged:
            if word.startswith("-") and word != "-" and not _NEGATIVE_NUMBER.match(word):
                raise self.unknown_flag_error(word.partition("=")[0])
        texts = {
            **vars(flagged),
            **self.positional_texts([*unflagged, *words[end_of_flags + 1 :]]),
        }
        self.refuse_missing(texts)
        return {
            option.path: self.convert_texts(option, texts[option.path])
            for option in self.options
            if option.path in texts
        }

    def refuse_missing(self, texts: Mapping[str, Any]) -> None:
        """Raise an error if a required option or argument is missing."""
        missing = [
            f"{option.flags[-1]} {option.metavar}" if option.flag else option.metavar
            for option in self.options
            if option.is_required and not texts.get(option.path)
        ]
        if missing:
            raise self.error_with_help(f"missing: {', '.join(missing)}")

    def flag_parser(self) -> argparse.ArgumentParser:
        """Parser of flags, by which each value is a list of what followed its flags."""
        parser = argparse.ArgumentParser(
            add_help=False,
            allow_abbrev=False,
            exit_on_error=False,
            argument_default=argparse.SUPPRESS,
            # Each argument makes a formatter, which asks the terminal for its width otherwise.
            formatter_class=partial(argparse.HelpFormatter, width=80),
        )
        for option in self.options:
            if not option.flag:
                continue
            flags = (*option.declaration.aliases, option.flag)
            if option.is_switch:
                parser.add_argument(
                    option.opposite, dest=option.path, action="append_const", const=False
                )
            if option.is_switch and not option.words:
                parser.add_argument(*flags, dest=option.path, action="append_const", const=True)
            elif option.takes_many and not option.declaration.repeats:
                parser.add_argument(*flags, dest=option.path, action="extend", nargs="*")
            else:
                parser.add_argument(*flags, dest=option.path, action="append")
        return parser

    def normalise_flags(self, words: list[str]) -> Iterator[str]:
        """Yield the words in the spelling that the parser of flags knows.

        ``--no_trim`` becomes ``--no-trim``, and a negative number is joined to its flag.
        """
        while words:
            flag, sign, value = words.pop(0).partition("=")
            if flag.startswith("--"):
                spelled = flag.replace("_", "-").replace("--color", "--colour", 1)
                # An unknown flag stays as it was typed, for the message about it.
                flag = spelled if spelled in self.option_of_flag else flag
            option = self.option_of_flag.get(flag)
            if option is not None and not sign:
                if option.words and flag == option.flag:
                    sign, value = "=", "yes"
                elif not option.is_switch and words and _NEGATIVE_NUMBER.match(words[0]):
                    sign, value = "=", words.pop(0)
            yield f"{flag}{sign}{value}"

    def positional_texts(self, words: list[str]) -> Mapping[str, Any]:
        """Assign words without a flag to the options that have none."""
        texts: dict[str, Any] = {}
        for option in self.options:
            if not option.flag and option.takes_many:
                texts[option.path], words = words, []
            elif not option.flag and words:
                texts[option.path] = [words.pop(0)]
        if words:
            raise self.error_with_help(f"one argument too many: '{words[0]}'")
        return texts

    def convert_texts(self, option: OptionField, texts: list[Any]) -> Any:
        """Convert what was written for an option to its value."""
        if option.flag and (not texts or any(text in ([], "--") for text in texts)):
            # argparse drops the word "--", with which no value begins.
            raise self.error_with_help(f"{option.label} is given without {option.metavar}")
        if option.takes_many:
            return tuple(self.convert_text(option, text) for text in texts)
        if len(texts) > 1 and not option.is_list:
            count = "twice" if len(texts) == 2 else f"{len(texts)} times"
            raise self.error_with_help(f"{option.label} is given {count}: give it once")
        if isinstance(texts[0], bool):
            return texts[0]
        return self.convert_text(option, ",".join(texts))

    def convert_text(self, option: OptionField, text: str) -> Any:
        """Convert a word to the type of an option."""
        if option.item_type is Path and not text:  # an empty variable of the shell
            raise self.error_with_help(f"{option.label} is given without {option.metavar}")
        try:
            value = option.read(text)
        except ValueError:
            from difflib import get_close_matches

            similar = get_close_matches(text, [*option.choices], n=1)
            question = f": did you mean '{similar[0]}'?" if similar else ""
            raise self.error_with_help(
                f"{option.label} is {option.takes}, got '{text}'{question}"
            ) from None
        return value if option.takes_many else option.check(value)

    def unknown_flag_error(self, flag: str) -> OptionError:
        """Error for a flag that the command does not have, with suggestions."""
        # Imported on demand: most command lines are understood.
        from difflib import get_close_matches

        from rilievo.errors.foreign_names import hint_for_flag

        hint = hint_for_flag(flag, self.option_of_flag, self.prog)
        if hint:
            return self.error_with_help(f"no option {flag}: {hint}")
        letters = flag.replace("_", "-").strip("-").removeprefix("no-").replace("-", "")
        flag_by_letters = {
            option.flag.strip("-").replace("-", ""): option.flags[-1]
            for option in self.options
            if option.flag
        }
        # An abbreviation is often too short to be close to the whole name.
        similar = [
            each for each in flag_by_letters if len(letters) > 1 and each.startswith(letters)
        ]
        similar = similar or get_close_matches(letters, flag_by_letters, n=2, cutoff=0.75)
        if similar:
            names = " or ".join(repr(flag_by_letters[each]) for each in similar[:2])
            return self.error_with_help(f"no option {flag}: did you mean {names}?")
        return self.error_with_help(f"no option {flag}")


def label(name: str, value: str = "") -> str:
    """Spell an option for a message: its flag, or the name of an argument without a flag."""
    options = [option for into in _parsed for option in options_of(into)]
    labels = {option.name: option.label for option in options}
    labels |= {option.flag[2:].replace("-", "_"): option.label for option in options}
    return spell_flag(name, value) if value or name not in labels else labels[name]


def message_with_flags(message: object) -> str:
    """Text of a message that spells options as flags."""
    return worded(message, label)


MAX_SHORT_OPTIONS = 25
"""Number of options above which the help shows only the first ones, unless ``--all`` is given."""

_INDENT = 26
"""Column at which the descriptions of options begin."""


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
        command: Record of the options. Its ``OTHER_DEFAULTS``, if any, has texts to add to the
            defaults of options by their paths.
        prog: Command, such as ``rilievo predict``.
        description: Description in one sentence.
        examples: Example command lines.
        everything: Whether to show all options, even if they are many.
    """
    other_defaults: Mapping[str, str] = getattr(command, "OTHER_DEFAULTS", {})
    width = help_width()
    options = options_of(command)
    positional = [option for option in options if not option.flags]
    flagged = [option for option in options if option.flags]
    if len(flagged) > MAX_SHORT_OPTIONS and not everything:
        flagged = [option for option in flagged if option.declaration.in_short_help]
    usage = f"usage: {prog} [OPTIONS] {' '.join(map(_argument_usage, positional))}"
    lines = [wrap_line(usage, width, 7), "", wrap_line(description, width, 0), ""]
    if positional:
        lines += [bold("Arguments:"), *_option_entries(positional, width, other_defaults), ""]
    groups = list(dict.fromkeys(option.group for option in flagged))
    for title in groups or ["Options"]:
        members = [option for option in flagged if option.group == title]
        lines += [bold(f"{title}:"), *_option_entries(members, width, other_defaults), ""]
    lines[-1:] = ["  -h, --help              Show this text."]
    hidden = len(options) - len(positional) - len(flagged)
    if hidden:
        lines += ["", dim(wrap_line(f"{hidden} more options: {prog} --help --all", width, 2))]
    if examples:
        lines += ["", bold("Examples:"), *_wrap_examples(examples, width)]
    return "\n".join(line.rstrip() for line in lines)


def _argument_usage(option: OptionField) -> str:
    text = option.metavar + (" ..." if option.takes_many else "")
    return text if option.is_required else f"[{text}]"


def _option_entries(
    options: Sequence[OptionField], width: int, other_defaults: Mapping[str, str]
) -> Iterator[str]:
    """Yield the lines of the help about options."""
    for option in options:
        text, default = _help_and_default(option)
        default += other_defaults.get(option.path, "")
        details = []
        if option.is_required and option.flags:
            details.append("required")
        if default:
            details.append(f"default: {default}")
        if details:
            text = f"{text} [{'; '.join(details)}]"
        yield from _wrap_entry(_flags_and_metavar(option), text, width)


def _help_and_default(option: OptionField) -> tuple[str, str]:
    """Help of an option and its default, or those of the flag that turns it off."""
    text, default = option.help.replace("``", "'"), option.shown_default
    if not (option.opposite and default):
        return text, default
    if option.off_help:
        return option.off_help, ""
    text = text.removeprefix("Whether ")
    return f"Turn off: {text[:1].lower()}{text[1:]}", "on"


def _flags_and_metavar(option: OptionField) -> str:
    if not option.flags:
        return _argument_usage(option).strip("[]")
    flags = ", ".join(option.flags)
    # Options without a short name are aligned with the long names of the others.
    aligned = flags if option.flags[0][1] != "-" else f"    {flags}"
    gap = "" if option.metavar.startswith("[=") else " "
    return f"{aligned}{gap}{option.metavar}".rstrip()


def _wrap_entry(head: str, text: str, width: int) -> Iterator[str]:
    """Yield the lines of an entry: flags at the left, description at the right or below."""
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
