"""NYU Depth V2 in any of the layouts in which it is distributed (Silberman et al. 2012)."""

from collections.abc import Callable
from pathlib import Path

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets.dataset import Dataset, DatasetCard, Request, checked_ids
from rilievo.data.datasets.loaders import MaskedValues
from rilievo.data.datasets.sets.nyuv2.geonet import GeoNetFolder, find_geonet
from rilievo.data.datasets.sets.nyuv2.labelled_mat import LabelledMat
from rilievo.data.datasets.sets.nyuv2.layout import NyuLayout
from rilievo.data.datasets.sets.nyuv2.normals_files import SIZE, K, find_normals_reader
from rilievo.data.datasets.sets.nyuv2.paired_folders import NumberedImages, SyncedFrames
from rilievo.data.datasets.sets.nyuv2.pairs import find_pairs, find_sync_pairs, has_sync_names
from rilievo.data.datasets.text_files import contents_text
from rilievo.errors import InputError
from rilievo.errors.messages import AnyOf, OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.files.names import printable
from rilievo.records.sample import Truth

_CARD = DatasetCard(
    name="nyuv2",
    title="NYU Depth V2 (Silberman, Hoiem, Kohli and Fergus 2012)",
    summary=(
        "464 indoor scenes by a Kinect v1, 0.7 to 10 m; 1449 labelled images are the benchmark"
    ),
    homepage="https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
    licence="none stated; by convention for research",
    commercial=False,
    gigabytes=2.8,
    layout="""\
One of these, as the folder or the .mat itself:
nyu_depth_v2_labeled.mat     images, rawDepths (0 = hole) and depths (filled) [m]: the benchmark
  all_normals.pklz           beside it: Ladicky's normals (or surfacenormal_metadata/)
  norm_gt_l.mat, masks.mat   beside it: GeoNet's evaluation normals (or gt/)
test|train/SCENE/            the "sync" export: rgb_NNNNN.jpg with sync_depth_NNNNN.png
                             (16 bits, mm, raw depth); scenes alone or rgb/ and depth/ too
rgb/NNNN.jpg, depth/NNNN.png the labelled images by number; 16 bits: mm; 8 bits: (v + 0.5) / 25.5 m
  train.txt, test.txt        beside them: numbers, if the names do not show them
*.mat                        GeoNet's training files: img, depth, norm""",
    splits=("test", "train", "all"),
    counts={"test": 654, "train": 795, "all": 1449},
    variants=("raw", "filled", "normals", "depth_normals"),
    normals=(
        "variant 'normals': Ladicky et al. (2014), from all_normals.pklz or norm_gt_l.mat, and "
        "GeoNet's training files. Variant 'depth_normals': plane fits over 15 x 15 pixels of the "
        "depth. The evaluation files of DSINE are the dataset 'dsine', split 'nyuv2'"
    ),
    extra="evaluate",
    caveats=(
        "Ids count the labelled images from 0 (0000 to 1448); the .mat file counts from 1.",
        (
            "Raw depth is missing at about 24 % of the pixels; filled depth is in-painted, so "
            "errors against it are lower and mean less."
        ),
        "The images have a white or black border, which the Eigen crop leaves out.",
        "Kinect depth is quantised: 3 mm at 1 m, 7 cm at 5 m.",
        "The 8-bit copy is in-painted and in steps of 3.9 cm, so it is not the official benchmark.",
        (
            "Ladicky's normals are smoothed fits, so they do not reward fine detail. Their "
            "authors do not document the axes: rilievo uses those of GeoNet and checks that the "
            "normals face the camera."
        ),
        (
            "all_normals.pklz is decompressed as a whole in each process, which takes 5 or 11 GB "
            "of memory, depending on its number type; the same normals in norm_gt_l.mat are read "
            "one at a time."
        ),
    ),
)

__all__ = ["NYUv2"]

_LABELLED_FILE = "nyu_depth_v2_labeled.mat"
_NORMALS_WINDOW = 15
"""Side of the window for normals [px]: large, since depth is quantised to millimetres or more."""


class NYUv2(Dataset):
    """NYU Depth V2 in any layout.

    Variants are ``raw`` depth with holes, ``filled`` depth, true ``normals``, and
    ``depth_normals``, which are computed from depth.
    """

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        self._layout = _recognise_layout(request.root)
        if request.variant not in self._layout.variants:
            choices = [OptionName("variant", variant) for variant in self._layout.variants]
            raise InputError(
                f"has no variant '{request.variant}', because rilievo found "
                f"{self._layout.description}",
                path=request.root,
                hint=Text("use ", AnyOf(*choices)),
            )
        listing = self._layout.listing(request.split, request.list_file)
        source_name = printable(request.list_file or request.root)
        self.ids = checked_ids(listing.ids, source_name)
        self.absent = listing.absent
        if request.variant != "normals":
            self.deviations = self._layout.depth_deviations

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
        return SyncedFrames(root, pairs)
    return NumberedImages(root, pairs, find_normals_reader(root))


def _geonet_layout(root: Path) -> NyuLayout | None:
    files = find_geonet(root)
    return None if files is None else GeoNetFolder(root, files)


def _sync_layout(root: Path) -> NyuLayout | None:
    pairs = find_sync_pairs(root)
    return None if pairs is None or not pairs.complete else SyncedFrames(root, pairs)


# The first match counts. Layouts that one file name reveals come before those that need a search.
_LAYOUTS: tuple[Callable[[Path], NyuLayout | None], ...] = (
    _layout_of_labelled_mat_in,
    _layout_of_two_folders,
    _geonet_layout,
    _sync_layout,
)
