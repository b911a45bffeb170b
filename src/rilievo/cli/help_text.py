"""Text of ``rilievo COMMAND --help``."""

from collections.abc import Iterator, Mapping, Sequence

from rilievo.schema import OptionField, options_of
from rilievo.terminal import bold, dim, help_width, wrapped

MOST_FIRST = 25
"""Most options without ``--all``."""

_INDENT = 26


def help_of(
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
        flagged = [option for option in flagged if option.facts.first]
    usage = f"usage: {prog} [OPTIONS] {' '.join(map(_place, places))}"
    lines = [wrapped(usage, width, 7), "", wrapped(description, width, 0), ""]
    if places:
        lines += [bold("Arguments:"), *_entries(places, width, others), ""]
    for title in [*dict.fromkeys(option.group for option in flagged)] or ["Options"]:
        members = [option for option in flagged if option.group == title]
        lines += [bold(f"{title}:"), *_entries(members, width, others), ""]
    lines[-1:] = ["  -h, --help              Show this text."]
    more = len(options) - len(places) - len(flagged)
    if more:
        lines += ["", dim(wrapped(f"{more} more options: {prog} --help --all", width, 2))]
    if examples:
        lines += ["", bold("Examples:"), *_examples(examples, width)]
    return "\n".join(line.rstrip() for line in lines)


def _place(option: OptionField) -> str:
    text = option.metavar + (" ..." if option.takes_many else "")
    return text if option.is_required else f"[{text}]"


def _entries(
    options: Sequence[OptionField], width: int, others: Mapping[str, str]
) -> Iterator[str]:
    for option in options:
        text, default = option.help.replace("``", "'"), option.shown_default
        if option.opposite and default:  # its flag is --no-..., and its text is of the opposite
            text = text.removeprefix("Whether ")
            text, default = f"Turn off: {text[:1].lower()}{text[1:]}", "on"
            if option.off:
                text, default = option.off, ""
        default += others.get(option.path, "")
        notes = [
            "required" if option.is_required and option.flags else "",
            f"default: {default}" if default else "",
        ]
        details = "; ".join(note for note in notes if note)
        yield from _entry(_head(option), f"{text} [{details}]" if details else text, width)


def _head(option: OptionField) -> str:
    if not option.flags:
        return _place(option).strip("[]")
    flags = ", ".join(option.flags)
    # Options without a short name are aligned with the long names of the others.
    aligned = flags if option.flags[0][1] != "-" else f"    {flags}"
    gap = "" if option.metavar.startswith("[=") else " "
    return f"{aligned}{gap}{option.metavar}".rstrip()


def _entry(head: str, text: str, width: int) -> Iterator[str]:
    lines = wrapped(text, width - _INDENT, 0).split("\n")
    head = f"  {head}"
    if len(head) + 2 > _INDENT:
        # Choices are wrapped after their bars.
        spaced = head if len(head) <= width else head.replace("|", "| ")
        yield bold(wrapped(spaced, width).replace("| ", "|"))
    else:
        yield f"{bold(head)}{' ' * (_INDENT - len(head))}{lines.pop(0)}"
    yield from (" " * _INDENT + line for line in lines)


def _examples(examples: Sequence[str], width: int) -> Iterator[str]:
    for example in examples:
        line = f"  {example}"
        yield line if len(line) <= width else wrapped(line, width - 2, 8).replace("\n", " \\\n")
