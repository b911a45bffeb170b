"""Photograph, depth and normals side by side with legends, as an 8-bit RGB PNG."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rilievo.geometry.surfaces.lattice import sample_range, sample_slices
from rilievo.io.map_pictures import normals_picture
from rilievo.io.outputs.formats.colour_files import Bar, colour_bar, coloured_sky, depth_picture
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.sky import normals_mask
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord

_MAX_WIDTH = 1280  # [px], of each picture
_INK, _PAPER = (29, 33, 37), (255, 255, 255)
_NORMALS_LEGEND = "red: right, green: up, blue: to the camera"


@dataclass(frozen=True, slots=True, kw_only=True)
class _PanelSizes:
    """Sizes of text and margins [px]."""

    font: int
    margin: int

    @property
    def line_height(self) -> int:
        return round(1.6 * self.font)

    @property
    def top_margin(self) -> int:
        return self.margin + self.line_height

    @property
    def bottom_margin(self) -> int:
        return self.margin // 2 + 3 * self.line_height + self.margin


def write(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write photograph, depth and normals side by side."""
    bar = colour_bar(depth, job.options, coloured_sky(job.prediction))
    file_facts = job.describe_file(
        "photograph, depth and, if the prediction has them, normals, with legends"
    )
    picture = np.asarray(panel_picture(job.prediction, job.options))
    return job.write_png(picture, replace(file_facts, colour=bar.colour_facts))


def panel_picture(prediction: PredictionRecord, options: SaveOptions | None = None) -> Image.Image:
    """Draw the photograph, depth and normals side by side, as far as the prediction has them."""
    options = options or SaveOptions()
    pictures = _pictures_by_title(prediction, options)
    width, height = next(iter(pictures.values())).size
    sizes = _PanelSizes(font=max(11, round(width / 34)), margin=max(8, round(width / 30)))
    sheet_width = len(pictures) * (width + sizes.margin) + sizes.margin
    sheet_height = sizes.top_margin + height + sizes.bottom_margin
    sheet = Image.new("RGB", (sheet_width, sheet_height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(sizes.font)
    for index, (title, picture) in enumerate(pictures.items()):
        left = sizes.margin + index * (width + sizes.margin)
        draw.text((left, sizes.margin // 2), title, _INK, font)
        sheet.paste(picture, (left, sizes.top_margin))
        legend_top = sizes.top_margin + height + sizes.margin // 2
        if title == "Depth":
            bar = colour_bar(prediction.depth, options, coloured_sky(prediction))
            _draw_legend(sheet, bar, (left, legend_top, width), sizes, font)
        elif title == "Normals":
            ball = _normals_ball(2 * sizes.line_height)
            sheet.paste(ball, (left, legend_top))
            text_left = left + ball.width + sizes.margin // 2
            text_top = legend_top + sizes.line_height // 2
            draw.text((text_left, text_top), _NORMALS_LEGEND, _INK, font)
    return sheet


def _pictures_by_title(
    prediction: PredictionRecord, options: SaveOptions
) -> dict[str, Image.Image]:
    """Draw the parts that the prediction has, each at most ``_MAX_WIDTH`` wide.

    Depth and normals are reduced by sampling, because means of them would be on no surface.
    """
    step = math.ceil(prediction.shape[1] / _MAX_WIDTH)
    rows, columns = sample_slices(prediction.shape, step)
    pictures = {}
    if prediction.photo is not None:
        height, width = (len(sample_range(side, step)) for side in prediction.shape)
        photo = Image.fromarray(prediction.photo.pixels)
        pictures["Photograph"] = photo.resize((width, height), Image.Resampling.BOX)
    depth = prediction.depth_or_none
    if depth is not None:
        pictures["Depth"] = Image.fromarray(depth_picture(prediction, options, rows, columns))
    if prediction.normals is not None:
        normals = np.ascontiguousarray(prediction.normals[:, rows, columns])
        mask = normals_mask(prediction)
        sampled_mask = None if mask is None else mask[rows, columns]
        pictures["Normals"] = Image.fromarray(normals_picture(normals, sampled_mask))
    return pictures


def _draw_legend(
    sheet: Image.Image,
    bar: Bar,
    box: tuple[int, int, int],
    sizes: _PanelSizes,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    """Draw a colour bar with its labels and caption into a box: left, top and width [px]."""
    left, top, width = box
    draw = ImageDraw.Draw(sheet)
    bar_height = round(0.7 * sizes.line_height)
    label_top = top + bar_height + sizes.line_height // 5
    if bar.sky is not None:
        sky_width = round(draw.textlength("sky", font))
        draw.rectangle((left, top, left + sky_width, top + bar_height - 1), bar.sky)
        draw.text((left, label_top), "sky", _INK, font)
        left += sky_width + sizes.margin
        width -= sky_width + sizes.margin

    ramp = Image.new("RGB", (len(bar.colours), 1))
    ramp.putdata([tuple(bytes.fromhex(colour[1:])) for colour in bar.colours])
    sheet.paste(ramp.resize((width, bar_height), Image.Resampling.BILINEAR), (left, top))
    for index, tick in enumerate(bar.ticks):
        fraction = index / (len(bar.ticks) - 1)
        x = left + fraction * (width - draw.textlength(tick, font))
        draw.text((x, label_top), tick, _INK, font)

    # The directions are left out, because the labels show them, too.
    caption = _fitting_text(bar.explanations, width, lambda text: draw.textlength(text, font))
    draw.text((left, label_top + sizes.line_height), caption, _INK, font)


def _fitting_text(clauses: Sequence[str], width: float, measure: Callable[[str], float]) -> str:
    """Join as many clauses as fit into a width [px], or else as many words of the first one."""
    for count in range(len(clauses), 0, -1):
        text = "; ".join(clauses[:count])
        if measure(text) <= width:
            return text
    words = clauses[0].split(" ")
    while words and measure(" ".join(words)) > width:
        words.pop()
    return " ".join(words)


def _normals_ball(side: int) -> Image.Image:
    """Draw a ball's normals, as a legend of their colours."""
    radius = 2 * side  # drawn larger and shrunk, so that its rim is smooth
    v, u = (np.mgrid[: 2 * radius, : 2 * radius].astype(np.float32) + 0.5) / radius - 1
    is_inside = u * u + v * v < 1
    z = -np.sqrt(np.clip(1 - u * u - v * v, 0, 1))  # negative, towards the camera
    picture = normals_picture(np.stack([u, v, z]).astype(np.float32))
    picture[~is_inside] = _PAPER
    return Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)
