"""Published graphs, as the page's scripts run them."""

from collections.abc import Sequence
from dataclasses import dataclass

from rilievo.models.card import ModelCard
from rilievo.models.catalogue import table
from rilievo.models.catalogue.families import InputForm, NetworkFamily, network_family
from rilievo.models.catalogue.table import CatalogueEntry
from rilievo.models.resampling.preparation import Rule
from rilievo.records.depth_map import DepthKind

_OUTPUT_FORM = "depth"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageGraph:
    """Graph from one normalised picture to one map of depth.

    Attributes:
        rule: Rule of the network's size, with its parameters beside it.
        resampling: Filter for resizing.
        padding: Reflected border; see ``Preparation``.
        fill: Multiple to which the network pads its input.
        rescale: Factor for pixels of 0..255, before mean and deviation.
        input: Name of the input; empty for the only one.
        back: Rule by which the answer is resized to the photograph.
        depth: Names of the output, in order of preference.
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


def page_graph(card: ModelCard) -> PageGraph | None:
    """Graph of a model that the page can run."""
    entry = table.ENTRIES.get(card.name)
    if entry is None or card.kind is None:
        return None
    family = network_family(entry.family)
    preparation = family.preparation
    if preparation is None or not _needs_picture_alone(family, entry):
        return None
    sizing = preparation.sizing
    return PageGraph(
        kind=card.kind,
        rule=sizing.rule,
        height=sizing.height,
        width=sizing.width,
        area=sizing.area,
        multiple=sizing.multiple,
        resampling=preparation.resampling.value,
        padding=preparation.padding,
        fill=preparation.fill,
        rescale=preparation.rescale,
        mean=preparation.mean,
        std=preparation.std,
        input=family.inputs.get("picture", ""),
        back=str(card.resizing),
        depth=family.outputs["depth"],
    )


def _needs_picture_alone(family: NetworkFamily, entry: CatalogueEntry) -> bool:
    """Whether one file makes depth of a picture and nothing else."""
    is_special = (
        family.rotates_portraits or family.has_view_axis or family.min_sky or family.settings
    )
    return (
        family.input_form is InputForm.RESIZED
        and family.output_form == _OUTPUT_FORM
        and not is_special
        and len(entry.files) == 1
    )
