"""Lists of training frames by number."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
    path = Path(split)
    places = (path, root / "splits" / split, root / split)
    candidates = [candidate for place in places for candidate in (place, place / "train_files.txt")]
    training = next((option for option in candidates if option.is_file()), None)
    if training is None:
        raise OptionError(
            f"no list of the split '{printable(split)}': a file, a folder with train_files.txt, "
            f"or a name under {printable(root / 'splits')} is expected (found there: "
            f"{contents_text(root / 'splits')}); eigen_zhou and others are in the folder splits/ "
            "of github.com/nianticlabs/monodepth2: copy them there"
        )
    return training


def read_frame_list(path: Path) -> list[ListedFrame]:
    """Read ``folder frame side`` a line; the left is the default side."""
    frames: list[ListedFrame] = []
    for line in text_lines(path):
        words = line.text.split()
        has_side = words[2:] in ([], ["l"], ["r"])
        if len(words) < 2 or not is_whole(words[1]) or not has_side:
            raise InputError(
                f"{printable(path)}: line {line.number} is '{printable(line.text[:80])}'; "
                "expected 'folder frame side', such as "
                "'2011_09_26/2011_09_26_drive_0001_sync 0000000005 l'"
            )
        side = words[2] if len(words) == 3 else "l"
        frames.append(ListedFrame(folder=words[0], number=int(words[1]), side=side))
    if not frames:
        raise InputError(f"{printable(path)}: lists no frame")
    return frames


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSequences:
    """Training list of a split, and targets by folder and side."""

    path: Path
    targets: Mapping[tuple[str, str], ListedTargets]


def read_split_lists(root: Path, split: str, *, stereo: bool) -> ListedSequences:
    """Read the lists of a split, with both sides for ``stereo``.

    A "train" list goes with the "val" list beside it.
    """
    path = _find_training_list(root, split)
    training, held_out = _frame_numbers_by_folder_and_side(path), None
    partner = path.with_name(path.name.replace("train", "val", 1))
    if path.name.startswith("train") and partner.is_file():
        held_out = _frame_numbers_by_folder_and_side(partner)
    wanted = dict.fromkeys([*training, *(held_out or {})])
    if stereo:
        wanted |= dict.fromkeys((folder, OTHER_SIDE[side]) for folder, side in list(wanted))
    targets = {
        key: ListedTargets(
            training=training.get(key, ()),
            held_out=None if held_out is None else held_out.get(key, ()),
        )
        for key in wanted
    }
    return ListedSequences(path=path, targets=targets)


def _frame_numbers_by_folder_and_side(path: Path) -> dict[tuple[str, str], tuple[int, ...]]:
    groups: dict[tuple[str, str], list[int]] = {}
    for frame in read_frame_list(path):
        groups.setdefault((frame.folder, frame.side), []).append(frame.number)
    return {key: tuple(numbers) for key, numbers in groups.items()}


def numbered_files(folder: Path) -> dict[int, Path]:
    """List frames by number: published PNG, or else JPEG."""
    files: dict[int, Path] = {}
    # PNG comes after JPEG, so that it replaces the JPEG made from it.
    for name in sorted(names_in(folder), key=lambda name: (name.endswith(".png"), name)):
        stem, _, suffix = name.rpartition(".")
        if is_whole(stem) and suffix in ("png", "jpg"):
            files[int(stem)] = folder / name
    if not files:
        raise InputError(
            f"{printable(folder)}: frames such as 0000000005.png are expected, found "
            f"{contents_text(folder)}"
        )
    return dict(sorted(files.items()))
