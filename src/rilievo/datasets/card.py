"""The record that describes a dataset for choosing and downloading it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """Description of a dataset.

    Attributes:
        name: Name in ``DATASETS``.
        title: Name that its authors use, with the year.
        summary: One line: contents, sensor and range.
        homepage: Address of the download page.
        licence: SPDX identifier, or the authors' words.
        commercial: Whether the licence allows commercial use.
        gigabytes: Size of the download [GB]; None where the user decides.
        layout: Tree of the unpacked download with the contents of each file, several lines.
        splits: Names of the official splits, the one that papers score first.
        counts: Number of images of each split in the papers; empty where the user decides.
        variants: Choices of ground truth or crop, the default first.
        normals: Source of true normals; None where there are none.
        extra: Extra of rilievo that is needed for reading it; None for the core.
        needs_root: Whether the dataset lies on disk; False for a generated one.
        caveats: Limitations of the ground truth, one line each.
    """

    name: str
    title: str
    summary: str
    homepage: str
    licence: str
    commercial: bool
    gigabytes: float | None
    layout: str
    splits: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    variants: tuple[str, ...] = ("default",)
    normals: str | None = None
    extra: str | None = None
    needs_root: bool = True
    caveats: tuple[str, ...] = ()
