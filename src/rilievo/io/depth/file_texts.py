"""Read the texts in depth files of each format, and in files beside them, as {name: text}."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.errors import InputError, RilievoError
from rilievo.io.depth.units import parse_unit_text
from rilievo.io.exr_channels import ExrChannels
from rilievo.io.files.limits import read_text
from rilievo.io.photographs.own_depth import GDEPTH
from rilievo.io.photographs.xmp import parse_xmp, xmp_properties

# Tags of TIFF.
_PHOTOMETRIC, _DESCRIPTION, _MIN_SAMPLE, _MAX_SAMPLE, _XMP = 262, 270, 340, 341, 700
_GDAL_ITEMS, _GDAL_NO_DATA = 42112, 42113
_MIN_IS_WHITE = 0
"""Photometric interpretation of pictures whose number 0 is white."""

_GDAL_ITEM = re.compile(r"<Item\b([^>]*)>([^<]*)</Item>")
_GDAL_ROLES = ("scale", "offset", "unittype", "units", "unit")
_IMAGEJ = "ImageJ="
_IMAGEJ_STRAIGHT_LINE = "0"
"""ImageJ's code for a calibration that is an offset and a factor."""
_DEPTH_UNITS = (1.0, 0.01, 0.001)  # [m], common for depth in floats

_PNG_XMP = "XML:com.adobe.xmp"
_WORDS_AND_NUMBER = re.compile(r"([A-Za-z][A-Za-z _.-]*?)\s+([-+.\d][^\s]*(?:\s*[a-zA-Z]+)?)")
_MAX_TEXT_BYTES = 4096  # of the comments of a header, or of a text file beside a depth file
_MAX_FOLDER_LINES = 100
_MAX_LINE_LENGTH = 200  # [characters] of a line that may be words and a number
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


def png_texts(image: PngImageFile) -> Mapping[str, str]:
    """Read the texts of a PNG file, without its XMP."""
    return {
        str(name): text
        for name, text in image.info.items()
        if isinstance(text, str) and name != _PNG_XMP
    }


def gdepth_properties(image: Image.Image) -> Mapping[str, str]:
    """Read the properties of Google's GDepth from the XMP of a PNG or TIFF file, if it has any."""
    packet = image.info.get(_PNG_XMP) or image.info.get("xmp")
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
    """Read the texts of a TIFF file: GDAL's, the range of its samples, and its description.

    ImageJ's description has the unit of length of the pixels. If the user has calibrated the
    values, it also has their unit (``vunit``), an offset (``c0``) and a factor (``c1``).
    """
    tags = image.tag_v2
    texts: dict[str, Any] = _gdal_texts(str(tags.get(_GDAL_ITEMS, "")))
    if _GDAL_NO_DATA in tags:
        texts["nodata"] = str(tags[_GDAL_NO_DATA]).strip("\0 ")
    for tag, name in ((_MIN_SAMPLE, "min"), (_MAX_SAMPLE, "max")):
        if tag in tags:
            value = tags[tag]
            texts[name] = value[0] if isinstance(value, tuple) else value

    description = str(tags.get(_DESCRIPTION, ""))
    if description.startswith(_IMAGEJ):
        texts |= _imagej_calibration(_parse_imagej_description(description))
    elif description.strip():
        texts[""] = description
    return texts


def _imagej_calibration(entries: Mapping[str, str]) -> dict[str, str]:
    """Take the unit, the offset and the factor of the values from the entries of ImageJ."""
    calibration: dict[str, str] = {}
    if entries.get("cf") == _IMAGEJ_STRAIGHT_LINE:
        calibration |= {"offset": entries.get("c0", "0"), "scale": entries.get("c1", "1")}
    if "vunit" in entries:
        calibration["unit"] = entries["vunit"]
    return calibration


def _gdal_texts(metadata: str) -> dict[str, Any]:
    """Parse scale, offset and unit from GDAL's XML in a TIFF file."""
    texts: dict[str, Any] = {}
    for attributes, text in _GDAL_ITEM.findall(metadata):
        names = [name.lower() for name in re.findall(r'(?:role|name)="([^"]*)"', attributes)]
        role = next((name for name in names if name in _GDAL_ROLES), None)
        if role is not None:
            texts["unit" if role.startswith("unit") else role] = text.strip()
    return texts


def tiff_warnings(image: TiffImageFile) -> Iterator[str]:
    """Warn about TIFF tags that may concern the depth values: ImageJ's unit, and inverted grey."""
    tags = image.tag_v2
    description = str(tags.get(_DESCRIPTION, ""))
    pixel_unit = _parse_imagej_description(description).get("unit", "")
    metres = parse_unit_text(pixel_unit)
    if metres in _DEPTH_UNITS:
        yield (
            f"its description has the unit '{pixel_unit}', which ImageJ uses for the pixel size: "
            f"if it is the unit of the values, set 'scale: {metres:g}'"
        )
    if tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE:
        yield (
            "its TIFF tags show 0 as white (MinIsWhite), but its values are read unchanged: if "
            "they decrease with depth, subtract them from the largest value and save the result"
        )


def _parse_imagej_description(description: str) -> Mapping[str, str]:
    """Parse ImageJ's "name=value" lines; empty if another program wrote the description."""
    if not description.startswith(_IMAGEJ):
        return {}
    pairs = (line.partition("=") for line in description.splitlines())
    return {name.strip(): value.strip("\0 ") for name, _, value in pairs}


def exr_texts(channels: ExrChannels) -> Mapping[str, Any]:
    """Read the attributes of an OpenEXR file that are texts or numbers."""
    texts: dict[str, Any] = {}
    for name, value in channels.attributes.items():
        if isinstance(value, bytes):
            texts[name] = value.decode(errors="replace")
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            texts[name] = value
    return texts


def pgm_texts(path: Path) -> Mapping[str, str]:
    """Read the comments in a PGM header: "name value", "name: value" or "name=value"."""
    with path.open("rb") as file:
        header = file.read(_MAX_TEXT_BYTES)
    comments = []
    for line in header.split(b"\n")[1:]:
        if not line.startswith(b"#"):
            break
        comments.append(line.lstrip(b"# ").decode(errors="replace").strip())
    return _parse_lines(comments)


def text_file_beside(path: Path) -> tuple[str, Mapping[str, str]] | None:
    """Read a short text file with the depth file's name; return its name and texts, or None."""
    text_path = path.with_suffix(".txt")
    try:
        is_short = text_path.is_file() and text_path.stat().st_size <= _MAX_TEXT_BYTES
        lines = read_text(text_path).splitlines() if is_short else []
    except (OSError, RilievoError):
        return None
    if not lines:
        return None
    return text_path.name, _parse_lines([line.strip() for line in lines])


def folder_texts(path: Path) -> tuple[str, Mapping[str, Any]] | None:
    """Read the file that describes all depth files of a folder, such as ``meta.json``.

    Returns:
        The name of that file and its texts; None if the folder has no such file.
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
        lines = [line.strip() for line in text.splitlines()[:_MAX_FOLDER_LINES]]
        # depth_scale.txt may contain nothing but the scale.
        if len(lines) == 1 and re.fullmatch(r"[-+.\deE]+", lines[0]):
            lines = [f"depth_scale: {lines[0]}"]
        return name, _parse_lines(lines)
    return None


def _parse_lines(lines: Sequence[str]) -> Mapping[str, str]:
    """Parse "words number" lines to {words: number}; other lines are kept whole as {line0: ...}."""
    texts = {}
    for index, line in enumerate(lines):
        is_short = len(line) <= _MAX_LINE_LENGTH
        match = _WORDS_AND_NUMBER.fullmatch(line) if is_short else None
        if match is None:
            texts[f"line{index}"] = line
        else:
            texts[match[1]] = match[2]
    return texts
