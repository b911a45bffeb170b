"""MoGe's evaluations, on any dataset: no crop, no cap, robust fits."""

from rilievo.alignment import AlignMethod
from rilievo.alignment.lines import PointFit
from rilievo.evaluate.benchmark import Benchmark, Task
from rilievo.evaluate.benchmarks.blocks import PIXEL_METRICS
from rilievo.types import DepthKind

_PINNED = (
    "; equal to MoGe's program with the utils3d that it pins (3fab839): a later one chooses other "
    "pixels, which moves AbsRel by up to 0.33 %"
)
_DATA = (
    "MoGe's own bundle of images was warped, resized and freed of the farthest depths before; on "
    "other copies of the datasets the numbers differ"
)

AFFINE = Benchmark(
    name="moge-affine",
    title="any dataset, affine-invariant depth by MoGe's robust fit",
    dataset=None,
    min_depth=0.0,
    alignment={
        DepthKind.METRIC: AlignMethod.ROBUST_SCALE_SHIFT,
        DepthKind.UP_TO_SCALE: AlignMethod.ROBUST_SCALE_SHIFT,
        DepthKind.AFFINE: AlignMethod.ROBUST_SCALE_SHIFT,
    },
    metrics=PIXEL_METRICS,
    reproduces=(
        "MoGe's affine-invariant depth: the scale and shift with the least sum of errors weighted "
        "by 1 / depth, exactly, on 64 x 64 pixels; every pixel with truth counts; depth that the "
        "fit takes below 1 mm is scored as 1 mm (MoGe scores it as it is)" + _PINNED
    ),
    hides=f"scale and shift of every image are taken from its truth; {_DATA}",
)

SCALE = Benchmark(
    name="moge-scale",
    title="any dataset, scale-invariant depth by MoGe's robust fit",
    dataset=None,
    min_depth=0.0,
    alignment={
        DepthKind.METRIC: AlignMethod.ROBUST_SCALE,
        DepthKind.UP_TO_SCALE: AlignMethod.ROBUST_SCALE,
    },
    metrics=PIXEL_METRICS,
    reproduces=(
        "MoGe's scale-invariant depth: the scale with the least sum of errors weighted by "
        "1 / depth, exactly, on 64 x 64 pixels; every pixel with truth counts" + _PINNED
    ),
    hides=f"the scale of every image is taken from its truth; {_DATA}",
)

DISPARITY = Benchmark(
    name="moge-disparity",
    title="any dataset, affine-invariant inverse depth by least squares",
    dataset=None,
    min_depth=0.0,
    alignment={
        DepthKind.METRIC: AlignMethod.INVERSE_SCALE_SHIFT,
        DepthKind.UP_TO_SCALE: AlignMethod.INVERSE_SCALE_SHIFT,
        DepthKind.AFFINE_INVERSE: AlignMethod.INVERSE_SCALE_SHIFT,
    },
    min_inverse=None,
    metrics=PIXEL_METRICS,
    reproduces=(
        "MoGe's affine-invariant disparity: least squares in inverse depth, which is then kept at "
        "the inverse of the image's largest true depth and above; without that bound a few pixels "
        "near zero decide every mean"
    ),
    hides=(
        "scale and shift of every image are taken from its truth, and the bound tells the "
        f"prediction how far the image reaches; {_DATA}"
    ),
)

BOUNDARY = Benchmark(
    name="moge-boundary",
    title="any dataset with sharp depth, occluding edges within one, two and three pixels",
    dataset=None,
    min_depth=0.0,
    alignment={
        DepthKind.METRIC: AlignMethod.NONE,
        DepthKind.UP_TO_SCALE: AlignMethod.ROBUST_SCALE,
        DepthKind.AFFINE: AlignMethod.ROBUST_SCALE_SHIFT,
        DepthKind.AFFINE_INVERSE: AlignMethod.INVERSE_SCALE_SHIFT,
    },
    min_inverse=1e-6,
    metrics=("edge_f1_r1", "edge_f1_r2", "edge_f1_r3"),
    reproduces=(
        "MoGe's boundary F1 by radius, which it scores on the sets of its bundle with sharp depth: "
        "iBims-1, Sintel, Spring, HAMMER. Where its prediction is in metres and the truth is not, "
        "it takes the scale first, which changes no edge; say --kind up_to_scale there"
    ),
    hides=f"how far edges are from where they should be, beyond the radius; {_DATA}",
)

_POINTS = ("point_rel", "point_delta1")
_LOCAL = (
    "points follow from depth and the model's own camera, or from files of points; objects and "
    "views are those of the bundle (dataset moge-bundle)"
)

POINTS_METRIC = Benchmark(
    name="moge-points-metric",
    title="any dataset with cameras, points in metres after a shift in space",
    task=Task.POINTS,
    dataset=None,
    min_depth=0.0,
    alignment={DepthKind.METRIC: PointFit.POINT_SHIFT},
    metrics=(*_POINTS, "point_distance"),
    reproduces=(
        "MoGe's metric points: a shift in space with the least sum of deviations over the distance "
        f"of the true point, on 64 x 64 pixels{_PINNED}; {_LOCAL}"
    ),
    hides=f"a shift of every image is taken from its truth; {_DATA}",
)

POINTS_SCALE = Benchmark(
    name="moge-points-scale",
    title="any dataset with cameras, scale-invariant points",
    task=Task.POINTS,
    dataset=None,
    min_depth=0.0,
    alignment={
        DepthKind.METRIC: PointFit.POINT_SCALE,
        DepthKind.UP_TO_SCALE: PointFit.POINT_SCALE,
    },
    metrics=_POINTS,
    reproduces=(
        "MoGe's scale-invariant points: the scale with the least sum of deviations over the "
        f"distance of the true point, on 64 x 64 pixels{_PINNED}; {_LOCAL}"
    ),
    hides=f"the scale of every image is taken from its truth; {_DATA}",
)

POINTS_AFFINE = Benchmark(
    name="moge-points-affine",
    title="any dataset with cameras, points after a scale and a shift in space",
    task=Task.POINTS,
    dataset=None,
    min_depth=0.0,
    alignment={
        DepthKind.METRIC: PointFit.POINT_SCALE_SHIFT,
        DepthKind.UP_TO_SCALE: PointFit.POINT_SCALE_SHIFT,
        DepthKind.AFFINE: PointFit.POINT_SCALE_SHIFT,
    },
    metrics=_POINTS,
    reproduces=(
        "MoGe's affine-invariant points: of all scales and shifts that take one of 64 x 64 points "
        "to its true place, the one with the least sum of deviations over the distance of the true "
        f"point, exactly{_PINNED}; {_LOCAL}"
    ),
    hides=f"scale and shift of every image are taken from its truth; {_DATA}",
)

POINTS_LOCAL = Benchmark(
    name="moge-points-local",
    title="any dataset with cameras and objects, the points of each object by themselves",
    task=Task.POINTS,
    dataset=None,
    min_depth=0.0,
    alignment=POINTS_AFFINE.alignment,
    metrics=("local_rel", "local_delta1"),
    reproduces=(
        "MoGe's local points: every object of at least 10 points of the subsample has a scale and "
        "a shift of its own, and errors are shares of its size, averaged over the objects of an "
        "image. An image without such an object has no score here, and none there. An object that "
        "the fit would mirror counts as a point at its middle, where MoGe's fit has no rule"
    ),
    hides=f"where objects lie, and how large they are; {_DATA}",
)

FIELD_OF_VIEW = Benchmark(
    name="moge-fov",
    title="any dataset with cameras, horizontal field of view",
    task=Task.CAMERA,
    dataset=None,
    metrics=("fov_error", "fov_deviation"),
    reproduces=(
        "MoGe's field of view: the size of the error in degrees; its papers print mean and median "
        "over images, which the tables have both"
    ),
    hides=(
        "most datasets have one camera, so a model that always says the same can be right: MoGe "
        "crops images at random before, which its bundle does not"
    ),
)
