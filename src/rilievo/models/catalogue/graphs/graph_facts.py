"""Table of published graphs: rows ``[[graphs]]`` of ``known.toml``."""

import json
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from functools import cache

from rilievo.frozen import frozen
from rilievo.io.json_record import from_json
from rilievo.models.card import known_models
from rilievo.models.resampling.answer_rule import PLAIN, Resizing
from rilievo.models.resampling.preparation import Preparation


class Feeding(StrEnum):
    """Way from a photograph to a graph's input (``feeding.FEEDERS``)."""

    PICTURE = "picture"
    """Resized and normalised by the row's preparation."""
    LETTERBOX = "letterbox"
    """Resized to fit into a frame of the mean colour."""
    PATCHES = "patches"
    """Fed at its own size, with the number of patches."""


@frozen
class GraphFacts:
    """Row of the table of graphs.

    Attributes:
        preparation: Size, filter, mean and deviation; None for patches.
        inputs: Names by role, ``picture`` and ``tokens``; empty for a single one.
        turned: Whether upright photographs are laid on their side.
        views: Whether an axis of views follows the batch.
        one_by_one: Whether batches hold one photograph.
        outputs: Possible names, by role.
        any_depth: Whether a single output is depth.
        reading: Key of ``POST_FUNCTIONS``.
        focal: Focal length for which depth is metric [px]; 0 if none.
        sky: Least value of a sky pixel; 0 if none.
        farthest: End of the range [m of that camera]; 0 if none.
        patch: Side of a patch [px].
    """

    name: str
    feeding: Feeding = Feeding.PICTURE
    preparation: Preparation | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    turned: bool = False
    views: bool = False
    one_by_one: bool = False
    outputs: Mapping[str, tuple[str, ...]]
    any_depth: bool = False
    reading: str
    sky: float = 0.0
    focal: float = 0.0
    farthest: float = 0.0
    patch: int = 0
    resizing: Resizing = PLAIN
    settings: str | None = None


@cache
def graph_facts(name: str) -> GraphFacts:
    """Facts of the graphs of one name."""
    [row] = [row for row in known_models("graphs") if row["name"] == name]
    return from_json(GraphFacts, json.dumps(row))
