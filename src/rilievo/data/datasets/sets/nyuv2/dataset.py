"""NYU Depth V2 in any of the layouts in which it is distributed (Silberman et al. 2012)."""

from collections.abc import Callable
from pathlib import Path

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets.dataset import Dataset, Request, checked_ids, own_card
from rilievo.data.datasets.loaders import MaskedValues
from rilievo.data.datasets.sets.nyuv2.geonet import GeoNetFolder, find_geonet
from rilievo.data.datasets.sets.nyuv2.labelled_mat import LabelledMat
from rilievo.data.datasets.sets.nyuv2.layout import NyuLayout
from rilievo.data.datasets.sets.nyuv2.normals_files import SIZE, K, find_normals_reader
from rilievo.data.datasets.sets.nyuv2.paired_folders import LabelledImages, SyncFolders
from rilievo.data.datasets.sets.nyuv2.pairs import find_pairs, find_sync_pairs, has_sync_names
from rilievo.data.datasets.text_files import contents_text
from rilievo.errors import InputError
from rilievo.errors.messages import AnyOf, OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.files.names import printable
from rilievo.records.sample import Truth

__all__ = ["NYUv2"]

_LABELLED_FILE = "nyu_depth_v2_labeled.mat"
_NORMALS_WINDOW = 15
"""Side of the window for normals [px]: large, since depth is quantised to millimetres or more."""


class NYUv2(Dataset):
    """NYU Depth V2 in any layout.

    Variants are ``raw`` depth with holes, ``filled`` depth, true ``normals``, and
    ``depth_normals``, which are computed from depth.
    """

    card = own_card("nyuv2")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._layout = _recognise_layout(request.root)
        if request.variant not in self._layout.variants:
            choices = [OptionName("variant", variant) for variant in self._layout.variants]
            raise InputError(
                f"is {self._layout.description}, which has no variant '{request.variant}'",
                path=request.root,
                hint=Text("use ", AnyOf(*choices)),
            )
        listing = self._layout.listing(request.split, request.list_file)
        source_name = printable(request.list_file or request.root)
        self.ids = checked_ids(listing.ids, source_name)
        self.absent = listing.absent

    def image(self, id: str) -> Pixels:
        """Read the photograph."""
        return self._layout.image(id)

    def scene(self, id: str) -> str | None:
        """Scene that was recorded; None if the layout does not state it."""
        return self._layout.scene(id)

    def truth(self, id: str) -> Truth:
        """Read the depth [m] and the normals of the variant."""
        variant = self.request.variant
        depth_variant = variant
        if variant == "depth_normals":
            depth_variant = "raw" if "raw" in self._layout.variants else "filled"
        depth = self._layout.depth(id, depth_variant)
        normals = self._layout.normals(id) if variant == "normals" else None
        depth_or_normals = normals if depth is None else depth
        assert depth_or_normals is not None, "every variant of a layout has depth or normals"
        camera = Camera(K=K) if depth_or_normals.valid.shape == SIZE else None
        if variant == "depth_normals" and depth is not None:
            normals = self._normals_from_depth(id, depth, camera)
        return Truth(
            id=id,
            depth=None if depth is None else depth.values,
            depth_valid=None if depth is None else depth.valid,
            normals=None if normals is None else normals.values,
            normals_valid=None if normals is None else normals.valid,
            camera=camera,
            scene=self._layout.scene(id),
        )

    def _normals_from_depth(
        self, image_id: str, depth: MaskedValues, camera: Camera | None
    ) -> MaskedValues:
        """Compute normals from depth, if the image has the size of the known intrinsics."""
        if camera is None:
            height, width = depth.valid.shape
            raise InputError(
                f"{self.request.root}: image '{image_id}' has {width}x{height} pixels, but "
                "normals need intrinsics, which are only known for 640x480 pixels"
            )
        values, valid = normals_from_depth(
            depth.values, camera, depth.valid, window=_NORMALS_WINDOW
        )
        return MaskedValues(values=values, valid=valid)


def _recognise_layout(root: Path) -> NyuLayout:
    """Recognise the layout of a download by the names of its files."""
    if root.is_file():
        return _layout_of_labelled_mat(root)
    for recognise in _LAYOUTS:
        layout = recognise(root)
        if layout is not None:
            return layout
    raise InputError(
        f"{root}: is not NYU Depth V2 in a known layout; expected {_LABELLED_FILE}, folders of "
        "rgb_NNNNN.jpg with sync_depth_NNNNN.png, rgb/ with depth/, or GeoNet's .mat files, found "
        f"{contents_text(root)}; for DSINE's NNNNNN_img.png files, choose the dataset 'dsine' with "
        "the split 'nyuv2'"
    )


def _layout_of_labelled_mat(path: Path) -> NyuLayout:
    return LabelledMat(path, find_normals_reader(path.parent))


def _layout_of_labelled_mat_in(root: Path) -> NyuLayout | None:
    path = root / _LABELLED_FILE
    return _layout_of_labelled_mat(path) if path.is_file() else None


def _layout_of_two_folders(root: Path) -> NyuLayout | None:
    pairs = find_pairs(root)
    if pairs is None or not pairs.complete:
        return None
    if has_sync_names(pairs):
        return SyncFolders(root, pairs)
    return LabelledImages(root, pairs, find_normals_reader(root))


def _geonet_layout(root: Path) -> NyuLayout | None:
    files = find_geonet(root)
    return None if files is None else GeoNetFolder(root, files)


def _sync_layout(root: Path) -> NyuLayout | None:
    pairs = find_sync_pairs(root)
    return None if pairs is None or not pairs.complete else SyncFolders(root, pairs)


# The first match counts. Layouts that one file name reveals come before those that need a search.
_LAYOUTS: tuple[Callable[[Path], NyuLayout | None], ...] = (
    _layout_of_labelled_mat_in,
    _layout_of_two_folders,
    _geonet_layout,
    _sync_layout,
)
