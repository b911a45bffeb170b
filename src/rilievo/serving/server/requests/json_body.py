"""Bodies of JSON: an image as base64 or a data URL, and parameters as in a form."""

import binascii
import json
from typing import IO, Any, NoReturn

from rilievo.errors import OptionError
from rilievo.serving.listener.request_refusals import Refusal

_MOST_VALUES = 1000
_LONGEST_VALUE = 2000
_MOST_COMMAS = 20_000
"""Commas of a body: base64 has none, and a list of small numbers takes many times its bytes."""

_LARGE = 2**20
"""Bytes above which a body is ASCII without escapes: one wide character takes four times all."""


def read_json(body: IO[bytes]) -> tuple[bytes, dict[str, list[str]]]:
    """The content of the image and the parameters of a body.

    Numbers stay the texts that they are, so that each is checked like one of a form.
    """
    body.seek(0)
    text = body.read()
    if text.count(b",") > _MOST_COMMAS:
        raise Refusal(400, f"the JSON has more than {_MOST_VALUES} values")
    if len(text) > _LARGE and not (text.isascii() and b"\\u" not in text):
        raise Refusal(400, "a large body of JSON has base64 alone beside short ASCII values")
    try:
        values = json.loads(
            text.decode(),
            parse_int=str,
            parse_float=str,
            parse_constant=_constant,
            object_pairs_hook=_unique,
        )
    except (ValueError, RecursionError):
        raise Refusal(400, "the body cannot be read as JSON in UTF-8") from None
    if not isinstance(values, dict):
        raise Refusal(400, 'the JSON is no object: send {"image": "BASE64", ...}')
    image = values.pop("image", "")
    if not isinstance(image, str):
        raise Refusal(400, "image: text is expected, base64 or a data URL")
    fields = {
        _text("a name", name): _texts(name, value)
        for name, value in values.items()
        if value is not None
    }
    if sum(map(len, fields.values())) > _MOST_VALUES:
        raise Refusal(400, f"the JSON has more than {_MOST_VALUES} values")
    return decoded_image(image, "image"), fields


def refuse_json(body: IO[bytes]) -> None:
    """Refuse JSON of another content type; no image begins with a brace."""
    body.seek(0)
    if body.read(64).lstrip().startswith(b"{"):
        raise Refusal(400, "the body looks like JSON: send it as Content-Type: application/json")


def decoded_image(image: str, option: str) -> bytes:
    """The content of an image that an option has as base64 or a data URL.

    Raises:
        OptionError: If it is neither.
    """
    if image[:5].lower() == "data:":
        head, _, image = image.partition(",")
        if not head.lower().endswith(";base64"):
            line = ": a data URL needs base64: data:image/jpeg;base64,..."
            raise OptionError(option=option, problem=line)
    try:
        # Lines are joined at once: a list of them takes many times their bytes.
        content = image.encode("ascii").translate(None, b" \t\r\n")
        return binascii.a2b_base64(content, strict_mode=True)
    except ValueError:
        line = ": no standard base64 with padding"
        hint = "send the file's bytes so, or a data URL"
        raise OptionError(option=option, problem=line, hint=hint) from None


def _texts(name: str, value: object) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    return [_text(name, text) for text in texts]


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise Refusal(400, f"{_shown(name)}: text, a number or a list of these is expected")
    if len(value) > _LONGEST_VALUE:
        raise Refusal(400, f"{_shown(name)}: longer than {_LONGEST_VALUE} characters")
    if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
        raise Refusal(400, "the JSON has half a surrogate pair, which is no text")
    return value


def _shown(name: str) -> str:
    return name[:60].encode("ascii", "replace").decode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise Refusal(400, f"{_shown(name)} is given twice in JSON: give it once")
        values[name] = value
    return values


def _constant(name: str) -> NoReturn:
    raise ValueError(name)
