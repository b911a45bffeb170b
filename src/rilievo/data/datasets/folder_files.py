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
    """The photograph of an image, its depth, its normals, and the mask of pixels that have them.

    A path is None if the folder has no files of that kind.
    """

    image: Path
    depth: Path | None
    normals: Path | None
    valid: Path | None


def find_image_files(
    folder: Path, layout: FolderLayout, ids: Sequence[str] | None
) -> dict[str, ImageFiles | Absent]:
    """Find the files of the images with these ids, or of all images that have any file.

    An image that lacks one of the files is ``Absent``.

    Raises:
        InputError: If the folder has neither depth nor normals, or no photograph.
    """
    truth_patterns = _truth_patterns(layout)
    if not truth_patterns.keys() & {"depth", "normals"}:
        raise InputError(
            f"{folder}: contains neither depth/ nor normals/, and no {FILE_NAME} that says where "
            f"they are; found {contents_text(folder)}"
        )
    truth_paths = {kind: files_by_id(folder, pattern) for kind, pattern in truth_patterns.items()}
    photographs = _find_photographs(folder, layout.image, truth_paths.values())

    # Patterns and paths by id, by the kind of file that messages name.
    patterns = {"photograph": layout.image, **truth_patterns}
    paths = {"photograph": photographs, **truth_paths}
    if ids is None:
        ids = sorted(set().union(*paths.values()))
    entries: dict[str, ImageFiles | Absent] = {}
    for image_id in checked_ids(ids, printable(folder)):
        missing = [kind for kind in paths if image_id not in paths[kind]]
        if missing:
            expected = printable(expected_path(folder, patterns[missing[0]], image_id))
            entries[image_id] = Absent(id=image_id, reason=f"no {missing[0]} at {expected}")
            continue
        files = {kind: paths[kind][image_id] for kind in paths}
        entries[image_id] = ImageFiles(
            image=files["photograph"],
            depth=files.get("depth"),
            normals=files.get("normals"),
            valid=files.get("valid"),
        )
    return entries


def _truth_patterns(layout: FolderLayout) -> dict[str, str]:
    """Patterns of ground truth and masks, by kind, that the layout has."""
    patterns = {
        "depth": None if layout.depth is None else layout.depth.file,
        "normals": None if layout.normals is None else layout.normals.file,
        "valid": layout.valid,
    }
    return {kind: pattern for kind, pattern in patterns.items() if pattern is not None}


def _find_photographs(
    folder: Path, pattern: str, truth_paths: Iterable[Mapping[str, Path]]
) -> dict[str, Path]:
    """Find the files that match the pattern of photographs and are not ground truth."""
    excluded_paths = {path for paths in truth_paths for path in paths.values()}
    candidates = files_by_id(folder, pattern)
    photographs = {
        image_id: path for image_id, path in candidates.items() if path not in excluded_paths
    }
    if not photographs:
        raise InputError(
            f"{folder}: no photograph matches '{pattern}'; found {contents_text(folder)}"
        )
    return photographs
