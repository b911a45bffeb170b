"""Predictions of files by a network of the tests."""

from pathlib import Path

from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files
from rilievo.predicting.summary import RunSummary
from support.clips import Clip, numbered, write_clip


def run(network: Path, output: Path, *inputs: Path, save: str = "npy") -> RunSummary:
    """Predict files into a folder."""
    options = PredictOptions(model=str(network), output=output, save=save)
    return predict_files(inputs, options, show=False)


def run_on_nine_frames(network: Path, folder: Path) -> RunSummary:
    """Predict a video of nine frames into ``out`` in a folder."""
    clip = write_clip(folder / "clip.mp4", Clip(pictures=numbered(9)))
    return run(network, folder / "out", clip, save="colour")
