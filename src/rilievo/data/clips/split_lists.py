"""Lists of training frames by number."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rilievo.data.clips.sequences import ListedTargets
from rilievo.data.datasets.text_files import contents_text, names_in, text_lines
from rilievo.errors import InputError, OptionError
from rilievo.io.files.limits import is_whole
from rilievo.io.files.names import printable

OTHER_SIDE: Mapping[str, str] = {"l": "r", "r": "l"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFrame:
    """One line of a list; ``side`` is "l" or "r"."""

    folder: str
    number: int
    side: str


def _find_training_list(root: Path, split: str) -> Path:
    """Find the list of a split: a file, a folder with train_files.txt, or a name under splits/."""
    places = (Path(split), root / "splits" / split, root / split)
    candidates = [candidate for place in places for candidate in (place, place / "train_files.txt")]
    training_list = next((path for path in candidates if path.is_file()), None)
    if training_list is None:
        raise OptionError(
            f"there is no list for the split '{printable(split)}'; expected a list file, a folder "
            f"with train_files.txt, or the name of a list in {printable(root / 'splits')} (found "
            f"{contents_text(root / 'splits')}); for a split such as eigen_zhou, copy the folder "
            f"splits/ from github.com/nianticlabs/monodepth2 into {printable(root)}"
        )
    return training_list


def read_frame_list(path: Path) -> list[ListedFrame]:
    """Read lines of ``folder frame side``, in which the side is the left one by default."""
    frames: list[ListedFrame] = []
    for line in text_lines(path):
        words = line.text.split()
        has_valid_side = words[2:] in ([], ["l"], ["r"])
        if len(words) < 2 or not is_whole(words[1]) or not has_valid_side:
            raise InputError(
                f"{printable(path)}: line {line.number} is '{printable(line.text[:80])}'; "
                "expected 'folder frame side', such as "
                "'2011_09_26/2011_09_26_drive_0001_sync 0000000005 l'"
            )
        side = words[2] if len(words) == 3 else "l"
        frames.append(ListedFrame(folder=words[0], number=int(words[1]), side=side))
    if not frames:
        raise InputError(
            f"{printable(path)}: lists no frames; expected a line such as "
            "'2011_09_26/2011_09_26_drive_0001_sync 0000000005 l' for each frame"
        )
    return frames


class ListedCamera(NamedTuple):
    """Camera of a list: the folder of the drive, and the side, "l" or "r"."""

    folder: str
    side: str

    @property
    def partner(self) -> "ListedCamera":
        """The other camera of the stereo pair."""
        return ListedCamera(self.folder, OTHER_SIDE[self.side])


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSequences:
    """Path of a split's training list, and the listed targets of each camera."""

    path: Path
    targets: Mapping[ListedCamera, ListedTargets]


def read_split_lists(root: Path, split: str, *, stereo: bool) -> ListedSequences:
    """Read the training list of a split, and the validation list beside it if there is one.

    With ``stereo``, the other camera of each listed camera is listed too, without targets of its
    own unless the lists have some.
    """
    training_path = _find_training_list(root, split)
    training = _frame_numbers_by_camera(training_path)
    held_out: Mapping[ListedCamera, tuple[int, ...]] | None = None
    validation_path = training_path.with_name(training_path.name.replace("train", "val", 1))
    if training_path.name.startswith("train") and validation_path.is_file():
        held_out = _frame_numbers_by_camera(validation_path)

    cameras = [*training, *(held_out or {})]
    if stereo:
        cameras += [camera.partner for camera in cameras]
    targets = {
        camera: ListedTargets(
            training=training.get(camera, ()),
            held_out=None if held_out is None else held_out.get(camera, ()),
        )
        for camera in dict.fromkeys(cameras)  # each once, in the order of the lists
    }
    return ListedSequences(path=training_path, targets=targets)


def _frame_numbers_by_camera(path: Path) -> dict[ListedCamera, tuple[int, ...]]:
    """Read the frame numbers of each camera from a list, in the order of its lines."""
    numbers_by_camera: dict[ListedCamera, list[int]] = {}
    for frame in read_frame_list(path):
        camera = ListedCamera(frame.folder, frame.side)
        numbers_by_camera.setdefault(camera, []).append(frame.number)
    return {camera: tuple(numbers) for camera, numbers in numbers_by_camera.items()}


def numbered_files(folder: Path) -> dict[int, Path]:
    """List the frames of a folder by number; a PNG takes precedence over a JPEG."""
    files: dict[int, Path] = {}
    # PNG sorts after JPEG here, so that the published PNG replaces a JPEG made from it.
    for name in sorted(names_in(folder), key=lambda name: (name.endswith(".png"), name)):
        stem, _, suffix = name.rpartition(".")
        if is_whole(stem) and suffix in ("png", "jpg"):
            files[int(stem)] = folder / name
    if not files:
        raise InputError(
            f"{printable(folder)}: expected frames such as 0000000005.png, found "
            f"{contents_text(folder)}"
        )
    return dict(sorted(files.items()))
