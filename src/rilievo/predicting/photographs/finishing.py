"""Finish a network's inference to the prediction of a photograph, with metres and notes."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from rilievo.calibration.camera_checks import fov_note, panorama_note, pixel_notes
from rilievo.calibration.sizes import Known, KnownCircle, KnownPoint, KnownRectangle
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.io.files.names import printable
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.trimming import border_note
from rilievo.options.camera_forms import CameraOptions
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.photo_options import PhotoOptions, Refine
from rilievo.predicting.metres.metric_references import MetricReferences, read_references
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo

_MAX_POINT_DISTANCE = 300.0  # [m]; larger known sizes are probably in another unit
_MAX_LENGTH = 100.0  # [m]
_MAX_DIAMETER = 10.0  # [m]
_MAX_CAMERA_HEIGHT = 30.0  # [m]
_EXIF_SOURCES = (CameraSource.EXIF_35MM, CameraSource.EXIF_SENSOR)


def finish_photo(
    model: Model,
    inference: Inference,
    photo: Photo,
    options: PhotoOptions,
    *,
    references: MetricReferences | None = None,
    warn: Callable[[str], None] = lambda warning: None,
) -> Prediction:
    """Correct the depth of a photograph to agree with its lines, if they are clear, and finish it.

    Frames of videos only get ``finish``, because a correction that comes and goes would make their
    depth flicker. The arguments are those of ``finish``.

    Raises:
        CalibrationError: If the known sizes do not determine metres.
    """
    note = None
    if options.refine.manhattan and photo.camera is not None:
        # Imported on demand, because most photographs have no known camera.
        from rilievo.models.refinement.manhattan import correct_by_lines, correction_note

        inference, change = correct_by_lines(model, inference, photo)
        note = None if change is None else correction_note(change)
    prediction = finish(model, inference, photo, options, references=references, warn=warn)
    return prediction if note is None else prediction.but(notes=(*prediction.notes, note))


def finish(
    model: Model,
    inference: Inference,
    photo: Photo,
    options: PhotoOptions,
    *,
    references: MetricReferences | None = None,
    clip: Callable[[Prediction], Prediction] | None = None,
    anchor: Callable[[Prediction], Prediction] | None = None,
    warn: Callable[[str], None] = lambda warning: None,
) -> Prediction:
    """Bring an inference to the photograph's size, and to metres if a size is known.

    By default the references for metres come from the sizes in the options, and affine depth is
    anchored on its own. A frame of a video has ``clip`` instead, which adds the anchoring and the
    metres of its clip, and a frame of a stream has ``anchor``, which anchors it with its shot.
    ``warn`` is called with each warning as soon as it is found.

    Raises:
        CalibrationError: If the known sizes do not determine metres.
    """
    if references is None:
        references = read_references(options.sizes, photo)
    # ``warn`` is only called in this function, because it counts the calls up to the user's line.
    input_warnings = _input_warnings(photo, options, references)
    for warning in input_warnings:
        warn(warning)

    prediction = model.finish(inference, photo)
    metres_remark = None
    if clip is not None:
        prediction = clip(prediction)
    else:
        prediction = _anchor(prediction, options, anchor, warn)
        prediction, metres_remark = _convert_if_referenced(prediction, references)

    metres_warning, metres_note = metres_remark, None
    if _has_relative_own_depth(photo) and prediction.calibration is None:
        # Only a note, because phones usually store the depth of portraits without a unit.
        metres_warning, metres_note = None, metres_remark
    possible_warnings = (
        metres_warning,
        border_note(model, photo),
        *photo.notes,
        panorama_note(photo),
    )
    result_warnings = [warning for warning in possible_warnings if warning]
    for warning in result_warnings:
        warn(warning)

    possible_notes = [metres_note, _mask_note(options.refine)]
    if options.refine.tile is not None:
        possible_notes.append(tile_note(options.refine.tile, photo))
    if prediction.calibration is not None and clip is None:
        possible_notes.append(prediction.calibration.describe(prediction.instrument))
        possible_notes.append(_sparse_note(prediction, references))
    notes = [note for note in possible_notes if note]
    return prediction.but(notes=(*input_warnings, *result_warnings, *notes))


def _input_warnings(photo: Photo, options: PhotoOptions, references: MetricReferences) -> list[str]:
    """List what is doubtful about a photograph's camera and its known sizes."""
    known_points = references.sparse_points or references.known
    return [
        *unit_notes(references.known, references.camera_height, options.view.fov),
        *_vanishing_points_notes(options.view),
        *pixel_notes(photo.camera, photo.shape, known_points),
        *references.notes,
        *_unused_camera_notes(references, photo),
    ]


def _anchor(
    prediction: Prediction,
    options: PhotoOptions,
    anchor: Callable[[Prediction], Prediction] | None,
    warn: Callable[[str], None],
) -> Prediction:
    """Anchor depth if it is affine, by ``anchor``, or else on its own."""
    depth = prediction.depth_or_none
    if depth is None or depth.is_depth or not options.surface.allows_anchoring:
        return prediction
    if anchor is not None:
        return anchor(prediction)
    # Imported on demand, because it imports the table of checkpoints.
    from rilievo.predicting.photographs.anchoring import defer_anchoring

    return defer_anchoring(prediction, options.refine, warn)


def _convert_if_referenced(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, str | None]:
    """Convert depth to metres if there are references for them.

    Returns:
        The prediction, and a remark on what may be wrong about its metres.
    """
    if references.is_empty:
        return prediction, None
    # Imported on demand, because most photographs have no references.
    from rilievo.predicting.metres.fitting import convert_to_metres

    return convert_to_metres(prediction, references)


def _sparse_note(prediction: Prediction, references: MetricReferences) -> str | None:
    """Return a note if depth of an instrument is fitted but not kept."""
    if references.sparse_count is None:
        return None
    from rilievo.predicting.metres.fitting import sparse_points_note

    return sparse_points_note(prediction, references)


def _has_relative_own_depth(photo: Photo) -> bool:
    """Whether the photograph's file contains depth without a unit."""
    own_depth = photo.own_depth
    return own_depth is not None and own_depth.metres is None and not own_depth.broken


def _unused_camera_notes(references: MetricReferences, photo: Photo) -> list[str]:
    """Return a note that the camera in a sensor's file is not used, unless the user gives one."""
    file = references.unused_camera_file
    is_named = photo.camera is not None and photo.camera.source not in _EXIF_SOURCES
    if file is None or is_named:
        return []
    return [
        Note(
            f"the camera in {file} is not used",
            hint=Text("give ", OptionName("camera", file), " to use it"),
        )
    ]


def _mask_note(refine: Refine) -> str | None:
    """Return a note that the user's mask leaves pixels without depth; None without a mask."""
    valid = refine.valid_pixels
    if valid is None:
        return None
    is_array = isinstance(refine.valid_mask, np.ndarray)
    name = "" if is_array else f" {printable(str(refine.valid_mask))}"
    return f"the mask{name} leaves {1 - valid.mean():.1%} of the pixels without depth"


def tile_note(tile: int, photo: Photo) -> str | None:
    """Return a note that tiles have no effect, if the photograph is no larger than one tile."""
    height, width = photo.shape
    if max(height, width) > tile or photo.is_wide:
        return None
    problem = f"{tile} has no effect, because this photograph has only {width}x{height} pixels"
    return Note(problem, option="tile")


def is_depth_sufficient(sizes: KnownSizes, outputs: Sequence[str], photo: Photo) -> bool:
    """Whether outputs need neither normals nor confidence, so that the network may skip them."""
    # Imported on demand, because ``rilievo.predict`` writes no files.
    from rilievo.prediction.output import Need
    from rilievo.prediction.saving import output_parts

    needs_depth_only = output_parts(outputs).isdisjoint((Need.NORMALS, Need.CONFIDENCE))
    return needs_depth_only and not becomes_metric(sizes, photo)


def becomes_metric(sizes: KnownSizes, photo: Photo) -> bool:
    """Whether depth will be converted to metres, which needs normals and confidence."""
    uses_own_depth = bool(sizes.own_depth) and photo.own_depth is not None
    return sizes.makes_metric or sizes.camera_height is not None or uses_own_depth


def option_notes(options: PhotoOptions) -> list[str]:
    """Return notes that are the same for all photographs.

    They are on known sizes in doubtful units, on options without effect, and on a mask.
    """
    sizes = options.sizes
    mask_note = _mask_note(options.refine)
    return [
        *unit_notes(sizes.known_sizes, sizes.camera_height, options.view.fov),
        *_vanishing_points_notes(options.view),
        *([] if mask_note is None else [mask_note]),
    ]


def _vanishing_points_notes(view: CameraOptions) -> list[str]:
    """Return a note if vanishing points are not needed, because the user gives a focal length."""
    if not view.vanishing_points:
        return []
    return [
        Note(
            Text("has no effect, because ", OptionName(name, "..."), " gives the focal length"),
            option="vanishing_points",
        )
        for name in ("camera", "fov", "projection")
        if getattr(view, name) is not None
    ]


def _extent_word(size: Known) -> str:
    """Word after the metres of a known size: a point is so far "away", a length so "long"."""
    if isinstance(size, KnownPoint):
        return "away"
    return "across" if isinstance(size, KnownCircle) else "long"


def unit_notes(sizes: Iterable[Known], camera_height: float | None, fov: float | None) -> list[str]:
    """Return notes on sizes that are hardly in metres, and an angle that is hardly in degrees."""
    notes: list[str] = []
    for size in sizes:
        metres = max(size.lengths) if isinstance(size, KnownRectangle) else size.metres
        if metres > _max_plausible_metres(size):
            notes.append(
                Note(
                    f"known {size.noun} {size} is read as {metres:g} metres {_extent_word(size)}",
                    hint=f"if the number is in millimetres, write {metres / 1000:g}",
                )
            )
    if camera_height is not None and camera_height > _MAX_CAMERA_HEIGHT:
        notes.append(_camera_height_note(camera_height))
    angle_note = fov_note(fov)
    return notes if angle_note is None else [*notes, angle_note]


def _max_plausible_metres(size: Known) -> float:
    """Return the limit above which a known size is probably in another unit [m]."""
    if isinstance(size, KnownPoint):
        return _MAX_POINT_DISTANCE
    return _MAX_DIAMETER if isinstance(size, KnownCircle) else _MAX_LENGTH


def _camera_height_note(camera_height: float) -> Note:
    """Return a note on a height that is hardly in metres, with the likelier unit."""
    unit, per_metre = ("millimetres", 1000) if camera_height >= 1000 else ("centimetres", 100)
    return Note(
        f"is read as {camera_height:g} metres above the floor",
        option="camera_height",
        hint=f"if the number is in {unit}, write {camera_height / per_metre:g}",
    )
