"""Videos of visitors: made within limits, with progress, stopped, told of by their own names."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rilievo.io.videos.video import VideoReader
from rilievo.serving.server.decoding.decoder_pool import (
    Decoders,
    IsolatedVideo,
    open_isolated_video,
)
from support.clips import Clip, numbered, write_clip
from support.served import check_refused, picture
from support.served_app import App, served_app

pytest.importorskip("av")
PATIENCE = 60.0


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with served_app(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    return write_clip(path, Clip(pictures=numbered(12))).read_bytes()


def begin(app: App, content: bytes, query: str = "save=colour,png16") -> Any:
    return app.client.post(f"/app/videos?name=walk.mp4&{query}", content=content)


def follow(app: App, id: str, until: tuple[str, ...] = ("done", "failed")) -> dict[str, Any]:
    """Answer to the page once the work has come to a state."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        about = app.client.get(f"/app/results/{id}").json()
        if about.get("state", "gone") in until:
            return about
        time.sleep(0.02)
    raise AssertionError("no end")


def test_a_video_takes_no_options_of_photographs(app: App, clip: bytes) -> None:
    for query, name in (("flip=true", "flip"), ("fov=50", "fov"), ("trim=off", "trim")):
        check_refused(begin(app, clip, query), 400, f"no parameter '{name}'")


def test_a_video_becomes_videos_of_the_same_length(app: App, clip: bytes, tmp_path: Path) -> None:
    id = begin(app, clip).json()["id"]
    about = follow(app, id)
    assert (about["state"], about["share"], about["error"]) == ("done", 1.0, "")
    assert about["files"] == ["walk.depth.mp4", "walk.depth16.mkv", "walk.json"]
    for name in about["files"][:2]:
        answer = app.client.get(f"/app/results/{id}/made/{name}?download")
        assert answer.headers["content-disposition"].startswith("attachment")
        (tmp_path / name).write_bytes(answer.content)
        assert sum(1 for _ in VideoReader(tmp_path / name)) == 12
    part = app.client.get(f"/app/results/{id}/made/walk.depth.mp4", headers={"range": "bytes=0-9"})
    assert (part.status_code, len(part.content)) == (206, 10)
    entry = app.site.store.find(id)
    assert entry.num_pins == 0
    assert entry.size == sum(p.stat().st_size for p in entry.path.rglob("*") if p.is_file())
    for path in ("view", "files?save=npy", "photo"):
        check_refused(app.client.get(f"/app/results/{id}/{path}"), 404, "is a video")


def test_progress_is_told_photographs_pass_and_a_stop_leaves_nothing(app: App, clip: bytes) -> None:
    gate = app.server.model.gate
    gate.clear()
    id = begin(app, clip).json()["id"]
    assert follow(app, id, ("working",))["frames"] == 0
    waits = begin(app, clip).json()["id"]
    assert app.client.get(f"/app/results/{waits}").json()["state"] == "waiting"
    assert app.client.post(f"/app/results/{id}/stop").status_code == 200
    gate.set()
    follow(app, id, ("gone",))
    photograph = app.give(picture())
    assert follow(app, waits)["state"] == "done"
    assert app.folders == {waits, photograph}


def test_videos_that_wait_hold_no_decoder(
    app: App, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[IsolatedVideo] = []

    def video(self: Decoders, path: Path) -> IsolatedVideo:
        opened.append(open_isolated_video(self, path))
        return opened[-1]

    monkeypatch.setattr(Decoders, "open_video", video)
    app.server.model.gate.clear()
    ids = [begin(app, clip).json()["id"] for _ in range(4)]
    follow(app, ids[0], ("working",))
    assert sum(each._process._child is not None for each in opened) <= 1
    for id in ids:
        app.client.post(f"/app/results/{id}/stop")
    app.server.model.gate.set()
    for id in ids:
        follow(app, id, ("gone",))
    assert len(opened) == 5, "those that were stopped are not opened again"
    assert all(each._process._child is None for each in opened)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"video_frames": 11}, "at most 11 are allowed"),
        ({"max_megapixels": 0.03}, "above the limit"),
    ],
)
def test_a_video_above_a_limit_is_refused_by_its_own_name(
    tmp_path: Path, clip: bytes, limits: dict[str, Any], words: str
) -> None:
    with served_app(tmp_path, **limits) as app:
        answer = begin(app, clip)
        check_refused(answer, 422, words)
        assert answer.json()["error"].startswith("walk: ")
        assert app.folders == set()
        assert app.site.store.reserved_bytes == 0


def test_a_video_that_the_disk_has_no_room_for_is_refused_before_it_is_made(
    tmp_path: Path, clip: bytes
) -> None:
    with served_app(tmp_path, result_megabytes=0.5) as app:
        check_refused(begin(app, clip), 413, "disk")
        assert app.folders == set()


def test_a_video_that_takes_too_long_is_ended(tmp_path: Path, clip: bytes) -> None:
    with served_app(tmp_path, video_seconds=1e-6) as app:
        about = follow(app, begin(app, clip).json()["id"])
        assert about["state"] == "failed"
        assert about["error"].startswith("walk: was not processed within")


@pytest.mark.parametrize("save", ["", "ply", "colour,ply"])
def test_only_what_the_app_makes_of_videos_can_be_asked(app: App, clip: bytes, save: str) -> None:
    answer = begin(app, clip, f"save={save}")
    check_refused(answer, 400, "for a video, 'save' takes")


def test_what_is_no_video_is_told_without_the_server_s_folders(app: App, clip: bytes) -> None:
    for content in (clip[:400], b"hello", np.zeros(1000, np.uint8).tobytes()):
        answer = begin(app, content)
        check_refused(answer, 422, "walk: ")
        assert str(app.site.store.folder) not in answer.text
    assert app.folders == set()
