"""Families of published networks: the form of their inputs and the meaning of their outputs.

All models of a family share one row ``[[onnx_families]]`` of ``known.toml``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from rilievo.io.json_record import from_json
from rilievo.models.card import known_models
from rilievo.models.resampling.inference import DEFAULT_RESIZING, Resizing
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
    """How photographs are given to the networks of a family, and how their outputs are read.

    Attributes:
        preparation: Size, filter, mean and deviation of the input; None for patches.
        inputs: Names of the inputs by role, "picture" and "tokens"; empty for a single input.
        rotates_portraits: Whether portrait photographs are turned by 90°, to landscape format.
        has_view_axis: Whether the input has a second axis, after the batch, for several views.
        one_by_one: Whether a batch has exactly one photograph.
        outputs: Possible names of the outputs by role, in order of preference.
        any_depth_name: Whether a single output is depth, whatever its name.
        output_form: Name in ``graph_outputs.OUTPUT_READERS``.
        min_sky: Value of the output "sky" from which a pixel is sky; 0 without such an output.
        canonical_focal: Focal length for which the depth is metric [px]; 0 if there is none.
        max_canonical_depth: Largest depth at that focal length [m]; 0 for no limit.
        patch_side: Side of a patch [px], for networks that take patches.
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
    resizing: Resizing = DEFAULT_RESIZING
    settings: str | None = None


@cache
def network_family(name: str) -> NetworkFamily:
    """Read the family of this name from ``known.toml``."""
    [row] = [row for row in known_models("onnx_families") if row["name"] == name]
    return from_json(NetworkFamily, json.dumps(row))
