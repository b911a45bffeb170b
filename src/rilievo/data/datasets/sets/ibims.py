"""iBims-1: a hundred rooms with laser depth and masks."""

from pathlib import Path

from rilievo.data.datasets.dataset import Request, checked_ids, own_card
from rilievo.data.datasets.loaders import DepthPatterns, DepthSet, MaskedValues, masked_metres
from rilievo.data.datasets.text_files import contents_text, names_in, text_lines
from rilievo.errors import InputError
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_map

_RAW = "ibims1_core_raw"
_METRES = 50 / 65535


def _read_depth(path: Path) -> MaskedValues:
    return masked_metres(read_map(path) * _METRES)


_FILES = DepthPatterns(
    image="rgb/{id}.png",
    depth="depth/{id}.png",
    read=_read_depth,
    masks=("mask_invalid/{id}.png", "mask_transp/{id}.png"),
    camera="calib/{id}.txt",
)


class Ibims(DepthSet):
    """Core set as pictures."""

    card = own_card("ibims")

    def __init__(self, request: Request) -> None:
        self.request = request
        for folder in (request.root, request.root / _RAW):
            names = [Path(name).stem for name in names_in(folder / "rgb") if name.endswith(".png")]
            if (folder / "depth").is_dir() and names:
                entries = {
                    name: _FILES.files_of_image(name, folder)
                    for name in _ids_of_list_or_folder(folder, names)
                }
                self._set_entries_of_list(entries, request.list_file)
                return
        raise InputError(
            f"{request.root}: expected {_RAW}/ with rgb/ and depth/, found "
            f"{contents_text(request.root)}"
        )


def _ids_of_list_or_folder(folder: Path, there: list[str]) -> tuple[str, ...]:
    for place in (folder, folder.parent):
        if (place / "imagelist.txt").is_file():
            lines = text_lines(place / "imagelist.txt")
            names = [line.text.removesuffix(".png") for line in lines]
            return checked_ids(names, printable(place / "imagelist.txt"))
    return tuple(sorted(there))
