"""Contact sheets of predictions: photograph, depth, normals and confidence side by side."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw
from real_frames import Picture

from rilievo.io.colour_pictures import colourise, normals_picture
from rilievo.models.base import Model

_HEIGHT, _WIDTH = 144, 192
"""Largest height and width of one picture [px]; the aspect ratio is kept."""
_LABEL = 14
_GAP = 8


def prediction_sheet(model: Model, pictures: Sequence[Picture], *, columns: int) -> Image.Image:
    """Draw all pictures with their predictions, in this many groups side by side."""
    height, width = _HEIGHT + _LABEL, 4 * _WIDTH + _GAP
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width - _GAP, rows * height), "white")
    pen = ImageDraw.Draw(sheet)
    for index, picture in enumerate(pictures):
        left, top = index % columns * width, index // columns * height
        parts, confidence = _parts(model, picture.pixels)
        said = "" if confidence is None else f"   confidence {confidence:.2f}"
        pen.text((left + 2, top + 1), f"{picture.label}{said}", fill="black")
        for number, part in enumerate(parts):
            cell = Image.fromarray(part)
            cell.thumbnail((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)
            sheet.paste(cell, (left + number * _WIDTH, top + _LABEL))
    return sheet


def _parts(
    model: Model, pixels: UInt8[np.ndarray, "h w 3"]
) -> tuple[list[UInt8[np.ndarray, "h w 3"]], float | None]:
    [prediction] = model.predict_raw([pixels])
    parts = [pixels]
    if prediction.depth is not None:
        parts.append(colourise(prediction.depth))
    if prediction.normals is not None:
        parts.append(normals_picture(prediction.normals))
    if prediction.confidence is None:
        return parts, None
    return [*parts, _grey(prediction.confidence)], float(prediction.confidence.mean())


def _grey(confidence: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    levels = np.rint(255 * confidence.clip(0, 1)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=-1)
