"""ScanNet as Marigold prepared it: 800 frames."""

from functools import partial
from pathlib import Path

from rilievo.data.datasets.dataset import DatasetCard, Request
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, read_steps
from rilievo.data.datasets.text_files import contents_text, text_lines
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text

_CARD = DatasetCard(
    name="marigold-scannet",
    title="ScanNet validation, 800 frames prepared by Marigold (Ke et al. 2024)",
    summary="rooms, structured-light depth to 10 m, registered to the photographs",
    homepage="https://github.com/prs-eth/Marigold",
    licence="ScanNet terms of use",
    commercial=False,
    layout="""\
scannet_val_sampled_list_800_1.txt  from Marigold's data_split; photograph and
                                    depth, one line per frame
and the unpacked tar file, with depth as 16-bit millimetres; 0 is unknown""",
    splits=("val",),
    counts={"val": 800},
    caveats=("The sensor fails on dark and shiny surfaces, and around edges.",),
)

_LIST_FILE = "scannet_val_sampled_list_800_1.txt"
_STEPS_PER_METRE = 1000


class MarigoldScannet(DepthSet):
    """Frames of ScanNet's validation scenes, in the order of Marigold's list."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        path = request.list_file or request.root / _LIST_FILE
        if request.list_file is None and not path.is_file():
            raise InputError(
                path=request.root,
                problem=Text(
                    f"expected {_LIST_FILE} beside the extracted frames, found "
                    f"{contents_text(request.root)}; if the list is elsewhere, give its path with ",
                    OptionName("list"),
                ),
            )
        files_by_id = {}
        for line in text_lines(path):
            words = line.text.split()
            if len(words) < 2 or not Path(words[0]).name:
                raise InputError(
                    f"{path}: line {line.number} is '{line.text}'; expected the paths of a "
                    "photograph and its depth map"
                )
            image_name, depth_name = words[:2]
            image_id = Path(image_name).with_suffix("").as_posix()
            scenes = [part for part in Path(image_id).parts if part.startswith("scene")]
            files_by_id[image_id] = DepthFiles(
                image=request.root / image_name,
                depth=request.root / depth_name,
                read_depth=partial(read_steps, steps=_STEPS_PER_METRE),
                scene=scenes[0] if scenes else None,
            )
        self._set_listed_images(files_by_id, None)
