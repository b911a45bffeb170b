"""Pictures in rows, and those that a prediction gives: what the scripts of pictures share."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rilievo.io.map_pictures import normals_picture
from rilievo.io.outputs.formats.colour_files import depth_picture
from rilievo.io.outputs.formats.turn import Scene, draw_view, first_view, make_scene
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.prediction import Prediction

GAP = 4


def grid(rows: Sequence[Sequence[Image.Image]], gap: int = GAP) -> Image.Image:
    """Lay pictures out in rows on white, each row at the left and as high as its highest."""
    widths = [sum(image.width for image in row) + gap * (len(row) - 1) for row in rows]
    heights = [max(image.height for image in row) for row in rows]
    sheet = Image.new("RGB", (max(widths), sum(heights) + gap * (len(rows) - 1)), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for image in row:
            sheet.paste(image, (left, top))
            left += image.width + gap
        top += height + gap
    return sheet


def of_height(image: Image.Image, height: int) -> Image.Image:
    """Resize a picture, with its proportions."""
    width = round(image.width * height / image.height)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def in_colour(pixels: UInt8[np.ndarray, "h w *c"]) -> UInt8[np.ndarray, "h w 3"]:
    """A picture in grey with three equal channels; others as they are."""
    return pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, axis=2)


def answers(prediction: Prediction) -> list[Image.Image]:
    """The photograph, its depth (near is red) and its normals."""
    assert prediction.photo is not None
    assert prediction.normals is not None
    normals = normals_picture(prediction.normals, prediction.depth.valid)
    parts = (prediction.photo.pixels, depth_picture(prediction, SaveOptions()), normals)
    return [Image.fromarray(part) for part in parts]


def surface(prediction: Prediction) -> Scene:
    """The surface of a prediction, to be drawn."""
    assert prediction.camera is not None
    assert prediction.photo is not None
    parts = (prediction, prediction.depth, prediction.camera, prediction.photo)
    return make_scene(*parts, SaveOptions())


def turned(prediction: Prediction, yaw: float, pitch: float) -> Image.Image:
    """The surface from the side, turned by so many degrees around it and down."""
    scene = surface(prediction)
    return Image.fromarray(draw_view(scene, replace(first_view(scene), yaw=yaw, pitch=pitch)))
