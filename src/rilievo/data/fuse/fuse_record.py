"""Record of a fused clip."""

from rilievo.frozen import frozen

FORMAT = "rilievo-fuse/1"


@frozen
class FuseRecord:
    """Contents of the JSON beside a fused surface.

    Attributes:
        depth: Name of the model, or of the folder of depth.
        poses: Name of the file of the poses; "estimated" where there was none.
        unit: Unit of the surface: "metre", "that of the poses" or "arbitrary".
        axes: Axes of the surface.
        left_out: Number of frames read but not fused.
        blocks: Number of blocks of 8 x 8 x 8 voxels.
        volume_bytes: Memory of the volume.
        scale: Factor from the depth of all frames to the unit of the surface.
        scales: Further factor of each fused frame.
        correction: Correction of the depth of frames beside the one factor.
        disagreement_before: Median relative difference of depth between neighbouring frames with
            one scale; None where it is unknown.
        disagreement: The same as fused.
        labels: Mean weight of the labels that were written; None without.
    """

    format: str = FORMAT
    file: str
    clip: str
    depth: str
    poses: str
    unit: str
    axes: str
    frames: int
    left_out: int
    voxel: float
    blocks: int
    volume_bytes: int
    points: int
    triangles: int
    scale: float
    scales: tuple[float, ...]
    names: tuple[str, ...]
    correction: str
    disagreement_before: float | None = None
    disagreement: float | None = None
    labels: float | None = None
    notes: tuple[str, ...] = ()
