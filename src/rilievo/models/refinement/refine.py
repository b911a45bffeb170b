"""Put the refinements that were asked for around a model."""

from rilievo.models.base import Model
from rilievo.models.refinement.trimming import Trimmed
from rilievo.options.photo_options import Mirroring, Refine

# Most photographs are predicted without tiles, mirror images and vanishing points, so their modules
# are imported when they are asked for.


def refined(model: Model, refine: Refine, *, vanishing_points: bool = False) -> Model:
    """Refine a model by tiles, mirror image, camera and borders."""
    if refine.tile is not None:
        from rilievo.models.refinement.tiling import Tiled

        model = Tiled(model, refine.tile)
    if refine.flip or refine.mirrors:
        model = mirrored(model, refine)
    if vanishing_points:
        from rilievo.models.refinement.vanishing_points import VanishingCamera

        model = VanishingCamera(model)
    # Outermost: all else is shown the inside alone. Only depth can say where there is no answer.
    return Trimmed(model) if refine.trim and model.card.kind is not None else model


def mirrored(model: Model, mirroring: Mirroring) -> Model:
    """Refine a model by the mirror image alone, if asked."""
    if mirroring.flip:
        from rilievo.models.refinement.mirror_average import FlipAveraged

        model = FlipAveraged(model)
    if mirroring.mirrors:
        from rilievo.models.refinement.mirror_confidence import MirrorConfidence

        model = MirrorConfidence(model)
    return model
