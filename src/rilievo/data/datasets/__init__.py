"""Datasets with ground truth, read as their authors publish them."""

from collections.abc import Mapping
from pathlib import Path

from rilievo.data.datasets.dataset import Dataset, DatasetCard, Request
from rilievo.errors import MissingFileError, OptionError, RilievoError, check_type, suggest
from rilievo.extensions.foreign_code import load_user_object
from rilievo.extensions.registry import Registry
from rilievo.io.files.limits import unreadable

# A new dataset needs a file in ``sets`` and a row here: its class, imported when it is used.
_DATASETS: Mapping[str, str] = {
    "da2k": "rilievo.data.datasets.sets.da2k:Da2k",
    "diode": "rilievo.data.datasets.sets.diode:Diode",
    "dsine": "rilievo.data.datasets.sets.dsine:Dsine",
    "eth3d": "rilievo.data.datasets.sets.eth3d:Eth3d",
    "folder": "rilievo.data.datasets.folder:Folder",
    "ibims": "rilievo.data.datasets.sets.ibims:Ibims",
    "kitti-depth": "rilievo.data.datasets.sets.kitti_depth:KittiDepth",
    "kitti-raw": "rilievo.data.datasets.sets.kitti_raw:KittiRaw",
    "marigold-scannet": "rilievo.data.datasets.sets.marigold_scannet:MarigoldScannet",
    "middlebury": "rilievo.data.datasets.sets.middlebury:Middlebury",
    "moge-bundle": "rilievo.data.datasets.sets.moge_bundle:MogeBundle",
    "navi": "rilievo.data.datasets.sets.navi:Navi",
    "nyuv2": "rilievo.data.datasets.sets.nyuv2.dataset:NYUv2",
    "scannet-pairs": "rilievo.data.datasets.sets.scannet_pairs:ScanNetPairs",
    "seven-scenes": "rilievo.data.datasets.sets.seven_scenes:SevenScenes",
    "sunrgbd": "rilievo.data.datasets.sets.sunrgbd:SunRgbd",
    "synthetic": "rilievo.data.datasets.sets.rendered:Rendered",
    "tum": "rilievo.data.datasets.sets.tum:Tum",
    "vda-videos": "rilievo.data.datasets.sets.vda_videos:VdaVideos",
    "wildcross": "rilievo.data.datasets.sets.wildcross:WildCross",
}


def _require_loader(candidate: object, name: str) -> type[Dataset]:
    """Check that the object to which ``name`` leads is a class derived from ``Dataset``."""
    if not (isinstance(candidate, type) and issubclass(candidate, Dataset)):
        raise OptionError(
            f"'{name}' is not a dataset loader: it must be a subclass of rilievo's Dataset"
        )
    return candidate


def _import_path(candidate: object, name: str) -> str:
    """``package.module:Class`` of a loader that is registered as a class."""
    loader = _require_loader(candidate, name)
    return f"{loader.__module__}:{loader.__qualname__}"


DATASETS: Registry[str] = Registry(_DATASETS, "dataset", _import_path)
"""Loaders of datasets by name.

Examples:
    >>> "nyuv2" in rilievo.DATASETS
    True
"""


def find_dataset(name: str) -> type[Dataset]:
    """Find a loader in ``DATASETS``, an installed package, or ``package.module:Class``.

    Raises:
        OptionError: If there is no such loader.
    """
    return _require_loader(load_user_object(DATASETS.find(name), "dataset"), name)


def open_dataset(
    name: str,
    root: str | Path | None = None,
    *,
    split: str | None = None,
    variant: str | None = None,
    list_file: str | Path | None = None,
) -> Dataset:
    """Open a dataset on disk. Its files are read when you ask for an image.

    Args:
        name: Name in ``DATASETS``, of an installed package, or ``package.module:Class``.
        root: Folder of the download; not needed for a dataset without a download.
        split: Part of the dataset; by default the one that papers use.
        variant: Kind of ground truth or crop; by default the first of the dataset's card.
        list_file: Text file with the ids to read, one a line, in place of the split's.

    Examples:
        >>> rilievo.open_dataset("folder", "rooms").ids
        ('0', '1', '2', '3')

    Raises:
        OptionError: If there is no such dataset, split or variant, or it needs a root.
        InputError: If the root does not hold this dataset.
    """
    check_type("name", name, str, "the name of a dataset")
    loader = find_dataset(name)
    card = loader.card
    if root is None and card.needs_root:
        raise OptionError(
            f"dataset '{card.name}' needs the folder of its files; 'rilievo datasets {card.name}' "
            "shows where to get the dataset and which folder layout it needs"
        )
    request = Request(
        name=name,
        root=Path("." if root is None else root).expanduser(),
        split=card.splits[0] if split is None else split,
        variant=card.variants[0] if variant is None else variant,
        list_file=None if list_file is None else Path(list_file).expanduser(),
    )
    try:
        _check_request(request, card)
        return loader(request)
    except RilievoError:
        raise
    except OSError as error:
        raise unreadable(error, request.root) from error


def _check_request(request: Request, card: DatasetCard) -> None:
    """Check that the split and the variant exist, and the root too."""
    _require_choice(card, "split", request.split, card.splits)
    _require_choice(card, "variant", request.variant, card.variants)
    if not request.root.exists():
        raise MissingFileError(
            f"{request.root}: no such folder; 'rilievo datasets {card.name}' shows where to get "
            "the dataset and which folder layout it needs"
        )


def _require_choice(card: DatasetCard, what: str, choice: str, choices: tuple[str, ...]) -> None:
    if choice not in choices:
        raise OptionError(
            f"dataset '{card.name}' has no {what} '{choice}'; {suggest(choice, choices)}"
        )
