"""Way from a network's answer to a prediction."""

from collections.abc import Callable, Sequence

from rilievo.messages import Note
from rilievo.models.base import Inference, Model
from rilievo.models.wrappers import border_note, tile_note
from rilievo.options.photo_options import PhotoOptions
from rilievo.predicting.photographs.user_facts import (
    Metres,
    panorama_note,
    scale_notes,
    trust,
    unit_notes,
)
from rilievo.prediction import Prediction
from rilievo.sample import Photo


def finish(
    model: Model,
    inference: Inference,
    photo: Photo,
    options: PhotoOptions,
    *,
    metres: Metres | None = None,
    clip: Callable[[Prediction], Prediction] | None = None,
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
        tell: Function that hears doubts at once.

    Raises:
        CalibrationError: If the known sizes do not determine metres.
    """
    sizes = options.sizes
    if metres is None:
        metres = Metres(known=sizes.facts, camera_height=sizes.camera_height)
    doubts = [
        *option_notes(options, metres),
        *scale_notes(photo.camera, photo.shape, metres.sparse or metres.known),
    ]
    for note in doubts:
        tell(note)
    prediction = model.finish(inference, photo)
    if clip is not None:
        prediction, remark = clip(prediction), None
    else:
        own = photo.own_depth if sizes.own_depth else None
        depth = prediction.depth_or_none
        if depth is not None and not depth.is_depth and options.surface.anchors:
            # Imported on demand: it brings the table of checkpoints.
            from rilievo.predicting.photographs.fitting import anchorable

            prediction = anchorable(prediction, options.refine, tell)
        remark = None
        if sizes.markers is not None or metres or own is not None:
            from rilievo.predicting.photographs.fitting import in_metres

            prediction, remark = in_metres(prediction, metres, markers=sizes.markers, own=own)
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
        facts.append(trust(prediction.calibration))
    return prediction.but(notes=(*doubts, *filter(None, facts)))


def is_of_depth_alone(options: PhotoOptions, outputs: Sequence[str], photo: Photo) -> bool:
    """Whether outputs need neither normals nor confidence."""
    # Imported on demand: predicting alone writes no files.
    from rilievo.prediction.output import Need
    from rilievo.prediction.saving import parts_of

    is_plain = parts_of(outputs).isdisjoint((Need.NORMALS, Need.CONFIDENCE))
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
        metres = Metres(known=sizes.facts, camera_height=sizes.camera_height)
    names = (name for name in ("camera", "fov", "projection") if getattr(view, name) is not None)
    return [
        *unit_notes(metres.known, metres.camera_height, view.fov),
        *(
            Note(
                f"is about an unknown focal length, and {{{name}=...}} gives it",
                option="vanishing_points",
            )
            for name in names
            if view.vanishing_points
        ),
    ]
