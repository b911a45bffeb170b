"""Sizes that a user knows, and the conversion of predictions to metres by them."""

from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.calibration import Calibrated, Known, KnownPoint
from rilievo.calibration.fact import read_known_table, shared_known
from rilievo.calibration.sparse import find_sparse, of_own_depth, plausible, read_sparse
from rilievo.errors import CalibrationError, InputError
from rilievo.io.limits import check_regular
from rilievo.predicting.inputs import Job
from rilievo.predicting.options import PredictOptions
from rilievo.types import Calibration, Camera, CameraSource, OwnDepth, Prediction, Setting

OWN_DEPTH = "own depth"
"""``Calibration.method`` of metres from the depth in the photograph's own file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metres:
    """Sizes that the user knows: points, lengths, the camera's height, or nothing."""

    known: tuple[Known, ...] = ()
    camera_height: float | None = None
    smooth: bool = True
    """Whether many facts may bend depth smoothly; False for videos, whose frames share one fit."""
    sparse: tuple[KnownPoint, ...] = ()
    """Points from an instrument, some of which may be wrong; in place of ``known``."""
    method: str | None = None
    """Source of ``known`` or ``sparse``; None if the user gave them."""

    def __bool__(self) -> bool:
        return bool(self.known or self.sparse) or self.camera_height is not None


def metres_of(options: PredictOptions, job: Job, shape: tuple[int, int]) -> Metres:
    """Collect the known sizes in one photograph, or in the first frame of a clip."""
    known = known_of(options, job)
    sparse: tuple[KnownPoint, ...] = ()
    if options.sparse is not None:
        path = find_sparse(options.sparse, _in_tree(options, job))
        sparse = read_sparse(path, shape, options.sparse_unit)
    return Metres(known=known, sparse=sparse, camera_height=options.camera_height)


def _in_tree(options: PredictOptions, job: Job) -> Path:
    """Path of a photograph in the tree of results, which is that of the inputs."""
    if job.target.is_relative_to(options.output):
        return job.target.relative_to(options.output)
    return Path(job.source.stem)


def known_of(options: PredictOptions, job: Job) -> tuple[Known, ...]:
    """Known points and lengths of one photograph, from the options or their table."""
    table = options.known_table
    if table is None:
        return options.known_facts
    if options.same_camera:
        return shared_known(table)
    known = read_known_table(table).get(job.source.resolve(), ())
    if not known:
        raise InputError(f"{job.source}: {table} has no point of it")
    return known


def sparse_facts(options: PredictOptions, job: Job) -> dict[str, Setting]:
    """Name, size and time of the file of sparse depth; empty if none was asked for."""
    if options.sparse is None:
        return {}
    path = find_sparse(options.sparse, _in_tree(options, job))
    check_regular(path)
    state = path.stat()
    return {
        "sparse": f"{path.name} {state.st_size} {state.st_mtime_ns}",
        "sparse_unit": options.sparse_unit,
    }


def with_markers(prediction: Prediction, side: float) -> tuple[Prediction, Metres]:
    """Read the printed markers in a photograph.

    Returns:
        The prediction and the depths at the markers' centres. The focal length comes from the
        markers if they determine it and it was assumed or found by vanishing points.
    """
    from rilievo.calibration.markers import find_markers, focal_of, points_of

    camera, photo = prediction.known_camera, prediction.photo
    assert photo is not None, "a prediction that has just been made has its photograph"
    markers = find_markers(photo.pixels)
    if camera.source in (CameraSource.ASSUMED, CameraSource.VANISHING_POINTS):
        K = camera.K.copy()
        focal = focal_of(markers, photo.shape, (float(K[0, 2]), float(K[1, 2])))
        if focal is not None:
            K[0, 0] = K[1, 1] = focal
            camera = Camera(K=K, source=CameraSource.MARKERS)
    metres = Metres(known=points_of(markers, camera, side), method="markers")
    return prediction.but(camera=camera), metres


def with_metres(prediction: Prediction, metres: Metres) -> tuple[Prediction, Calibrated | None]:
    """Convert a prediction to metres by known sizes, if any; return it and the fit."""
    if not metres:
        return prediction, None
    if prediction.depth_or_none is None:
        raise CalibrationError("this model gives no depth, so there is nothing to calibrate")
    from rilievo.calibration import calibrate, calibrate_height
    from rilievo.calibration.record import facts
    from rilievo.measure.expectation import with_expected_error

    if metres.known or metres.sparse:
        known, remark = metres.known, None
        if metres.sparse:
            known, remark = plausible(prediction.depth, metres.sparse)
        fitted = calibrate(
            prediction.depth,
            known,
            camera=prediction.camera,
            smooth=metres.smooth,
            judge=not metres.sparse,
        )
        remarks = (fitted.warning, remark)
        fitted = replace(fitted, warning="; ".join(filter(None, remarks)) or None)
        asked = tuple(map(str, known))
    else:
        assert metres.camera_height is not None, "checked above"
        fitted = calibrate_height(
            prediction.depth,
            prediction.known_camera,
            metres.camera_height,
            normals=prediction.normals,
        )
        asked = (f"{metres.camera_height:g} m",)
    said = facts(fitted, asked)
    said = replace(said, method=metres.method or said.method)
    metric = prediction.but(depth_or_none=fitted.depth, calibration=said)
    return with_expected_error(metric), fitted


def in_metres(
    prediction: Prediction, metres: Metres, *, markers: float | None, own: OwnDepth | None
) -> tuple[Prediction, str | None]:
    """Convert by known sizes and markers of this side [m], or else by the depth in its own file.

    Returns:
        The prediction, and a remark on its metres.
    """
    if markers is not None:
        prediction, found = with_markers(prediction, markers)
        both = replace(found, known=(*found.known, *metres.known), method=None)
        metres = both if metres.known else found
    prediction, fitted = with_metres(prediction, metres)
    return with_own_depth(prediction, own) if fitted is None else (prediction, fitted.warning)


def with_own_depth(prediction: Prediction, own: OwnDepth | None) -> tuple[Prediction, str | None]:
    """Convert a prediction to metres by the depth in the photograph's own file.

    Returns:
        The prediction, unchanged if the depth cannot be used, and a remark or the reason.
    """
    if own is None or prediction.depth_or_none is None:
        return prediction, None
    whose = f"its own depth ({own.source}) is not used"
    if own.metres is None:
        return prediction, f"{whose}: {own.unused}"
    try:
        points = of_own_depth(own, prediction.shape, prediction.known_camera)
        metric, fitted = with_metres(prediction, Metres(sparse=points, method=OWN_DEPTH))
    except CalibrationError as error:
        return prediction, f"{whose}: {error}"
    assert fitted is not None, "there are points to fit"
    assert metric.calibration is not None, "it has just been calibrated"
    said = replace(metric.calibration, own_depth=own.source)
    return metric.but(calibration=said), fitted.warning


def trust(calibration: Calibration) -> str:
    """Source and expected error of metres, in words."""
    method = calibration.method
    if calibration.own_depth is not None:
        method = f"the photograph's own depth ({calibration.own_depth})"
    if calibration.expected_error is None:
        return f"metres from {method}"
    return (
        f"metres from {method}; the depth of 8 in 10 pixels should be within "
        f"{100 * calibration.expected_error:.0f} %"
    )
