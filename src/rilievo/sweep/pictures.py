"""Pictures of a sweep: photograph, ground truth and every prediction side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image, ImageDraw

from rilievo.depth_map import DepthKind, DepthMap
from rilievo.io.atomic import replacing
from rilievo.io.colour import ColourRange, colour_range, colourise, normals_picture
from rilievo.types import Prediction, Truth

_WIDTH = 240
_CAPTION = 18
_UNKNOWN = np.array([128, 128, 128], np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One image with its ground truth and predictions.

    Attributes:
        photo: Photograph after the input crop, before resizing.
        truth: Ground truth at the photograph's size.
        answers: Predictions at the photograph's size, by title.
    """

    photo: UInt8[np.ndarray, "h w 3"]
    truth: Truth
    answers: Mapping[str, Prediction]


def depth_sheet(scenes: Sequence[Scene]) -> Image.Image:
    """One row per scene: photograph, true depth, predicted depth; one colour range per row.

    Near is bright; the range is printed on the picture of the truth.
    """
    rows, notes = [], []
    for scene in scenes:
        truth = scene.truth
        assert truth.depth is not None, "a sheet of depth has it"
        assert truth.depth_valid is not None, "comes with depth"
        true = DepthMap(values=truth.depth, kind=DepthKind.METRIC, valid=truth.depth_valid)
        limits = colour_range(true)
        row = {"photograph": scene.photo, "truth": _coloured(true, limits)}
        for title, answer in scene.answers.items():
            assert answer.depth is not None, "a sheet of depth has predictions of it"
            depth = DepthMap(values=answer.depth.values, kind=DepthKind.METRIC)
            row[title] = _coloured(depth, limits)
        rows.append(row)
        notes.append(f"{1 / limits.high:.3g} to {1 / limits.low:.3g} m" if limits.low > 0 else "")
    return _sheet(rows, notes)


def normals_sheet(scenes: Sequence[Scene]) -> Image.Image:
    """One row per scene: photograph, true normals, predicted normals."""
    rows = []
    for scene in scenes:
        truth = scene.truth
        assert truth.normals is not None, "a sheet of normals has them"
        assert truth.normals_valid is not None, "comes with normals"
        row = {"photograph": scene.photo, "truth": _normals(truth.normals, truth.normals_valid)}
        for title, answer in scene.answers.items():
            assert answer.normals is not None, "a sheet of normals has predictions of them"
            row[title] = normals_picture(answer.normals)
        rows.append(row)
    return _sheet(rows)


def certainty_sheet(scenes: Sequence[Scene]) -> Image.Image:
    """One row per scene: photograph, then kappa, bright where normals are confident.

    Each row has its own range of grey, from the 2nd to the 98th percentile of log kappa.
    """
    rows = []
    for scene in scenes:
        kappas = {
            title: kappa_of(answer.confidence)
            for title, answer in scene.answers.items()
            if answer.confidence is not None
        }
        together = np.log(np.concatenate([each.ravel() for each in kappas.values()]))
        low, high = np.percentile(together, [2, 98])
        row = {"photograph": scene.photo}
        for title, kappa in kappas.items():
            level = (np.log(kappa) - low) / max(high - low, 1e-6)
            grey = (255 * np.clip(level, 0, 1)).astype(np.uint8)
            row[title] = np.repeat(grey[..., None], 3, axis=2)
        rows.append(row)
    return _sheet(rows)


def kappa_of(confidence: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Convert a probe's confidence kappa / (1 + kappa) back to kappa."""
    inside = np.clip(confidence, 1e-6, 1 - 1e-6)
    return (inside / (1 - inside)).astype(np.float32)


def write_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a PNG.

    Raises:
        OutputError: If the file cannot be written.
    """
    with replacing(path) as part:
        sheet.save(part, format="PNG")


def _coloured(depth: DepthMap, limits: ColourRange) -> UInt8[np.ndarray, "h w 3"]:
    return colourise(depth, limits=limits)


def _normals(
    normals: Float32[np.ndarray, "3 h w"], valid: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    return np.where(valid[..., None], normals_picture(normals), _UNKNOWN)


def _sheet(
    rows: Sequence[Mapping[str, UInt8[np.ndarray, "_ _ 3"]]], notes: Sequence[str] = ()
) -> Image.Image:
    """Rows of pictures under their titles; each note is printed on its row's second picture."""
    heights = [
        round(_WIDTH * each.shape[0] / each.shape[1])
        for each in (next(iter(row.values())) for row in rows)
    ]
    width = _WIDTH * max(len(row) for row in rows)
    sheet = Image.new("RGB", (width, _CAPTION + sum(heights)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(rows[0]):
        pen.text((column * _WIDTH + 4, 3), _shortened(title), fill="black")
    top = _CAPTION
    for place, (row, height) in enumerate(zip(rows, heights, strict=True)):
        for column, picture in enumerate(row.values()):
            image = Image.fromarray(picture).resize((_WIDTH, height), Image.Resampling.BILINEAR)
            sheet.paste(image, (column * _WIDTH, top))
        if place < len(notes):
            spot = (_WIDTH + 4, top + 3)
            pen.text(spot, notes[place], fill="white", stroke_width=2, stroke_fill="black")
        top += height
    return sheet


def _shortened(title: str, most: int = 38) -> str:
    return title if len(title) <= most else title[: most - 1] + "…"
