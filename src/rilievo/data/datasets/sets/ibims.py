"""iBims-1: a hundred rooms with laser depth and masks."""

from pathlib import Path

from rilievo.data.datasets.dataset import DatasetCard, Request, checked_ids
from rilievo.data.datasets.loaders import (
    DepthFiles,
    DepthPatterns,
    DepthSet,
    MaskedValues,
    masked_metres,
)
from rilievo.data.datasets.text_files import contents_text, names_in, text_lines
from rilievo.errors import InputError
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_map

_CARD = DatasetCard(
    name="ibims",
    title="iBims-1, independent benchmark images and matched scans (2018)",
    summary="100 rooms, 640x480, laser scanner without occlusions, up to 50 m",
    homepage="https://www.asg.ed.tum.de/lmf/ibims1/",
    licence="as its record at mediaTUM (1455541) states",
    commercial=False,
    gigabytes=0.5,
    layout="""\
imagelist.txt              names, one per line; may be missing
ibims1_core_raw/
  rgb/NAME.png
  depth/NAME.png           16 bits, times 50/65535 metres; 0 is unknown
  mask_invalid/NAME.png    0 where the scan is wrong
  mask_transp/NAME.png     0 where glass is seen
  calib/NAME.txt           fx,fy,cx,cy""",
    splits=("test",),
    counts={"test": 100},
    caveats=(
        "There are only a hundred images, so confidence intervals are wide.",
        "Depth ends at 50 m and is stored in steps of 0.76 mm.",
    ),
)

_SUBFOLDER = "ibims1_core_raw"
_METRES_PER_STEP = 50 / 65535


def _read_depth(path: Path) -> MaskedValues:
    return masked_metres(read_map(path) * _METRES_PER_STEP)


_FILE_PATTERNS = DepthPatterns(
    image="rgb/{id}.png",
    depth="depth/{id}.png",
    read_depth=_read_depth,
    masks=("mask_invalid/{id}.png", "mask_transp/{id}.png"),
    camera="calib/{id}.txt",
)


class Ibims(DepthSet):
    """iBims-1: photographs of rooms with depth from a laser scanner, all of them PNG files."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        image_folder = _find_folder(request.root)
        files_by_id: dict[str, DepthFiles] = {}
        for image_id in _read_ids(image_folder):
            files_by_id[image_id] = _FILE_PATTERNS.insert_id(image_id, image_folder)
        self._set_listed_images(files_by_id, request.list_file)


def _find_folder(root: Path) -> Path:
    """Find the folder with rgb/ and depth/: the root or its ``ibims1_core_raw``."""
    for folder in (root, root / _SUBFOLDER):
        if (folder / "depth").is_dir() and _photograph_stems(folder):
            return folder
    raise InputError(
        f"{root}: expected {_SUBFOLDER}/ with rgb/ and depth/, found {contents_text(root)}"
    )


def _photograph_stems(folder: Path) -> list[str]:
    return [Path(name).stem for name in names_in(folder / "rgb") if name.endswith(".png")]


def _read_ids(folder: Path) -> tuple[str, ...]:
    """Read the ids in the authors' list; without the list, they are the names of photographs."""
    for list_file in (folder / "imagelist.txt", folder.parent / "imagelist.txt"):
        if list_file.is_file():
            ids = [line.text.removesuffix(".png") for line in text_lines(list_file)]
            return checked_ids(ids, printable(list_file))
    return tuple(sorted(_photograph_stems(folder)))
