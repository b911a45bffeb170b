"""The benchmarks by name: each one says what it computes, what it reproduces and what it hides."""

import csv
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.evaluate.benchmark import Benchmark, Published
from rilievo.evaluate.benchmarks import (
    generic,
    kitti,
    marigold,
    moge,
    nyuv2,
    probe3d,
    small_sets,
)
from rilievo.outside import OpenTable, is_place

# A new benchmark is a record in one of the files beside this one, and one line here; what others
# published under it, lines of published.csv.
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
    small_sets.DSINE_SCANNET,
    small_sets.DSINE_IBIMS,
    small_sets.DSINE_SINTEL,
    small_sets.DSINE_OASIS,
    small_sets.DSINE_NYUV2,
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


def _published() -> dict[str, tuple[Published, ...]]:
    """Others' results by benchmark: a line each of ``published.csv``."""
    rows: defaultdict[str, tuple[Published, ...]] = defaultdict(tuple)
    with Path(__file__).with_name("published.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            pairs = (pair.split("=") for pair in row["values"].split())
            values = {metric: float(value) for metric, value in pairs}
            rows[row["benchmark"]] += (
                Published(model=row["model"], values=values, source=row["source"]),
            )
    return rows


def _outside(found: object, name: str) -> Benchmark:
    """A benchmark of another package, under the name that this offers it by, or its own."""
    if not isinstance(found, Benchmark):
        raise OptionError(f"'{name}' is no benchmark, but a {type(found).__name__}")
    return found if is_place(name) else replace(found, name=name)


_ROWS = _published()
BENCHMARKS: OpenTable[Benchmark] = OpenTable(
    {each.name: replace(each, published=_ROWS.get(each.name, ())) for each in _BENCHMARKS},
    "benchmark",
    _outside,
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
