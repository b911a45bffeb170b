"""Compare the outputs of a converted network with those of the original."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float, Mask, Pixels, Shaped, UInt8
from rilievo.errors import ModelError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.models.base import Inference, PreparedModel
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.resizing import limit_depth
from rilievo.records.sample import Photo

SCENE_SHAPES = ((480, 640), (400, 300))
"""Height and width of the drawn photographs [px]."""
_FOV = 55.0
"""Horizontal field of view of a drawn photograph [degrees]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Largest and median difference of two outputs, as fractions of the range of the first one."""

    most: float
    median: float

    def __str__(self) -> str:
        return f"at most {self.most:.1e} of the range, {self.median:.1e} in the median"


LIMITS: Mapping[str, Agreement] = {
    "fp32": Agreement(most=1e-4, median=1e-4),
    "fp16": Agreement(most=5e-1, median=1e-2),
    "int8": Agreement(most=1.0, median=5e-2),
}
"""Largest allowed differences, by precision."""


def check_agreement(
    reference: PreparedModel,
    converted: PreparedModel,
    precision: str,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]] = (),
) -> Agreement:
    """Compare the outputs of two models for photographs, one at a time and as a batch.

    By default the photographs are two that are drawn.
    """
    photos = photos or [draw_scene(shape) for shape in SCENE_SHAPES]
    rule = reference.card.resizing

    def run_and_limit(model: PreparedModel, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        outputs = model.run(batch)
        if "depth" not in outputs:
            return outputs
        return {**outputs, "depth": limit_depth(outputs["depth"], rule)}

    agreements = [
        _compare_outputs(run_and_limit(reference, batch), run_and_limit(converted, batch))
        for batch in _comparison_batches(converted, photos)
    ]
    return check_agreement_limits(_worst_agreement(agreements), precision)


def compare_inferences(reference: Inference, converted: Inference) -> Agreement:
    """Compare two inferences for the same photograph.

    Depth is compared where both have it. ``most`` is at least the fraction of pixels that are valid
    in only one of the two.
    """
    valid_in_both, fraction_in_one = None, 0.0
    if reference.valid is not None and converted.valid is not None:
        valid_in_both = reference.valid & converted.valid
        fraction_in_one = float(np.mean(reference.valid != converted.valid))
    agreement = _compare_outputs(
        _arrays_to_compare(reference, valid_in_both), _arrays_to_compare(converted, valid_in_both)
    )
    # np.maximum keeps NaN, unlike max.
    most = float(np.maximum(agreement.most, fraction_in_one))
    return Agreement(most=most, median=agreement.median)


def check_agreement_limits(agreement: Agreement, precision: str) -> Agreement:
    """Return the agreement if it is within ``LIMITS``; ``ModelError`` if it is not."""
    limit = LIMITS[precision]
    if not np.isfinite(agreement.median):
        raise ModelError(
            f"in {precision}, the network's numbers overflow, so its output is not finite"
        )
    # NaN fails this comparison as well.
    if not (agreement.most <= limit.most and agreement.median <= limit.median):
        raise ModelError(
            f"as ONNX in {precision}, its output differs too much from the original: by "
            f"{agreement} (allowed are {limit.most:.0e} and {limit.median:.0e})"
        )
    return agreement


def example_photo() -> Photo:
    """Photograph that is drawn by ``draw_scene``, with a camera."""
    shape = SCENE_SHAPES[0]
    return Photo(pixels=draw_scene(shape), camera=Camera(K=K_from_fov(_FOV, shape)))


def draw_scene(shape: tuple[int, int]) -> Pixels:
    """Draw sky, floor, boxes and grain; always the same picture for a shape."""
    height, width = shape
    rng = np.random.default_rng(height * 10007 + width)
    sky_colour, floor_colour = [120.0, 160.0, 220.0], [90.0, 80.0, 60.0]
    row_fraction = np.linspace(0, 1, height)[:, None, None]
    brightness = 0.6 + 0.5 * row_fraction
    row_colours = np.where(row_fraction < 0.4, sky_colour, floor_colour) * brightness
    pixels = np.broadcast_to(row_colours, (height, width, 3)).copy()
    for _ in range(12):
        top, left = rng.integers(0, (height - 8, width - 8))
        box_height, box_width = rng.integers(8, (height // 2, width // 2))
        pixels[top : top + box_height, left : left + box_width] = rng.uniform(20, 235, 3)
    grain = rng.normal(0, 6, pixels.shape)
    return (pixels + grain).clip(0, 255).astype(np.uint8)


def _comparison_batches(
    model: PreparedModel, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> Iterator[Shaped[np.ndarray, "b h w 3"]]:
    """Batches of inputs: each photograph alone, but the last one with its mirror image."""
    for index, photo in enumerate(photos):
        pixels = model.preparation.pixels(photo)
        is_last = index == len(photos) - 1
        yield np.stack([pixels, pixels[:, ::-1]] if is_last else [pixels])


def _compare_outputs(reference: Arrays, converted: Arrays) -> Agreement:
    """Compare outputs by name, and return the worst agreement."""
    if set(reference) != set(converted):
        raise ModelError(
            f"the converted network has the outputs {', '.join(converted)}, expected "
            f"{', '.join(reference)}"
        )
    return _worst_agreement(
        [_compare_output(reference[name], converted[name]) for name in reference]
    )


def _worst_agreement(agreements: Sequence[Agreement]) -> Agreement:
    """Largest ``most`` and largest ``median`` of several agreements."""
    # np.max keeps NaN, unlike max.
    return Agreement(
        most=float(np.max([agreement.most for agreement in agreements])),
        median=float(np.max([agreement.median for agreement in agreements])),
    )


def _arrays_to_compare(inference: Inference, valid: Mask | None) -> Arrays:
    """Fields of an inference as a batch of one, with the depth of valid pixels only."""
    depth = inference.depth
    if depth is not None and valid is not None:
        depth = depth[valid]
    fields = {"depth": depth, "normals": inference.normals, "confidence": inference.confidence}
    # Depth is left out if no pixel is valid.
    return {name: field[None] for name, field in fields.items() if field is not None and field.size}


def _compare_output(
    reference: Float[np.ndarray, "b *rest"], converted: Float[np.ndarray, "..."]
) -> Agreement:
    """Compare an output for a batch; the median is that of the worst photograph."""
    if reference.shape != converted.shape:
        raise ModelError(
            f"an output of the converted network has shape {converted.shape}, expected "
            f"{reference.shape}"
        )
    with np.errstate(invalid="ignore"):  # infinite outputs differ by NaN
        has_range = reference.ndim > 1 and np.ptp(reference) > 0
        # An output with one number for each photograph, such as the field of view, has no range.
        # The number itself is taken instead.
        scale = np.ptp(reference) if has_range else np.abs(reference).max()
        differences = np.abs(reference.astype(np.float64) - converted)
        relative_differences = differences / max(float(scale), 1e-30)
    by_photo = relative_differences.reshape(len(relative_differences), -1)
    photo_medians = np.median(by_photo, axis=1)
    return Agreement(most=float(relative_differences.max()), median=float(photo_medians.max()))
