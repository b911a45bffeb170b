"""A benchmark: everything that a score depends on besides the prediction, frozen under a name."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from rilievo.alignment.ground_truth import AlignMethod
from rilievo.evaluation.point_fit import PointFit
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting

_DESCRIPTIVE = ("name", "title", "reproduces", "hides", "published", "parts", "chosen_metrics")
"""Attributes that name and explain a benchmark, but change none of its numbers."""


class Task(StrEnum):
    """Quantity that is scored."""

    DEPTH = "depth"
    NORMALS = "normals"
    PICTURE = "picture"
    """Depth maps as 8-bit pictures, each scaled by its own maximum."""
    POINTS = "points"
    """Points in the camera frame."""
    STABILITY = "stability"
    """Agreement of depth between successive video frames."""
    CAMERA = "camera"
    """Horizontal field of view."""
    ORDER = "order"
    """Which of two points is nearer."""


class Crop(StrEnum):
    """Part of the ground truth that is scored."""

    NONE = "none"
    NYU_EIGEN = "nyu_eigen"
    """Eigen et al. 2014."""
    KITTI_GARG = "kitti_garg"
    """Garg et al. 2016."""
    KITTI_EIGEN = "kitti_eigen"
    """Eigen et al. 2014."""


class InputCrop(StrEnum):
    """Part of the picture that the model sees; the truth is cropped likewise."""

    NONE = "none"
    KITTI_BENCHMARK = "kitti_benchmark"
    """352 x 1216 pixels, at the bottom and in the middle."""
    NYU_SQUARE = "nyu_square"
    """Columns 80 to 560."""
    NYU_EIGEN = "nyu_eigen"
    """Without the white frame of the photographs."""


class Interpolation(StrEnum):
    """How predictions are resized to the truth's size."""

    BILINEAR = "bilinear"
    """Pixel centres at half pixels, as ``align_corners=False`` in PyTorch."""
    BILINEAR_CORNERS = "bilinear_corners"
    """First and last pixels coincide, as ``align_corners=True`` in PyTorch."""
    BILINEAR_INVERSE = "bilinear_inverse"
    """Inverse depth is interpolated, with centres at half pixels (Monodepth2)."""
    BICUBIC_CORNERS = "bicubic_corners"
    """Cubic convolution with a = -0.75, as ``align_corners=True`` in PyTorch."""
    NEAREST = "nearest"


class Invalid(StrEnum):
    """Treatment of pixels to be scored that have no prediction, such as NaN."""

    SKIP = "skip"
    """Count them, and leave them out of the score."""
    REFUSE = "refuse"
    """Leave the image without a score."""
    FAR = "far"
    """Score them at the far end of the clip, else at the cap, else at the largest true depth that
    counts. The fit rests on the other pixels."""


class Averaging(StrEnum):
    """How the scores of many images become one number."""

    PER_IMAGE = "per_image"
    """The mean of the images' values."""
    POOLED = "pooled"
    """The value over the pixels of all images."""
    PER_SCENE = "per_scene"
    """The mean of the scenes' means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Published results of one model.

    Attributes:
        values: Numbers by rilievo's metric names, in rilievo's units.
        place: Paper with its version and table.
        data: Dataset and split, for a benchmark that fits any dataset.
        note: Known differences from the benchmark.
        quote: The row of the table, quoted.
        read: Document from which it is quoted.
        checked: Days on which quote and document were compared.
    """

    model: str
    values: Mapping[str, float]
    place: str
    data: str = ""
    note: str = ""
    quote: str = ""
    read: str = ""
    checked: str = ""

    @property
    def source(self) -> str:
        """Paper and table of the numbers, with known differences, in one line."""
        unquoted = "" if self.quote else "unquoted"
        return "; ".join(filter(None, (self.place, self.note, unquoted)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A protocol: what is scored, on which images, and how.

    Rules may be functions of the user's own (``rilievo.evaluation.benchmarks.user_rules``).

    Attributes:
        dataset: None if the protocol fits any dataset.
        input_crop: Crop before the model.
        crop: Crop before the fit and the score.
        mask: Function that selects the pixels with truth that count.
        min_depth: True depth [m] counts if it is larger.
        max_depth: True depth [m] counts if it is smaller.
        truth_ceiling: Larger true depth [m] is set to it.
        least_pixels: An image with fewer pixels that count has no score.
        alignment: The fit for each kind of depth; other kinds are refused.
        least_depth: Smallest depth [m] after a fit in depth.
        min_inverse: Smallest inverse depth [1/m] after a fit; None for the inverse of the image's
            largest true depth (MoGe).
        positive_fit: Whether a fit of inverse depth rests only on predictions above zero
            (Marigold).
        fit_side: Longest side of a map that is fitted at all pixels. The columns of a larger map
            are thinned out (Marigold's ETH3D).
        fit_scene: Whether all images of a scene share one fit.
        least_predicted: Smallest predicted inverse depth before the fit (Video Depth Anything).
        clip: Range [m] of predicted depth after the fit.
        rounding: Decimals of an image's metrics before averaging; fractions are rounded in %.
        metrics: Names in the task's table, or ``package.module:NAME``; the leading one first.
        reproduces: Numbers that it reproduces, and their program.
        hides: Limits of its numbers.
        parts: Prefixes of image ids, such as "indoors", that have tables of their own.
        chosen_metrics: Metrics that the user chose in place of ``metrics``; empty if none. They
            change no number of another metric, so that results of both are comparable.
        version: Raised whenever its numbers would change.
    """

    name: str
    title: str
    task: Task = Task.DEPTH
    dataset: str | None = None
    split: str | None = None
    variant: str | None = None
    input_crop: InputCrop | str = InputCrop.NONE
    crop: Crop | str = Crop.NONE
    mask: str | None = None
    min_depth: float = 1e-3
    max_depth: float | None = None
    truth_ceiling: float | None = None
    least_pixels: int = 1
    alignment: Mapping[DepthKind, AlignMethod | PointFit | str] = field(default_factory=dict)
    least_depth: float = 1e-3
    min_inverse: float | None = 1e-3
    positive_fit: bool = False
    fit_side: int | None = None
    fit_scene: bool = False
    least_predicted: float | None = None
    clip: tuple[float, float] | None = None
    interpolation: Interpolation | str = Interpolation.BILINEAR
    invalid: Invalid = Invalid.SKIP
    averaging: Averaging = Averaging.PER_IMAGE
    rounding: int | None = None
    metrics: tuple[str, ...]
    reproduces: str
    hides: str
    published: tuple[Published, ...] = ()
    parts: tuple[str, ...] = ()
    chosen_metrics: tuple[str, ...] = ()
    version: int = 1


_OMITTED_DEFAULTS = {
    "truth_ceiling": None,
    "least_pixels": 1,
    "mask": None,
    "fit_side": None,
    "fit_scene": False,
    "least_predicted": None,
    "invalid": Invalid.SKIP,
}
"""Settings that are left out at these defaults, so that the hashes of old benchmarks stay."""


def benchmark_settings(benchmark: Benchmark) -> Mapping[str, Setting]:
    """Settings that a benchmark's numbers depend on, without later ones at their defaults."""
    settings: dict[str, Setting] = {}
    for attribute in fields(Benchmark):
        name, value = attribute.name, getattr(benchmark, attribute.name)
        is_omitted = name in _OMITTED_DEFAULTS and value == _OMITTED_DEFAULTS[name]
        if name not in _DESCRIPTIVE and not is_omitted:
            settings[name] = _to_setting(value)
    return settings


def _to_setting(value: Any) -> Setting:
    """Convert the value of an attribute to what JSON and messages contain."""
    if isinstance(value, Mapping):
        return ", ".join(f"{kind}: {value[kind]}" for kind in sorted(value)) or "none"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, StrEnum):
        return value.value
    return value


def benchmark_sha256(benchmark: Benchmark) -> str:
    """Hash of a benchmark's settings; results are comparable only where it is the same."""
    text = json.dumps(dict(benchmark_settings(benchmark)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
