"""Pixels that a depth file itself marks as without depth, by a mask beside the depth or by alpha.

A mask is an array of npz or a channel of OpenEXR that is called mask, valid or validity and holds 0
and one other number. Pixels where it is 0 hold no depth. Pixels whose alpha is 0 hold none either.
A confidence is not applied, because nothing says which confidence is too low. It is named where no
mask stands beside it.
"""

import re
from collections.abc import Mapping, Sequence
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
# Tag of a TIFF page that says what it is, and two of its bits.
_SUBFILE_TYPE, _IS_REDUCED, _IS_MASK = 254, 1, 4
_MOST_PAGES = 16
_EXR_SIGNATURE = b"\x76\x2f\x31\x01"
_MASK_WORDS = {"mask", "valid", "validity", "invalid"}
# Words of a mask's name that add nothing to it.
_AROUND = {"depth", "map", "is", "pixel", "pixels"}
# Names of arrays that say how sure depth is, without a number from which on it is.
_CONFIDENCE_WORDS = {"conf", "confidence", "confidences", "certainty", "uncertainty"}
_CONFIDENCE_WORDS |= {"alpha", "opacity", "accumulation"}
_ALPHAS = ("A", "a", "alpha")


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
class _Planes:
    """Maps of the depth's file that may say where its depth is valid, by name.

    Attributes:
        word: What the file calls a map.
        confidences: Names of maps that say how sure depth is.
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
    planes = _planes_of_file(path, name, numbers, weights)
    parts = [
        _marked_by_mask(f"its {planes.word} '{mask_name}'", mask_name, plane, size)
        for mask_name, plane in planes.masks.items()
    ]
    if planes.alpha is not None:
        parts.append(_marked_by_alpha(planes.alpha))
    if names_confidence and not planes.masks:
        parts += [
            MarkedPixels(notes=(_words_of_confidence(f"its {planes.word} '{confidence}'"),))
            for confidence in planes.confidences
        ]
    if planes.unread_pages:
        count = planes.unread_pages
        pages = "1 more page, which is" if count == 1 else f"{count} more pages, which are"
        note = f"it has {pages} not read"
        parts.append(MarkedPixels(notes=(note,)))
    masks = [part.valid for part in parts if part.valid is not None]
    return MarkedPixels(
        valid=np.logical_and.reduce(masks) if masks else None,
        notes=tuple(note for part in parts for note in part.notes),
    )


def _marked_by_mask(
    shown: str, name: str, plane: np.ndarray, size: tuple[int, ...]
) -> MarkedPixels:
    if not _is_mask(plane, size):
        note = f"{shown} is no mask of 0 and one other number a pixel, and is not used"
        return MarkedPixels(notes=(note,))
    is_invalid = "invalid" in _words(name)
    valid = plane == 0 if is_invalid else plane != 0
    if valid.all():
        return MarkedPixels()
    state = "not 0" if is_invalid else "0"
    note = f"{shown} is {state} at {_share(~valid)} of the pixels, which hold no depth"
    return MarkedPixels(valid=valid, notes=(note,))


def _marked_by_alpha(alpha: Shaped[np.ndarray, "h w"]) -> MarkedPixels:
    valid = alpha > 0
    if valid.all():
        return MarkedPixels()
    if not valid.any():
        return MarkedPixels(notes=("its alpha is 0 everywhere, and is not applied",))
    note = f"its alpha is 0 at {_share(~valid)} of the pixels, which hold no depth"
    return MarkedPixels(valid=valid, notes=(note,))


def _words_of_confidence(shown: str) -> str:
    return (
        f"{shown} is not applied: to leave out pixels by it, store NaN in their depth, or a "
        "boolean array 'valid' beside the depth"
    )


def _share(mask: Mask) -> str:
    """Share of a mask in words; a few pixels are not 0 %."""
    share = float(mask.mean())
    return "less than 0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def _planes_of_file(
    path: Path, name: str | None, numbers: np.ndarray, weights: Sequence[float] | None
) -> _Planes:
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"PK":
        return _planes_of_npz(path, name)
    if start == _EXR_SIGNATURE and name is not None:
        return _planes_of_exr(path, name)
    if start.startswith(b"\x93NUM"):
        return _Planes()
    planes = _planes_of_tiff(path) if start in _TIFF_SIGNATURES else _Planes()
    return replace(planes, alpha=_alpha_of_picture(numbers, weights))


def may_hold_depth(name: str) -> bool:
    """Whether the name of an array or channel is that of no mask, confidence or alpha."""
    return not (_is_mask_name(name) or _is_confidence_name(name) or _is_alpha_name(name))


def _planes_of_npz(path: Path, name: str | None) -> _Planes:
    with open_npz(path) as archive, one_line_errors(printable(path), "npz file"):
        names = [other for other in archive.files if other != name]
        masks = {other: npz_member(archive, other) for other in names if _is_mask_name(other)}
    return _Planes(
        masks={other: plane.squeeze() for other, plane in masks.items() if plane.size > 1},
        confidences=tuple(filter(_is_confidence_name, names)),
    )


def _planes_of_exr(path: Path, name: str) -> _Planes:
    with one_line_errors(printable(path), "EXR file"):
        channels = ExrChannels(path)
        names = [other for other in channels.names if other != name]
        masks = {other: channels.read_channel(other) for other in names if _is_mask_name(other)}
        layer, dot, _ = name.rpartition(".")
        alphas = [f"{layer}{dot}{letter}" for letter in _ALPHAS]
        alpha = next((alpha for alpha in alphas if alpha in names), None)
        return _Planes(
            word="channel",
            masks=masks,
            confidences=tuple(
                other for other in names if _is_confidence_name(other) and not _is_alpha_name(other)
            ),
            alpha=None if alpha is None else channels.read_channel(alpha),
        )


def _planes_of_tiff(path: Path) -> _Planes:
    """Masks among the pages of a TIFF file, and the number of its other pages of full size."""
    masks: dict[str, np.ndarray] = {}
    with (
        path.open("rb") as file,
        one_line_errors(printable(path), "TIFF file"),
        TiffImageFile(file) as image,
    ):
        size = image.size
        unread = max(0, image.n_frames - _MOST_PAGES)
        for page in range(1, min(image.n_frames, _MOST_PAGES)):
            image.seek(page)
            tag = image.tag_v2.get(_SUBFILE_TYPE, 0)
            kind = tag if isinstance(tag, int) else 0
            if kind & _IS_REDUCED:
                continue
            if kind & _IS_MASK and image.size == size:
                load_pixels(image)
                masks[f"{page + 1}"] = np.array(image)
            else:
                unread += 1
    return _Planes(word="page", masks=masks, unread_pages=unread)


def _alpha_of_picture(numbers: np.ndarray, weights: Sequence[float] | None) -> np.ndarray | None:
    """Alpha of a picture whose depth is made of other channels; None if it has none."""
    if weights is None or numbers.ndim != 3 or numbers.shape[-1] not in (2, 4):
        return None
    last = numbers.shape[-1] - 1
    is_depth = len(weights) > last and weights[last] != 0
    return None if is_depth else numbers[..., last]


def _is_mask(plane: np.ndarray, size: tuple[int, ...]) -> bool:
    """Whether there is 0 and one other number alone, one a pixel."""
    if plane.shape != size or plane.dtype.kind not in "buif":
        return False
    return bool(((plane == 0) | (plane == plane.max())).all())


def _words(name: str) -> set[str]:
    """Words of a name in lower case, without single letters such as those of channels."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return {word for word in re.findall(r"[a-z]+", spaced.lower()) if len(word) > 1}


def _is_mask_name(name: str) -> bool:
    words = _words(name) - _AROUND
    return bool(words) and words <= _MASK_WORDS


def _is_confidence_name(name: str) -> bool:
    return bool(_words(name) & _CONFIDENCE_WORDS)


def _is_alpha_name(name: str) -> bool:
    return name.rpartition(".")[2] in _ALPHAS
