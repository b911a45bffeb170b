"""Videos within limits, with progress, stopped when asked; without a browser."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app_scenes import WallModel
from clips import Clip, numbered, write_clip
from rilievo.errors import InputError, OptionError
from rilievo.io.video import VideoReader
from rilievo.types import DepthKind
from rilievo.views.app.clips import ClipAsked, predict_within
from rilievo.views.app.options import AppOptions


@pytest.fixture
def asked(tmp_path: Path) -> ClipAsked:
    video = write_clip(tmp_path / "upload.mp4", Clip(pictures=numbered(12)))
    (tmp_path / "results").mkdir()
    return ClipAsked(
        video=video,
        name="walk",
        model=WallModel(DepthKind.UP_TO_SCALE),
        outputs=("colour", "png16"),
        colour_map="turbo",
        folder=tmp_path / "results",
    )


def test_a_video_becomes_videos_of_the_same_length(asked: ClipAsked):
    told = list(predict_within(asked, AppOptions(), threading.Event()))
    assert told[-1].done is not None
    assert told[-1].share == 1
    assert [facts.file for facts in told[-1].done.files] == ["walk.depth.mp4", "walk.depth16.mkv"]
    assert sum(1 for _ in VideoReader(asked.folder / "walk.depth.mp4")) == 12
    assert {path.name for path in asked.folder.iterdir()} == {
        "walk.depth.mp4",
        "walk.depth16.mkv",
        "walk.json",
    }


def test_progress_is_told_and_a_stop_leaves_nothing(asked: ClipAsked):
    slow = WallModel(DepthKind.UP_TO_SCALE, before=lambda: time.sleep(0.15))
    stop = threading.Event()
    told = predict_within(replace(asked, model=slow), AppOptions(), stop)
    first = next(told)
    assert first.share is not None
    assert 0 < first.share < 0.5
    stop.set()
    assert list(told) == [] or first.done is None
    assert list(asked.folder.iterdir()) == []


def test_whoever_stops_listening_stops_the_work(asked: ClipAsked):
    slow = WallModel(DepthKind.UP_TO_SCALE, before=lambda: time.sleep(0.15))
    told = predict_within(replace(asked, model=slow), AppOptions(), threading.Event())
    next(told)
    told.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert not [each for each in threading.enumerate() if each.name == "video"]
    assert list(asked.folder.iterdir()) == []


@pytest.mark.parametrize(
    "limits",
    [AppOptions(max_seconds=0.2), AppOptions(max_frames=11), AppOptions(max_megapixels=0.03)],
)
def test_a_video_above_a_limit_is_refused_by_its_own_name(asked: ClipAsked, limits: AppOptions):
    with pytest.raises(InputError, match=r"^walk: .*above the limit"):
        list(predict_within(asked, limits, threading.Event()))


def test_a_video_that_takes_too_long_is_stopped(asked: ClipAsked):
    slow = WallModel(DepthKind.UP_TO_SCALE, before=lambda: time.sleep(0.05))
    with pytest.raises(InputError, match=r"not done after 0\.1 s"):
        list(
            predict_within(
                replace(asked, model=slow), AppOptions(video_limit=0.1), threading.Event()
            )
        )
    assert list(asked.folder.iterdir()) == []


def test_no_video_is_told_without_the_servers_folders(asked: ClipAsked, tmp_path: Path):
    broken = tmp_path / "server-side.mp4"
    broken.write_bytes(asked.video.read_bytes()[:400])
    with pytest.raises(InputError) as caught:
        list(predict_within(replace(asked, video=broken), AppOptions(), threading.Event()))
    assert str(caught.value).startswith("walk: ")
    assert str(tmp_path) not in str(caught.value)


def test_only_what_the_app_makes_of_videos_can_be_asked(asked: ClipAsked):
    for outputs in ((), ("ply",)):
        with pytest.raises(OptionError):
            replace(asked, outputs=outputs)
