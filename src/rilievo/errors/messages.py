"""Messages of errors and notes, which name options and leave their spelling to the entry point.

The command line spells an option ``--fov 60``, Python ``fov=60``, and the assistant speaks of a
tool. A message therefore names an option by its field (``OptionName``), next to plain strings, in a
``Text``. Each entry point has a function that spells options (``Spell``), which ``worded`` applies.
Nothing else in a message is interpreted: braces in a file name stay braces.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

# Patterns are compiled by the first message: most processes word none.
_LISTS = ("known", "known_length", "known_rectangle")
_LONG_WORD = r"\S{401,}"
_LONGEST = 1000
_END = 200

Spell = Callable[[str, str], str]
"""How an entry point spells an option, by its name and value ("..." for any); "" if it lacks it."""


@dataclass(frozen=True)
class OptionName:
    """Name of an option in a message, which each entry point spells in its own way.

    Examples:
        >>> option = OptionName("save", "npz")
        >>> option.spelled(spell_flag), option.spelled(spell_keyword)
        ('--save npz', "save='npz'")

    Attributes:
        name: Name of its field.
        value: Value that the message speaks of, as a user types it at the command line; "..." for
            any value, "" for the option itself.
    """

    name: str
    value: str = ""

    def spelled(self, spell: Spell) -> str:
        """Spell the option as an entry point does; its field if the entry point lacks it."""
        return spell(self.name, self.value) or self.name


@dataclass(frozen=True, init=False)
class AnyOf:
    """Options of which one suffices. An entry point leaves out those that it lacks.

    Examples:
        >>> AnyOf(OptionName("camera", "..."), OptionName("fov", "...")).spelled(spell_keyword)
        'camera=... or fov=...'
    """

    options: tuple[OptionName, ...]

    def __init__(self, *options: OptionName) -> None:
        object.__setattr__(self, "options", options)  # the record is frozen

    def spelled(self, spell: Spell) -> str:
        """Spell the options that an entry point offers, or name all if it lacks all of them."""
        offered = [spell(option.name, option.value) for option in self.options]
        # Two options may be one to an entry point: the assistant states both by one tool.
        different = dict.fromkeys(filter(None, offered))
        return " or ".join(different) or " or ".join(option.name for option in self.options)


@dataclass(frozen=True, init=False)
class Text:
    """Part of a message: plain strings and names of options, in order.

    Examples:
        >>> text = Text("give ", OptionName("fov", "..."), " for photo{1}.jpg")
        >>> text.worded(spell_flag), text.worded(spell_keyword)
        ('give --fov for photo{1}.jpg', 'give fov=... for photo{1}.jpg')

    Args:
        parts: Strings, which are never interpreted, options, further texts, and errors and notes,
            whose options keep their names. Any other exception stands for its message.
    """

    parts: "tuple[str | OptionName | AnyOf, ...]"

    def __init__(self, *parts: "TextPart") -> None:
        object.__setattr__(self, "parts", tuple(_merge_strings(parts)))  # the record is frozen

    def __bool__(self) -> bool:
        return bool(self.parts)

    def worded(self, spell: Spell) -> str:
        """Write the text as an entry point spells options."""
        words = [part if isinstance(part, str) else part.spelled(spell) for part in self.parts]
        return "".join(words)

    def replace(self, old: str, new: str) -> "Text":
        """Replace a string in the strings of the text and in the values of its options."""

        def replaced(option: OptionName) -> OptionName:
            return OptionName(option.name, option.value.replace(old, new))

        parts: list[TextPart] = []
        for part in self.parts:
            if isinstance(part, str):
                parts.append(part.replace(old, new))
            elif isinstance(part, OptionName):
                parts.append(replaced(part))
            else:
                parts.append(AnyOf(*map(replaced, part.options)))
        return Text(*parts)

    def to_json(self) -> list[Any]:
        """Write the text as JSON for another process."""
        return [part if isinstance(part, str) else _options_to_json(part) for part in self.parts]


TextPart: TypeAlias = "str | OptionName | AnyOf | Text | Message | Exception"
"""What a ``Text`` is made of."""


def _merge_strings(parts: "Iterable[TextPart]") -> "list[str | OptionName | AnyOf]":
    """Strings and options of the parts, with neighbouring strings as one and without empty ones."""
    merged: list[str | OptionName | AnyOf] = []
    for part in parts:
        for piece in _pieces(part):
            if isinstance(piece, str) and merged and isinstance(merged[-1], str):
                merged[-1] += piece
            elif piece != "":
                merged.append(piece)
    return merged


def _pieces(part: "TextPart") -> "tuple[str | OptionName | AnyOf, ...]":
    if isinstance(part, Message):  # before strings: a note is both
        return part.text().parts
    if isinstance(part, Text):
        return part.parts
    return (part,) if isinstance(part, (OptionName, AnyOf)) else (str(part),)


def _options_to_json(part: OptionName | AnyOf) -> list[list[str]]:
    options = part.options if isinstance(part, AnyOf) else (part,)
    return [[option.name, option.value] for option in options]


def text_from_json(parts: object) -> Text:
    """Read what ``Text.to_json`` wrote.

    Raises:
        TypeError: If it is no such list. ValueError: If an option is not a name and a value.
    """
    if not isinstance(parts, list):
        raise TypeError("a text is a list")
    return Text(*map(_part_from_json, parts))


def _part_from_json(part: Any) -> str | OptionName | AnyOf:
    if isinstance(part, str):
        return part
    options = [OptionName(str(name), str(value)) for name, value in part]
    return options[0] if len(options) == 1 else AnyOf(*options)


def join_texts(separator: str, texts: "Iterable[TextPart]") -> Text:
    """Join texts with a string between them."""
    parts: list[TextPart] = []
    for text in texts:
        parts += [separator, text] if parts else [text]
    return Text(*parts)


class Message:
    """Note or error, which is worded from its fields.

    Attributes:
        message: Beginning without options, or a whole sentence.
        path: File or photograph that it is about.
        option: Name of the option's field.
        value: Value that was given; None if the message does not show it.
        expected: Values that the option takes.
        problem: Words after the option's name, or a sentence.
        without: Option that does not go together with it.
        hint: What the user can do.
    """

    message: str
    path: Any
    option: str
    value: object
    expected: str | Text
    problem: str | Text
    without: str
    hint: str | Text

    def text(self, path: str | None = None) -> Text:
        """Write the message as part of another, with ``path`` in place of its own."""
        parts: list[TextPart] = [self.message]
        if self.option:
            parts.append(OptionName(self.option))
        if self.without:
            parts += [" and ", OptionName(self.without), " do not go together"]
        if self.expected:
            parts += [" is ", self.expected]
        if self.value is not None:
            parts.append(f", got {self.value!r}")
        if self.problem:
            begins_with_sign = Text(self.problem).worded(spell_keyword).startswith((":", ";", ","))
            parts += ["" if begins_with_sign or not any(parts) else " ", self.problem]
        hint = self.hint or ("give one" if self.without else "")
        if hint:
            parts += ["; ", hint]
        path = str(self.path) if path is None else path
        return Text(f"{path}: " if path else "", *parts)

    def worded(self, spell: Spell, path: str | None = None) -> str:
        """Word the message as an entry point spells options, with ``path`` in place of its own."""
        return one_line(self.text(path).worded(spell))


class Note(str, Message):
    """Doubt about a result.

    Examples:
        >>> hint = Text(OptionName("fov", "..."), " gives it")
        >>> Note("is about an unknown focal length", option="vanishing_points", hint=hint)
        'vanishing_points is about an unknown focal length; fov=... gives it'
    """

    def __new__(
        cls,
        problem: str | Text,
        *,
        option: str = "",
        value: object = None,
        hint: str | Text = "",
        path: object = "",
    ) -> "Note":
        """Make the note."""
        message = Message()
        message.path, message.option, message.value = path, option, value
        message.problem, message.hint = problem, hint
        message.message = message.expected = message.without = ""
        note = super().__new__(cls, message.worded(spell_keyword))
        vars(note).update(vars(message))
        return note

    def __reduce__(self) -> tuple[Any, ...]:
        # By default only the worded string would be passed on to another process.
        return _note_from_fields, (_fields_of_note(self),)


def _fields_of_note(note: Note) -> dict[str, Any]:
    return {name: getattr(note, name) for name in ("problem", "option", "value", "hint", "path")}


def _note_from_fields(fields: dict[str, Any]) -> Note:
    return Note(**fields)


def worded(message: object, spell: Spell) -> str:
    """Word a message as an entry point spells options."""
    return message.worded(spell) if isinstance(message, (Message, Text)) else str(message)


def note_of(error: Exception) -> Note:
    """Make a note of an error."""
    return Note(Text(error))


def set_terminal_spelling(spell: Spell) -> None:
    """Choose the spelling of ``for_terminal``."""
    _terminal[:] = [spell]


def for_terminal(message: object) -> str:
    """Message as the terminal spells options."""
    return worded(message, _terminal[0])


def at(path: str, message: str | Exception) -> Note:
    """Make a note about a file."""
    if isinstance(message, Note) and not message.path:
        return _note_from_fields({**_fields_of_note(message), "path": path})
    return Note(Text(message), path=path)


def join_notes(messages: "list[str]") -> Note | None:
    """Join notes with semicolons; None without any."""
    return Note(join_texts("; ", messages)) if messages else None


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
