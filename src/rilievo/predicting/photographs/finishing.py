"""From a network's answer to the prediction of a photograph, with metres and notes."""

from collections.abc import Callable, Iterable, Sequence

from rilievo.calibration.camera_checks import fov_note, pixel_notes
from rilievo.calibration.panoramas import panorama_note
from rilievo.calibration.sizes import Known, KnownPoint, KnownRectangle
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.trimming import border_note
from rilievo.options.photo_options import PhotoOptions
from rilievo.predicting.photographs.metric_references import MetricReferences, calibration_words
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo

_MAX_POINT_DISTANCE = 300.0  # [m]; larger known sizes are probably in another unit
_MAX_LENGTH = 100.0  # [m]
_MAX_CAMERA_HEIGHT = 30.0  # [m]
_EXIF_SOURCES = (CameraSource.EXIF_35MM, CameraSource.EXIF_SENSOR)


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
    """Bring a network's answer to the photograph's size, in metres if a size is known.

    Args:
        model: Refined model.
        inference: Answer of the model.
        photo: Photograph with its camera.
        options: Options of the photograph.
        references: What gives metres; by default the known sizes in the options.
        clip: Function that gives a frame the anchoring and the metres of its clip.
        anchor: Function that anchors affine depth of a stream's frame. By default a photograph is
            anchored by itself.
        warn: Function that is called with each warning as soon as it is found.

    Raises:
        CalibrationError: If the known sizes do not determine metres.
    """
    if references is None:
        references = MetricReferences.from_options(options.sizes)
    warnings = [
        *option_notes(options, references),
        *pixel_notes(photo.camera, photo.shape, references.sparse_points or references.known),
        *references.notes,
        *_unused_camera_notes(references, photo),
    ]
    for warning in warnings:
        warn(warning)

    prediction, remark = model.finish(inference, photo), None
    if clip is not None:
        prediction = clip(prediction)
    else:
        prediction, remark = _anchor_and_convert(
            prediction, photo, options, references, anchor, warn
        )

    late_warnings = [border_note(model, photo), *photo.notes, panorama_note(photo)]
    notes: list[str | None] = []
    if _has_relative_own_depth(photo) and prediction.calibration is None:
        # Portraits of phones hold depth without a unit, so it is nothing unusual.
        notes.append(remark)
    else:
        late_warnings.insert(0, remark)
    for warning in late_warnings:
        if warning:
            warnings.append(warning)
            warn(warning)

    if options.refine.tile is not None:
        notes.append(tile_note(options.refine.tile, photo))
    if prediction.calibration is not None and clip is None:
        notes.append(calibration_words(prediction.calibration, prediction.instrument))
    return prediction.but(notes=(*warnings, *(note for note in notes if note)))


def _anchor_and_convert(
    prediction: Prediction,
    photo: Photo,
    options: PhotoOptions,
    references: MetricReferences,
    anchor: Callable[[Prediction], Prediction] | None,
    warn: Callable[[str], None],
) -> tuple[Prediction, str | None]:
    """Let affine depth be anchored, and convert depth to metres if anything gives them.

    Returns the prediction, and what may be wrong about its metres.
    """
    sizes, depth = options.sizes, prediction.depth_or_none
    own_depth = photo.own_depth if sizes.own_depth else None
    needs_anchoring = depth is not None and not depth.is_depth and options.surface.anchors
    if needs_anchoring and anchor is not None:
        prediction, needs_anchoring = anchor(prediction), False
    if needs_anchoring:
        # Imported on demand: it brings the table of checkpoints.
        from rilievo.predicting.photographs.anchoring import anchorable

        prediction = anchorable(prediction, options.refine, warn)
    if sizes.markers is None and not references.give_metres and own_depth is None:
        return prediction, None

    from rilievo.predicting.photographs.fitting import convert_to_metres

    return convert_to_metres(prediction, references, markers=sizes.markers, own_depth=own_depth)


def _has_relative_own_depth(photo: Photo) -> bool:
    """Whether the photograph's file holds depth without a unit."""
    own = photo.own_depth
    return own is not None and own.metres is None and not own.broken


def _unused_camera_notes(references: MetricReferences, photo: Photo) -> list[str]:
    """Note that the camera in a sensor's file is not used, unless the user names another."""
    file = references.unused_camera_file
    is_named = photo.camera is not None and photo.camera.source not in _EXIF_SOURCES
    if file is None or is_named:
        return []
    return [
        Note(
            f"{file}: the camera that it states is not used",
            hint=Text(OptionName("camera", file), " takes it"),
        )
    ]


def tile_note(tile: int, photo: Photo) -> str | None:
    """Note that tiles have no effect, because the photograph is no larger than one."""
    height, width = photo.shape
    if max(height, width) > tile or photo.is_wide:
        return None
    problem = f"{tile} is about larger photographs, and this one has {width}x{height}"
    return Note(problem, option="tile")


def is_depth_sufficient(options: PhotoOptions, outputs: Sequence[str], photo: Photo) -> bool:
    """Whether outputs need neither normals nor confidence, so that the network may omit them."""
    # Imported on demand: predicting alone writes no files.
    from rilievo.prediction.output_record import Need
    from rilievo.prediction.saving import output_parts

    needs_depth_only = output_parts(outputs).isdisjoint((Need.NORMALS, Need.CONFIDENCE))
    return needs_depth_only and not becomes_metric(options, photo)


def becomes_metric(options: PhotoOptions, photo: Photo) -> bool:
    """Whether depth is converted to metres, which takes normals and confidence."""
    sizes = options.sizes
    uses_own_depth = bool(sizes.own_depth) and photo.own_depth is not None
    return sizes.makes_metric or sizes.camera_height is not None or uses_own_depth


def option_notes(options: PhotoOptions, references: MetricReferences | None = None) -> list[str]:
    """Notes on known sizes in doubtful units, and on options without effect."""
    view = options.view
    if references is None:
        references = MetricReferences.from_options(options.sizes)
    notes = unit_notes(references.known, references.camera_height, view.fov)
    if view.vanishing_points:
        notes += [
            Note(
                Text(
                    "is about an unknown focal length, and ", OptionName(name, "..."), " gives it"
                ),
                option="vanishing_points",
            )
            for name in ("camera", "fov", "projection")
            if getattr(view, name) is not None
        ]
    return notes


def unit_notes(sizes: Iterable[Known], camera_height: float | None, fov: float | None) -> list[str]:
    """Notes on sizes that are probably not in metres, and on an angle that is not in degrees."""
    notes: list[str] = []
    for size in sizes:
        is_point = isinstance(size, KnownPoint)
        metres = max(size.lengths) if isinstance(size, KnownRectangle) else size.metres
        if metres > (_MAX_POINT_DISTANCE if is_point else _MAX_LENGTH):
            notes.append(
                Note(
                    f"known {size.noun} {size}: taken as {metres:g} metres"
                    f"{' away' if is_point else ' long'}",
                    hint=f"if that is in millimetres, write {metres / 1000:g}",
                )
            )
    if camera_height is not None and camera_height > _MAX_CAMERA_HEIGHT:
        unit, per_metre = ("millimetres", 1000) if camera_height >= 1000 else ("centimetres", 100)
        notes.append(
            Note(
                f": taken as {camera_height:g} metres above the floor",
                option="camera_height",
                hint=f"if that is in {unit}, write {camera_height / per_metre:g}",
            )
        )
    angle_note = fov_note(fov)
    return notes if angle_note is None else [*notes, angle_note]
