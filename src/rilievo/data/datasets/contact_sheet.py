"""Contact sheet of a dataset: photographs with true depth and normals."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import OutputError, RilievoError
from rilievo.io.files.atomic import replacing
from rilievo.io.map_pictures import colourise, normals_picture
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Sample

_COLUMNS = 2
_PANEL_WIDTH = 240  # [px]
_LABEL_HEIGHT = 14  # [px]
_CHARACTER_WIDTH = 6  # [px]
_GAP = 6  # [px]
_BACKGROUND = (24, 24, 24)
_TEXT_COLOUR = (230, 230, 230)


def write_contact_sheet(dataset: Dataset, ids: Sequence[str], path: Path) -> None:
    """Write a sheet of photographs, true depth (near is red) and normals.

    A broken image has a black panel and its error as its label.

    Raises:
        OutputError: If the file is no JPEG or PNG, or cannot be written.
    """
    image_format = Image.registered_extensions().get(path.suffix.lower())
    if image_format is None:
        raise OutputError(f"{path}: a contact sheet must be a .jpg or .png file")
    tiles = [_labelled_tile(dataset, image_id) for image_id in ids]
    column_width = max((tile.width for tile in tiles), default=_PANEL_WIDTH) + _GAP
    row_height = max((tile.height for tile in tiles), default=_LABEL_HEIGHT) + _GAP
    rows = max(1, math.ceil(len(tiles) / _COLUMNS))
    size = (_COLUMNS * column_width, rows * row_height)
    sheet = Image.new("RGB", size, _BACKGROUND)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, _COLUMNS)
        sheet.paste(tile, (column * column_width, row * row_height))
    with replacing(path) as temporary_path:
        sheet.save(temporary_path, format=image_format)


def _labelled_tile(dataset: Dataset, image_id: str) -> Image.Image:
    """Draw the pictures of one image side by side, below its id or its error."""
    try:
        label, pictures = image_id, _pictures_of_sample(dataset.sample(image_id))
    except RilievoError as error:
        label = str(error)
        pictures = [np.zeros((_LABEL_HEIGHT, _PANEL_WIDTH, 3), np.uint8)]
    # Nearest neighbour, since averages over sparse depth or holes would invent depths.
    max_size = (_PANEL_WIDTH, 4 * _PANEL_WIDTH)
    panels = [
        ImageOps.contain(Image.fromarray(picture), max_size, Image.Resampling.NEAREST)
        for picture in pictures
    ]
    width = len(panels) * (_PANEL_WIDTH + _GAP)
    height = _LABEL_HEIGHT + max(panel.height for panel in panels)
    tile = Image.new("RGB", (width, height), _BACKGROUND)
    ascii_label = label[: width // _CHARACTER_WIDTH].encode("ascii", "replace").decode()
    ImageDraw.Draw(tile).text((0, 1), ascii_label, fill=_TEXT_COLOUR)
    for index, panel in enumerate(panels):
        tile.paste(panel, (index * (_PANEL_WIDTH + _GAP), _LABEL_HEIGHT))
    return tile


def _pictures_of_sample(sample: Sample) -> list[Pixels]:
    """The photograph, and pictures of true depth and normals if it has them."""
    pictures = [sample.image]
    if sample.depth is not None and sample.depth_valid is not None:
        depth = np.where(sample.depth_valid, sample.depth, 0).astype(np.float32)
        depth_map = DepthMap(values=depth, kind=DepthKind.METRIC, valid=sample.depth_valid)
        pictures.append(colourise(depth_map, sky=sample.sky))
    if sample.normals is not None and sample.normals_valid is not None:
        normals = normals_picture(np.where(sample.normals_valid, sample.normals, 0))
        normals[~sample.normals_valid] = 0
        pictures.append(normals)
    return pictures
