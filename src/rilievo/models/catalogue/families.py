"""Families of published networks: what they take, and what their outputs mean.

All models of a family share one row ``[[onnx_families]]`` of ``known.toml``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from rilievo.io.json_record import from_json
from rilievo.models.card import known_models
from rilievo.models.resampling.inference import PLAIN, Resizing
from rilievo.models.resampling.preparation import Preparation


class InputForm(StrEnum):
    """How a photograph becomes the input of a network."""

    RESIZED = "resized"
    LETTERBOXED = "letterboxed"
    """Resized to fit into a frame, whose border has the mean colour."""
    PATCHES = "patches"
    """At its own size, with the number of patches to which the network resizes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFamily:
    """How photographs go into the networks of a family, and how their outputs are read.

    Attributes:
        preparation: Size, filter, mean and deviation of the input; None for patches.
        inputs: Names of the inputs by role, "picture" and "tokens"; empty for a single input.
        rotates_portraits: Whether photographs in portrait format are laid on their side.
        has_view_axis: Whether an axis of views follows that of the batch.
        one_by_one: Whether the network takes one photograph at a time.
        outputs: Possible names of the outputs by role, in order of preference.
        any_depth_name: Whether a single output is depth, whatever its name.
        output_form: Name in ``graph_outputs.OUTPUT_READERS``.
        min_sky: Output "sky" from which a pixel counts as sky; 0 for networks without it.
        canonical_focal: Focal length for which the depth is metric [px]; 0 if there is none.
        max_canonical_depth: End of the range, for that focal length [m]; 0 if there is none.
        patch_side: Side of a patch [px].
        resizing: How depth is resized to the photograph.
        settings: Dataclass of the settings that a user may choose, ``module:class``.
    """

    name: str
    input_form: InputForm = InputForm.RESIZED
    preparation: Preparation | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    rotates_portraits: bool = False
    has_view_axis: bool = False
    one_by_one: bool = False
    outputs: Mapping[str, tuple[str, ...]]
    any_depth_name: bool = False
    output_form: str
    min_sky: float = 0.0
    canonical_focal: float = 0.0
    max_canonical_depth: float = 0.0
    patch_side: int = 0
    resizing: Resizing = PLAIN
    settings: str | None = None


@cache
def network_family(name: str) -> NetworkFamily:
    """Read the family of this name from ``known.toml``."""
    [row] = [row for row in known_models("onnx_families") if row["name"] == name]
    return from_json(NetworkFamily, json.dumps(row))
