"""Arguments of predicting a photograph in Python, which every door takes by the same names."""

from rilievo.options.anchor_use import AnchorArguments
from rilievo.options.given_camera import CameraArguments
from rilievo.options.known_sizes import KnownArguments
from rilievo.options.refine import RefineArguments


class PredictArguments(CameraArguments, KnownArguments, AnchorArguments, RefineArguments):
    """Arguments of ``rilievo.predict`` besides the photograph and the model; it explains them."""
