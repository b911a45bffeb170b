"""A benchmark beside the released functions that it reproduces, on the same maps.

Maps are made by seed: true depth with much or little missing, and a prediction with errors, of the
kind of depth that the program was written for. Crop and cap are ours on both sides, since the
programs have them in their loaders; fits, clips and metrics are each side's own.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab.prove.checkout import Checkout, call
from lab.prove.hard_maps import (
    HALF,
    HALF_HOLES,
    HARD,
    KITTI_SIZES,
    ODD,
    all_sources_known,
    punch_holes,
)
from lab.prove.programs import Program
from lab.prove.stored_normals import seeded_normals, write_set
from rilievo.data.datasets import open_dataset
from rilievo.errors import OptionError
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Crop, InputCrop, Interpolation, Task
from rilievo.evaluation.metrics.stability import StabilityPair, temporal_error
from rilievo.evaluation.scoring.regions import depth_mask, truth_in_view
from rilievo.evaluation.scoring.score import score
from rilievo.evaluation.stored_numbers import PointMap
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.depth.crops import RESIZED
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy
from rilievo.records.sample import Truth
from rilievo.version import VERSION

_LOADED = "dsine"
"""Dataset whose files are read by the program's own loaders too."""
SHARES = (1.0, 0.6, 0.05)
"""Shares of the pixels with truth, one a case."""
_KITTI_CROPS = (Crop.KITTI_EIGEN, Crop.KITTI_GARG)
_OTHER_KITTI_SIZES = {f"{size[0]}x{size[1]}": size for size in KITTI_SIZES[1:]}
"""Sizes of KITTI besides that of all other cases, by name of the case."""
_NOBODY = MadeBy(
    model="seeded maps", weights_sha256="none", licence="none", settings={}, version=VERSION
)
_MOGE = {
    "moge-affine": ("depth_affine_invariant", "depth_affine_invariant"),
    "moge-scale": ("depth_scale_invariant", "depth_scale_invariant"),
    "moge-metric": ("depth_metric", "depth_metric"),
    "moge-disparity": ("disparity_affine_invariant", "disparity_affine_invariant"),
    "moge-boundary": ("depth_metric", "boundary"),
    "moge-points-metric": ("points_metric", "points_metric"),
    "moge-points-scale": ("points_scale_invariant", "points_scale_invariant"),
    "moge-points-affine": ("points_affine_invariant", "points_affine_invariant"),
    "moge-points-local": ("points_affine_invariant", "local_points"),
    "moge-fov": ("intrinsics", "fov_x"),
}
"""Names that MoGe's function has for a prediction and for its numbers."""
_MOGE_NAMES = {
    **dict.fromkeys(("abs_rel", "point_rel", "local_rel"), "rel"),
    **dict.fromkeys(("delta1", "point_delta1", "local_delta1"), "delta1"),
    **{"fov_error": "mae", "fov_deviation": "deviation"},
    **{f"edge_f1_r{radius}": f"radius{radius}_f1" for radius in (1, 2, 3)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One metric of one case.

    Attributes:
        case: Name of the map, such as the share of its pixels with truth; ``mean`` over all.
        ours: Number of the benchmark.
        theirs: Number of the released functions.
        tolerance: Difference up to which both are the same.
    """

    case: str
    metric: str
    ours: float
    theirs: float
    tolerance: float = 1e-6

    @property
    def size(self) -> float:
        """Difference, relative where numbers are above 1."""
        return abs(self.ours - self.theirs) / max(1.0, abs(self.theirs))

    @property
    def agrees(self) -> bool:
        """Whether both are the same; NaN never is."""
        return self.size <= self.tolerance


def prove(
    benchmark: Benchmark, program: Program, checkout: Checkout, python: Path
) -> tuple[Difference, ...]:
    """Compare a benchmark with the program's own functions."""
    with tempfile.TemporaryDirectory() as place:
        cases = _cases(benchmark, program)
        if benchmark.dataset == _LOADED:
            cases.append(_files(benchmark, Path(place)))
        names, maps = [case.name for case in cases], [case.arrays for case in cases]
        theirs = call(program, checkout, python, maps, _arguments(benchmark))
    scored = [case.numbers for case in cases]
    if len(theirs) == 1 < len(cases):
        # The program averages over images itself.
        means = {name: float(np.mean([each[name] for each in scored])) for name in scored[0]}
        names, scored = ["mean"], [means]
    found = []
    for case, ours, numbers in zip(names, scored, theirs, strict=True):
        found += [
            Difference(
                case=case,
                metric=name,
                ours=ours[name],
                theirs=number,
                tolerance=program.tolerance,
            )
            for name, number in numbers.items()
            if name in ours
        ]
    if not found:
        raise OptionError(f"{program.repository}: gave none of the metrics of '{benchmark.name}'")
    return tuple(found)


def _arguments(benchmark: Benchmark) -> Mapping[str, object]:
    theirs, group = _MOGE.get(benchmark.name, ("", ""))
    names = {name: _MOGE_NAMES[name] for name in benchmark.metrics if name in _MOGE_NAMES}
    return {
        "clip": benchmark.clip,
        "crop": str(benchmark.crop),
        "fit_side": benchmark.fit_side,
        "scale_invariant": benchmark.name.endswith("-si"),
        "theirs": theirs,
        "group": group,
        "names": names,
        "is_sharp": benchmark.name == "moge-boundary",
        "loader": f"data.datasets.{benchmark.split}" if benchmark.dataset == _LOADED else "",
        "key": "predicted_K" if benchmark.task is Task.CAMERA else "predicted",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One map: its name, both sides' arrays, and our numbers."""

    name: str
    arrays: Mapping[str, np.ndarray]
    numbers: Mapping[str, float]


def _cases(benchmark: Benchmark, program: Program) -> list[Case]:
    """Plain maps with much and little truth, and the hard ones that the program is fit for."""
    shares = SHARES if program.is_masked else (1.0,) * len(SHARES)
    named = [(f"{share:.0%}", share, "") for share in shares]
    named += [(name, 0.6, name) for name in program.cases]
    if benchmark.crop in _KITTI_CROPS:
        named += [(name, 0.6, name) for name in _OTHER_KITTI_SIZES]
    cases = []
    for seed, (name, share, change) in enumerate(named):
        if benchmark.task is Task.STABILITY:
            cases.append(_pair(name, seed))
            continue
        prediction, truth, arrays = _case(benchmark, share, seed, change)
        values = score(benchmark, prediction, truth).score.values
        cases.append(Case(name=name, arrays=arrays, numbers=values))
    return cases


def _files(benchmark: Benchmark, root: Path) -> Case:
    """Files of the set, read by our loader: scores, and weighted means of what it reads."""
    path = write_set(str(benchmark.split), root)
    data = open_dataset(_LOADED, root, split=benchmark.split)
    (id,) = data.ids
    image, truth, guess = data.image(id), data.truth(id), seeded_normals()
    assert truth.normals is not None
    assert truth.normals_valid is not None
    assert truth.camera is not None
    weights = np.random.default_rng(0).random(guess.shape[1:])
    values = dict(
        score(benchmark, StoredPrediction(made_by=_NOBODY, normals=guess), truth).score.values
    )
    values["valid"] = float((weights * truth.normals_valid).mean())
    for axis, component in zip("xyz", truth.normals, strict=True):
        values[axis] = float((weights * component)[truth.normals_valid].mean())
    values["K"] = float((truth.camera.K * np.arange(9).reshape(3, 3)).sum())
    values["image"] = float((weights[..., None] * np.array([1, 2, 3]) * image).mean() / 255)
    arrays = {"root": np.array(str(root / "dsine_eval" / str(benchmark.split)))}
    arrays |= {"path": np.array(path), "predicted": guess, "weights": weights}
    return Case(name="files", arrays=arrays, numbers=values)


def _pair(name: str, seed: int) -> Case:
    """Depth of two neighbouring frames and the motion between them."""
    chance = np.random.default_rng(seed)
    maps = [2 + chance.random((61, 97)) * (seed + 1) for _ in range(2)]
    K = np.array([[70.0, 0, 48], [0, 70, 30], [0, 0, 1]])
    motion = np.eye(4)
    turn = 0.05 * (seed + 1)
    motion[:3, :3] = [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    motion[:3, 3] = (0.2, -0.1, 0.4 * (seed + 1))
    everywhere = np.ones(maps[0].shape, bool)
    pair = StabilityPair(
        first_depth=maps[0],
        second_depth=maps[1],
        first_valid=everywhere,
        second_valid=everywhere,
        first_true=maps[0],
        second_true=maps[1],
        K=K,
        second_T_first=motion,
    )
    arrays = {"first": maps[0], "second": maps[1], "K": K, "motion": motion}
    return Case(name=name, arrays=arrays, numbers={"tae": float(temporal_error(pair)[0])})


def _case(
    benchmark: Benchmark, share: float, seed: int, change: str = ""
) -> tuple[StoredPrediction, Truth, Mapping[str, np.ndarray]]:
    """A prediction, its truth, and both as arrays of what counts; ``change`` is a hard map."""
    chance = np.random.default_rng(seed)
    if benchmark.task is Task.NORMALS:
        return _normals(benchmark, share, chance)
    truth, guess = _seeded_maps(benchmark, share, change, chance)
    assert truth.camera is not None
    cut = truth_in_view(benchmark, truth)
    assert cut.depth is not None
    assert cut.camera is not None
    assert cut.objects is not None
    if guess is None or guess.shape != cut.depth.shape:
        error = chance.normal(0, 0.12, cut.depth.shape) + 0.1 * np.sin(cut.depth)
        guess = (cut.depth * np.exp(error)).astype(np.float32)
    guess = _shrink(guess, change)
    mask, whole_known = _counted_pixels(benchmark, cut, guess, change)
    true_points = np.moveaxis(cut.camera.points(cut.depth.astype(np.float64)), 0, -1)
    K = truth.camera.K
    arrays = {
        "true": cut.depth,
        "mask": mask,
        "K": K,
        "predicted": np.nan_to_num(guess, posinf=1),
        "whole_known": whole_known,
        "true_points": true_points.astype(np.float32),
        "objects": cut.objects,
    }
    if benchmark.task is Task.POINTS:
        points = cut.camera.points(guess.astype(np.float64)).astype(np.float32)
        kind = DepthKind.METRIC if benchmark.name.endswith("metric") else DepthKind.UP_TO_SCALE
        arrays["predicted"] = np.moveaxis(points, 0, -1).copy()
        map_ = PointMap(values=points, kind=kind, valid=np.ones(guess.shape, bool))
        return StoredPrediction(made_by=_NOBODY, points=map_), truth, arrays
    if benchmark.task is Task.CAMERA:
        own = K * [[float(chance.uniform(1, 1.3))], [1.13], [1]]
        arrays["predicted_K"] = own
        camera = Camera(K=own, source=CameraSource.PREDICTED)
        return StoredPrediction(made_by=_NOBODY, camera=camera, size=guess.shape), truth, arrays
    kind, stored = _as_stored(benchmark, guess)
    arrays["predicted"] = arrays["own_size"] = np.nan_to_num(stored, nan=1, posinf=1, neginf=1)
    confidence = None
    if any(name.startswith("ause_") for name in benchmark.metrics):
        arrays["confidence"] = confidence = chance.random(stored.shape).astype(np.float32)
    prediction = StoredPrediction(
        made_by=_NOBODY,
        depth_or_none=DepthMap(values=stored, kind=kind, valid=np.isfinite(stored)),
        confidence=confidence,
        crop=RESIZED if change in (HALF, HALF_HOLES) else None,
    )
    return prediction, truth, arrays


def _seeded_maps(
    benchmark: Benchmark, share: float, change: str, chance: np.random.Generator
) -> tuple[Truth, np.ndarray | None]:
    """True depth with objects and a camera; and the predicted depth of a hard map, else None."""
    height, width = _OTHER_KITTI_SIZES.get(change, _size(benchmark))
    if change == ODD:
        height, width = height - 5, width - 13
    v, u = np.mgrid[:height, :width]
    far = min(60.0, (benchmark.max_depth or 60.0) * 1.2)
    swing = 0.5 + 0.25 * np.sin(u / 23) + 0.25 * np.cos(v / 31)
    true = 0.5 + (far - 0.5) * swing**2 + 2.0 * ((u // 40 + v // 30) % 2)
    true = (true * np.exp(chance.normal(0, 1e-3, true.shape))).astype(np.float32)
    K = np.array([[0.9 * width, 0, (width - 1) / 2], [0, 0.9 * width, (height - 1) / 2], [0, 0, 1]])
    known = chance.random(true.shape) < share
    guess = None
    if change in HARD:
        error = chance.normal(0, 0.12, true.shape)
        guess = (true * np.exp(error)).astype(np.float32)
        HARD[change](guess, true, known, benchmark.max_depth)
    truth = Truth(
        id="seeded",
        depth=true,
        depth_valid=known,
        camera=Camera(K=K, source=CameraSource.GIVEN),
        objects=(1 + u // (width // 3 + 1)).astype(np.int64),
    )
    return truth, guess


def _counted_pixels(
    benchmark: Benchmark, truth: Truth, guess: np.ndarray, change: str
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that count by the benchmark's rules, and all with truth, both where ours has depth."""
    mask, known = depth_mask(benchmark, truth), truth.depth_valid
    assert known is not None
    if change in ("holes", HALF_HOLES):
        # Ours leaves these pixels out, by a rule that the program's card has; so they do not count.
        corners = benchmark.interpolation is Interpolation.BILINEAR_CORNERS
        predicted = all_sources_known(np.isfinite(guess), mask.shape, corners_aligned=corners)
        return mask & predicted, known & predicted
    return mask, known


def _shrink(guess: np.ndarray, change: str) -> np.ndarray:
    """Prediction of half the size, with holes in one of the two cases; others stay as they are."""
    if change not in (HALF, HALF_HOLES):
        return guess
    half = np.ascontiguousarray(guess[::2, ::2])
    if change == HALF_HOLES:
        punch_holes(half)
    return half


def _as_stored(benchmark: Benchmark, guess: np.ndarray) -> tuple[DepthKind, np.ndarray]:
    """The guess as the kind of depth that the program was written for."""
    if benchmark.name == "moge-disparity":
        return DepthKind.AFFINE_INVERSE, (3 / guess + 0.2).astype(np.float32)
    if benchmark.name.startswith("marigold") or benchmark.name == "moge-affine":
        return DepthKind.AFFINE, (0.07 * guess - 0.1).astype(np.float32)
    by_median = benchmark.interpolation is Interpolation.BILINEAR_INVERSE
    scaled = by_median or benchmark.name.startswith("moge-scale")
    return (DepthKind.UP_TO_SCALE, 0.2 * guess) if scaled else (DepthKind.METRIC, guess)


def _normals(
    benchmark: Benchmark, share: float, chance: np.random.Generator
) -> tuple[StoredPrediction, Truth, Mapping[str, np.ndarray]]:
    height, width = _size(benchmark)
    true = chance.normal(size=(3, height, width)) + np.array([0, 0, -2.0])[:, None, None]
    true = (true / np.linalg.norm(true, axis=0)).astype(np.float32)
    truth = Truth(id="seeded", normals=true, normals_valid=chance.random(true.shape[1:]) < share)
    cut = truth_in_view(benchmark, truth)
    assert cut.normals is not None
    assert cut.normals_valid is not None
    guess = cut.normals + chance.normal(0, 0.2, cut.normals.shape)
    guess = (guess / np.linalg.norm(guess, axis=0)).astype(np.float32)
    arrays = {"predicted": guess, "true": cut.normals, "mask": cut.normals_valid}
    return StoredPrediction(made_by=_NOBODY, normals=guess), truth, arrays


def _size(benchmark: Benchmark) -> tuple[int, int]:
    """A size that the benchmark's crops fit; else large enough for a thinned fit to thin."""
    if benchmark.crop is Crop.NYU_EIGEN or benchmark.input_crop is InputCrop.NYU_SQUARE:
        return 480, 640
    if benchmark.crop in _KITTI_CROPS:
        return KITTI_SIZES[0]
    return (300, 1100) if benchmark.fit_side is not None else (120, 200)
