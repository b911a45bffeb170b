"""Compare a converted network with the original."""

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
SHAPES = ((480, 640), (400, 300))
_FOV = 55.0  # degrees


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Largest and median difference, as shares of the range."""

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
    """Compare two models' outputs, also batched; refuse beyond ``LIMITS``."""
    batches = list(
        _comparison_batches(converted, photos or [draw_scene(shape) for shape in SHAPES])
    )
    rule = reference.card.resizing

    def run(model: PreparedModel, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        answer = model.run(batch)
        return (
            {**answer, "depth": limit_depth(answer["depth"], rule)} if "depth" in answer else answer
        )

    apart = [
        _largest_differences(run(reference, batch), run(converted, batch)) for batch in batches
    ]
    return check_limits(_largest_of_each(apart), precision)


def compare_answers(reference: Inference, other: Inference) -> Agreement:
    """Compare two inferences; ``most`` covers pixels valid in one alone."""
    shared, lone = None, 0.0
    if reference.valid is not None and other.valid is not None:
        shared = reference.valid & other.valid
        lone = float(np.mean(reference.valid != other.valid))
    agreement = _largest_differences(
        _arrays_to_compare(reference, shared), _arrays_to_compare(other, shared)
    )
    return Agreement(most=float(np.maximum(agreement.most, lone)), median=agreement.median)


def check_limits(agreement: Agreement, precision: str) -> Agreement:
    """Return ``agreement`` if ``LIMITS`` allow it."""
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
    """Make a drawn photograph with a camera."""
    shape = SHAPES[0]
    return Photo(pixels=draw_scene(shape), camera=Camera(K=K_from_fov(_FOV, shape)))


def draw_scene(shape: tuple[int, int]) -> Pixels:
    """Draw sky, floor, boxes and grain, always alike."""
    height, width = shape
    rng = np.random.default_rng(height * 10007 + width)
    rows = np.linspace(0, 1, height)[:, None, None]
    pixels = np.where(rows < 0.4, [120.0, 160.0, 220.0], [90.0, 80.0, 60.0]) * (0.6 + 0.5 * rows)
    pixels = np.broadcast_to(pixels, (height, width, 3)).copy()
    for _ in range(12):
        top, left = rng.integers(0, (height - 8, width - 8))
        down, across = rng.integers(8, (height // 2, width // 2))
        pixels[top : top + down, left : left + across] = rng.uniform(20, 235, 3)
    return (pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)


def _comparison_batches(
    model: PreparedModel, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> Iterator[Shaped[np.ndarray, "b h w 3"]]:
    """Each photograph; the last with its mirror image."""
    for index, photo in enumerate(photos):
        pixels = model.preparation.pixels(photo)
        last = index == len(photos) - 1
        yield np.stack([pixels, pixels[:, ::-1]] if last else [pixels])


def _largest_differences(reference: Arrays, converted: Arrays) -> Agreement:
    if set(reference) != set(converted):
        raise ModelError(
            f"the converted network has the outputs {', '.join(converted)} in place of "
            f"{', '.join(reference)}"
        )
    return _largest_of_each(
        [_relative_differences(reference[name], converted[name]) for name in reference]
    )


def _largest_of_each(agreements: Sequence[Agreement]) -> Agreement:
    # Unlike ``max``, numpy's keeps NaN.
    return Agreement(
        most=float(np.max([agreement.most for agreement in agreements])),
        median=float(np.max([agreement.median for agreement in agreements])),
    )


def _arrays_to_compare(answer: Inference, valid: Mask | None) -> Arrays:
    depth = answer.depth if valid is None or answer.depth is None else answer.depth[valid]
    fields = {"depth": depth, "normals": answer.normals, "confidence": answer.confidence}
    # A batch of one photograph each; without a valid pixel there is no depth to compare.
    return {name: field[None] for name, field in fields.items() if field is not None and field.size}


def _relative_differences(
    reference: Float[np.ndarray, "b *rest"], converted: Float[np.ndarray, "..."]
) -> Agreement:
    if reference.shape != converted.shape:
        raise ModelError(
            f"the converted network's output is {converted.shape}, not {reference.shape}"
        )
    # An output with one number a photograph has no range, and a flat output almost none.
    with np.errstate(invalid="ignore"):  # of what is not finite
        field = reference.ndim > 1 and np.ptp(reference) > 0
        scale = np.ptp(reference) if field else np.abs(reference).max()
        apart = np.abs(reference.astype(np.float64) - converted) / max(float(scale), 1e-30)
    medians = np.median(apart.reshape(len(apart), -1), axis=1)
    return Agreement(most=float(apart.max()), median=float(medians.max()))
