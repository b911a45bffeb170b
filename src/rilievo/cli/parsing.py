"""Parse command lines into records of options, and format their help."""

import argparse
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from rilievo.cli.streams import printing
from rilievo.errors import OptionError
from rilievo.errors.messages import count_text, set_terminal_spelling, spell_flag, worded
from rilievo.schema.fields import OptionField, build_record, list_options
from rilievo.system.terminal import bold, dim, help_width, wrap_line

T = TypeVar("T")
_NEGATIVE_NUMBER = re.compile(r"-\.?\d")
_NUMBER = re.compile(r"[+-]?\.?\d")
"""Beginning of a text that is meant as a number."""
_parsed_record_types: list[type] = []
"""Class of the record that was parsed last, so that messages spell options as its command does.

The list is empty before the first command line, and has one item afterwards.
"""


class HelpShown(SystemExit):
    """Raised to end a command that has shown its help; ``record`` is the class of its options."""

    def __init__(self, record: type) -> None:
        super().__init__(0)
        self.record = record


def parse(
    record_type: type[T],
    arguments: Sequence[str],
    *,
    prog: str,
    description: str,
    examples: Sequence[str] = (),
) -> T:
    """Parse the arguments of a command into a record of options, or show the help.

    Raises:
        OptionError: If an argument is not understood, or the record refuses its value.
        HelpShown: If the arguments ask for the help, after it was printed.
    """
    if any(word in ("-h", "--help") for word in arguments):
        text = help_text(
            record_type,
            prog=prog,
            description=description,
            examples=examples,
            show_all="--all" in arguments,
        )
        with printing():
            print(text)
        raise HelpShown(record_type)
    _parsed_record_types[:] = [record_type]
    set_terminal_spelling(label)
    return build_record(record_type, parse_words(record_type, arguments, prog))


def parse_words(record_type: type, words: Sequence[str], prog: str) -> Mapping[str, Any]:
    """Parse the arguments of a command; return values by option path.

    The path of a field in a nested record is such as ``options.saving.output``.
    """
    return _CommandLine(prog=prog, options=list_options(record_type)).parse_values(list(words))


def fields_in_arguments(record_type: type, arguments: Sequence[str], record: str) -> frozenset[str]:
    """Names of the fields of the nested record ``record`` that the arguments set by flags."""
    values = parse_words(record_type, arguments, "")
    paths = [
        option.path for option in list_options(record_type) if option.flag and option.path in values
    ]
    prefix = f"{record}."
    return frozenset(path.removeprefix(prefix) for path in paths if path.startswith(prefix))


def flag_as_written(record_type: type, arguments: Sequence[str], path: str) -> str:
    """Flag of the option with a path, as the arguments spell it."""
    (option,) = [option for option in list_options(record_type) if option.path == path]
    flags = [argument.partition("=")[0] for argument in arguments]
    return next((flag for flag in option.all_flags if flag in flags), option.label)


@dataclass(frozen=True, kw_only=True)
class _CommandLine:
    """Parser of the command line of one command, which has these options."""

    prog: str
    options: Sequence[OptionField]

    @cached_property
    def options_by_flag(self) -> Mapping[str, OptionField]:
        return {flag: option for option in self.options for flag in option.all_flags}

    def error_with_help(self, text: str) -> OptionError:
        """Error that also says how to show the help."""
        separator = "" if text.endswith("?") else ";"
        return OptionError(f"{text}{separator} '{self.prog} --help' lists the options")

    def parse_values(self, words: list[str]) -> Mapping[str, Any]:
        """Parse all words; return values by option path.

        Words after "--" are never flags. What follows a flag is first collected as texts, which are
        converted once it is clear that no flag is unknown and nothing is missing.
        """
        end_of_flags = words.index("--") if "--" in words else len(words)
        flag_texts, other_words = self.collect_flag_texts(words[:end_of_flags])
        # Unknown flags are among the other words. A single "-" and negative numbers are values.
        for word in other_words:
            if word.startswith("-") and word != "-" and not _NEGATIVE_NUMBER.match(word):
                raise self.unknown_flag_error(word.partition("=")[0])
        words_after_flags = words[end_of_flags + 1 :]
        texts = {**flag_texts, **self.positional_texts([*other_words, *words_after_flags])}
        self.check_required(texts)
        return {
            option.path: self.convert_texts(option, texts[option.path])
            for option in self.options
            if option.path in texts
        }

    def collect_flag_texts(self, words: list[str]) -> tuple[Mapping[str, Any], list[str]]:
        """Collect what follows each flag, by option path; return it and the other words."""
        try:
            namespace, other_words = self.flag_parser().parse_known_args(
                list(self.normalise_flags(words))
            )
        except argparse.ArgumentError as error:
            # argparse names all flags of the argument, such as "-o/--output".
            option = self.options_by_flag[str(error.argument_name).rpartition("/")[2]]
            problem = "takes no value" if option.is_switch else f"needs a value: {option.metavar}"
            raise self.error_with_help(f"{option.label} {problem}") from None
        return vars(namespace), other_words

    def check_required(self, texts: Mapping[str, Any]) -> None:
        """Raise an error if a required option or argument is missing."""
        missing = [
            f"{option.flags[-1]} {option.metavar}" if option.flag else option.metavar
            for option in self.options
            if option.is_required and not texts.get(option.path)
        ]
        if missing:
            raise self.error_with_help(f"this command needs {' and '.join(missing)}")

    def flag_parser(self) -> argparse.ArgumentParser:
        """Make a parser of the flags. It collects what follows each flag in a list of texts."""
        parser = argparse.ArgumentParser(
            add_help=False,
            allow_abbrev=False,
            exit_on_error=False,
            argument_default=argparse.SUPPRESS,
            # argparse makes a formatter for each argument, which asks for the terminal's width.
            formatter_class=partial(argparse.HelpFormatter, width=80),
        )
        for option in self.options:
            if not option.flag:
                continue
            flags = (*option.declaration.aliases, option.flag)
            if option.is_switch:
                parser.add_argument(
                    option.off_flag, dest=option.path, action="append_const", const=False
                )
            if option.is_switch and not option.words:
                parser.add_argument(*flags, dest=option.path, action="append_const", const=True)
            elif option.takes_many and not option.declaration.repeats:
                parser.add_argument(*flags, dest=option.path, action="extend", nargs="*")
            else:
                parser.add_argument(*flags, dest=option.path, action="append")
        return parser

    def normalise_flags(self, words: list[str]) -> Iterator[str]:
        """Yield the words in the spelling that the parser of flags expects.

        ``--no_trim`` becomes ``--no-trim``, a switch that also takes words gets the value "yes",
        and a negative number is joined to its flag, because argparse would take it for a flag.
        """
        remaining = deque(words)
        while remaining:
            word = remaining.popleft()
            flag, equals_sign, value = word.partition("=")
            if flag.startswith("--"):
                spelled = flag.replace("_", "-").replace("--color", "--colour", 1)
                # An unknown flag stays as it was typed, for the message about it.
                flag = spelled if spelled in self.options_by_flag else flag
            option = self.options_by_flag.get(flag)
            if option is None or equals_sign:
                yield f"{flag}{equals_sign}{value}"
            elif option.words and flag == option.flag:
                yield f"{flag}=yes"
            elif not option.is_switch and remaining and _NEGATIVE_NUMBER.match(remaining[0]):
                yield f"{flag}={remaining.popleft()}"
            else:
                yield flag

    def positional_texts(self, words: Sequence[str]) -> Mapping[str, Any]:
        """Assign words without a flag to the options without a flag, in order.

        An option that takes many words gets all that are left.
        """
        texts: dict[str, Any] = {}
        remaining = deque(words)
        for option in self.options:
            if option.flag:
                continue
            if option.takes_many:
                texts[option.path] = list(remaining)
                remaining.clear()
            elif remaining:
                texts[option.path] = [remaining.popleft()]
        if remaining:
            raise self.error_with_help(f"unexpected argument '{remaining[0]}'")
        return texts

    def convert_texts(self, option: OptionField, texts: list[Any]) -> Any:
        """Convert the texts of an option to its value.

        The texts of a switch are booleans already.
        """
        has_empty_text = any(text in ([], "--") for text in texts)  # argparse may drop "--"
        if option.flag and (not texts or has_empty_text):
            raise self.error_with_help(f"{option.label} needs a value: {option.metavar}")
        if option.takes_many:
            return tuple(self.convert_text(option, text) for text in texts)
        if len(texts) > 1 and not option.is_list:
            times = "twice" if len(texts) == 2 else f"{len(texts)} times"
            raise self.error_with_help(f"{option.label} is given {times}: give it once")
        if isinstance(texts[0], bool):
            return texts[0]
        return self.convert_text(option, ",".join(texts))

    def convert_text(self, option: OptionField, text: str) -> Any:
        """Convert a single text to the type of an option."""
        if option.item_type is Path and not text:  # such as an empty variable of the shell
            raise self.error_with_help(f"{option.label} needs a value: {option.metavar}")
        try:
            value = option.read(text)
        except ValueError:
            advice = self._advice_on_text(option, text)
            raise self.error_with_help(
                f"{option.label} must be {option.accepted_values}, got '{text}'{advice}"
            ) from None
        return value if option.takes_many else option.check(value)

    def _advice_on_text(self, option: OptionField, text: str) -> str:
        """What the user may have meant by a text that the option does not accept; may be empty."""
        from rilievo.errors.typing_errors import names_meant_by

        file_flag = f"{option.flag}-file"
        if file_flag in self.options_by_flag and not _NUMBER.match(text):
            # 'fuse --camera k.yaml': there, --camera takes numbers, and --camera-file a file.
            return f"; pass a file with {file_flag}"
        similar = names_meant_by(text, option.choices)
        return f": did you mean '{similar[0]}'?" if similar else ""

    def unknown_flag_error(self, flag: str) -> OptionError:
        """Error for a flag that the command does not have, with suggestions."""
        # Imported on demand, because most command lines have no unknown flags.
        from rilievo.errors.foreign_names import hint_for_flag

        hint = hint_for_flag(flag, self.options_by_flag, self.prog) or self.hint_for_value(flag)
        if hint:
            return self.error_with_help(f"no option {flag}: {hint}")
        similar = self.similar_flags(flag)
        if similar:
            names = " or ".join(map(repr, similar[:2]))
            return self.error_with_help(f"no option {flag}: did you mean {names}?")
        return self.error_with_help(f"no option {flag}")

    def hint_for_value(self, flag: str) -> str:
        """Say which option takes a word, if the user wrote ``--stl`` in place of ``--save stl``."""
        word = flag.strip("-").replace("_", "-")
        for option in self.options:
            if option.flag and word in option.known_names:
                return f"write {option.flags[-1]} {word}"
        return ""

    def similar_flags(self, flag: str) -> list[str]:
        """Flags that the user may have meant by an unknown one, the likeliest first."""
        from rilievo.errors.typing_errors import names_meant_by

        words = flag.replace("_", "-").strip("-").removeprefix("no-")
        typed = words.replace("-", "")
        if len(typed) < 2:
            return []
        # Flags are compared by their letters, without hyphens.
        flags_by_letters = {
            option.flag.strip("-").replace("-", ""): option.flags[-1]
            for option in self.options
            if option.flag
        }
        abbreviated = [letters for letters in flags_by_letters if letters.startswith(typed)]
        similar = abbreviated or names_meant_by(typed, flags_by_letters)
        if similar:
            return [flags_by_letters[letters] for letters in similar]
        # Other commands call it --camera-file; here, --camera takes a file, too.
        flag_without_file = f"--{words.removesuffix('-file')}"
        if flag_without_file in self.options_by_flag:
            return [flag_without_file]
        # It may be the last word of a longer flag, such as "mask" of "--valid-mask". But flags such
        # as "--sparse-crop" only make sense with "--sparse".
        ends = [flag for flag in flags_by_letters.values() if flag.endswith(f"-{words}")]
        return [flag for flag in ends if flag.removesuffix(f"-{words}") not in self.options_by_flag]


def label(name: str, value: str = "") -> str:
    """Spell an option for a message: its flag, or the name of an argument without a flag."""
    options = [
        option for record_type in _parsed_record_types for option in list_options(record_type)
    ]
    labels = {option.name: option.label for option in options}
    labels |= {option.flag[2:].replace("-", "_"): option.label for option in options}
    if value or name not in labels:
        return spell_flag(name, value)
    return labels[name]


def message_with_flags(message: object) -> str:
    """Write a message that spells options as flags of the current command."""
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
    show_all: bool = False,
) -> str:
    """Format the help of a command to the width of the terminal.

    ``command.OTHER_DEFAULTS``, if it exists, maps option paths to texts that follow the default.
    Unless ``show_all`` is set, a command with many options shows only some.
    """
    width = help_width()
    options = list_options(command)
    positional = [option for option in options if not option.flags]
    flagged = [option for option in options if option.flags]
    shown = flagged
    if len(flagged) > MAX_SHORT_OPTIONS and not show_all:
        shown = [option for option in flagged if option.declaration.in_short_help]

    usage = f"usage: {prog} [OPTIONS] {' '.join(map(_argument_usage, positional))}"
    lines = [wrap_line(usage, width, len("usage: ")), "", wrap_line(description, width, 0), ""]
    other_defaults: Mapping[str, str] = getattr(command, "OTHER_DEFAULTS", {})
    if positional:
        lines += [bold("Arguments:"), *_option_entries(positional, width, other_defaults), ""]
    lines += _option_groups(shown, width, other_defaults)
    if len(shown) < len(flagged):
        hidden = count_text(len(flagged) - len(shown), "more option")
        lines += ["", dim(wrap_line(f"{hidden}: {prog} --help --all", width, 2))]
    if examples:
        lines += ["", bold("Examples:"), *_wrap_examples(examples, width)]
    return "\n".join(line.rstrip() for line in lines)


def _option_groups(
    options: Sequence[OptionField], width: int, other_defaults: Mapping[str, str]
) -> list[str]:
    """Lines that describe options by group, with an empty line between groups.

    The option ``--help`` is the last one of the last group.
    """
    titles = list(dict.fromkeys(option.group for option in options)) or ["Options"]
    lines: list[str] = []
    for title in titles:
        members = [option for option in options if option.group == title]
        separator = [""] if lines else []
        lines += [*separator, bold(f"{title}:"), *_option_entries(members, width, other_defaults)]
    return [*lines, "  -h, --help              Show this help."]


def _argument_usage(option: OptionField) -> str:
    text = option.metavar + (" ..." if option.takes_many else "")
    return text if option.is_required else f"[{text}]"


def _option_entries(
    options: Sequence[OptionField], width: int, other_defaults: Mapping[str, str]
) -> Iterator[str]:
    """Yield the lines of the help that describe options."""
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
    """Help text and default of an option.

    For a switch that is on by default, they describe the flag that turns it off.
    """
    text = option.help.replace("``", "'")
    default = option.shown_default
    is_on_by_default = option.off_flag and default
    if not is_on_by_default:
        return text, default
    if option.off_help:
        return option.off_help, ""
    text = text.removeprefix("Whether ")
    return f"Turn off: {text[:1].lower()}{text[1:]}", "on"


def _flags_and_metavar(option: OptionField) -> str:
    if not option.flags:
        return _argument_usage(option).strip("[]")
    flags = ", ".join(option.flags)
    # Long flags are aligned, also those of options without a short one.
    has_short_flag = not option.flags[0].startswith("--")
    aligned = flags if has_short_flag else f"    {flags}"
    separator = "" if option.metavar.startswith("[=") else " "
    return f"{aligned}{separator}{option.metavar}".rstrip()


def _wrap_entry(flags: str, text: str, width: int) -> Iterator[str]:
    """Yield the lines of an entry: flags at the left, description at the right or below."""
    description_lines = wrap_line(text, width - _INDENT, 0).split("\n")
    flags = f"  {flags}"
    if len(flags) + 2 > _INDENT:  # too long for a description on the same line
        # Spaces after the bars between choices let the line wrap there.
        spaced = flags if len(flags) <= width else flags.replace("|", "| ")
        yield bold(wrap_line(spaced, width).replace("| ", "|"))
    else:
        padding = " " * (_INDENT - len(flags))
        yield f"{bold(flags)}{padding}{description_lines.pop(0)}"
    yield from (" " * _INDENT + line for line in description_lines)


def _wrap_examples(examples: Sequence[str], width: int) -> Iterator[str]:
    for example in examples:
        line = f"  {example}"
        if len(line) > width:
            # A backslash continues a command on the next line.
            line = wrap_line(line, width - 2, 8).replace("\n", " \\\n")
        yield line
