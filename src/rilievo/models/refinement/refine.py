"""Put the refinements that were asked for around a model."""

from rilievo.models.base import Model
from rilievo.models.refinement.trimming import Trimmed
from rilievo.options.photo_options import Mirroring, Refine

# Most photographs are predicted without tiles, mirror images and vanishing points, so their modules
# are imported when they are asked for.


def refined(model: Model, refine: Refine, *, vanishing_points: bool = False) -> Model:
    """Wrap a model in the refinements that were asked for.

    Args:
        model: Model.
        refine: Tiles, mirror images and borders.
        vanishing_points: Whether an unknown camera is taken from vanishing points.
    """
    if refine.tile is not None:
        from rilievo.models.refinement.tiling import Tiled

        model = Tiled(model, refine.tile)
    if refine.flip or refine.mirrors:
        model = mirrored(model, refine)
    if vanishing_points:
        from rilievo.models.refinement.vanishing_points import VanishingCamera

        model = VanishingCamera(model)
    # Borders are left out first, so that all other refinements see only what is inside. A model
    # without depth cannot say where it has no answer.
    gives_depth = model.card.kind is not None
    return Trimmed(model) if refine.trim and gives_depth else model


def mirrored(model: Model, mirroring: Mirroring) -> Model:
    """Wrap a model in the refinements by its mirror image that were asked for."""
    if mirroring.flip:
        from rilievo.models.refinement.mirror_average import FlipAveraged

        model = FlipAveraged(model)
    if mirroring.mirrors:
        from rilievo.models.refinement.mirror_confidence import MirrorConfidence

        model = MirrorConfidence(model)
    return model
