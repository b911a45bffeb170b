"""The text of ``rilievo COMMAND --help``."""

import shutil
from collections.abc import Iterator, Sequence
from textwrap import wrap

from rilievo.cli.options_of import OptionFacts, options_of

_WIDEST = 100
_INDENT = 26
"""Column at which the descriptions of options begin."""


def help_of(command: type, *, prog: str, description: str, examples: Sequence[str]) -> str:
    """Format usage, arguments, options in groups and examples, to the width of the terminal."""
    width = max(50, min(_WIDEST, shutil.get_terminal_size((80, 24)).columns))
    options = options_of(command)
    places = [each for each in options if not each.flags]
    lines = [*_wrapped(f"usage: {prog} [OPTIONS] {' '.join(map(_place, places))}", width, 7), ""]
    lines += [*wrap(description, width), ""]
    if places:
        lines += ["Arguments:", *_entries(places, width), ""]
    titles = [*dict.fromkeys(each.group for each in options if each.flags)] or ["Options"]
    for title in titles:
        members = [each for each in options if each.flags and each.group == title]
        lines += [f"{title}:", *_entries(members, width)]
        lines += ["  -h, --help              Show this text." if title == titles[-1] else ""]
    if examples:
        lines += ["", "Examples:", *(f"  {each}" for each in examples)]
    return "\n".join(line.rstrip() for line in lines)


def _place(option: OptionFacts) -> str:
    text = option.metavar + (" ..." if option.repeats else "")
    return text if option.required else f"[{text}]"


def _entries(options: Sequence[OptionFacts], width: int) -> Iterator[str]:
    for option in options:
        text, default = option.help.replace("``", "'"), option.default
        if option.opposite and default:  # its flag is --no-..., and its text is of the opposite
            text = text.removeprefix("Whether ")
            text, default = f"Turn off: {text[:1].lower()}{text[1:]}", "on"
            if option.off:
                text, default = option.off, ""
        notes = [
            "required" if option.required and option.flags else "",
            f"default: {default}" if default else "",
        ]
        said = "; ".join(note for note in notes if note)
        yield from _entry(_head(option), f"{text} [{said}]" if said else text, width)


def _head(option: OptionFacts) -> str:
    if not option.flags:
        return _place(option).strip("[]")
    flags = ", ".join(option.flags)
    # Options without a short name are aligned with the long names of the others.
    aligned = flags if option.flags[0][1] != "-" else f"    {flags}"
    gap = "" if option.metavar.startswith("[=") else " "
    return f"{aligned}{gap}{option.metavar}".rstrip()


def _entry(head: str, text: str, width: int) -> Iterator[str]:
    lines = wrap(text, width - _INDENT, break_on_hyphens=False) or [""]
    head = f"  {head}"
    if len(head) + 2 > _INDENT:
        indent = " " * (len(head) - len(head.lstrip()))
        yield from wrap(head, width, subsequent_indent=indent + "  ", break_on_hyphens=False)
    else:
        yield f"{head:<{_INDENT}}{lines.pop(0)}"
    yield from (" " * _INDENT + line for line in lines)


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    return wrap(text, width, subsequent_indent=" " * indent, break_on_hyphens=False)
