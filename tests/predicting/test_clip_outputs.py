"""Folders of frames' files: what each file says of itself."""

import json
import re
from fractions import Fraction
from pathlib import Path

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
