"""Wrap a model in the refinements that were asked for."""

from rilievo.models.base import Model
from rilievo.models.refinement.trimming import Trimmed
from rilievo.options.photo_options import Mirroring, Refine

# Most photographs are predicted without tiles, mirror images and vanishing points, so their modules
# are imported when they are asked for.


def refined(model: Model, refine: Refine, *, vanishing_points: bool = False) -> Model:
    """Wrap a model in the refinements that were asked for.

    With ``vanishing_points``, an unknown camera is taken from vanishing points.
    """
    if refine.tile is not None:
        from rilievo.models.refinement.tiling import Tiled

        model = Tiled(model, refine.tile)
    if refine.flip or refine.compares_mirror_image:
        model = mirrored(model, refine)
    if vanishing_points:
        from rilievo.models.refinement.vanishing_points import VanishingCamera

        model = VanishingCamera(model)
    # Trimming is outermost, so that the other refinements see only what is inside the borders. A
    # model without depth has no mask to say that the borders are invalid.
    predicts_depth = model.card.kind is not None
    return Trimmed(model) if refine.trim and predicts_depth else model


def mirrored(model: Model, mirroring: Mirroring) -> Model:
    """Wrap a model in the refinements by mirror images that were asked for."""
    if mirroring.flip:
        from rilievo.models.refinement.mirror_average import FlipAveraged

        model = FlipAveraged(model)
    if mirroring.compares_mirror_image:
        from rilievo.models.refinement.mirror_confidence import MirrorConfidence

        model = MirrorConfidence(model)
    return model
