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

LIMITS: Mapping[str, tuple[float, float]] = {
    "fp32": (1e-4, 1e-4),
    "fp16": (5e-1, 1e-2),
    "int8": (1.0, 5e-2),
}
"""Largest and median difference that a precision may have, as shares of the output's range."""
SHAPES = ((480, 640), (400, 300))
"""Sizes of the drawn photographs."""
_FOV = 55.0
"""Horizontal field of view of a drawn photograph [degrees]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Differences of two outputs, as shares of the range of the first one.

    Attributes:
        most: Largest difference.
        median: Median difference.
    """

    most: float
    median: float

    def __str__(self) -> str:
        return f"at most {self.most:.1e} of the range, {self.median:.1e} in the median"


def check_agreement(
    reference: PreparedModel,
    converted: PreparedModel,
    precision: str,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]] = (),
) -> Agreement:
    """Compare two models' outputs for photographs, one at a time and as a batch.

    Args:
        reference: Original network.
        converted: Converted network.
        precision: Key of ``LIMITS``.
        photos: Photographs; by default two that are drawn.

    Raises:
        ModelError: If they differ by more than ``LIMITS`` allow.
    """
    photos = photos or [draw_scene(shape) for shape in SHAPES]
    rule = reference.card.resizing

    def run(model: PreparedModel, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        outputs = model.run(batch)
        if "depth" not in outputs:
            return outputs
        return {**outputs, "depth": limit_depth(outputs["depth"], rule)}

    agreements = [
        _compare_outputs(run(reference, batch), run(converted, batch))
        for batch in _comparison_batches(converted, photos)
    ]
    return check_limits(_largest_of_each(agreements), precision)


def compare_answers(reference: Inference, converted: Inference) -> Agreement:
    """Compare two answers.

    ``most`` is at least the share of the pixels that are valid in only one of them.
    """
    shared, share_in_one = None, 0.0
    if reference.valid is not None and converted.valid is not None:
        shared = reference.valid & converted.valid
        share_in_one = float(np.mean(reference.valid != converted.valid))
    agreement = _compare_outputs(
        _arrays_to_compare(reference, shared), _arrays_to_compare(converted, shared)
    )
    # Unlike ``max``, numpy's keeps NaN.
    most = float(np.maximum(agreement.most, share_in_one))
    return Agreement(most=most, median=agreement.median)


def check_limits(agreement: Agreement, precision: str) -> Agreement:
    """Return an agreement that ``LIMITS`` allow.

    Raises:
        ModelError: If they do not.
    """
    most, median = LIMITS[precision]
    if not np.isfinite(agreement.median):
        raise ModelError(f"in {precision} its numbers overflow: what it answers is not finite")
    if not (agreement.most <= most and agreement.median <= median):
        raise ModelError(
            f"as ONNX in {precision} its output differs ({agreement}; allowed are {most:.0e} and "
            f"{median:.0e})"
        )
    return agreement


def example_photo() -> Photo:
    """Drawn photograph with a camera."""
    shape = SHAPES[0]
    return Photo(pixels=draw_scene(shape), camera=Camera(K=K_from_fov(_FOV, shape)))


def draw_scene(shape: tuple[int, int]) -> Pixels:
    """Draw sky, floor, boxes and grain; the same picture for the same shape."""
    height, width = shape
    rng = np.random.default_rng(height * 10007 + width)
    rows = np.linspace(0, 1, height)[:, None, None]
    pixels = np.where(rows < 0.4, [120.0, 160.0, 220.0], [90.0, 80.0, 60.0]) * (0.6 + 0.5 * rows)
    pixels = np.broadcast_to(pixels, (height, width, 3)).copy()
    for _ in range(12):
        top, left = rng.integers(0, (height - 8, width - 8))
        box_height, box_width = rng.integers(8, (height // 2, width // 2))
        pixels[top : top + box_height, left : left + box_width] = rng.uniform(20, 235, 3)
    return (pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)


def _comparison_batches(
    model: PreparedModel, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> Iterator[Shaped[np.ndarray, "b h w 3"]]:
    """Batches of inputs: each photograph alone, but the last one with its mirror image."""
    for index, photo in enumerate(photos):
        pixels = model.preparation.pixels(photo)
        is_last = index == len(photos) - 1
        yield np.stack([pixels, pixels[:, ::-1]] if is_last else [pixels])


def _compare_outputs(reference: Arrays, converted: Arrays) -> Agreement:
    """Largest differences of all outputs.

    Raises:
        ModelError: If the two do not have the same outputs.
    """
    if set(reference) != set(converted):
        raise ModelError(
            f"the converted network has the outputs {', '.join(converted)} in place of "
            f"{', '.join(reference)}"
        )
    return _largest_of_each(
        [_compare_output(reference[name], converted[name]) for name in reference]
    )


def _largest_of_each(agreements: Sequence[Agreement]) -> Agreement:
    # Unlike ``max``, numpy's keeps NaN.
    return Agreement(
        most=float(np.max([agreement.most for agreement in agreements])),
        median=float(np.max([agreement.median for agreement in agreements])),
    )


def _arrays_to_compare(answer: Inference, valid: Mask | None) -> Arrays:
    """Fields of an answer as a batch of one, with the depth of valid pixels only."""
    depth = answer.depth
    if depth is not None and valid is not None:
        depth = depth[valid]
    fields = {"depth": depth, "normals": answer.normals, "confidence": answer.confidence}
    # Without a valid pixel there is no depth to compare.
    return {name: field[None] for name, field in fields.items() if field is not None and field.size}


def _compare_output(
    reference: Float[np.ndarray, "b *rest"], converted: Float[np.ndarray, "..."]
) -> Agreement:
    if reference.shape != converted.shape:
        raise ModelError(
            f"the converted network's output is {converted.shape}, not {reference.shape}"
        )
    with np.errstate(invalid="ignore"):  # of what is not finite
        # An output with one number for each photograph has no range, and a flat one almost none.
        has_range = reference.ndim > 1 and np.ptp(reference) > 0
        scale = np.ptp(reference) if has_range else np.abs(reference).max()
        differences = np.abs(reference.astype(np.float64) - converted) / max(float(scale), 1e-30)
    medians = np.median(differences.reshape(len(differences), -1), axis=1)
    return Agreement(most=float(differences.max()), median=float(medians.max()))
