"""Parts of a picture: what the model sees, and which pixels are scored."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Mask, Pixels, Size, UInt8
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Crop, InputCrop, Task
from rilievo.evaluation.benchmarks.user_rules import call_crop, call_mask
from rilievo.extensions.trust import is_import_path
from rilievo.io.depth.crops import DepthCrop, published_crop
from rilievo.records.sample import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelWindow:
    """A rectangle of pixels; ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> Size:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices of rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def model_window(crop: InputCrop | str, shape: Size) -> PixelWindow:
    """Part of an image of the given size (height, width) that the model sees."""
    if is_import_path(crop) or crop in (InputCrop.NONE, InputCrop.NYU_EIGEN):
        return scored_window(crop, shape)
    return crop_to_window(published_crop(InputCrop(crop).value, shape))


def crop_for_model(image: Pixels, crop: InputCrop | str) -> UInt8[np.ndarray, "a b 3"]:
    """Part of a photograph that the model sees."""
    height, width, _ = image.shape
    return np.ascontiguousarray(image[model_window(crop, (height, width)).slices])


def scored_window(crop: Crop | str, shape: Size) -> PixelWindow:
    """Part of a ground truth of the given size (height, width) that is scored."""
    height, width = shape
    if is_import_path(crop):
        top, bottom, left, right = call_crop(crop, shape)
        return PixelWindow(top=top, bottom=bottom, left=left, right=right)
    crop = Crop(crop)
    if crop is Crop.NONE:
        return PixelWindow(top=0, bottom=height, left=0, right=width)
    return crop_to_window(published_crop(crop.value, shape))


def crop_to_window(crop: DepthCrop) -> PixelWindow:
    """Window with the pixels of a crop."""
    return PixelWindow(
        top=crop.top,
        bottom=crop.top + crop.height,
        left=crop.left,
        right=crop.left + crop.width,
    )


def cut_truth(truth: Truth, crop: InputCrop | str) -> Truth:
    """Cut all maps of a ground truth, and its camera, to the part that the model sees."""
    if crop is InputCrop.NONE:
        return truth
    window = model_window(crop, truth_size(truth))
    rows, columns = window.slices
    cut_maps: dict[str, Any] = {}
    for name in ("depth", "depth_valid", "normals", "normals_valid", "sky", "objects"):
        array = getattr(truth, name)
        if array is not None:
            cut_maps[name] = array[..., rows, columns]
    camera = truth.camera
    if camera is not None:
        camera = camera.cropped(top=window.top, left=window.left)
    return replace(truth, camera=camera, **cut_maps)


def truth_in_view(benchmark: Benchmark, truth: Truth) -> Truth:
    """Ground truth of what the model sees, with depth clipped to the benchmark's ceiling."""
    truth = cut_truth(truth, benchmark.input_crop)
    if benchmark.truth_ceiling is None or truth.depth is None:
        return truth
    return replace(truth, depth=np.minimum(truth.depth, np.float32(benchmark.truth_ceiling)))


def truth_size(truth: Truth) -> Size:
    """(height, width) of the maps of a ground truth."""
    array = truth.depth if truth.depth is not None else truth.normals
    if array is None:
        raise InputError(
            f"sample {truth.id}: has neither ground-truth depth nor ground-truth normals"
        )
    height, width = array.shape[-2:]
    return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPixels:
    """Pixels of an image that a benchmark scores.

    Attributes:
        mask: Mask of these pixels.
        left_out: Number of pixels with ground truth that each setting of the benchmark leaves out,
            by its name, such as "crop". They apply in this order, so no pixel is counted twice.
    """

    mask: Mask
    left_out: Mapping[str, int]


def depth_mask(benchmark: Benchmark, truth: Truth) -> Mask:
    """Mask of the pixels whose true depth is scored: between the caps, inside crop and mask."""
    return scored_depth_pixels(benchmark, truth).mask


def scored_depth_pixels(benchmark: Benchmark, truth: Truth) -> ScoredPixels:
    """Pixels whose true depth is scored: between the caps, inside crop and mask.

    Raises:
        InputError: If there is no true depth.
    """
    if truth.depth is None or truth.depth_valid is None:
        raise InputError(
            f"sample {truth.id}: has no ground-truth depth, which the benchmark '{benchmark.name}' "
            "scores"
        )
    kept: dict[str, Mask] = {"min_depth": truth.depth > benchmark.min_depth}
    if benchmark.max_depth is not None:
        kept["max_depth"] = truth.depth < benchmark.max_depth
    kept |= _mask_and_crop(benchmark, truth, truth.depth_valid.shape)
    return _apply_settings(truth.depth_valid, kept)


def normals_mask(benchmark: Benchmark, truth: Truth) -> Mask:
    """Mask of the pixels whose true normal is scored: inside crop and mask."""
    return scored_normals_pixels(benchmark, truth).mask


def scored_normals_pixels(benchmark: Benchmark, truth: Truth) -> ScoredPixels:
    """Pixels whose true normal is scored: inside crop and mask.

    Raises:
        InputError: If there are no true normals.
    """
    if truth.normals is None or truth.normals_valid is None:
        raise InputError(
            f"sample {truth.id}: has no ground-truth normals, which the benchmark "
            f"'{benchmark.name}' scores"
        )
    kept = _mask_and_crop(benchmark, truth, truth.normals_valid.shape)
    return _apply_settings(truth.normals_valid, kept)


def _mask_and_crop(benchmark: Benchmark, truth: Truth, shape: Size) -> dict[str, Mask]:
    """Pixels that the benchmark's own mask and its crop keep, by the name of the setting."""
    kept: dict[str, Mask] = {}
    if benchmark.mask is not None:
        kept["mask"] = call_mask(benchmark.mask, truth, shape)
    if benchmark.crop != Crop.NONE:
        inside = np.zeros(shape, bool)
        inside[scored_window(benchmark.crop, shape).slices] = True
        kept["crop"] = inside
    return kept


def _apply_settings(valid: Mask, kept: Mapping[str, Mask]) -> ScoredPixels:
    """Restrict valid pixels to those that every setting keeps, and count what each leaves out."""
    mask, count = valid, int(np.count_nonzero(valid))
    left_out: dict[str, int] = {}
    for setting, kept_pixels in kept.items():
        mask = mask & kept_pixels
        remaining = int(np.count_nonzero(mask))
        if remaining < count:
            left_out[setting] = count - remaining
        count = remaining
    return ScoredPixels(mask=mask, left_out=left_out)


def count_outside_view(benchmark: Benchmark, truth: Truth, view_truth: Truth) -> int:
    """Number of pixels with ground truth that the benchmark does not show to models.

    ``view_truth`` is the ground truth of what it shows.
    """
    name = "normals_valid" if benchmark.task is Task.NORMALS else "depth_valid"
    valid, valid_in_view = getattr(truth, name), getattr(view_truth, name)
    if valid is None or valid.shape == valid_in_view.shape:
        return 0
    return int(np.count_nonzero(valid)) - int(np.count_nonzero(valid_in_view))
