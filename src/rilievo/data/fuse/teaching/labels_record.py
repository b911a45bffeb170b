"""Record of a folder of labels."""

from dataclasses import dataclass

FORMAT = "rilievo-labels/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsRecord:
    """Contents of ``labels.json`` in a folder of labels.

    Attributes:
        unit: Unit of depth, that of the surface.
        size: (height, width) of the labels.
        camera: fx, fy, cx, cy at that size [px].
        names: Names of the frames, without ending, which are those of the files too.
        weight: Mean weight of all pixels.
        digest: SHA-256 of all depth and weights.
    """

    format: str = FORMAT
    clip: str
    unit: str
    size: tuple[int, int]
    camera: tuple[float, float, float, float]
    names: tuple[str, ...]
    weight: float
    digest: str
