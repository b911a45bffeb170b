"""The files of an official checkpoint of Monodepth2, by name; needs no torch."""

from pathlib import Path

ENCODER, DEPTH = "encoder.pth", "depth.pth"
POSE_ENCODER, POSE = "pose_encoder.pth", "pose.pth"


def is_official(folder: Path) -> bool:
    """Whether a folder is an official checkpoint, perhaps an incomplete one."""
    return (folder / ENCODER).is_file() or (folder / DEPTH).is_file()
