"""Options of the losses on photographs with ground truth; needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from rilievo.errors import OptionError, suggest
from rilievo.extensions.trust import is_import_path
from rilievo.schema.fields import option
from rilievo.training.networks.blueprint import HIDDEN

PROBE, MSE = "probe", "mse"
UNCERTAIN, ANGULAR = "uncertain", "angular"
DEPTH_LOSSES: Mapping[str, str] = {
    PROBE: "supervised:probe_loss",
    "scale_invariant": "supervised:scale_invariant_loss",
    "l1": "supervised:l1_loss",
    MSE: "supervised:mse_loss",
    "berhu": "supervised:berhu_loss",
}
NORMALS_LOSSES: Mapping[str, str] = {
    UNCERTAIN: "supervised:angular_von_mises_fisher_loss",
    ANGULAR: "supervised:angular_loss",
    MSE: "supervised:normals_mse_loss",
}
"""Losses of depth and of normals by name, as ``module:function`` of this folder. A new one is a
function and a row, as long as it takes predicted and true values and the valid pixels.
"""


class GradientForm(StrEnum):
    """What the gradients in the loss of depth compare, by the version of Probe3D's program."""

    HEAD = "head"
    """Pixels along rows and columns, as in the program today."""
    OLD = "old"
    """Images along the batch: an error in the program behind the paper's numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Losses of a run and their weights."""

    HELP_TITLE: ClassVar[str] = "Losses"

    depth: Annotated[str, option(aliases=("--depth-loss",), metavar="|".join(DEPTH_LOSSES))] = PROBE
    """Loss for depth, by name or as package.module:NAME or file.py:NAME. 'scale_invariant' is the
    loss of AdaBins: the square root of the mean squared error of log depth minus 0.85 times the
    squared mean error, over the batch. 'probe' is 10 times that loss plus half the gradients of the
    error.
    """
    scale_invariant_weight: Annotated[float, HIDDEN] = 10.0
    """Weight of the AdaBins loss in 'probe'; AdaBins also uses 10."""
    gradient_weight: Annotated[float, HIDDEN] = 0.5
    """Weight of the gradients in 'probe'."""
    gradient_form: Annotated[GradientForm, HIDDEN] = GradientForm.HEAD
    """Axes of the gradients in 'probe': rows and columns, or those of Probe3D's paper."""
    normals: Annotated[
        str, option(aliases=("--normals-loss",), metavar="|".join(NORMALS_LOSSES))
    ] = UNCERTAIN
    """Loss for normals, by name or your own. 'uncertain' (Bae et al. 2021) also learns kappa, the
    confidence of the normals.
    """
    zero_normals: Annotated[bool, HIDDEN] = False
    """Count a ground-truth normal of length zero as a 90° error where depth is known, as Probe3D
    does.
    """
    normals_weight: Annotated[float, HIDDEN] = 1.0
    """Weight of the loss for normals; the loss for depth has the weight 1."""

    def __post_init__(self) -> None:
        for quantity, name, names in (
            ("depth", self.depth, DEPTH_LOSSES),
            ("normals", self.normals, NORMALS_LOSSES),
        ):
            if name not in names and not is_import_path(name):
                raise OptionError(f"no loss '{name}' for {quantity}; {suggest(name, names)}")
