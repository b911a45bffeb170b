"""Formats of files, which are recognised by their first bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors.messages import OptionName, Text

PHOTO_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
        *(".heic", ".heif", ".avif", ".ppm", ".pgm"),
    )
)
"""Suffixes of photographs that are found in a folder; a file that the user names may have any."""
RAW_SUFFIXES = frozenset(
    (
        *(".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos"),
        *(".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf"),
        *(".srw", ".x3f"),
    )
)
"""Suffixes of raw photographs, many of which are TIFF files whose first image is a thumbnail."""
VIDEO_SUFFIXES = frozenset(
    (
        *(".3g2", ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
        *(".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
    )
)
HEAD_BYTES = 512  # that ``identify_format`` needs


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFormat:
    """File format of photographs that rilievo reads.

    Attributes:
        module: Module of the decoder, which is imported when the first such file is opened.
        decoder: Name of a subclass of ``PIL.ImageFile.ImageFile``.
        extra: Extra of rilievo that installs the decoder; None if it is always installed.
        is_read_whole: Whether the decoder reads the whole file into memory.
    """

    name: str
    module: str
    decoder: str
    extra: str | None = None
    is_read_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignFormat:
    """File format that is recognised, but that rilievo does not read as a photograph.

    Attributes:
        name: Format with its article, such as "a video".
        advice: What the user can do with such a file.
    """

    name: str
    advice: str | Text = "export it as JPEG or PNG first"


JPEG = PhotoFormat(name="JPEG", module="PIL.JpegImagePlugin", decoder="JpegImageFile")
PNG = PhotoFormat(name="PNG", module="PIL.PngImagePlugin", decoder="PngImageFile")
WEBP = PhotoFormat(name="WebP", module="PIL.WebPImagePlugin", decoder="WebPImageFile")
TIFF = PhotoFormat(
    name="TIFF", module="PIL.TiffImagePlugin", decoder="TiffImageFile", is_read_whole=False
)
BMP = PhotoFormat(name="BMP", module="PIL.BmpImagePlugin", decoder="BmpImageFile")
GIF = PhotoFormat(name="GIF", module="PIL.GifImagePlugin", decoder="GifImageFile")
PNM = PhotoFormat(name="PNM", module="PIL.PpmImagePlugin", decoder="PpmImageFile")
AVIF = PhotoFormat(name="AVIF", module="PIL.AvifImagePlugin", decoder="AvifImageFile")
HEIC = PhotoFormat(name="HEIC", module="pillow_heif", decoder="HeifImageFile", extra="formats")
PHOTO_FORMATS = (JPEG, PNG, WEBP, TIFF, BMP, GIF, PNM, AVIF, HEIC)
RAW = ForeignFormat(name="a raw photograph", advice="convert it to JPEG, PNG or TIFF first")
_VIDEO = ForeignFormat(
    name="a video", advice="extract a frame from it, or pass the video to rilievo predict"
)
_TEXT = ForeignFormat(name="a text file", advice="choose a photograph, such as a JPEG or PNG file")
_NPZ = ForeignFormat(
    name="an npz file",
    advice=Text(
        "rilievo.read_prediction reads npz files that were saved with ", OptionName("save", "npz")
    ),
)

_FIRST_ZIP_NAME = 30  # [bytes], where the name of a zip archive's first file begins

# No other decoders are tried: Pillow has some that run programs (EPS) or are little tested.
_SIGNATURES: Mapping[bytes, PhotoFormat] = {
    b"\xff\xd8\xff": JPEG,
    b"\x89PNG\r\n\x1a\n": PNG,
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,
    b"MM\0+": TIFF,
    b"BM": BMP,
    b"GIF87a": GIF,
    b"GIF89a": GIF,
    b"P4": PNM,
    b"P5": PNM,
    b"P6": PNM,
}

# Checked first, because the raw files of several makers begin like TIFF files.
_FOREIGN: Mapping[bytes, ForeignFormat] = {
    b"II*\0\x10\0\0\0CR": RAW,
    b"IIRO": RAW,
    b"IIRS": RAW,
    b"IIU\0": RAW,
    b"MMOR": RAW,
    b"FUJIFILMCCD-RAW": RAW,
    b"FOVb": RAW,
    b"\0MRM": RAW,
    b"%PDF": ForeignFormat(name="a PDF document", advice="export its page as JPEG or PNG first"),
    b"%!PS": ForeignFormat(name="a PostScript document"),
    b"8BPS": ForeignFormat(name="a Photoshop document"),
    b"gimp xcf": ForeignFormat(name="a GIMP document"),
    b"\xff\x0a": ForeignFormat(name="a JPEG XL image"),
    b"\0\0\0\x0cJXL \r\n\x87\n": ForeignFormat(name="a JPEG XL image"),
    b"\0\0\0\x0cjP  \r\n\x87\n": ForeignFormat(name="a JPEG 2000 image"),
    b"\xff\x4f\xff\x51": ForeignFormat(name="a JPEG 2000 image"),
    b"II\xbc\x01": ForeignFormat(name="a JPEG XR image"),
    b"\x76\x2f\x31\x01": ForeignFormat(name="an OpenEXR image"),
    b"#?R": ForeignFormat(name="a Radiance HDR image"),
    b"\0\0\x01\0": ForeignFormat(name="an icon"),
    b"\x1a\x45\xdf\xa3": _VIDEO,
    b"\0\0\x01\xba": _VIDEO,
    b"\0\0\x01\xb3": _VIDEO,
    b"FLV\x01": _VIDEO,
    b"\x30\x26\xb2\x75": _VIDEO,
    b"OggS": _VIDEO,
    b"PK\x03\x04": ForeignFormat(name="a zip archive", advice="unpack it first"),
    b"\x1f\x8b": ForeignFormat(name="a gzip archive", advice="unpack it first"),
    b"\x93NUMPY": ForeignFormat(
        name="a numpy array",
        advice="pass a photograph's array to rilievo.predict, and depth to 'rilievo surface PHOTO "
        "--depth FILE' or Prediction.from_depth",
    ),
    b"version https://git-lfs": ForeignFormat(name="a Git LFS pointer", advice="run git lfs pull"),
}
_BRANDS: Mapping[bytes, PhotoFormat | ForeignFormat] = {
    b"avif": AVIF,
    b"avis": AVIF,
    b"heic": HEIC,
    b"heix": HEIC,
    b"heim": HEIC,
    b"heis": HEIC,
    b"hevc": HEIC,
    b"hevx": HEIC,
    b"crx ": RAW,
}
_RIFF: Mapping[bytes, PhotoFormat | ForeignFormat] = {b"WEBP": WEBP, b"AVI ": _VIDEO}
_MARKUP: Mapping[bytes, ForeignFormat] = {
    b"<svg": ForeignFormat(name="an SVG drawing"),
    b"<!doctype html": ForeignFormat(name="a web page", advice="download the photograph itself"),
    b"<html": ForeignFormat(name="a web page", advice="download the photograph itself"),
}


def identify_format(head: bytes) -> PhotoFormat | ForeignFormat | None:
    """Tell the format of a file from its first ``HEAD_BYTES``; None if it is unknown."""
    if head.startswith(b"PK\x03\x04") and b".npy" in head[_FIRST_ZIP_NAME:]:
        return _NPZ
    for signatures in (_FOREIGN, _SIGNATURES):
        for signature, file_format in signatures.items():
            if head.startswith(signature):
                return file_format
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _identify_brand(head)
    return _identify_text(head)


def _identify_brand(head: bytes) -> PhotoFormat | ForeignFormat:
    """Tell the format of an ISO base media file (HEIC, AVIF, MP4) from its brands."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12]]
    brands += [head[position : position + 4] for position in range(16, end, 4)]
    for brand in brands:
        if brand in _BRANDS:
            return _BRANDS[brand]
    is_image = b"mif1" in brands or b"msf1" in brands
    return HEIC if is_image else _VIDEO


def _identify_text(head: bytes) -> ForeignFormat | None:
    """Tell web pages and drawings from other text; None if the file is not ASCII text."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for tag, markup in _MARKUP.items():
        follows_xml_header = text.startswith(b"<?xml") and tag in text
        if text.startswith(tag) or follows_xml_header:
            return markup
    is_ascii = all(31 < byte < 127 or byte in b"\t\r\n" for byte in head)
    return _TEXT if head and is_ascii else None


def is_video(path: Path) -> bool:
    """Whether a file is a video, by its first bytes or, if they are unknown, by its suffix."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            file_format = identify_format(file.read(HEAD_BYTES))
    except OSError:
        file_format = None
    if file_format is _VIDEO:
        return True
    return not isinstance(file_format, PhotoFormat) and path.suffix.lower() in VIDEO_SUFFIXES
