"""Pixels that a depth file itself marks as without depth, by a mask beside the depth or by alpha.

A mask is an array of npz or a channel of OpenEXR that is called mask, valid or validity and holds 0
and one other number. Pixels where it is 0 hold no depth. Pixels whose alpha is 0 hold none either.
A confidence is not applied, because nothing says which confidence is too low. It is named where no
mask stands beside it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.arrays.shapes import Mask, Shaped
from rilievo.io.exr_channels import ExrChannels
from rilievo.io.files.names import printable
from rilievo.io.numbers import npz_member, one_line_errors, open_npz
from rilievo.io.photographs.decode import load_pixels

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
_EXR_SIGNATURE = b"\x76\x2f\x31\x01"
_SUBFILE_TYPE = 254
"""Tag of a TIFF page that says what the page is."""
_IS_REDUCED, _IS_MASK = 1, 4
"""Bits of that tag."""
_MAX_PAGES = 16  # of a TIFF file, that are looked at

_MASK_WORDS = {"mask", "valid", "validity", "invalid"}
_FILLERS = {"depth", "map", "is", "pixel", "pixels"}
"""Words of a mask's name that add nothing to it."""
_CONFIDENCE_WORDS = {
    *("conf", "confidence", "confidences", "certainty", "uncertainty"),
    *("alpha", "opacity", "accumulation"),
}
"""Words of arrays that say how sure depth is, without a number from which on it is."""
_ALPHA_NAMES = ("A", "a", "alpha")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedPixels:
    """What a file says about the validity of its own depth.

    Attributes:
        valid: Pixels that hold depth; None if the file marks none.
        notes: Sentences on what was applied and what was not.
    """

    valid: Mask | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _ValidityPlanes:
    """Planes of a depth file that may say where its depth is valid.

    Attributes:
        word: What the file's format calls a plane.
        masks: Planes with the name of a mask, by name.
        confidences: Names of planes that say how sure depth is.
        alpha: Alpha of the depth.
        unread_pages: Number of pages of full size that are not read.
    """

    word: str = "array"
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)
    confidences: tuple[str, ...] = ()
    alpha: np.ndarray | None = None
    unread_pages: int = 0


def read_marked_pixels(
    path: Path,
    name: str | None,
    size: tuple[int, ...],
    numbers: np.ndarray,
    weights: Sequence[float] | None,
    *,
    names_confidence: bool = True,
) -> MarkedPixels:
    """Read the masks and the alpha of a depth file.

    Args:
        path: File of numbers.
        name: Array of npz or channel of OpenEXR that holds depth.
        size: (height, width) of the depth.
        numbers: Numbers of the file, with their channels.
        weights: Weights of the channels that make depth, if the user declares them.
        names_confidence: Whether a confidence that is not applied is named.

    Raises:
        InputError: If a mask is damaged.
    """
    planes = _read_planes(path, name, numbers, weights)
    parts = [
        _apply_mask(f"its {planes.word} '{mask_name}'", mask_name, mask, size)
        for mask_name, mask in planes.masks.items()
    ]
    if planes.alpha is not None:
        parts.append(_apply_alpha(planes.alpha))
    valid_masks = [part.valid for part in parts if part.valid is not None]
    notes = [note for part in parts for note in part.notes]
    if names_confidence and not planes.masks:
        notes += _confidence_notes(planes)
    if planes.unread_pages:
        count = planes.unread_pages
        pages = "1 more page, which is" if count == 1 else f"{count} more pages, which are"
        notes.append(f"it has {pages} not read")
    return MarkedPixels(
        valid=np.logical_and.reduce(valid_masks) if valid_masks else None, notes=tuple(notes)
    )


def may_hold_depth(name: str) -> bool:
    """Whether the name of an array or channel is that of no mask, confidence or alpha."""
    return not (_is_mask_name(name) or _is_confidence_name(name) or _is_alpha_name(name))


def _apply_mask(shown: str, name: str, mask: np.ndarray, size: tuple[int, ...]) -> MarkedPixels:
    """Find the pixels that a mask leaves valid, and say how many it takes out."""
    if not _is_binary(mask, size):
        note = f"{shown} is no mask of 0 and one other number a pixel, and is not used"
        return MarkedPixels(notes=(note,))
    marks_invalid = "invalid" in _words_of_name(name)
    valid = mask == 0 if marks_invalid else mask != 0
    if valid.all():
        return MarkedPixels()
    state = "not 0" if marks_invalid else "0"
    note = f"{shown} is {state} at {_percentage(~valid)} of the pixels, which hold no depth"
    return MarkedPixels(valid=valid, notes=(note,))


def _apply_alpha(alpha: Shaped[np.ndarray, "h w"]) -> MarkedPixels:
    """Find the pixels whose alpha is not 0, and say how many others there are."""
    valid = alpha > 0
    if valid.all():
        return MarkedPixels()
    if not valid.any():
        return MarkedPixels(notes=("its alpha is 0 everywhere, and is not applied",))
    note = f"its alpha is 0 at {_percentage(~valid)} of the pixels, which hold no depth"
    return MarkedPixels(valid=valid, notes=(note,))


def _confidence_notes(planes: _ValidityPlanes) -> Iterator[str]:
    for name in planes.confidences:
        yield (
            f"its {planes.word} '{name}' is not applied: to leave out pixels by it, store NaN in "
            "their depth, or a boolean array 'valid' beside the depth"
        )


def _percentage(mask: Mask) -> str:
    """Share of a mask in words; a few pixels are not 0 %."""
    fraction = float(mask.mean())
    return "less than 0.1%" if 0 < fraction < 0.001 else f"{fraction:.1%}"


def _is_binary(mask: np.ndarray, size: tuple[int, ...]) -> bool:
    """Whether there is 0 and one other number alone, one a pixel."""
    if mask.shape != size or mask.dtype.kind not in "buif":
        return False
    return bool(((mask == 0) | (mask == mask.max())).all())


# Planes of each format.


def _read_planes(
    path: Path, name: str | None, numbers: np.ndarray, weights: Sequence[float] | None
) -> _ValidityPlanes:
    """Read the planes that may say where depth is valid, by the format of the file."""
    with path.open("rb") as file:
        signature = file.read(4)
    if signature[:2] == b"PK":
        return _planes_of_npz(path, name)
    if signature == _EXR_SIGNATURE and name is not None:
        return _planes_of_exr(path, name)
    if signature.startswith(b"\x93NUM"):
        return _ValidityPlanes()
    is_tiff = signature in _TIFF_SIGNATURES
    planes = _planes_of_tiff(path) if is_tiff else _ValidityPlanes()
    return replace(planes, alpha=_alpha_of_picture(numbers, weights))


def _planes_of_npz(path: Path, depth_name: str | None) -> _ValidityPlanes:
    with open_npz(path) as archive, one_line_errors(printable(path), "npz file"):
        names = [name for name in archive.files if name != depth_name]
        masks = {name: npz_member(archive, name) for name in filter(_is_mask_name, names)}
    return _ValidityPlanes(
        masks={name: mask.squeeze() for name, mask in masks.items() if mask.size > 1},
        confidences=tuple(filter(_is_confidence_name, names)),
    )


def _planes_of_exr(path: Path, depth_name: str) -> _ValidityPlanes:
    with one_line_errors(printable(path), "EXR file"):
        channels = ExrChannels(path)
        names = [name for name in channels.names if name != depth_name]
        masks = {name: channels.read_channel(name) for name in filter(_is_mask_name, names)}
        layer, dot, _ = depth_name.rpartition(".")
        possible_alphas = [f"{layer}{dot}{alpha}" for alpha in _ALPHA_NAMES]
        alpha = next((alpha for alpha in possible_alphas if alpha in names), None)
        confidences = [name for name in names if _is_confidence_name(name)]
        return _ValidityPlanes(
            word="channel",
            masks=masks,
            confidences=tuple(name for name in confidences if not _is_alpha_name(name)),
            alpha=None if alpha is None else channels.read_channel(alpha),
        )


def _planes_of_tiff(path: Path) -> _ValidityPlanes:
    """Masks among the pages of a TIFF file, and the number of its other pages of full size."""
    masks: dict[str, np.ndarray] = {}
    with (
        path.open("rb") as file,
        one_line_errors(printable(path), "TIFF file"),
        TiffImageFile(file) as image,
    ):
        size = image.size
        unread_pages = max(0, image.n_frames - _MAX_PAGES)
        for page in range(1, min(image.n_frames, _MAX_PAGES)):
            image.seek(page)
            tag = image.tag_v2.get(_SUBFILE_TYPE, 0)
            subfile_type = tag if isinstance(tag, int) else 0
            if subfile_type & _IS_REDUCED:
                continue
            if subfile_type & _IS_MASK and image.size == size:
                load_pixels(image)
                masks[f"{page + 1}"] = np.array(image)
            else:
                unread_pages += 1
    return _ValidityPlanes(word="page", masks=masks, unread_pages=unread_pages)


def _alpha_of_picture(numbers: np.ndarray, weights: Sequence[float] | None) -> np.ndarray | None:
    """Alpha of a picture whose depth is made of other channels; None if it has none."""
    if weights is None or numbers.ndim != 3 or numbers.shape[-1] not in (2, 4):
        return None
    last = numbers.shape[-1] - 1
    is_depth = len(weights) > last and weights[last] != 0
    return None if is_depth else numbers[..., last]


# Names of planes.


def _words_of_name(name: str) -> set[str]:
    """Words of a name in lower case, without single letters such as those of channels."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return {word for word in re.findall(r"[a-z]+", spaced.lower()) if len(word) > 1}


def _is_mask_name(name: str) -> bool:
    words = _words_of_name(name) - _FILLERS
    return bool(words) and words <= _MASK_WORDS


def _is_confidence_name(name: str) -> bool:
    return bool(_words_of_name(name) & _CONFIDENCE_WORDS)


def _is_alpha_name(name: str) -> bool:
    return name.rpartition(".")[2] in _ALPHA_NAMES
