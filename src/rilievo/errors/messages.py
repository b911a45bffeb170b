"""Messages of errors and notes, in which each interface spells options in its own way.

The command line spells an option ``--fov 60``, Python ``fov=60``, and the assistant names one of
its tools. A message is therefore a ``Text`` of plain strings and of options (``OptionName``), which
are named by their fields. Each interface has a function that spells options (``Spell``), and
``worded`` applies it. Nothing else in a message is interpreted: braces in a file name stay braces.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

_KNOWN_SIZES = ("known", "known_length", "known_rectangle", "known_circle")
"""Options whose value, numbers separated by commas, is an item of ``known=[...]`` in Python."""
# The patterns are compiled when the first message is worded, because most processes word none.
_LONG_WORD = r"\S{401,}"
_KEPT_OF_LONG_WORD = (120, 40)
"""Number of characters that are kept at the beginning and at the end of a long word."""
_NUMBER_PATTERN = r"[\d.]+"
_MAX_MESSAGE_LENGTH = 1000
"""Most characters of a message, so that it stays readable if a library's text is very long."""
_KEPT_END = 200
"""Number of characters that are kept at the end of a message that is too long."""
_MAX_DECIMALS = 9
"""Most decimals of a number that is hardly beyond a limit."""
_ELLIPSIS = " ... "

Spell = Callable[[str, str], str]
"""Function that spells an option for one interface, from the option's name and value.

It returns "" if the interface does not have the option.
"""


@dataclass(frozen=True)
class OptionName:
    """Option that a message mentions, perhaps with a value.

    Each interface (command line, Python, HTTP, assistant) spells it in its own way.

    Examples:
        >>> option = OptionName("save", "npz")
        >>> option.spelled(spell_flag), option.spelled(spell_keyword)
        ('--save npz', "save='npz'")

    Attributes:
        name: Name of its field in the record of options.
        value: Value that the message mentions, as a user types it at the command line. "..." stands
            for any value, as in "fov=...", and "" mentions the option without a value.
    """

    name: str
    value: str = ""

    def spelled(self, spell: Spell) -> str:
        """Spell the option for an interface; use the field's name if it lacks the option."""
        return spell(self.name, self.value) or self.name


@dataclass(frozen=True, init=False)
class AnyOf:
    """Alternative options, any one of which will do.

    An interface that lacks some of them only mentions the others.

    Examples:
        >>> AnyOf(OptionName("camera", "..."), OptionName("fov", "...")).spelled(spell_keyword)
        'camera=... or fov=...'
    """

    options: tuple[OptionName, ...]

    def __init__(self, *options: OptionName) -> None:
        object.__setattr__(self, "options", options)  # the record is frozen

    def spelled(self, spell: Spell) -> str:
        """Spell the options that an interface has; use the names of all if it has none."""
        spellings = [spell(option.name, option.value) for option in self.options]
        # Different options may have one spelling: the assistant spells both ``known`` and
        # ``camera_height`` as its tool 'known'.
        unique_spellings = dict.fromkeys(spelling for spelling in spellings if spelling)
        if unique_spellings:
            return join_alternatives(unique_spellings)
        return join_alternatives(option.name for option in self.options)


def count_text(count: int, noun: str) -> str:
    """Write a number of things.

    Examples:
        >>> count_text(1, "step"), count_text(3000, "image")
        ('1 step', '3,000 images')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_beyond(value: float, limit: float, *, decimals: int = 0) -> str:
    """Write a number that is beyond a limit, with enough decimals that it does not read as equal.

    Examples:
        >>> format_beyond(45.2, 30), format_beyond(30.2, 30), format_beyond(2.96, 3, decimals=1)
        ('45', '30.2', '2.96')

    Args:
        value: Number to write.
        limit: Limit that the message states, too.
        decimals: Number of decimals, if these show the difference.
    """
    for count in range(decimals, _MAX_DECIMALS):
        text = f"{value:.{count}f}"
        if text != f"{limit:.{count}f}":
            return text
    return f"{value:.{_MAX_DECIMALS}f}"


def join_alternatives(words: Iterable[str]) -> str:
    """Join words as a sentence does.

    Examples:
        >>> join_alternatives(["bash", "zsh", "fish"])
        'bash, zsh or fish'
    """
    *first_words, last_word = words
    return f"{', '.join(first_words)} or {last_word}" if first_words else last_word


@dataclass(frozen=True, init=False)
class Text:
    """Part of a message: a sequence of plain strings and names of options.

    Examples:
        >>> text = Text("give ", OptionName("fov", "..."), " for photo{1}.jpg")
        >>> text.worded(spell_flag), text.worded(spell_keyword)
        ('give --fov for photo{1}.jpg', 'give fov=... for photo{1}.jpg')

    Args:
        parts: Strings (which are never interpreted), options, other texts, and errors and notes of
            rilievo, whose options are kept. Any other exception contributes its message.
    """

    parts: "tuple[str | OptionName | AnyOf, ...]"

    def __init__(self, *parts: "TextPart") -> None:
        object.__setattr__(self, "parts", tuple(_merge_strings(parts)))  # the record is frozen

    def __bool__(self) -> bool:
        return bool(self.parts)

    def worded(self, spell: Spell) -> str:
        """Write the text with options spelled for one interface."""
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
    """Flatten parts to strings and options; join neighbouring strings, and drop empty ones."""
    merged: list[str | OptionName | AnyOf] = []
    for part in parts:
        for item in _strings_and_options(part):
            if isinstance(item, str) and merged and isinstance(merged[-1], str):
                merged[-1] += item
            elif item != "":
                merged.append(item)
    return merged


def _strings_and_options(part: "TextPart") -> "tuple[str | OptionName | AnyOf, ...]":
    if isinstance(part, Message):  # before the case of strings, because a note is also a string
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
    """Read what ``Text.to_json`` wrote."""
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
    """Note or error, whose sentence is composed of its fields.

    Fields that are empty are left out. The usual sentences are::

        {path}: {option} must be {expected}, got {value}; {hint}
        {path}: {option} {problem}; {hint}
        {option} and {without} cannot be combined; give only one of them
        {path}: {message}

    Attributes:
        message: Beginning without options, or a whole sentence.
        path: File or photograph that it is about.
        option: Field of the option that it is about.
        value: Value that was given, or None if the message does not show it.
        expected: Values that the option takes.
        problem: Words after the option's name, or a sentence.
        without: Field of an option that cannot be combined with ``option``.
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
            path: Path to begin with, or "" for no path; by default the message's own.
        """
        path = str(self.path) if path is None else path
        beginning = f"{path}: " if path else ""
        return Text(beginning, *self._parts_without_path())

    def _parts_without_path(self) -> list[TextPart]:
        """Parts of the message, from the beginning to the hint, as far as they are given."""
        parts: list[TextPart] = [self.message]
        if self.option:
            parts.append(OptionName(self.option))
        if self.without:
            parts += [" and ", OptionName(self.without), " cannot be combined"]
        if self.expected:
            parts += [" is " if self.value is None else " must be ", self.expected]
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
            parts.append("; give only one of them")
        return parts

    def worded(self, spell: Spell, path: str | None = None) -> str:
        """Write the message in one line for an interface; ``path`` is as for ``text``."""
        return one_line(self.text(path).worded(spell))


class Note(str, Message):
    """Sentence about something that was assumed, left out or without effect.

    As a string, it spells options as Python does. ``Message`` explains the arguments.

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
        """Compose the string, and keep the fields as attributes."""
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
        # By default only the composed string would be passed on to another process.
        return _note_from_fields, (_note_fields(self),)


def _note_fields(note: Note) -> dict[str, Any]:
    return {name: getattr(note, name) for name in ("problem", "option", "value", "hint", "path")}


def _note_from_fields(fields: dict[str, Any]) -> Note:
    return Note(**fields)


def worded(message: object, spell: Spell) -> str:
    """Write a message or text for an interface; any other object becomes its string."""
    if isinstance(message, (Message, Text)):
        return message.worded(spell)
    return str(message)


def note_of(error: Exception) -> Note:
    """Make a note from an error."""
    return Note(Text(error))


def note_about(path: str, message: str | Exception) -> Note:
    """Make a note that names the file it is about; an existing note is copied with the path."""
    if isinstance(message, Note) and not message.path:
        return _note_from_fields({**_note_fields(message), "path": path})
    return Note(Text(message), path=path)


def join_notes(messages: "list[str]") -> Note | None:
    """Join notes with semicolons; return None if there are none."""
    return Note(join_texts("; ", messages)) if messages else None


def spell_flag(name: str, value: str = "") -> str:
    """Spell an option as on the command line: ``--name value``.

    Examples:
        >>> spell_flag("batch_size", "8"), spell_flag("fov", "..."), spell_flag("trim", "False")
        ('--batch-size 8', '--fov', '--no-trim')
    """
    flag = name.replace("_", "-")
    if value == "False":
        # A switch of a nested record is spelled --record.no-switch.
        record, dot, switch = flag.rpartition(".")
        return f"--{record}{dot}no-{switch}"
    if value in ("", "...", "True"):
        return f"--{flag}"
    return f"--{flag} {value}"


def spell_keyword(name: str, value: str = "") -> str:
    """Spell an option as in Python: ``name=value``.

    Examples:
        >>> spell_keyword("fov", "60"), spell_keyword("trim", "off"), spell_keyword("save", "ply")
        ('fov=60', 'trim=False', "save='ply'")
        >>> spell_keyword("set", "steps=4")
        "settings={'steps': 4}"
        >>> spell_keyword("known_length", "U1,V1,U2,V2,METRES")
        'known=[(u1, v1, u2, v2, metres)]'
    """
    if not value:
        return name
    if value in ("on", "off"):
        return f"{name}={value == 'on'}"
    if name == "set":
        return _spell_setting(value)
    if name in _KNOWN_SIZES and "," in value:  # as a list of one tuple
        return f"known=[({value.lower().replace(',', ', ')})]"

    is_literal = value in ("...", "True", "False") or re.fullmatch(_NUMBER_PATTERN, value)
    is_placeholder = value.isupper()  # a metavar of the help, such as FILE
    python_value = value if is_literal or is_placeholder else repr(value)
    return f"{name}={python_value}"


def _spell_setting(value: str) -> str:
    key, sign, setting = value.partition("=")
    return f"settings={{'{key}': {setting}}}" if sign else f"settings['{key}']"


def spell_parameter(name: str, value: str = "") -> str:
    """Spell an option as in a request to the server: ``name=value``."""
    return name if value in ("", "...") else f"{name}={value}"


_terminal_spelling: list[Spell] = [spell_keyword]
"""Spelling that ``for_terminal`` uses, in a list of one item so that it can be replaced."""


def set_terminal_spelling(spell: Spell) -> None:
    """Choose how ``for_terminal`` spells options in this process; by default as Python does."""
    _terminal_spelling[0] = spell


def for_terminal(message: object) -> str:
    """Write a message for the terminal of this process."""
    return worded(message, _terminal_spelling[0])


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
    """Escape unprintable characters; cut long words and long texts in the middle."""
    text = re.sub(_LONG_WORD, _shorten_word, escape_unprintable(text))
    if len(text) <= _MAX_MESSAGE_LENGTH:
        return text
    kept_beginning = _MAX_MESSAGE_LENGTH - len(_ELLIPSIS) - _KEPT_END
    return text[:kept_beginning] + _ELLIPSIS + text[-_KEPT_END:]


def _shorten_word(match: "re.Match[str]") -> str:
    word = match[0]
    num_first, num_last = _KEPT_OF_LONG_WORD
    return f"{word[:num_first]}...{word[-num_last:]}"
