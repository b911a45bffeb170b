"""Read which pixels a depth file marks as invalid, by a mask beside the depth or by alpha.

A mask is an array of npz or a channel of OpenEXR that is called mask, valid or validity and holds 0
and one other value. Pixels where the mask or the alpha is 0 have no depth. A confidence is not
applied, because nothing says from which confidence on depth is valid. If there is no mask, a note
tells the user about the confidence.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.arrays.shapes import Mask, StoredMap
from rilievo.io.exr_channels import ExrChannels
from rilievo.io.files.archives import npz_member
from rilievo.io.files.names import printable
from rilievo.io.numbers import (
    EXR_SIGNATURE,
    TIFF_SIGNATURES,
    decoder_errors_as_input_errors,
    open_npz,
)
from rilievo.io.photographs.decode import load_pixels

_SUBFILE_TYPE = 254
"""Tag of a TIFF page that says what the page is."""
_REDUCED_BIT, _MASK_BIT = 1, 4
"""Bits of that tag for a page of reduced size, and for a mask."""
_MAX_PAGES = 16  # of a TIFF file, that are looked at

_MASK_WORDS = {"mask", "valid", "validity", "invalid"}
_FILLERS = {"depth", "map", "is", "pixel", "pixels"}
"""Words in a mask's name that add nothing to its meaning."""
_CONFIDENCE_WORDS = {
    *("conf", "confidence", "confidences", "certainty", "uncertainty"),
    *("alpha", "opacity", "accumulation"),
}
"""Words in the names of arrays that state how certain depth is."""
_ALPHA_NAMES = ("A", "a", "alpha")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedPixels:
    """Validity of the pixels as a depth file marks it.

    Attributes:
        valid: Pixels that have depth; None if the file marks no pixels.
        notes: Sentences on which masks were applied and which were not.
    """

    valid: Mask | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _ValidityPlanes:
    """Planes of a depth file that may state where its depth is valid.

    Attributes:
        plane_word: What the file's format calls a plane, for messages.
        masks: Planes with the name of a mask, by name.
        confidence_names: Names of planes that state how certain depth is.
        unread_page_count: Further TIFF pages of full size that are not read.
    """

    plane_word: str = "array"
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)
    confidence_names: tuple[str, ...] = ()
    alpha: np.ndarray | None = None
    unread_page_count: int = 0


def read_marked_pixels(
    path: Path,
    depth_name: str | None,
    size: tuple[int, ...],
    pixels: np.ndarray,
    channel_weights: Sequence[float] | None,
    *,
    notes_confidence: bool = True,
) -> MarkedPixels:
    """Read which pixels of a depth file are valid, by its masks and its alpha.

    Args:
        path: Depth file.
        depth_name: Array or channel that holds the depth; None if there is only one.
        size: (height, width) of the depth.
        pixels: Numbers of the file, with all channels.
        channel_weights: Weights that combine the channels to depth, if the user gives them.
        notes_confidence: Whether to note a confidence that is not applied.

    Raises:
        InputError: If a mask is damaged.
    """
    planes = _read_planes(path, depth_name, pixels, channel_weights)
    marked_by_planes = [
        _apply_mask(f"its {planes.plane_word} '{mask_name}'", mask_name, mask, size)
        for mask_name, mask in planes.masks.items()
    ]
    if planes.alpha is not None:
        marked_by_planes.append(_apply_alpha(planes.alpha))
    valid_masks = [marked.valid for marked in marked_by_planes if marked.valid is not None]
    notes = [note for marked in marked_by_planes for note in marked.notes]
    if notes_confidence and not planes.masks:
        notes += _confidence_notes(planes)
    if planes.unread_page_count == 1:
        notes.append("the file has 1 more page, which is not read")
    elif planes.unread_page_count:
        notes.append(f"the file has {planes.unread_page_count} more pages, which are not read")
    # A pixel is valid if all planes say so.
    valid = np.logical_and.reduce(valid_masks) if valid_masks else None
    return MarkedPixels(valid=valid, notes=tuple(notes))


def may_hold_depth(name: str) -> bool:
    """Whether an array or channel may hold depth: its name is not that of a mask or the like."""
    return not (_is_mask_name(name) or _is_confidence_name(name) or _is_alpha_name(name))


def _apply_mask(label: str, name: str, mask: np.ndarray, size: tuple[int, ...]) -> MarkedPixels:
    """Find the valid pixels by a mask, with a note on how many it removes.

    ``label`` names the mask in notes. A mask whose name says "invalid" is inverted.
    """
    if not _is_binary(mask, size):
        note = (
            f"{label} is ignored: a mask must have the size of the depth and only two values, of "
            "which one is 0"
        )
        return MarkedPixels(notes=(note,))
    marks_invalid = "invalid" in _split_name(name)
    valid = mask == 0 if marks_invalid else mask != 0
    if valid.all():
        return MarkedPixels()
    invalid_value = "not 0" if marks_invalid else "0"
    note = (
        f"{label} is {invalid_value} at {_percentage(~valid)} of the pixels, which therefore have "
        "no depth"
    )
    return MarkedPixels(valid=valid, notes=(note,))


def _apply_alpha(alpha: StoredMap) -> MarkedPixels:
    """Find the pixels whose alpha is not 0, with a note on how many others there are."""
    valid = alpha > 0
    if valid.all():
        return MarkedPixels()
    if not valid.any():
        return MarkedPixels(notes=("its alpha is 0 everywhere, so it is ignored",))
    note = f"its alpha is 0 at {_percentage(~valid)} of the pixels, which therefore have no depth"
    return MarkedPixels(valid=valid, notes=(note,))


def _confidence_notes(planes: _ValidityPlanes) -> Iterator[str]:
    """Yield a note for each plane of confidence, because no threshold is known for it."""
    for name in planes.confidence_names:
        yield (
            f"its {planes.plane_word} '{name}' is ignored: to leave out pixels, store NaN as "
            "their depth, or add a boolean array 'valid' to the file"
        )


def _percentage(mask: Mask) -> str:
    """Format the fraction of true pixels, so that a few pixels do not read as 0%."""
    fraction = float(mask.mean())
    return "less than 0.1%" if 0 < fraction < 0.001 else f"{fraction:.1%}"


def _is_binary(mask: np.ndarray, size: tuple[int, ...]) -> bool:
    """Whether a plane has one value per pixel, which is either 0 or one other value."""
    if mask.shape != size or mask.dtype.kind not in "buif":
        return False
    return bool(((mask == 0) | (mask == mask.max())).all())


# Planes of each format.


def _read_planes(
    path: Path, name: str | None, pixels: np.ndarray, weights: Sequence[float] | None
) -> _ValidityPlanes:
    """Read the planes that may state where depth is valid, by the format of the file."""
    with path.open("rb") as file:
        signature = file.read(4)
    if signature[:2] == b"PK":
        return _read_npz_planes(path, name)
    if signature == EXR_SIGNATURE and name is not None:
        return _read_exr_planes(path, name)
    if signature.startswith(b"\x93NUM"):
        return _ValidityPlanes()
    is_tiff = signature in TIFF_SIGNATURES
    planes = _read_tiff_planes(path) if is_tiff else _ValidityPlanes()
    return replace(planes, alpha=_alpha_channel(pixels, weights))


def _read_npz_planes(path: Path, depth_name: str | None) -> _ValidityPlanes:
    """Read the masks of an npz file, and the names of its arrays of confidence."""
    with open_npz(path) as archive, decoder_errors_as_input_errors(printable(path), "npz file"):
        names = [name for name in archive.files if name != depth_name]
        masks = {name: npz_member(archive, name) for name in filter(_is_mask_name, names)}
    return _ValidityPlanes(
        masks={name: mask.squeeze() for name, mask in masks.items() if mask.size > 1},
        confidence_names=tuple(filter(_is_confidence_name, names)),
    )


def _read_exr_planes(path: Path, depth_name: str) -> _ValidityPlanes:
    """Read the masks of an OpenEXR file, and the alpha in the same layer as the depth channel."""
    with decoder_errors_as_input_errors(printable(path), "EXR file"):
        channels = ExrChannels(path)
        names = [name for name in channels.names if name != depth_name]
        masks = {name: channels.read_channel(name) for name in filter(_is_mask_name, names)}
        layer, dot, _ = depth_name.rpartition(".")
        alpha_candidates = [f"{layer}{dot}{alpha}" for alpha in _ALPHA_NAMES]
        alpha_name = next((name for name in alpha_candidates if name in names), None)
        confidence_names = [name for name in names if _is_confidence_name(name)]
        return _ValidityPlanes(
            plane_word="channel",
            masks=masks,
            confidence_names=tuple(name for name in confidence_names if not _is_alpha_name(name)),
            alpha=None if alpha_name is None else channels.read_channel(alpha_name),
        )


def _read_tiff_planes(path: Path) -> _ValidityPlanes:
    """Read the masks among the pages of a TIFF file, and count its other pages of full size.

    The first page is the depth itself. Reduced pages are thumbnails and pyramid levels.
    """
    masks: dict[str, np.ndarray] = {}
    with (
        path.open("rb") as file,
        decoder_errors_as_input_errors(printable(path), "TIFF file"),
        TiffImageFile(file) as image,
    ):
        depth_size = image.size
        unread_page_count = max(0, image.n_frames - _MAX_PAGES)
        for page_index in range(1, min(image.n_frames, _MAX_PAGES)):
            image.seek(page_index)
            subfile_type = image.tag_v2.get(_SUBFILE_TYPE, 0)
            subfile_bits = subfile_type if isinstance(subfile_type, int) else 0
            if subfile_bits & _REDUCED_BIT:
                continue
            if subfile_bits & _MASK_BIT and image.size == depth_size:
                load_pixels(image)
                page_number = page_index + 1
                masks[f"{page_number}"] = np.array(image)
            else:
                unread_page_count += 1
    return _ValidityPlanes(plane_word="page", masks=masks, unread_page_count=unread_page_count)


def _alpha_channel(pixels: np.ndarray, weights: Sequence[float] | None) -> np.ndarray | None:
    """Return the last of 2 or 4 channels as alpha; None if it is part of the depth instead."""
    if weights is None or pixels.ndim != 3 or pixels.shape[-1] not in (2, 4):
        return None
    last_channel = pixels.shape[-1] - 1
    holds_depth = len(weights) > last_channel and weights[last_channel] != 0
    return None if holds_depth else pixels[..., last_channel]


# Names of planes.


def _split_name(name: str) -> set[str]:
    """Split a name into lower-case words, without single letters such as those of channels."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return {word for word in re.findall(r"[a-z]+", spaced.lower()) if len(word) > 1}


def _is_mask_name(name: str) -> bool:
    words = _split_name(name) - _FILLERS
    return bool(words) and words <= _MASK_WORDS


def _is_confidence_name(name: str) -> bool:
    return bool(_split_name(name) & _CONFIDENCE_WORDS)


def _is_alpha_name(name: str) -> bool:
    return name.rpartition(".")[2] in _ALPHA_NAMES
