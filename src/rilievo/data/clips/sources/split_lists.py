"""Lists of frames to train on, by number."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rilievo.data.clips.sequences import Listed
from rilievo.data.datasets.files import found_in, names_in, text_lines
from rilievo.errors import InputError, OptionError
from rilievo.io.files.limits import is_whole, printable


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitLists:
    """List files of a split."""

    training: Path
    held_out: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFrame:
    """One line of a list.

    Attributes:
        side: "l" or "r".
    """

    folder: str
    number: int
    side: str


def find_lists(root: Path, split: str) -> SplitLists:
    """Find the lists of a split: a file, a folder with ``train_files.txt``, or a name at the root.

    A list whose name begins with "train" goes with the one beside it that begins with "val".
    """
    given = Path(split)
    places = (given, root / "splits" / split, root / split)
    candidates = [candidate for place in places for candidate in (place, place / "train_files.txt")]
    training = next((each for each in candidates if each.is_file()), None)
    if training is None:
        raise OptionError(
            f"no list of the split '{printable(split)}': a file, a folder with train_files.txt, "
            f"or a name under {printable(root / 'splits')} is expected (found there: "
            f"{found_in(root / 'splits')}); eigen_zhou and others are in the folder splits/ of "
            "github.com/nianticlabs/monodepth2: copy them there"
        )
    partner = training.with_name(training.name.replace("train", "val", 1))
    is_pair = training.name.startswith("train") and partner.is_file()
    return SplitLists(training=training, held_out=partner if is_pair else None)


def read_frames(path: Path) -> list[ListedFrame]:
    """Read the frames of a list, one ``folder frame side`` a line; without a side, the left one."""
    frames: list[ListedFrame] = []
    for line in text_lines(path):
        words = line.text.split()
        if (
            len(words) not in (2, 3)
            or not is_whole(words[1])
            or words[2:]
            not in (
                [],
                ["l"],
                ["r"],
            )
        ):
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


def listed(
    training: Iterable[ListedFrame], held_out: Iterable[ListedFrame] | None, folder: str, side: str
) -> Listed:
    """Return the frames of one sequence that the lists name."""
    return Listed(
        training=_numbers(training, folder, side),
        held_out=None if held_out is None else _numbers(held_out, folder, side),
    )


def _numbers(frames: Iterable[ListedFrame], folder: str, side: str) -> tuple[int, ...]:
    return tuple(each.number for each in frames if (each.folder, each.side) == (folder, side))


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """Frames of a folder."""

    files: tuple[Path, ...]
    numbers: tuple[int, ...]


def numbered_files(folder: Path) -> Numbered:
    """List the frames of a folder: PNG as published, or else JPEG converted from it."""
    found: dict[int, Path] = {}
    # PNG comes after JPEG, so that it replaces the JPEG made from it.
    for name in sorted(names_in(folder), key=lambda name: (name.endswith(".png"), name)):
        stem, _, suffix = name.rpartition(".")
        if is_whole(stem) and suffix in ("png", "jpg"):
            found[int(stem)] = folder / name
    if not found:
        raise InputError(
            f"{printable(folder)}: frames such as 0000000005.png are expected, found "
            f"{found_in(folder)}"
        )
    numbers = tuple(sorted(found))
    return Numbered(files=tuple(found[number] for number in numbers), numbers=numbers)
