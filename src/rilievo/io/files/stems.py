"""Stems of results: one for each file of a folder, however alike their names are."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path


def distinct(names: Iterable[str]) -> list[str]:
    """Number names that occur twice; case is ignored, as in some file systems."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.lower())
        result.append(candidate)
    return result


def own_names(files: Sequence[str]) -> list[str]:
    """Stem of each file, or its whole name if the stem occurs twice in the folder."""
    stems = Counter(Path(name).stem.lower() for name in files)
    return distinct(
        Path(name).stem if stems[Path(name).stem.lower()] == 1 else name for name in files
    )
