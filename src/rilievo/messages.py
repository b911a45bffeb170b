"""Messages about options: facts in fields, which each door words with its own names of options.

Texts name an option in braces, with a value where one helps: ``give {fov=...}``. The command line
writes ``--fov``, Python ``fov=...``, a request ``fov``. Options of which one suffices are separated
by a bar, ``{camera=...|fov=...}``; a door leaves out those that it does not offer. Braces of texts
from files and users are doubled by ``literal``.
"""

import re
from collections.abc import Callable
from typing import Any

# Patterns are compiled by the first message: most processes word none.
_OPTIONS = r"(\{\{|\}\})|\{([a-z][a-z0-9._]*(?:=[^{}|]*)?(?:\|[a-z][a-z0-9._]*(?:=[^{}|]*)?)*)\}"
_LISTS = ("known", "known_length", "known_rectangle")
"""Options that are lists of numbers in Python; ``known`` takes lengths too."""
_LONG_WORD = r"\S{401,}"
_LONGEST = 1000
_END = 200

Spell = Callable[[str, str], str]
"""Spelling of an option at a door, by the name of its field and a value, "" for none and "..." for
any; "" if the door does not offer it."""


class Message:
    """Note or error, whose facts are fields.

    Attributes:
        message: Beginning without options, or a whole sentence.
        path: File or photograph that the message is about.
        option: Name of the option's field; "" for a message about several, or about none.
        value: Value that was given.
        expected: Values that the option takes.
        problem: Statement about the option, to be read after its name, or a sentence of its own.
        without: Name of another option that it does not go together with.
        hint: Remedy.
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
        """Message with options as a door spells them.

        Args:
            spell: Spelling of an option.
            path: Name in place of the path; "" for none.
        """
        of_user = literal if spell is in_braces else str
        path = of_user(str(self.path) if path is None else path)
        text = of_user(self.message)
        if self.option:
            text += spell(self.option, "") or self.option
        if self.without:
            text += f" and {spell(self.without, '') or self.without} do not go together"
        if self.expected:
            text += f" is {filled(self.expected, spell)}"
        if self.value is not None:
            text += f", got {of_user(repr(self.value))}"
        if self.problem:
            gap = "" if not text or self.problem.startswith((":", ";", ",")) else " "
            text += gap + filled(self.problem, spell)
        hint = self.hint or ("give one" if self.without else "")
        text = f"{text}; {filled(hint, spell)}" if hint else text
        return one_line(f"{path}: {text}" if path else text)

    @property
    def template(self) -> str:
        """Message with options in braces, for a message that contains it."""
        return self.worded(in_braces)


class Note(str, Message):
    """Doubt about a result: a text with the names of Python, and its facts in fields.

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
        """Take the facts of the message."""
        facts = Message()
        facts.path, facts.option, facts.value = path, option, value
        facts.problem, facts.hint = problem, hint
        facts.message = facts.expected = facts.without = ""
        note = super().__new__(cls, facts.worded(keyword))
        vars(note).update(vars(facts))
        return note

    def __reduce__(self) -> tuple[Any, ...]:
        return _note, ({name: getattr(self, name) for name in _NOTE},)


_NOTE = ("problem", "option", "value", "hint", "path")


def _note(facts: dict[str, Any]) -> Note:
    return Note(**facts)


def worded(message: object, spell: Spell) -> str:
    """Note or error with options as a door spells them; any other text as it is."""
    return message.worded(spell) if isinstance(message, Message) else str(message)


def template(message: object) -> str:
    """Note or error with options in braces, for a message that contains it."""
    return message.template if isinstance(message, Message) else literal(str(message))


def literal(text: object) -> str:
    """Text from a file or a user, for a message with options in braces."""
    return str(text).replace("{", "{{").replace("}", "}}")


def note_of(error: Exception) -> Note:
    """Note with the words of an error."""
    return Note(template(error))


def speak(spell: Spell) -> None:
    """Choose the spelling of options on the terminal, as the command line does when it starts."""
    _terminal[:] = [spell]


def for_terminal(message: object) -> str:
    """Message with options as the terminal's door spells them: flags, or by default keywords."""
    return worded(message, _terminal[0])


def at(path: str, message: object) -> Note:
    """Note about a file or photograph: another message with the path before it."""
    if isinstance(message, Note) and not message.path:
        return _note({**{name: getattr(message, name) for name in _NOTE}, "path": path})
    return Note(template(message), path=path)


def joined(messages: "list[str]") -> Note | None:
    """Join notes to one, with semicolons; None of none."""
    return Note("; ".join(map(template, messages))) if messages else None


def filled(text: str, spell: Spell) -> str:
    """Text with options as a door spells them, in place of their names in braces."""
    if spell is in_braces or ("{" not in text and "}" not in text):
        return text

    def spelled(match: re.Match[str]) -> str:
        if match[1]:
            return match[1][0]
        pairs = [one.partition("=") for one in match[2].split("|")]
        words = [word for name, _, value in pairs if (word := spell(name, value))]
        return " or ".join(dict.fromkeys(words)) or " or ".join(name for name, _, _ in pairs)

    return re.sub(_OPTIONS, spelled, text)


def flag(name: str, value: str = "") -> str:
    """Option of the command line, by the name of its field."""
    spelled = name.replace("_", "-")
    if value == "False":
        record, dot, last = spelled.rpartition(".")
        return f"--{record}{dot}no-{last}"
    return f"--{spelled}" if value in ("", "...", "True") else f"--{spelled} {value}"


def keyword(name: str, value: str = "") -> str:
    """Keyword of Python, by the name of its field."""
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


def parameter(name: str, value: str = "") -> str:
    """Parameter of a request, by the name of its field."""
    return name if value in ("", "...") else f"{name}={value}"


_terminal: list[Spell] = [keyword]


def in_braces(name: str, value: str = "") -> str:
    """Option as a template has it."""
    return f"{{{name}={value}}}" if value else f"{{{name}}}"


def escaped(text: str) -> str:
    """Escape unprintable characters, such as the end of a line."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def one_line(text: str) -> str:
    """Escape unprintable characters, and shorten text that is too long in its middle."""
    text = re.sub(_LONG_WORD, lambda word: f"{word[0][:120]}...{word[0][-40:]}", escaped(text))
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - _END - 5]} ... {text[-_END:]}"
