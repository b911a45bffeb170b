"""Depth in a photograph's own file, as the app uses it and tells of it; without a browser."""

from pathlib import Path

import pytest

from app_scenes import WallModel, make_store, wall
from photographs_with_depth import gdepth, map_png
from rilievo.calibration import KnownPoint
from rilievo.types import DepthKind
from rilievo.views.app import markup
from rilievo.views.app.answers import Answer, AnswerStore
from rilievo.views.app.question import Question


def asked(folder: Path, content: bytes) -> tuple[AnswerStore, Answer]:
    (folder / "answers").mkdir()
    (folder / "upload.jpg").write_bytes(content)
    store = make_store(folder / "answers", WallModel(DepthKind.UP_TO_SCALE))
    question = Question(photo=folder / "upload.jpg", name="holiday", model="test/wall")
    return store, store.ask(question)


def test_depth_in_the_file_gives_metres_again_once_nothing_else_is_known(tmp_path: Path):
    store, answer = asked(tmp_path, gdepth(data=map_png(wall(DepthKind.METRIC))))
    known = store.calibrated(answer, (KnownPoint(u=10, v=0, metres=20.0),))
    store._at_hand.clear()
    again = store.calibrated(known, ())
    for each, nearest in ((answer, 2.0), (known, 20.0), (again, 2.0)):
        prediction = store.prediction(each)
        assert prediction.depth.depth()[0, 10] == pytest.approx(nearest, rel=0.03)
        assert (prediction.calibration.own_depth == "GDepth") is (each is not known)
        assert each.remark is None
    said = markup.summary(again, store.prediction(again), "A wall")
    assert "Metres from the depth in the photograph&#x27;s file (GDepth)." in said


def test_depth_in_the_file_that_is_not_used_is_told_with_its_reason(tmp_path: Path):
    store, answer = asked(tmp_path, gdepth(data=b"no picture"))
    told = "holiday: its own depth (GDepth) is not used: "
    assert told in markup.summary(answer, store.prediction(answer), "A wall")
    known = store.calibrated(answer, (KnownPoint(u=10, v=0, metres=2.0),))
    assert told not in markup.summary(known, store.prediction(known), "A wall")
