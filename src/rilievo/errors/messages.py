"""Messages about options: facts in fields, worded at each door.

Texts name an option in braces, perhaps with a value: ``give {fov=...}``. A bar separates options of
which one suffices, ``{camera=...|fov=...}``; a door leaves out those that it lacks.
"""

import re
from collections.abc import Callable
from typing import Any

# Patterns are compiled by the first message: most processes word none.
_OPTIONS = r"(\{\{|\}\})|\{([a-z][a-z0-9._]*(?:=[^{}|]*)?(?:\|[a-z][a-z0-9._]*(?:=[^{}|]*)?)*)\}"
_LISTS = ("known", "known_length", "known_rectangle")
_LONG_WORD = r"\S{401,}"
_LONGEST = 1000
_END = 200

Spell = Callable[[str, str], str]
"""Spelling of an option at a door by its name and value ("..." for any); "" if not offered."""


class Message:
    """Note or error, whose facts are fields.

    Attributes:
        message: Beginning without options, or a whole sentence.
        path: File or photograph that it is about.
        option: Name of the option's field.
        expected: Values that the option takes.
        problem: Words after the option's name, or a sentence.
        without: Option that does not go together with it.
    """

    message: str
    path: Any
    option: str
    value: object
    expected: str
    problem: str
    without: str
    hint: str

    def worded(self, spell: Spell, path: str | None = None) -> str:
        """Word the message as a door spells options, with ``path`` in place of its own."""
        of_user = literal if spell is in_braces else str
        path = of_user(str(self.path) if path is None else path)
        text = of_user(self.message)
        if self.option:
            text += spell(self.option, "") or self.option
        if self.without:
            text += f" and {spell(self.without, '') or self.without} do not go together"
        if self.expected:
            text += f" is {spell_options(self.expected, spell)}"
        if self.value is not None:
            text += f", got {of_user(repr(self.value))}"
        if self.problem:
            gap = "" if not text or self.problem.startswith((":", ";", ",")) else " "
            text += gap + spell_options(self.problem, spell)
        hint = self.hint or ("give one" if self.without else "")
        text = f"{text}; {spell_options(hint, spell)}" if hint else text
        return one_line(f"{path}: {text}" if path else text)

    @property
    def template(self) -> str:
        """Message with options in braces, for another message."""
        return self.worded(in_braces)


class Note(str, Message):
    """Doubt about a result.

    >>> Note("is about an unknown focal length; {fov=...} gives it", option="vanishing_points")
    'vanishing_points is about an unknown focal length; fov=... gives it'
    """

    def __new__(
        cls,
        problem: str,
        *,
        option: str = "",
        value: object = None,
        hint: str = "",
        path: object = "",
    ) -> "Note":
        """Make the note."""
        facts = Message()
        facts.path, facts.option, facts.value = path, option, value
        facts.problem, facts.hint = problem, hint
        facts.message = facts.expected = facts.without = ""
        note = super().__new__(cls, facts.worded(spell_keyword))
        vars(note).update(vars(facts))
        return note

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle_note, ({name: getattr(self, name) for name in _NOTE},)


_NOTE = ("problem", "option", "value", "hint", "path")


def _unpickle_note(facts: dict[str, Any]) -> Note:
    return Note(**facts)


def worded(message: object, spell: Spell) -> str:
    """Message as a door spells options."""
    return message.worded(spell) if isinstance(message, Message) else str(message)


def template(message: object) -> str:
    """Message with options in braces."""
    return message.template if isinstance(message, Message) else literal(str(message))


def literal(text: object) -> str:
    """Double the braces of a text."""
    return str(text).replace("{", "{{").replace("}", "}}")


def note_of(error: Exception) -> Note:
    """Make a note of an error."""
    return Note(template(error))


def set_terminal_spelling(spell: Spell) -> None:
    """Choose the spelling of ``for_terminal``."""
    _terminal[:] = [spell]


def for_terminal(message: object) -> str:
    """Message as the terminal spells options."""
    return worded(message, _terminal[0])


def at(path: str, message: object) -> Note:
    """Make a note about a file."""
    if isinstance(message, Note) and not message.path:
        return _unpickle_note({**{name: getattr(message, name) for name in _NOTE}, "path": path})
    return Note(template(message), path=path)


def join_notes(messages: "list[str]") -> Note | None:
    """Join notes with semicolons; None without any."""
    return Note("; ".join(map(template, messages))) if messages else None


def spell_options(text: str, spell: Spell) -> str:
    """Replace options in braces by a door's spelling."""
    if spell is in_braces or ("{" not in text and "}" not in text):
        return text

    def spelled(match: re.Match[str]) -> str:
        if match[1]:
            return match[1][0]
        pairs = [one.partition("=") for one in match[2].split("|")]
        words = [word for name, _, value in pairs if (word := spell(name, value))]
        return " or ".join(dict.fromkeys(words)) or " or ".join(name for name, _, _ in pairs)

    return re.sub(_OPTIONS, spelled, text)


def spell_flag(name: str, value: str = "") -> str:
    """Spell an option as ``--name value``."""
    spelled = name.replace("_", "-")
    if value == "False":
        record, dot, last = spelled.rpartition(".")
        return f"--{record}{dot}no-{last}"
    return f"--{spelled}" if value in ("", "...", "True") else f"--{spelled} {value}"


def spell_keyword(name: str, value: str = "") -> str:
    """Spell an option as ``name=value`` of Python."""
    if not value:
        return name
    if value in ("on", "off"):
        return f"{name}={value == 'on'}"
    if name == "set":
        key, sign, setting = value.partition("=")
        return f"settings={{'{key}': {setting}}}" if sign else f"settings['{key}']"
    if name in _LISTS and "," in value:
        return f"known=[({value.lower().replace(',', ', ')})]"
    is_literal = value == "..." or value in ("True", "False") or re.fullmatch(r"[\d.]+", value)
    # Placeholders such as FILE are no texts.
    return f"{name}={value if is_literal or value.isupper() else repr(value)}"


def spell_parameter(name: str, value: str = "") -> str:
    """Spell an option as ``name=value`` of a request."""
    return name if value in ("", "...") else f"{name}={value}"


_terminal: list[Spell] = [spell_keyword]


def in_braces(name: str, value: str = "") -> str:
    """Spell an option as ``{name=value}``."""
    return f"{{{name}={value}}}" if value else f"{{{name}}}"


def escape_unprintable(text: str) -> str:
    """Escape unprintable characters."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def one_line(text: str) -> str:
    """Escape unprintable characters, and shorten long text."""
    text = re.sub(
        _LONG_WORD, lambda word: f"{word[0][:120]}...{word[0][-40:]}", escape_unprintable(text)
    )
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - _END - 5]} ... {text[-_END:]}"
