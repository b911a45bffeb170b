"""The benchmarks by name: each one says what it computes, what it reproduces and what it hides."""

from dataclasses import replace

from rilievo.errors import OptionError
from rilievo.evaluate.benchmark import Benchmark
from rilievo.evaluate.benchmarks import (
    dsine,
    generic,
    kitti,
    marigold,
    moge,
    nyuv2,
    probe3d,
    small_sets,
)
from rilievo.outside import OpenTable, is_place

# A new benchmark is a record in one of the files beside this one, and one line here.
_BENCHMARKS = (
    nyuv2.EIGEN,
    nyuv2.EIGEN_FILLED,
    nyuv2.NORMALS,
    kitti.EIGEN,
    kitti.EIGEN_IMPROVED,
    kitti.DEPTH_ANYTHING_V2,
    kitti.MONODEPTH2,
    kitti.UNCERTAINTY,
    kitti.BENCHMARK_EIGEN,
    small_sets.SUNRGBD,
    small_sets.SUNRGBD_ARTICLE,
    small_sets.IBIMS,
    small_sets.DIODE,
    small_sets.DA2K,
    probe3d.NYUV2,
    probe3d.NYUV2_SI,
    probe3d.NAVI,
    probe3d.NAVI_SI,
    probe3d.NYUV2_NORMALS,
    probe3d.NAVI_NORMALS,
    marigold.NYUV2,
    marigold.KITTI,
    marigold.ETH3D,
    marigold.SCANNET,
    marigold.DIODE,
    marigold.NYUV2_NORMALS,
    dsine.SCANNET,
    dsine.IBIMS,
    dsine.SINTEL,
    dsine.OASIS,
    moge.AFFINE,
    moge.SCALE,
    moge.DISPARITY,
    moge.BOUNDARY,
    moge.POINTS_METRIC,
    moge.POINTS_SCALE,
    moge.POINTS_AFFINE,
    moge.POINTS_LOCAL,
    moge.FIELD_OF_VIEW,
    generic.VIDEO_DEPTH,
    generic.VIDEO_STABILITY,
    generic.DEPTH,
    generic.SURFACES,
    generic.NORMALS,
    generic.CERTAINTY,
    generic.NORMALS_CERTAINTY,
)


def _outside(found: object, name: str) -> Benchmark:
    """A benchmark of another package, under the name that this offers it by, or its own."""
    if not isinstance(found, Benchmark):
        raise OptionError(f"'{name}' is no benchmark, but a {type(found).__name__}")
    return found if is_place(name) else replace(found, name=name)


BENCHMARKS: OpenTable[Benchmark] = OpenTable(
    {each.name: each for each in _BENCHMARKS}, "benchmark", _outside
)


def find_benchmark(name: str) -> Benchmark:
    """A benchmark by its name.

    Args:
        name: Name in ``BENCHMARKS``, name offered by an installed package, or
            ``package.module:NAME`` of a record of one's own.

    Raises:
        OptionError: If there is none.
    """
    return BENCHMARKS.find(name)
