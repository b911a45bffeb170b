"""Folders of frames' files: what each file says of itself."""

import json
import re
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.videos.frame_source import Frame
from rilievo.predicting.videos.clip_outputs import ClipFormat, FolderSink
from rilievo.prediction.readback import read_prediction
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Anchoring
from support.predictions import prediction


def test_files_of_affine_depth_say_of_which_depth_each_is_made(tmp_path: Path) -> None:
    fit = Anchoring(
        model="rilievo/base",
        rank_correlation=0.9,
        residual=0.1,
        space="inverse",
        scale=0.5,
        shift=2.5,
    )
    affine = prediction(DepthKind.AFFINE_INVERSE).but(anchoring=fit)
    photo = affine.photo
    assert photo is not None
    form = ClipFormat(
        size=affine.shape,
        rate=Fraction(10),
        time_base=Fraction(1, 10),
        sound=None,
        depth_range=None,
        options=SaveOptions(),
    )
    sink = FolderSink(tmp_path, "frames", ("npz", "ply"), form)
    sink.render(affine, Frame(photo=photo, index=0, ticks=0))
    assert read_prediction(tmp_path / "000000.npz").depth.kind is DepthKind.AFFINE_INVERSE
    header = (tmp_path / "000000.ply").read_bytes().partition(b"end_header")[0].decode()
    facts = json.loads("".join(re.findall(r"comment rilievo: (.*)", header)))
    assert facts["depth"]["kind"] == DepthKind.UP_TO_SCALE
    assert facts["anchoring"]["model"] == "rilievo/base"


@pytest.mark.parametrize("outputs", ["colour", "png16,normals"])
def test_a_video_that_cannot_be_written_is_refused_before_the_first_frame(
    outputs: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for index in range(2):
        Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(frames / f"{index}.png")
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(
        "rilievo.predicting.videos.clip.run_first_pass",
        lambda *arguments: pytest.fail("frames were predicted"),
    )
    output = tmp_path / "results"
    assert main(["predict", str(frames), "--sequence", "--save", outputs, "-o", str(output)]) == 1
    assert "as a video needs the extra 'video'" in capsys.readouterr().err
    assert [*output.iterdir()] == []
