"""Results of replicate.com, validated and converted to values in [0, 1]."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32
from PIL import Image, UnidentifiedImageError

from rilievo.errors import InputError, ModelError
from rilievo.io.limits import MAX_PIXELS, printable
from rilievo.models.http_answers import Answer

ASPECT = 0.03
"""Largest difference in aspect ratio to the photograph; models round their sizes."""
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
# Types of files with unknown content.
_TYPES = ("application/octet-stream", "binary/octet-stream")


def addresses(output: Any, which: str | None) -> Sequence[str]:
    """URLs of the pictures of a prediction.

    Args:
        output: Output of the service: one URL, a list, or an object of URLs.
        which: Name or index of the wanted one; None for all.

    Raises:
        ModelError: If there is none, or the wanted one is missing.
    """
    if isinstance(output, str):
        named: Mapping[str, Any] = {"0": output}
    elif isinstance(output, list):
        named = {str(index): each for index, each in enumerate(output)}
    elif isinstance(output, dict):
        named = output
    else:
        raise ModelError(f"the result is not a picture but {type(output).__name__}")
    found = {name: each for name, each in named.items() if isinstance(each, str)}
    found = {name: each for name, each in found.items() if "://" in each[:8]}
    if which is not None:
        if which not in found:
            known = ", ".join(map(printable, found)) or "none"
            raise ModelError(f"the result has no picture '{which}'; it has {known}")
        return [found[which]]
    if not found:
        raise ModelError("the result has no address of a picture")
    return list(found.values())


def grey_picture(answers: Sequence[Answer], shape: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """Find the one grey picture among some results, and convert it to [0, 1].

    Args:
        answers: Downloaded results.
        shape: Size (height, width) of the photograph, whose aspect ratio the picture has to have.

    Raises:
        ModelError: If one of them is not a complete picture, or not exactly one is grey, or its
            aspect ratio differs from the photograph's.
    """
    pictures = [_values(answer) for answer in answers]
    grey = [each for each in pictures if each is not None]
    if len(grey) != 1:
        raise ModelError(
            f"{len(grey)} of {len(pictures)} pictures in the result are grey: choose the depth "
            "with --set output=... (coloured pictures cannot be read)"
        )
    height, width = grey[0].shape
    # Rounding changes the sides of a small picture by at least one pixel.
    allowed = ASPECT + 1 / min(height, width)
    if abs(math.log(height / width) - math.log(shape[0] / shape[1])) > allowed:
        raise ModelError(
            f"the result is {width} x {height} pixels, another shape than the photograph's "
            f"{shape[1]} x {shape[0]}"
        )
    return grey[0]


def _values(answer: Answer) -> Float32[np.ndarray, "h w"] | None:
    """Values of a picture in [0, 1]; None if it has colours.

    Raises:
        ModelError: If it is not a complete picture.
    """
    if not answer.content_type.startswith("image/") and answer.content_type not in _TYPES:
        raise ModelError(f"the result is {answer.content_type}, not a picture")
    try:
        with Image.open(io.BytesIO(answer.body), formats=_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ModelError(
                    f"the result is {picture.width} x {picture.height} pixels, too large to be one"
                )
            picture.load()
            return _grey(picture)
    except ModelError:
        raise
    except UnidentifiedImageError as error:
        raise ModelError(f"the result is not a picture ({', '.join(_FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise ModelError("the result has so many pixels that it is too large to be one") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ModelError("the result is a picture that is cut short or broken") from error


def _grey(picture: Image.Image) -> Float32[np.ndarray, "h w"] | None:
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):
        return np.asarray(picture, np.float32) / np.float32(65535)
    if picture.mode in ("1", "L", "LA"):
        return np.asarray(picture.convert("L"), np.float32) / np.float32(255)
    colours = np.asarray(picture.convert("RGB"))
    if (np.ptp(colours, axis=-1) > 0).any():
        return None
    return colours[..., 0].astype(np.float32) / np.float32(255)


def encode(pixels: np.ndarray, name: str, most: int) -> bytes:
    """Encode a photograph for sending: a PNG of its pixels, without place, time or camera.

    Raises:
        InputError: If it has more than ``most`` bytes.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    content = file.getvalue()
    if len(content) > most:
        raise InputError(
            f"{name}: is {len(content) / 1e6:.0f} MB as it would be sent, above the "
            f"{most / 1e6:.0f} MB that replicate.com takes; make it smaller first"
        )
    return content
