"""Comparison of a converted network with the original."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rilievo.errors import ModelError
from rilievo.frozen import frozen
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.models.base import Inference, PreparedModel
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import limited
from rilievo.sample import Photo
from rilievo.shapes import Float, Mask, Pixels, Shaped, UInt8

LIMITS: Mapping[str, tuple[float, float]] = {
    "fp32": (1e-4, 1e-4),
    "fp16": (5e-1, 1e-2),
    "int8": (1.0, 5e-2),
}

SHAPES = ((480, 640), (400, 300))

_FOV = 55.0  # degrees


@frozen
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
    """Compare two models' outputs for several sizes, alone and as a batch."""
    batches = list(_batches(converted, photos or [picture(shape) for shape in SHAPES]))
    rule = reference.card.resizing

    def run(model: PreparedModel, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        answer = model.run(batch)
        return {**answer, "depth": limited(answer["depth"], rule)} if "depth" in answer else answer

    apart = [_apart(run(reference, batch), run(converted, batch)) for batch in batches]
    return check_limits(_worst(apart), precision)


def compare_answers(reference: Inference, other: Inference) -> Agreement:
    """Compare two inferences; ``most`` is at least the share of pixels that one alone has."""
    shared, lone = None, 0.0
    if reference.valid is not None and other.valid is not None:
        shared = reference.valid & other.valid
        lone = float(np.mean(reference.valid != other.valid))
    agreement = _apart(_fields(reference, shared), _fields(other, shared))
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
    return Photo(pixels=picture(shape), camera=Camera(K=K_from_fov(_FOV, shape)))


def picture(shape: tuple[int, int]) -> Pixels:
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


def _batches(
    model: PreparedModel, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> Iterator[Shaped[np.ndarray, "b h w 3"]]:
    for index, photo in enumerate(photos):
        pixels = model.preparation.pixels(photo)
        last = index == len(photos) - 1
        yield np.stack([pixels, pixels[:, ::-1]] if last else [pixels])


def _apart(reference: Arrays, converted: Arrays) -> Agreement:
    if set(reference) != set(converted):
        raise ModelError(
            f"the converted network has the outputs {', '.join(converted)} in place of "
            f"{', '.join(reference)}"
        )
    return _worst([_difference(reference[name], converted[name]) for name in reference])


def _worst(agreements: Sequence[Agreement]) -> Agreement:
    # Unlike ``max``, numpy's keeps NaN.
    return Agreement(
        most=float(np.max([agreement.most for agreement in agreements])),
        median=float(np.max([agreement.median for agreement in agreements])),
    )


def _fields(answer: Inference, valid: Mask | None) -> Arrays:
    depth = answer.depth if valid is None or answer.depth is None else answer.depth[valid]
    fields = {"depth": depth, "normals": answer.normals, "confidence": answer.confidence}
    # A batch of one photograph each; without a valid pixel there is no depth to compare.
    return {name: field[None] for name, field in fields.items() if field is not None and field.size}


def _difference(
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
