"""Table of published graphs: the way from a photograph to an answer.

One row ``[[graphs]]`` of ``known.toml`` describes all files that their authors exported alike.
"""

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
    """Way in which a photograph becomes the input of a graph (``feeding.FEEDERS``)."""

    PICTURE = "picture"
    """Resized and normalised by the row's preparation."""
    LETTERBOX = "letterbox"
    """Resized to fit into the preparation's size, with its mean colour around."""
    PATCHES = "patches"
    """Fed at its own size, with the number of patches to which the graph resizes it."""


@frozen
class GraphFacts:
    """One row of the table of graphs.

    Attributes:
        name: Name by which rows of files refer to it.
        feeding: Way in which photographs go in.
        preparation: Size, filter, mean and deviation; None for patches.
        inputs: Names of the inputs, by role: ``picture``, ``tokens``. Empty for a graph with one
            input, whatever it is called.
        turned: Whether upright photographs are turned to lie on their side, for a graph of one
            size, and the answer back.
        views: Whether the picture has an axis of views behind that of the batch.
        one_by_one: Whether photographs are run one after the other, never as a batch.
        outputs: Names that published files give each output, by role; the first found is taken.
        any_depth: Whether a single output of any name is the depth.
        reading: Post-function, by its name in ``post_functions.POST_FUNCTIONS``.
        focal: Focal length of the camera for which the graph's depth is metric [px]; 0 if it has
            none.
        sky: Value of the output ``sky`` from which on a pixel is sky and has no depth; 0 if there
            is no such output.
        farthest: Depth at which the graph's range ends [m of that camera]; 0 if it has no end.
        patch: Side of a patch [px].
        resizing: Rule by which the answer is resized to the photograph.
        settings: Dataclass of its settings, ``module:class``; None if it has none.
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
