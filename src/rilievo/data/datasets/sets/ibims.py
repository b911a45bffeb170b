"""iBims-1: a hundred rooms with laser depth and masks."""

from pathlib import Path

from rilievo.data.datasets.dataset import Request, checked_ids, own_card
from rilievo.data.datasets.loaders import DepthPatterns, DepthSet, MaskedValues, masked_metres
from rilievo.data.datasets.text_files import contents_text, names_in, text_lines
from rilievo.errors import InputError
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_map

_SUBFOLDER = "ibims1_core_raw"
_METRES_PER_STEP = 50 / 65535


def _read_depth(path: Path) -> MaskedValues:
    return masked_metres(read_map(path) * _METRES_PER_STEP)


_FILES = DepthPatterns(
    image="rgb/{id}.png",
    depth="depth/{id}.png",
    read=_read_depth,
    masks=("mask_invalid/{id}.png", "mask_transp/{id}.png"),
    camera="calib/{id}.txt",
)


class Ibims(DepthSet):
    """The core set, in its release as PNG files."""

    card = own_card("ibims")

    def __init__(self, request: Request) -> None:
        self.request = request
        for folder in (request.root, request.root / _SUBFOLDER):
            names = [Path(name).stem for name in names_in(folder / "rgb") if name.endswith(".png")]
            if (folder / "depth").is_dir() and names:
                entries = {
                    name: _FILES.files_of_image(name, folder)
                    for name in _ids_of_list_or_folder(folder, names)
                }
                self._set_entries_of_list(entries, request.list_file)
                return
        raise InputError(
            f"{request.root}: expected {_SUBFOLDER}/ with rgb/ and depth/, found "
            f"{contents_text(request.root)}"
        )


def _ids_of_list_or_folder(folder: Path, present: list[str]) -> tuple[str, ...]:
    """Ids in the authors' list, or else those of the photographs that are present."""
    for listing in (folder / "imagelist.txt", folder.parent / "imagelist.txt"):
        if listing.is_file():
            ids = [line.text.removesuffix(".png") for line in text_lines(listing)]
            return checked_ids(ids, printable(listing))
    return tuple(sorted(present))
