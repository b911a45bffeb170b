"""Options of ``rilievo probe correspondence``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from rilievo.errors import OptionError
from rilievo.schema.fields import FieldsByTitle, Record, option
from rilievo.training.correspondence.protocols import PROTOCOLS, find_protocol


@dataclass(frozen=True, kw_only=True)
class CorrespondenceOptions(Record):
    """Backbones to compare, and the pairs of views in which their features are matched.

    Examples:
        >>> rilievo.CorrespondenceOptions(backbones=["timm/test_vit"], root="navi").dataset
        'navi'

    Raises:
        OptionError: If no backbone is given, or an option is out of range.
    """

    HELP_TITLE: ClassVar[str] = "Backbones"
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        "Pairs of views": ("dataset", "root", "split", "limit"),
        "Matching": ("protocol", "matches"),
        "Speed": ("device",),
    }

    backbones: Annotated[
        tuple[str, ...],
        option(
            in_short_help=True,
            name="backbone",
            aliases=("-b",),
            repeats=True,
            metavar="NAME",
            python_type=Sequence[str],
        ),
    ]
    """Backbone whose features are matched: timm/MODEL, hf/ORG/NAME or hf/FOLDER,
    diffusers/ORG/NAME, mobilenetv2, or package.module:Class. Repeat the option to compare several.
    """
    weights: Annotated[str, option(in_short_help=True, metavar="pretrained|random|FILE")] = (
        "pretrained"
    )
    """Weights of the backbones: pretrained, random, or a weights file for a single backbone."""
    layers: Annotated[tuple[int, ...] | None, option(in_short_help=True, metavar="I,J,...")] = None
    """Layers to take features from, counted from 0; -1 is the last. Features of several layers are
    joined. By default the last layer, as in Probe3D.
    """
    preset: Annotated[str, option(in_short_help=True, choices=("default", "probe3d"))] = "default"
    """How images are prepared and features are read. probe3d does what Probe3D's program does: the
    same normalisation for all backbones, and padding that is stretched over the image. default
    prepares images as each backbone was trained.
    """
    dataset: Annotated[str, option(in_short_help=True, metavar="NAME")] = "navi"
    """Dataset with pairs of views: navi, scannet-pairs, or your own as package.module:Class."""
    root: Annotated[str | None, option(in_short_help=True, metavar="FOLDER")] = None
    """Folder of the dataset; 'rilievo datasets NAME' shows its layout."""
    split: str | None = None
    """Split with the first images of pairs. By default that of the protocol, which is every fourth
    image in the wild for navi.
    """
    protocol: Annotated[str | None, option(choices=tuple(PROTOCOLS))] = None
    """Thresholds and ranges of angles. By default those that Probe3D uses for the dataset."""
    limit: Annotated[int | None, option(in_short_help=True, minimum=1)] = None
    """Number of pairs to score, evenly spread over the list. By default all."""
    matches: Annotated[int, option(minimum=1)] = 1000
    """Number of correspondences to score in each pair: those whose nearest neighbour is nearest
    compared with the second nearest (the ratio test).
    """
    device: Annotated[str, option(in_short_help=True)] = "auto"
    """Device to run on: auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.backbones:
            raise OptionError(option="backbone", expected="at least one backbone", value="none")
        if len(set(self.backbones)) < len(self.backbones):
            raise OptionError("the same backbone is listed twice: leave one out")
        is_file = self.weights not in ("pretrained", "random")
        if is_file and len(self.backbones) > 1:
            raise OptionError(
                f"the weights file {self.weights} can only fill one backbone, got "
                f"{len(self.backbones)}: run the command once for each"
            )
        find_protocol(self.protocol, self.dataset)
