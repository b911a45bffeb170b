"""Results of a video are not read back as one prediction, and the refusal says so."""

from pathlib import Path

import pytest

from rilievo.errors import InputError
from rilievo.io.videos.video import VideoReader
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import ClipOptions
from rilievo.prediction.readback import read_prediction
from support.clips import Clip, numbered, write_clip
from support.relief import Relief


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    source = write_clip(folder / "source.mp4", Clip(pictures=numbered(3)))
    outputs = ("colour", "png16", "npy", "npz")
    predict_clip(VideoReader(source), Relief(), folder / "a.clip", ClipOptions(outputs=outputs))
    return folder


@pytest.mark.parametrize("name", ["a.clip", "a.clip.json"])
def test_results_of_a_video_are_refused_with_what_to_do(results: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        read_prediction(results / name)
    line = str(caught.value)
    assert line.startswith(f"{results / name}: belongs to the results of a video")
    assert "docs/videos.md ('Numbers of a video')" in line
    assert "\n" not in line


def test_a_frame_that_says_itself_what_it_is_can_be_read(results: Path) -> None:
    assert read_prediction(results / "a.clip.frames" / "000001.npz").depth is not None


def test_other_files_beside_a_video_keep_their_own_refusal(results: Path) -> None:
    (results / "a.clip.notes.txt").write_text("mine")
    with pytest.raises(InputError, match="no JSON file of rilievo lists this file"):
        read_prediction(results / "a.clip.notes.txt")


def test_the_guide_has_the_section_that_the_refusal_names() -> None:
    guide = Path(__file__).parents[2] / "docs" / "videos.md"
    assert "\n## Numbers of a video\n" in guide.read_text(encoding="utf-8")
