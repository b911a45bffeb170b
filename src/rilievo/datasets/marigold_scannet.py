"""ScanNet as Marigold prepared it: 800 frames, listed as photograph and depth."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from rilievo.datasets.base import DatasetCard, Request
from rilievo.datasets.files import found_in, read_counts, text_lines
from rilievo.datasets.photo_files import PhotoFiles
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

    card: ClassVar[DatasetCard] = DatasetCard(
        name="marigold-scannet",
        title="ScanNet validation, 800 frames prepared by Marigold (Ke et al. 2024)",
        summary="rooms, structured-light depth to 10 m, registered to the photographs",
        homepage="https://github.com/prs-eth/Marigold",
        licence="ScanNet terms of use",
        commercial=False,
        gigabytes=None,
        layout=(
            f"{LIST}  from Marigold's data_split; photograph and\n"
            "                                    depth, a line each frame\n"
            "and what the tar file holds, unpacked: depth as 16-bit millimetres, 0 is unknown"
        ),
        splits=("val",),
        counts={"val": 800},
        caveats=("the sensor fails on dark and shiny things, and around edges",),
    )

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
            if len(words) < 2:
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
