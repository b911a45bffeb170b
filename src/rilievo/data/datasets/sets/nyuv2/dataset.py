"""NYU Depth V2 in any layout (Silberman et al. 2012)."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets.dataset import Absent, Dataset, Request, checked_ids, own_card
from rilievo.data.datasets.loaders import (
    MaskedValues,
    masked_metres,
    read_grey_integers,
    read_steps,
)
from rilievo.data.datasets.mat_file import Hdf5MatFile
from rilievo.data.datasets.sets.nyuv2.layout import (
    LABELLED,
    PHOTO_SUFFIXES,
    Listing,
    NyuLayout,
    PairedLayout,
    Pairs,
    carries_sync_names,
    find_pairs,
    find_sync,
    official_indices,
    read_image_list,
    recorded_scene,
)
from rilievo.data.datasets.sets.nyuv2.normals_files import (
    SIZE,
    GeoNetFolder,
    K,
    NormalsOf,
    find_geonet,
    find_normals_reader,
)
from rilievo.data.datasets.text_files import contents_text, text_lines
from rilievo.errors import InputError
from rilievo.errors.messages import AnyOf, OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_map
from rilievo.records.sample import Truth

Entry = TypeVar("Entry")

_MILLIMETRES = 1000.0
_STEPS_PER_METRE = 25.5


class SyncFolders(PairedLayout):
    """``rgb_NNNNN.jpg`` beside ``sync_depth_NNNNN.png`` [mm] (Lee et al. 2019, BTS)."""

    what = "the 'sync' export (rgb_NNNNN.jpg with sync_depth_NNNNN.png)"
    variants = ("raw", "depth_normals")

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """Images of a split or list."""
        pairs, absent = self._pairs.found, self._pairs.absent
        if list_file is not None:
            return read_image_list(
                list_file,
                _entries_by_unique_word({id: id for id in pairs}),
                _entries_by_unique_word(absent),
                "lines are as kitchen/rgb_00045.jpg or kitchen/00045",
            )
        if split == "all":
            return Listing(ids=tuple(pairs), absent=tuple(absent.values()))
        ids = tuple(id for id in pairs if split in id.split("/")[:-1])
        if not ids:
            raise InputError(
                path=self.root,
                problem=Text(
                    f"these frames have no folder '{split}', so which are "
                    f"'{split}' is not known: give a list (",
                    OptionName("list"),
                    "), or take the split 'all'",
                ),
            )
        return Listing(
            ids=ids,
            absent=tuple(absent[id] for id in absent if split in id.split("/")[:-1]),
        )

    def scene(self, id: str) -> str | None:
        """Recording, if any."""
        return recorded_scene(id)

    def depth(self, id: str, variant: str) -> MaskedValues:
        """Read depth; 0 is a hole."""
        return read_steps(self._pair(id).truth, steps=_MILLIMETRES)


class LabelledImages(PairedLayout):
    """Labelled images by number in ``rgb`` and ``depth``.

    16 bits are millimetres with holes; 8 bits are in-painted: metres = (v + 0.5) / 25.5.
    """

    def __init__(self, root: Path, pairs: Pairs, normals: NormalsOf | None) -> None:
        super().__init__(root, pairs)
        self._normals = normals
        first = next(iter(pairs.found.values())).truth
        numbers = read_map(first)
        self._is_8_bit = numbers.dtype == np.uint8
        holes = not self._is_8_bit and bool((numbers == 0).any())
        bits = 8 if self._is_8_bit else 16
        self._held = "raw" if holes else "filled"
        self.what = f"labelled images with {self._held} depth of {bits} bits"
        self._first = self._first_image_number()
        self.variants = (self._held, "depth_normals")
        if normals is not None:
            self.variants += ("normals",)

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """Images of a split or list, else by number."""
        images, absent = self._pairs.found, self._pairs.absent
        if list_file is None and split != "all":
            list_file = self.root / f"{split}.txt"
            if not list_file.is_file():
                return self._listing_of_official_split(split)
        if list_file is not None:
            named = {line.text.split()[0] for line in text_lines(list_file)}
            gone = {
                name: Absent(id=name, reason=f"{printable(name)} is in neither folder")
                for name in named - set(images)
                if name.isdecimal()
            }
            words = {id: id for id in images}
            return read_image_list(list_file, words, {**gone, **absent}, "ids are as 0045")
        return Listing(ids=tuple(images), absent=tuple(absent.values()))

    def depth(self, id: str, variant: str) -> MaskedValues:
        """Read depth of 16 or 8 bits."""
        path = self._pair(id).truth
        if not self._is_8_bit:
            return read_steps(path, steps=_MILLIMETRES)
        steps = read_grey_integers(path, bits=8)
        metres = (steps.astype(np.float32) + 0.5) / np.float32(_STEPS_PER_METRE)
        return MaskedValues(values=metres, valid=steps > 0)

    def normals(self, id: str) -> MaskedValues | None:
        """Read true normals."""
        if self._normals is None:
            return None
        return self._normals(int(id) - (self._first or 0))

    def _first_image_number(self) -> int | None:
        """0 or 1; None if the names do not tell."""
        numbers = {int(id) for id in self._pairs.found if id.isdecimal()}
        if 0 in numbers:
            return 0
        return 1 if LABELLED in numbers else None

    def _listing_of_official_split(self, split: str) -> Listing:
        if self._first is None:
            raise InputError(
                f"{self.root}: names of the images do not tell whether they count from 0 or 1, so "
                f"which are '{split}' is not known: put {split}.txt beside the folders, give a "
                "list, or take the split 'all'"
            )
        by_number = {int(id): id for id in self._pairs.found if id.isdecimal()}
        ids, absent = [], []
        for index in official_indices(split):
            number = index + self._first
            if number in by_number:
                ids.append(by_number[number])
            else:
                name = f"{number:04d}"
                reason = f"no pair of this number in {printable(self.root)}"
                absent.append(self._pairs.absent.get(name, Absent(id=name, reason=reason)))
        return Listing(ids=tuple(ids), absent=tuple(absent))


def _entries_by_unique_word(images: Mapping[str, Entry]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    twice: set[str] = set()
    for id, image in images.items():
        for word in _spellings_of_id(id):
            if word in entries:
                twice.add(word)
            entries[word] = image
    return {word: image for word, image in entries.items() if word not in twice}


def _spellings_of_id(id: str) -> Iterator[str]:
    parts = id.split("/")
    for start in range(max(1, len(parts) - 1)):
        folder = "".join(f"{part}/" for part in parts[start:-1])
        yield f"{folder}{parts[-1]}"
        for suffix in PHOTO_SUFFIXES:
            yield f"{folder}rgb_{parts[-1]}{suffix}"


__all__ = ["NYUv2"]

_LABELLED_NAME = "nyu_depth_v2_labeled.mat"
# Side of the window for normals [px]: large, since depth is quantised to millimetres or more.
_NORMALS_WINDOW = 15
_DEPTH = {"raw": "rawDepths", "filled": "depths"}


class NYUv2(Dataset):
    """NYU Depth V2 in any layout.

    Variants are ``raw`` and ``filled`` depth, true ``normals``, and ``depth_normals`` from depth.
    """

    card = own_card("nyuv2")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._layout = _recognise_layout(request.root)
        if request.variant not in self._layout.variants:
            variants = " or ".join(f"'{variant}'" for variant in self._layout.variants)
            choices = [OptionName("variant", variant) for variant in self._layout.variants]
            raise InputError(
                f"is {self._layout.what}, which does not hold '{request.variant}' but {variants}:",
                path=request.root,
                problem=Text("say ", AnyOf(*choices)),
            )
        listing = self._layout.listing(request.split, request.list_file)
        where = printable(request.list_file or request.root)
        self.ids, self.absent = checked_ids(listing.ids, where), listing.absent

    def image(self, id: str) -> Pixels:
        """Read the photograph."""
        return self._layout.image(id)

    def scene(self, id: str) -> str | None:
        """Scene of an image."""
        return self._layout.scene(id)

    def truth(self, id: str) -> Truth:
        """Read depth [m] and normals of the variant."""
        variant = self.request.variant
        held = "filled" if "filled" in self._layout.variants else "raw"
        if variant == "depth_normals" and "raw" in self._layout.variants:
            held = "raw"
        depth = self._layout.depth(id, held if variant == "depth_normals" else variant)
        normals = self._layout.normals(id) if variant == "normals" else None
        part = depth or normals
        assert part is not None, "every variant of a layout gives depth or normals"
        camera = Camera(K=K) if part.valid.shape == SIZE else None
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
        self, id: str, depth: MaskedValues, camera: Camera | None
    ) -> MaskedValues:
        if camera is None:
            height, width = depth.valid.shape
            raise InputError(
                f"{self.request.root}: image '{id}' is {width} x {height}, but its intrinsics, "
                "which normals need, are known for 640 x 480 alone"
            )
        values, valid = normals_from_depth(
            depth.values, camera, depth.valid, window=_NORMALS_WINDOW
        )
        return MaskedValues(values=values, valid=valid)


def _recognise_layout(root: Path) -> NyuLayout:
    if root.is_file():
        return _layout_of_labelled_mat(root)
    for recognise in _LAYOUTS:
        if (layout := recognise(root)) is not None:
            return layout
    raise InputError(
        f"{root}: is no NYU Depth V2 that we know; expected {_LABELLED_NAME}, folders of "
        "rgb_NNNNN.jpg with sync_depth_NNNNN.png, rgb/ with depth/, or GeoNet's .mat files "
        "(DSINE's NNNNNN_img.png are dataset 'dsine', split 'nyuv2'); found "
        f"{contents_text(root)}"
    )


def _layout_of_labelled_mat(path: Path) -> NyuLayout:
    return LabelledMat(path, find_normals_reader(path.parent))


def _layout_of_labelled_mat_in(root: Path) -> NyuLayout | None:
    path = root / _LABELLED_NAME
    return _layout_of_labelled_mat(path) if path.is_file() else None


def _layout_of_two_folders(root: Path) -> NyuLayout | None:
    pairs = find_pairs(root)
    if pairs is None or not pairs.found:
        return None
    if carries_sync_names(pairs):
        return SyncFolders(root, pairs)
    return LabelledImages(root, pairs, find_normals_reader(root))


def _geonet_layout(root: Path) -> NyuLayout | None:
    files = find_geonet(root)
    return None if files is None else GeoNetFolder(root, files)


def _sync_layout(root: Path) -> NyuLayout | None:
    pairs = find_sync(root)
    return None if pairs is None or not pairs.found else SyncFolders(root, pairs)


# The first match counts: layouts detected by a single name come before those that need a search.
_LAYOUTS: tuple[Callable[[Path], NyuLayout | None], ...] = (
    _layout_of_labelled_mat_in,
    _layout_of_two_folders,
    _geonet_layout,
    _sync_layout,
)


class LabelledMat(NyuLayout):
    """Labelled images in one MATLAB 7.3 file; ids are indices from 0."""

    what = "the labelled set as published (nyu_depth_v2_labeled.mat)"

    def __init__(self, root: Path, normals: NormalsOf | None) -> None:
        self.root = root
        self._file, self._normals = Hdf5MatFile(root), normals
        self._count = self._check_shapes_and_count()
        self.variants = ("raw", "filled", "depth_normals")
        if normals is not None:
            self.variants += ("normals",)

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """Images of a split or list."""
        if list_file is not None:
            names = {f"{index:04d}": f"{index:04d}" for index in range(self._count)}
            return read_image_list(list_file, names, {}, f"ids are 0000 to {self._count - 1:04d}")
        if split == "all":
            indices = tuple(range(self._count))
        elif self._count == LABELLED:
            indices = official_indices(split)
        else:
            raise InputError(
                f"{self.root}: has {self._count} images, not the official {LABELLED}, so which are "
                f"'{split}' is not known: give a list, or take the split 'all'"
            )
        ids = tuple(f"{index:04d}" for index in indices)
        return Listing(ids=ids)

    def image(self, id: str) -> Pixels:
        """Read one image, transposed."""
        return np.ascontiguousarray(self._file.slice("images", int(id)).transpose(2, 1, 0))

    def depth(self, id: str, variant: str) -> MaskedValues:
        """Read ``rawDepths`` with holes, or ``depths``."""
        return masked_metres(self._file.slice(_DEPTH.get(variant, "rawDepths"), int(id)).T)

    def normals(self, id: str) -> MaskedValues | None:
        """Read true normals from their own file; None without one."""
        return None if self._normals is None else self._normals(int(id))

    def scene(self, id: str) -> str | None:
        """Scene, such as ``kitchen_0004``."""
        return self._file.text("scenes", int(id))

    def _check_shapes_and_count(self) -> int:
        all_shapes = self._file.shapes()
        shapes = {name: all_shapes.get(name, ()) for name in ("images", "depths", "rawDepths")}
        images = shapes["images"]
        if len(images) == 4 and images[1] == 3:
            count, _, width, height = images
            if shapes["depths"] == shapes["rawDepths"] == (count, width, height):
                return count
        raise InputError(
            f"{self.root}: holds images {shapes['images']}, depths {shapes['depths']} and "
            f"rawDepths {shapes['rawDepths']}, expected (1449, 3, 640, 480) and twice (1449, 640, "
            "480): is it nyu_depth_v2_labeled.mat?"
        )
