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

_KNOWN_SIZES = ("known", "known_length", "known_rectangle")
"""Options whose value, numbers with commas, is an item of ``known=[...]`` in Python."""
# The patterns are compiled when the first message is worded, because most processes word none.
_LONG_WORD = r"\S{401,}"
_KEPT_OF_WORD = (120, 40)
"""Characters that are kept of the beginning and of the end of a long word."""
_NUMBER = r"[\d.]+"
_MAX_MESSAGE = 1000
"""Most characters of a message, so that it stays readable if a library's text is very long."""
_KEPT_END = 200
"""Characters that are kept of the end of a message that is too long."""
_GAP = " ... "

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
        spellings = [spell(option.name, option.value) for option in self.options]
        # Two options may have one spelling: the assistant states both by one tool.
        different = dict.fromkeys(spelling for spelling in spellings if spelling)
        if different:
            return " or ".join(different)
        return " or ".join(option.name for option in self.options)


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

        def replace_in_value(option: OptionName) -> OptionName:
            return OptionName(option.name, option.value.replace(old, new))

        parts: list[TextPart] = []
        for part in self.parts:
            if isinstance(part, str):
                parts.append(part.replace(old, new))
            elif isinstance(part, OptionName):
                parts.append(replace_in_value(part))
            else:
                parts.append(AnyOf(*map(replace_in_value, part.options)))
        return Text(*parts)

    def to_json(self) -> list[Any]:
        """Write the text as JSON for another process.

        A string stays a string. Options become a list of pairs of name and value, of which one
        pair is an ``OptionName`` and several are an ``AnyOf``.
        """
        return [part if isinstance(part, str) else _options_to_json(part) for part in self.parts]


TextPart: TypeAlias = "str | OptionName | AnyOf | Text | Message | Exception"
"""What a ``Text`` is made of."""


def _merge_strings(parts: "Iterable[TextPart]") -> "list[str | OptionName | AnyOf]":
    """Join neighbouring strings of the parts, and leave out empty ones."""
    merged: list[str | OptionName | AnyOf] = []
    for part in parts:
        for piece in _strings_and_options(part):
            if isinstance(piece, str) and merged and isinstance(merged[-1], str):
                merged[-1] += piece
            elif piece != "":
                merged.append(piece)
    return merged


def _strings_and_options(part: "TextPart") -> "tuple[str | OptionName | AnyOf, ...]":
    if isinstance(part, Message):  # This case comes before strings, since a note is both.
        return part.text().parts
    if isinstance(part, Text):
        return part.parts
    if isinstance(part, (OptionName, AnyOf)):
        return (part,)
    return (str(part),)


def _options_to_json(part: OptionName | AnyOf) -> list[list[str]]:
    options = part.options if isinstance(part, AnyOf) else (part,)
    return [[option.name, option.value] for option in options]


def text_from_json(parts: object) -> Text:
    """Read what ``Text.to_json`` wrote.

    Raises:
        TypeError: If it is no such list.
        ValueError: If an option is not a name and a value.
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

    It reads "path: message option and without do not go together is expected, got value problem;
    hint", without the fields that are empty.

    Attributes:
        message: Beginning without options, or a whole sentence.
        path: File or photograph that it is about.
        option: Name of the option's field.
        value: Value that was given; None if the message does not show it.
        expected: Values that the option takes.
        problem: Words after the option's name, or a sentence.
        without: Name of an option that does not go together with ``option``.
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
        """Write the message as part of another one.

        Args:
            path: Path in place of the message's own; "" for none, None for its own.
        """
        path = str(self.path) if path is None else path
        beginning = f"{path}: " if path else ""
        return Text(beginning, *self._parts_without_path())

    def _parts_without_path(self) -> list[TextPart]:
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
            problem = Text(self.problem).worded(spell_keyword)
            if any(parts) and not problem.startswith((":", ";", ",")):
                parts.append(" ")
            parts.append(self.problem)

        if self.hint:
            parts += ["; ", self.hint]
        elif self.without:
            parts += ["; ", "give one"]
        return parts

    def worded(self, spell: Spell, path: str | None = None) -> str:
        """Word the message as an entry point spells options; ``path`` is as for ``text``."""
        return one_line(self.text(path).worded(spell))


class Note(str, Message):
    """Sentence about something that was assumed, left out or without effect.

    As a string it spells options in the way of Python. The arguments are those of ``Message``.

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
        """Word the note, and keep its fields."""
        message = Message()
        message.message = ""
        message.path = path
        message.option = option
        message.value = value
        message.expected = ""
        message.problem = problem
        message.without = ""
        message.hint = hint
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
    """Word a message as an entry point spells options; any other object as a string."""
    if isinstance(message, (Message, Text)):
        return message.worded(spell)
    return str(message)


def note_of(error: Exception) -> Note:
    """Make a note of an error."""
    return Note(Text(error))


def note_about(path: str, message: str | Exception) -> Note:
    """Make a note about a file, or name the file of a note that names none."""
    if isinstance(message, Note) and not message.path:
        return _note_from_fields({**_fields_of_note(message), "path": path})
    return Note(Text(message), path=path)


def join_notes(messages: "list[str]") -> Note | None:
    """Join notes with semicolons; None without any."""
    return Note(join_texts("; ", messages)) if messages else None


def spell_flag(name: str, value: str = "") -> str:
    """Spell an option as ``--name value`` of the command line.

    Examples:
        >>> spell_flag("batch_size", "8"), spell_flag("fov", "..."), spell_flag("trim", "False")
        ('--batch-size 8', '--fov', '--no-trim')
    """
    flag = name.replace("_", "-")
    if value == "False":
        # A switch of a nested record keeps the record's name first.
        record, dot, switch = flag.rpartition(".")
        return f"--{record}{dot}no-{switch}"
    if value in ("", "...", "True"):
        return f"--{flag}"
    return f"--{flag} {value}"


def spell_keyword(name: str, value: str = "") -> str:
    """Spell an option as ``name=value`` of Python.

    Examples:
        >>> spell_keyword("fov", "60"), spell_keyword("trim", "off"), spell_keyword("save", "ply")
        ('fov=60', 'trim=False', "save='ply'")
        >>> spell_keyword("set", "steps=4"), spell_keyword("known", "U,V,METRES")
        ("settings={'steps': 4}", 'known=[(u, v, metres)]')
    """
    if not value:
        return name
    if value in ("on", "off"):
        return f"{name}={value == 'on'}"
    if name == "set":
        return _spell_setting(value)
    if name in _KNOWN_SIZES and "," in value:
        return f"known=[({value.lower().replace(',', ', ')})]"

    is_literal = value in ("...", "True", "False") or re.fullmatch(_NUMBER, value)
    is_placeholder = value.isupper()  # FILE, for example
    return f"{name}={value if is_literal or is_placeholder else repr(value)}"


def _spell_setting(value: str) -> str:
    key, sign, setting = value.partition("=")
    return f"settings={{'{key}': {setting}}}" if sign else f"settings['{key}']"


def spell_parameter(name: str, value: str = "") -> str:
    """Spell an option as ``name=value`` of a request."""
    return name if value in ("", "...") else f"{name}={value}"


_spell_of_terminal: list[Spell] = [spell_keyword]
"""Spelling of ``for_terminal``, a list of one item so that it can be replaced."""


def set_terminal_spelling(spell: Spell) -> None:
    """Choose how ``for_terminal`` spells options in this process, by default as Python does."""
    _spell_of_terminal[0] = spell


def for_terminal(message: object) -> str:
    """Word a message as the terminal spells options."""
    return worded(message, _spell_of_terminal[0])


def escape_unprintable(text: str) -> str:
    r"""Escape characters that are not printable, such as a line break as ``\n``."""
    if text.isprintable():
        return text
    return "".join(_escape_character(character) for character in text)


def _escape_character(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()


def one_line(text: str) -> str:
    """Escape unprintable characters, and shorten long words and long text in the middle."""
    text = re.sub(_LONG_WORD, _shorten_word, escape_unprintable(text))
    if len(text) <= _MAX_MESSAGE:
        return text
    kept_beginning = _MAX_MESSAGE - len(_GAP) - _KEPT_END
    return text[:kept_beginning] + _GAP + text[-_KEPT_END:]


def _shorten_word(match: "re.Match[str]") -> str:
    word = match[0]
    beginning, end = _KEPT_OF_WORD
    return f"{word[:beginning]}...{word[-end:]}"
