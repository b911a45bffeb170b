"""WildCross: forests with semi-dense lidar depth (Knights et al., ICRA 2026)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rilievo.data.datasets.dataset import DatasetCard, Request
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, read_steps
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.errors import InputError
from rilievo.io.files.names import printable

_CARD = DatasetCard(
    name="wildcross",
    title="WildCross, place recognition and metric depth in natural environments (2026)",
    summary="two forests, semi-dense depth from accumulated lidar, up to 65 m",
    homepage="https://csiro-robotics.github.io/WildCross",
    licence="as the CSIRO Data Access Portal states (the code is CSIRO Clear BSD, non-commercial)",
    commercial=False,
    layout="""\
V-01/images/NAME       photographs of a sequence; V-02 to V-04 and K-01 to K-04 likewise
V-01/depth/NAME.png    16-bit millimetres, one file for each photograph; 0 is unknown""",
    splits=("test", "train", "val", "all"),
    caveats=(
        (
            "The first 900 frames of every sequence are left out, as in the authors' program. The "
            "split 'all' has them."
        ),
        "'val' is every 15th frame of K-02, which 'train' contains too.",
        (
            "Photographs and depth belong together by their order, as in the authors' program, so "
            "both folders must be complete."
        ),
        "The cameras are not read, because the authors' loader does not describe them.",
    ),
)

_SEQUENCES = {
    "test": ("V-01", "K-01"),
    "train": ("V-03", "V-04", "K-02", "K-03", "K-04"),
    "val": ("K-02",),
    "all": ("V-01", "V-02", "V-03", "V-04", "K-01", "K-02", "K-03", "K-04"),
}
"""Sequences of each split, in the order of the authors' program."""
_FIRST_FRAME = 900
"""Frames at the start of a sequence that the program leaves out."""
_VAL_STEP = 15
_STEPS_PER_METRE = 1000


class WildCross(DepthSet):
    """Frames of the sequences of a split."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        sequences = [name for name in _SEQUENCES[request.split] if (request.root / name).is_dir()]
        if not sequences:
            names = " and ".join(_SEQUENCES[request.split])
            raise InputError(
                f"{printable(request.root)}: expected the folders {names} of the split "
                f"'{request.split}', found {contents_text(request.root)}"
            )
        first = 0 if request.split == "all" else _FIRST_FRAME
        frames: list[_Frame] = []
        for name in sequences:
            frames += list(_frames(request.root / name))[first:]
        if request.split == "val":
            frames = frames[::_VAL_STEP]
        self._set_listed_images({frame.id: frame.files for frame in frames}, request.list_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Id and files of one frame."""

    id: str
    files: DepthFiles


def _frames(sequence: Path) -> Iterator[_Frame]:
    """Yield the frames of a sequence: the photographs and the depth maps, both sorted by name."""
    images = _visible_names(sequence / "images")
    depths = _visible_names(sequence / "depth")
    if len(images) != len(depths):
        raise InputError(
            f"{printable(sequence)}: has {len(images):,} photographs in images/, but "
            f"{len(depths):,} files in depth/; expected one for each photograph, so unpack the "
            "sequence again"
        )
    for image, depth in zip(images, depths, strict=True):
        files = DepthFiles(
            image=sequence / "images" / image,
            depth=sequence / "depth" / depth,
            read_depth=partial(read_steps, steps=_STEPS_PER_METRE),
            scene=sequence.name,
        )
        yield _Frame(id=f"{sequence.name}/{Path(image).stem}", files=files)


def _visible_names(folder: Path) -> list[str]:
    return sorted(name for name in names_in(folder) if not name.startswith("."))
