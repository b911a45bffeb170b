"""The files of an official checkpoint of Monodepth2, by name; needs no torch."""

from pathlib import Path

ENCODER, DEPTH = "encoder.pth", "depth.pth"
POSE_ENCODER, POSE = "pose_encoder.pth", "pose.pth"


def is_official(folder: Path) -> bool:
    """Whether a folder is that of an official checkpoint, or is meant as one."""
    return (folder / ENCODER).is_file() or (folder / DEPTH).is_file()
