"""Draws a contact sheet: some images of a dataset with their ground truth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from rilievo.datasets.base import Dataset
from rilievo.errors import OutputError, RilievoError
from rilievo.io.atomic import replacing
from rilievo.io.colour import colourise, normals_picture
from rilievo.types import DepthKind, DepthMap, Sample

_WIDTH = 240
_LINE = 14
_GAP = 6
_PAPER = (24, 24, 24)
_INK = (230, 230, 230)
_COLUMNS = 2


def write_contact_sheet(dataset: Dataset, ids: Sequence[str], path: Path) -> None:
    """Write photograph, true depth (near is bright, grey without) and normals of some images.

    Args:
        dataset: Opened dataset.
        ids: Ids of the images to show; for an image that cannot be read its error is shown.
        path: Picture file to write; the suffix gives its format, such as ``sheet.jpg``.
    """
    tiles = [_tile(dataset, id) for id in ids]
    width = max((tile.width for tile in tiles), default=_WIDTH)
    rows = [tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)]
    heights = [max(tile.height for tile in row) + _GAP for row in rows]
    sheet = Image.new("RGB", (_COLUMNS * (width + 2 * _GAP), sum(heights) + _GAP), _PAPER)
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_GAP + column * (width + 2 * _GAP), top))
        top += height
    with replacing(path) as part:
        try:
            sheet.save(part, format=Image.registered_extensions()[path.suffix.lower()])
        except KeyError as error:
            raise OutputError(f"{path}: a contact sheet is a .jpg or .png") from error


def _tile(dataset: Dataset, id: str) -> Image.Image:
    try:
        pictures = [Image.fromarray(picture) for picture in _pictures(dataset.sample(id))]
    except RilievoError as error:
        return _labelled([Image.new("RGB", (_WIDTH, 3 * _LINE), _PAPER)], str(error))
    return _labelled([_thumbnail(picture) for picture in pictures], id)


def _pictures(sample: Sample) -> list[UInt8[np.ndarray, "h w 3"]]:
    pictures = [sample.image]
    if sample.depth is not None and sample.depth_valid is not None:
        depth = np.where(sample.depth_valid, sample.depth, 0).astype(np.float32)
        shown = DepthMap(values=depth, kind=DepthKind.METRIC, valid=sample.depth_valid)
        pictures.append(colourise(shown))
    if sample.normals is not None and sample.normals_valid is not None:
        picture = normals_picture(np.where(sample.normals_valid, sample.normals, 0))
        picture[~sample.normals_valid] = 0
        pictures.append(picture)
    return pictures


def _thumbnail(picture: Image.Image) -> Image.Image:
    height = max(1, round(picture.height * _WIDTH / picture.width))
    # Nearest neighbour, since averages over sparse depth or holes would invent depths.
    return picture.resize((_WIDTH, height), Image.Resampling.NEAREST)


def _labelled(pictures: Sequence[Image.Image], label: str) -> Image.Image:
    width = sum(picture.width + _GAP for picture in pictures) - _GAP
    tile = Image.new("RGB", (width, pictures[0].height + _LINE), _PAPER)
    letters = max(8, width // 6)
    shown = label if len(label) <= letters else f"{label[: letters - 3]}..."
    shown = shown.encode("ascii", "replace").decode()
    ImageDraw.Draw(tile).text((0, 1), shown, fill=_INK)
    left = 0
    for picture in pictures:
        tile.paste(picture, (left, _LINE))
        left += picture.width + _GAP
    return tile
