"""ScanNet as Marigold prepared it: 800 frames, listed as photograph and depth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.data.datasets.base import Request, own_card
from rilievo.data.datasets.files import found_in, read_counts, text_lines
from rilievo.data.datasets.photo_files import PhotoFiles
from rilievo.errors import InputError
from rilievo.types import Truth

LIST = "scannet_val_sampled_list_800_1.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """Files of one frame."""

    image: Path
    depth: Path


class MarigoldScannet(PhotoFiles[_Entry]):
    """Frames of ScanNet's validation set, in the order of Marigold's list."""

    card = own_card("marigold-scannet")

    def __init__(self, request: Request) -> None:
        self.request = request
        path = request.list_file or request.root / LIST
        if not path.is_file():
            raise InputError(
                f"{request.root}: expected {LIST} beside the unpacked frames (or name it with "
                f"--list), found {found_in(request.root)}"
            )
        found = {}
        for line in text_lines(path):
            words = line.text.split()
            if len(words) < 2 or not Path(words[0]).name:
                raise InputError(f"{path}: '{line.text}' is no photograph with its depth")
            id = Path(words[0]).with_suffix("").as_posix()
            found[id] = _Entry(image=request.root / words[0], depth=request.root / words[1])
        self._choose(found, None)

    def truth(self, id: str) -> Truth:
        """Depth of the sensor."""
        entry = self._entry(id)
        stored = read_counts(entry.depth)
        depth = (stored / 1000).astype(np.float32)
        # Frames are named by their scene's folder where they have one.
        scene = next((part for part in Path(id).parts if part.startswith("scene")), None)
        return Truth(id=id, depth=depth, depth_valid=stored > 0, scene=scene)
