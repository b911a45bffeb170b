"""What the page's scripts need to know to run a published ONNX graph."""

from collections.abc import Sequence
from dataclasses import dataclass

from rilievo.models.card import ModelCard
from rilievo.models.catalogue import table
from rilievo.models.catalogue.table import CatalogueEntry, InputForm, NetworkFamily, network_family
from rilievo.models.resampling.preparation import Rule
from rilievo.records.depth_map import DepthKind

_OUTPUT_FORM = "depth"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageGraph:
    """How to run a graph that turns one normalised picture into one depth map.

    The page's scripts read it as JSON with the names of the attributes.

    Attributes:
        rule: Rule that chooses the size of the input from that of the photograph.
        height: Parameter of the rule, like ``width``, ``area`` and ``multiple``; see ``Sizing``.
        resampling: Filter that resizes the photograph.
        padding: Width of the reflected border; see ``Preparation``.
        fill: Multiple to which the network pads its input [px].
        rescale: Factor for pixels of 0 to 255, before mean and standard deviation.
        input: Name of the graph's input; empty if the graph has only one.
        back: Rule by which the depth map is resized back to the photograph.
        depth: Names that the output with depth may have, in order of preference.
    """

    kind: DepthKind
    rule: Rule
    height: int
    width: int
    area: int
    multiple: int
    resampling: str
    padding: float
    fill: int
    rescale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input: str
    back: str
    depth: Sequence[str]


def make_page_graph(card: ModelCard) -> PageGraph | None:
    """Describe how to run the published graph of a model; None if the page cannot run it."""
    entry = table.ENTRIES.get(card.name)
    if entry is None or card.kind is None:
        return None
    family = network_family(entry.family)
    preparation = family.preparation
    if preparation is None or not _takes_only_picture(family, entry):
        return None
    sizing = preparation.sizing
    return PageGraph(
        kind=card.kind,
        rule=sizing.rule,
        height=sizing.height,
        width=sizing.width,
        area=sizing.pixel_count,
        multiple=sizing.multiple,
        resampling=preparation.resampling.value,
        padding=preparation.border_factor,
        fill=preparation.pad_multiple,
        rescale=preparation.rescale,
        mean=preparation.mean,
        std=preparation.std,
        input=family.inputs.get("picture", ""),
        back=str(card.resizing),
        depth=family.outputs["depth"],
    )


def _takes_only_picture(family: NetworkFamily, entry: CatalogueEntry) -> bool:
    """Whether a single file turns a resized picture into depth, without steps of the family."""
    needs_special_steps = (
        family.rotates_portraits or family.has_view_axis or family.min_sky or family.settings
    )
    if needs_special_steps or len(entry.files) != 1:
        return False
    return family.input_form is InputForm.RESIZED and family.output_form == _OUTPUT_FORM
