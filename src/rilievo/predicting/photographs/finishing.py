"""Way from a network's answer to a prediction."""

from collections.abc import Callable, Iterable, Sequence

from rilievo.calibration.camera_checks import fov_note, pixel_notes
from rilievo.calibration.panoramas import panorama_note
from rilievo.calibration.sizes import Known, KnownPoint, KnownRectangle
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.trimming import border_note
from rilievo.options.photo_options import PhotoOptions
from rilievo.predicting.photographs.metres import Metres, calibration_words
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo

_FARTHEST, _LONGEST, _HIGHEST = 300.0, 100.0, 30.0
_BY_EXIF = (CameraSource.EXIF_35MM, CameraSource.EXIF_SENSOR)


def finish(
    model: Model,
    inference: Inference,
    photo: Photo,
    options: PhotoOptions,
    *,
    metres: Metres | None = None,
    clip: Callable[[Prediction], Prediction] | None = None,
    anchor: Callable[[Prediction], Prediction] | None = None,
    tell: Callable[[str], None] = lambda note: None,
) -> Prediction:
    """Bring an answer to the photograph's size, in metres if a size is known.

    Args:
        model: Refined model.
        inference: Answer of the model.
        photo: Photograph with its camera.
        options: Options of the photograph.
        metres: Known sizes; by default of the options.
        clip: Function that gives a frame its clip's anchoring and metres.
        anchor: Function that anchors affine depth of a stream's frame; by default a photograph is
            anchored by itself.
        tell: Function that hears doubts at once.

    Raises:
        CalibrationError: If the known sizes do not determine metres.
    """
    sizes = options.sizes
    if metres is None:
        metres = Metres(known=sizes.known_sizes, camera_height=sizes.camera_height)
    doubts = [
        *option_notes(options, metres),
        *pixel_notes(photo.camera, photo.shape, metres.sparse or metres.known),
        *metres.notes,
        *unused_camera_notes(metres, photo),
    ]
    for note in doubts:
        tell(note)
    prediction = model.finish(inference, photo)
    if clip is not None:
        prediction, remark = clip(prediction), None
    else:
        own = photo.own_depth if sizes.own_depth else None
        depth, remark = prediction.depth_or_none, None
        anchors = depth is not None and not depth.is_depth and options.surface.anchors
        if anchors and anchor is not None:
            prediction, anchors = anchor(prediction), False
        if anchors or sizes.markers is not None or metres or own is not None:
            # Imported on demand: it brings the table of checkpoints.
            from rilievo.predicting.photographs.fitting import with_scale

            refine = options.refine if anchors else None
            prediction, remark = with_scale(prediction, metres, refine, sizes.markers, own, tell)
    later = [border_note(model, photo), *photo.notes, panorama_note(photo)]
    relative = photo.own_depth
    # No doubt is due where the file holds depth without a unit, as phones' portraits do.
    is_relative = relative is not None and relative.metres is None and not relative.broken
    facts = [remark] if is_relative and prediction.calibration is None else []
    for note in filter(None, later if facts else [remark, *later]):
        doubts.append(note)
        tell(note)
    if options.refine.tile is not None:
        facts.append(tile_note(options.refine.tile, photo))
    if prediction.calibration is not None and clip is None:
        facts.append(calibration_words(prediction.calibration, prediction.instrument))
    return prediction.but(notes=(*doubts, *filter(None, facts)))


def unused_camera_notes(metres: Metres, photo: Photo) -> list[str]:
    """Note that the camera in a sensor's file is not used, unless the user names another."""
    is_exif = photo.camera is not None and photo.camera.source in _BY_EXIF
    if metres.camera_file is None or not (photo.camera is None or is_exif):
        return []
    return [
        Note(
            f"{metres.camera_file}: the camera that it states is not used",
            hint=Text(OptionName("camera", metres.camera_file), " takes it"),
        )
    ]


def tile_note(tile: int, photo: Photo) -> str | None:
    """Note that a photograph is no larger than a tile."""
    height, width = photo.shape
    if max(height, width) > tile or photo.is_wide:
        return None
    problem = f"{tile} is about larger photographs, and this one has {width}x{height}"
    return Note(problem, option="tile")


def is_of_depth_alone(options: PhotoOptions, outputs: Sequence[str], photo: Photo) -> bool:
    """Whether outputs need neither normals nor confidence."""
    # Imported on demand: predicting alone writes no files.
    from rilievo.prediction.output_record import Need
    from rilievo.prediction.saving import output_parts

    is_plain = output_parts(outputs).isdisjoint((Need.NORMALS, Need.CONFIDENCE))
    return is_plain and not is_metric(options, photo)


def is_metric(options: PhotoOptions, photo: Photo) -> bool:
    """Whether known sizes give metres, which need normals and confidence."""
    sizes = options.sizes
    own_depth = bool(sizes.own_depth) and photo.own_depth is not None
    return sizes.makes_metric or sizes.camera_height is not None or own_depth


def option_notes(options: PhotoOptions, metres: Metres | None = None) -> list[str]:
    """Notes on doubtful units and options without effect."""
    sizes, view = options.sizes, options.view
    if metres is None:
        metres = Metres(known=sizes.known_sizes, camera_height=sizes.camera_height)
    names = (name for name in ("camera", "fov", "projection") if getattr(view, name) is not None)
    return [
        *unit_notes(metres.known, metres.camera_height, view.fov),
        *(
            Note(
                Text(
                    "is about an unknown focal length, and ", OptionName(name, "..."), " gives it"
                ),
                option="vanishing_points",
            )
            for name in names
            if view.vanishing_points
        ),
    ]


def unit_notes(facts: Iterable[Known], camera_height: float | None, fov: float | None) -> list[str]:
    """Notes on sizes hardly in metres, and angles in degrees."""
    notes: list[str] = []
    for fact in facts:
        is_point = isinstance(fact, KnownPoint)
        metres = max(fact.lengths) if isinstance(fact, KnownRectangle) else fact.metres
        if metres > (_FARTHEST if is_point else _LONGEST):
            notes.append(
                Note(
                    f"known {fact.noun} {fact}: taken as {metres:g} metres"
                    f"{' away' if is_point else ' long'}",
                    hint=f"if that is in millimetres, write {metres / 1000:g}",
                )
            )
    if camera_height is not None and camera_height > _HIGHEST:
        unit, count = ("millimetres", 1000) if camera_height >= 1000 else ("centimetres", 100)
        notes.append(
            Note(
                f": taken as {camera_height:g} metres above the floor",
                option="camera_height",
                hint=f"if that is in {unit}, write {camera_height / count:g}",
            )
        )
    angle_note = fov_note(fov)
    return notes if angle_note is None else [*notes, angle_note]
