"""Stage of a recipe, with shares of sources."""

from dataclasses import dataclass

from lab.making.distil.distil_config import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeStage(Stage):
    """Stage of a run, with the shares of the sources of its frames and of their changes."""

    real: float
    """Share of photographs with measured depth, if given."""
    lessons: float = 0.0
    """Share of photographs with a teacher's depth, if given; the rest is rendered."""
    turned: float = 0.0
    """Share of the frames that are seen by a turned camera."""
