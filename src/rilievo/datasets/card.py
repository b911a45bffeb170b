"""What a user must know to choose and to download a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """What a user must know of a dataset before it is on disk.

    Attributes:
        name: As ``DATASETS`` lists it.
        title: What its authors call it, with the year.
        summary: One line: what is seen, by which sensor, how far it measures.
        homepage: Where to get it.
        licence: SPDX identifier, or the authors' words.
        commercial: Whether the licence allows commercial use.
        gigabytes: Size of the download; None where it is as large as the user makes it.
        layout: The tree as the download unpacks, several lines, with what each file holds.
        splits: Names of the official parts, the one that papers score first.
        counts: How many images each split has in the papers; empty where the user decides.
        variants: Choices of ground truth or crop, the default first.
        normals: Where true normals come from; None where it has none.
        extra: The extra of rilievo that reading it needs; None for the core.
        needs_root: Whether it lies on disk; False for one that makes itself.
        caveats: What its ground truth hides, one line each.
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
