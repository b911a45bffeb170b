"""Regions that are scored."""

from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Mask, Pixels, Size, UInt8
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Crop, InputCrop, call_crop, call_mask
from rilievo.extensions.trust import is_import_path
from rilievo.records.sample import Truth

NYU_SIZE = (480, 640)
KITTI_BENCHMARK_SIZE = (352, 1216)


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
    """Part of an image of this size that the model sees."""
    height, width = shape
    if is_import_path(crop) or crop in (InputCrop.NONE, InputCrop.NYU_EIGEN):
        return scored_window(crop, shape)
    crop = InputCrop(crop)
    if crop is InputCrop.NYU_SQUARE:
        _refuse_other_size(crop, shape, NYU_SIZE, exactly=True)
        return PixelWindow(top=0, bottom=480, left=80, right=560)
    rows, columns = KITTI_BENCHMARK_SIZE
    _refuse_other_size(crop, shape, KITTI_BENCHMARK_SIZE, exactly=False)
    left = (width - columns) // 2
    return PixelWindow(top=height - rows, bottom=height, left=left, right=left + columns)


def crop_for_model(image: Pixels, crop: InputCrop | str) -> UInt8[np.ndarray, "a b 3"]:
    """Part of a photograph that the model sees."""
    height, width, _ = image.shape
    return np.ascontiguousarray(image[model_window(crop, (height, width)).slices])


def scored_window(crop: Crop | str, shape: Size) -> PixelWindow:
    """Part of a truth of this size that counts."""
    height, width = shape
    if is_import_path(crop):
        top, bottom, left, right = call_crop(crop, shape)
        return PixelWindow(top=top, bottom=bottom, left=left, right=right)
    crop = Crop(crop)
    if crop is Crop.NONE:
        return PixelWindow(top=0, bottom=height, left=0, right=width)
    if crop is Crop.NYU_EIGEN:
        _refuse_other_size(crop, shape, NYU_SIZE, exactly=True)
        return PixelWindow(top=45, bottom=471, left=41, right=601)
    if crop is Crop.KITTI_GARG:
        rows, columns = (0.40810811, 0.99189189), (0.03594771, 0.96405229)
    else:
        rows, columns = (0.3324324, 0.91351351), (0.0359477, 0.96405229)
    # Cut with int, as all programs of the literature do.
    return PixelWindow(
        top=int(rows[0] * height),
        bottom=int(rows[1] * height),
        left=int(columns[0] * width),
        right=int(columns[1] * width),
    )


def cut_truth(truth: Truth, crop: InputCrop | str) -> Truth:
    """Truth of the part that the model sees, with its camera."""
    if crop is InputCrop.NONE:
        return truth
    window = model_window(crop, truth_size(truth))
    arrays = {
        name: array[..., *window.slices]
        for name in ("depth", "depth_valid", "normals", "normals_valid", "sky", "objects")
        if (array := getattr(truth, name)) is not None
    }
    camera = truth.camera
    if camera is not None:
        camera = camera.cropped(top=window.top, left=window.left)
    return replace(truth, camera=camera, **arrays)  # pyright: ignore[reportArgumentType]


def truth_in_view(benchmark: Benchmark, truth: Truth) -> Truth:
    """Truth of what the model sees, depth clipped to the ceiling."""
    truth = cut_truth(truth, benchmark.input_crop)
    if benchmark.truth_ceiling is None or truth.depth is None:
        return truth
    return replace(truth, depth=np.minimum(truth.depth, np.float32(benchmark.truth_ceiling)))


def truth_size(truth: Truth) -> Size:
    """(height, width) of a truth's maps."""
    array = truth.depth if truth.depth is not None else truth.normals
    if array is None:
        raise InputError(f"sample {truth.id}: has neither true depth nor true normals")
    height, width = array.shape[-2:]
    return height, width


def depth_mask(benchmark: Benchmark, truth: Truth) -> Mask:
    """Pixels whose true depth counts: between the caps, inside the crop."""
    if truth.depth is None or truth.depth_valid is None:
        raise InputError(
            f"sample {truth.id}: has no true depth, which the benchmark '{benchmark.name}' scores"
        )
    mask = truth.depth_valid & (truth.depth > benchmark.min_depth)
    if benchmark.max_depth is not None:
        mask &= truth.depth < benchmark.max_depth
    return _mask_in_crop(benchmark, truth, mask)


def normals_mask(benchmark: Benchmark, truth: Truth) -> Mask:
    """Pixels whose true normal counts."""
    if truth.normals is None or truth.normals_valid is None:
        raise InputError(
            f"sample {truth.id}: has no true normals, which the benchmark '{benchmark.name}' scores"
        )
    return _mask_in_crop(benchmark, truth, truth.normals_valid)


def _mask_in_crop(benchmark: Benchmark, truth: Truth, mask: Mask) -> Mask:
    height, width = mask.shape
    if benchmark.mask is not None:
        mask = mask & call_mask(benchmark.mask, truth, (height, width))
    counted = scored_window(benchmark.crop, (height, width)).slices
    inside = np.zeros_like(mask)
    inside[counted] = mask[counted]
    return inside


def _refuse_other_size(crop: Crop | InputCrop, shape: Size, size: Size, *, exactly: bool) -> None:
    fits = shape == size if exactly else shape[0] >= size[0] and shape[1] >= size[1]
    if not fits:
        least = "" if exactly else " or larger"
        raise InputError(
            f"the crop '{crop}' is made for images of {size[0]} x {size[1]} pixels (height x "
            f"width){least}, but this one has {shape[0]} x {shape[1]}"
        )
