"""Variant of a model: the refinements of its answer that a request asks for."""

from dataclasses import field

from rilievo.frozen import frozen
from rilievo.models.base import Model
from rilievo.models.processing.refined import refined
from rilievo.options.photo_options import Refine


@frozen
class Variant:
    """A model and the refinements that a request asks for."""

    name: str
    refine: Refine = field(default_factory=Refine)
    vanishing_points: bool = False
    depth_alone: bool = False
    """Whether nobody asks for normals and confidence."""

    def refined(self, model: Model) -> Model:
        """The model with these refinements."""
        model = refined(model, self.refine, vanishing_points=self.vanishing_points)
        return model.depth_alone() if self.depth_alone else model
