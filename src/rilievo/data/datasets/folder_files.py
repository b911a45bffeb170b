"""Files of the images in a user's folder, found by the patterns of its layout."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.data.datasets.dataset import Absent, checked_ids
from rilievo.data.datasets.folder_layout import FILE_NAME, FolderLayout
from rilievo.data.datasets.id_patterns import expected_path, files_by_id
from rilievo.data.datasets.text_files import contents_text
from rilievo.errors import InputError
from rilievo.io.files.names import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFiles:
    """Files of one image; None for a kind of file that the folder does not have.

    Attributes:
        image: The photograph.
        depth: Its depth map.
        normals: Its normals.
        valid: Mask whose nonzero pixels have depth and normals.
    """

    image: Path
    depth: Path | None
    normals: Path | None
    valid: Path | None


def find_image_files(
    folder: Path, layout: FolderLayout, ids: Sequence[str] | None
) -> dict[str, ImageFiles | Absent]:
    """Find the files of each image. An image without one of the files is ``Absent``.

    Args:
        folder: The user's folder.
        layout: Patterns of the files.
        ids: Ids of the images; None for all that have any file.

    Raises:
        InputError: If the folder has neither depth nor normals, or no photograph.
    """
    patterns = _patterns_of_truth(layout)
    if not patterns.keys() & {"depth", "normals"}:
        raise InputError(
            f"{folder}: has neither 'depth/' nor 'normals/' and no {FILE_NAME} that says "
            f"where they are; it holds {contents_text(folder)}"
        )
    paths_of_truth = {part: files_by_id(folder, pattern) for part, pattern in patterns.items()}
    photographs = _find_photographs(folder, layout.image, paths_of_truth.values())

    patterns = {"photograph": layout.image, **patterns}
    paths = {"photograph": photographs, **paths_of_truth}
    if ids is None:
        ids = sorted(set().union(*paths.values()))
    entries: dict[str, ImageFiles | Absent] = {}
    for id in checked_ids(ids, printable(folder)):
        missing = [part for part in paths if id not in paths[part]]
        if missing:
            expected = printable(expected_path(folder, patterns[missing[0]], id))
            entries[id] = Absent(id=id, reason=f"no {missing[0]} at {expected}")
            continue
        files = {part: paths[part][id] for part in paths}
        entries[id] = ImageFiles(
            image=files["photograph"],
            depth=files.get("depth"),
            normals=files.get("normals"),
            valid=files.get("valid"),
        )
    return entries


def _patterns_of_truth(layout: FolderLayout) -> dict[str, str]:
    patterns = {
        "depth": None if layout.depth is None else layout.depth.file,
        "normals": None if layout.normals is None else layout.normals.file,
        "valid": layout.valid,
    }
    return {part: pattern for part, pattern in patterns.items() if pattern is not None}


def _find_photographs(
    folder: Path, pattern: str, paths_of_truth: Iterable[Mapping[str, Path]]
) -> dict[str, Path]:
    """Find the files that fit the pattern of photographs and are no ground truth."""
    truth_paths = {path for paths in paths_of_truth for path in paths.values()}
    candidates = files_by_id(folder, pattern)
    photographs = {id: path for id, path in candidates.items() if path not in truth_paths}
    if not photographs:
        raise InputError(
            f"{folder}: no photograph fits '{pattern}'; it holds {contents_text(folder)}"
        )
    return photographs
