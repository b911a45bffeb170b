"""Texts in depth files of each form, and in files of a whole folder, by name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.errors import InputError, RilievoError
from rilievo.io.depth.units import metres_of_unit_text
from rilievo.io.exr_channels import ExrChannels
from rilievo.io.files.limits import read_text
from rilievo.io.photographs.own_depth import GDEPTH
from rilievo.io.photographs.xmp import parse_xmp, xmp_properties

_DESCRIPTION, _XMP, _GDAL_ITEMS, _GDAL_NO_DATA, _LEAST_SAMPLE, _LARGEST_SAMPLE = (
    270,
    700,
    42112,
    42113,
    340,
    341,
)
_PHOTOMETRIC, _MIN_IS_WHITE = 262, 0
_IMAGEJ, _IMAGEJ_STRAIGHT_LINE = "ImageJ=", "0"
_USUAL_UNITS = (1.0, 0.01, 0.001)
"""Units [m] of depth that floating-point numbers often have."""
_GDAL_ITEM = re.compile(r"<Item\b([^>]*)>([^<]*)</Item>")
_GDAL_ROLES = ("scale", "offset", "unittype", "units", "unit")
_MOST_COMMENTS = 4096  # [bytes], of a header
_WORDS_AND_NUMBER = re.compile(r"([A-Za-z][A-Za-z _.-]*?)\s+([-+.\d][^\s]*(?:\s*[a-zA-Z]+)?)")
_FOLDER_FILES = (
    "meta.json",
    "metadata.json",
    "depth.json",
    "depth_info.json",
    "info.json",
    "depth_scale.json",
    "depth_scale.txt",
    "scale.txt",
)
_XMP_NAME = "XML:com.adobe.xmp"


def png_texts(image: PngImageFile) -> Mapping[str, str]:
    """Texts of a PNG file, without its XMP."""
    return {
        str(name): text
        for name, text in image.info.items()
        if isinstance(text, str) and name != _XMP_NAME
    }


def gdepth_of_image(image: Image.Image) -> Mapping[str, str]:
    """Properties of GDepth in the XMP of a PNG or TIFF file; none if it has no such XMP."""
    packet = image.info.get(_XMP_NAME) or image.info.get("xmp")
    if packet is None and isinstance(image, TiffImageFile):
        packet = image.tag_v2.get(_XMP)
    if isinstance(packet, str):
        packet = packet.encode()
    if not isinstance(packet, bytes) or GDEPTH.encode() not in packet:
        return {}
    try:
        return xmp_properties([parse_xmp(packet, "GDepth")], GDEPTH)
    except InputError:
        return {}


def tiff_texts(image: TiffImageFile) -> Mapping[str, Any]:
    """Texts of a TIFF file: GDAL's, the range of its samples, and its description.

    ImageJ's description has the range in which it shows the numbers, the unit of its pixels, and,
    if the user calibrates them, that of the numbers (``vunit``) with an offset and a factor.
    """
    tags = image.tag_v2
    texts: dict[str, Any] = {}
    for attributes, text in _GDAL_ITEM.findall(str(tags.get(_GDAL_ITEMS, ""))):
        names = re.findall(r'(?:role|name)="([^"]*)"', attributes)
        name = next((name.lower() for name in names if name.lower() in _GDAL_ROLES), None)
        if name is not None:
            texts["unit" if name.startswith("unit") else name] = text.strip()
    if _GDAL_NO_DATA in tags:
        texts["nodata"] = str(tags[_GDAL_NO_DATA]).strip("\0 ")
    for tag, name in ((_LEAST_SAMPLE, "min"), (_LARGEST_SAMPLE, "max")):
        if tag in tags:
            value = tags[tag]
            texts[name] = value[0] if isinstance(value, tuple) else value
    description = str(tags.get(_DESCRIPTION, ""))
    if description.startswith(_IMAGEJ):
        entries = _imagej_entries(description)
        if entries.get("cf") == _IMAGEJ_STRAIGHT_LINE:
            texts |= {"offset": entries.get("c0", "0"), "scale": entries.get("c1", "1")}
        if "vunit" in entries:
            texts["unit"] = entries["vunit"]
    elif description.strip():
        texts[""] = description
    return texts


def doubts_about_tiff(image: TiffImageFile) -> Iterator[str]:
    """Yield sentences on what a TIFF file says beside its numbers, and may mean of them."""
    tags = image.tag_v2
    unit = _imagej_entries(str(tags.get(_DESCRIPTION, ""))).get("unit", "")
    metres = metres_of_unit_text(unit)
    if metres in _USUAL_UNITS:
        yield (
            f"its description names the unit '{unit}', which is that of the pixels in ImageJ: if "
            f"it is that of the numbers, say 'scale: {metres:g}'"
        )
    if tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE:
        yield (
            "its TIFF shows 0 as white (MinIsWhite), and its numbers are read as they stand: if "
            "they fall with depth, write the largest number minus them"
        )


def _imagej_entries(description: str) -> Mapping[str, str]:
    """Names and values of ImageJ's description, a line each; none of another program's."""
    if not description.startswith(_IMAGEJ):
        return {}
    pairs = (line.partition("=") for line in description.splitlines())
    return {name.strip(): value.strip("\0 ") for name, _, value in pairs}


def exr_texts(channels: ExrChannels) -> Mapping[str, Any]:
    """Attributes of an OpenEXR file that are texts or numbers."""
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in channels.attributes.items()
        if isinstance(value, bytes | str | int | float) and not isinstance(value, bool)
    }


def pgm_texts(path: Path) -> Mapping[str, str]:
    """Comments in the header of a PGM file: "name value", "name: value" or "name=value"."""
    with path.open("rb") as file:
        start = file.read(_MOST_COMMENTS)
    comments = []
    for line in start.split(b"\n")[1:]:
        if not line.startswith(b"#"):
            break
        comments.append(line.lstrip(b"# ").decode(errors="replace").strip())
    return _texts_of_lines(comments)


def lines_beside(path: Path) -> tuple[str, Mapping[str, str]] | None:
    """Name and lines of a short text file of a depth file's name, with words and numbers."""
    described = path.with_suffix(".txt")
    try:
        is_short = described.is_file() and described.stat().st_size <= _MOST_COMMENTS
        lines = read_text(described).splitlines() if is_short else []
    except (OSError, RilievoError):
        return None
    return (described.name, _texts_of_lines([line.strip() for line in lines])) if lines else None


def folder_texts(path: Path) -> tuple[str, Mapping[str, Any]] | None:
    """Read the file that describes all depth files of a folder, such as ``meta.json``.

    Returns:
        The name of that file and the texts in it; None if the folder has none that can be read.
    """
    for name in _FOLDER_FILES:
        description = path.with_name(name)
        if description == path or not description.is_file():
            continue
        try:
            text = read_text(description)
        except RilievoError:
            continue
        if name.endswith(".json"):
            return name, {"json": text}
        lines = [line.strip() for line in text.splitlines()[:100]]
        # depth_scale.txt may hold the scale alone.
        is_single_number = len(lines) == 1 and re.fullmatch(r"[-+.\deE]+", lines[0])
        if is_single_number:
            lines = [f"depth_scale: {lines[0]}"]
        return name, _texts_of_lines(lines)
    return None


def _texts_of_lines(lines: Sequence[str]) -> Mapping[str, str]:
    texts = {}
    for at, line in enumerate(lines):
        match = _WORDS_AND_NUMBER.fullmatch(line)
        if match is None:
            texts[f"line{at}"] = line
        else:
            texts[match[1]] = match[2]
    return texts
