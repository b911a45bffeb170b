"""Kinds of models that a trajectory is estimated with; needs no torch."""

from pathlib import Path

from rilievo.models.runs import is_video_run, read_video_run
from rilievo.networks.video.blueprint import POSE, is_official


def says_motion(model: Path) -> bool:
    """Whether a model is a folder with networks that predict motion.

    Raises:
        ModelError: If the folder is a broken run on video.
    """
    if is_video_run(model):
        return read_video_run(model).blueprint.pose.is_network
    return is_official(model) and (model / POSE).is_file()
