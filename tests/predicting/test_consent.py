"""Confirmation before photographs are sent to a paid service: how many, and whether the user
agrees.
"""

import io
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files
from rilievo.prediction.readback import read_prediction
from support.interruptible import start_process
from support.replicate_server import TOKEN, Service, replicate_server

MODEL = "replicate:who/depth"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with replicate_server() as running:
        monkeypatch.setenv("REPLICATE_API_TOKEN", TOKEN)
        monkeypatch.setenv("REPLICATE_BASE_URL", running.address)
        running.polls_needed = 0
        yield running


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        grain = np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(grain).save(folder / f"{index}.png")
    return folder


class Terminal(io.StringIO):
    """Somebody at the keyboard, who types ``text``."""

    def isatty(self) -> bool:
        return True


def options(tmp_path: Path, **others: object) -> PredictOptions:
    return PredictOptions(output=tmp_path / "out", model=MODEL, kind="affine", save="npy", **others)  # pyright: ignore[reportArgumentType]


def test_a_folder_is_not_sent_where_nobody_can_be_asked(
    service: Service, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(
        OptionError,
        match=r"sends 3 photographs to replicate\.com in 3 paid calls: .*to agree, give yes",
    ):
        predict_files([photos], options(tmp_path))
    assert service.count("POST") == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("typed", "calls"), [("y\n", 3), ("yes\n", 3), ("\n", 0), ("", 0)])
def test_who_is_asked_decides(
    service: Service,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    calls: int,
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    if calls:
        assert predict_files([photos], options(tmp_path), show=False).done == 3
    else:
        with pytest.raises(OptionError, match=r"nothing was sent to replicate\.com"):
            predict_files([photos], options(tmp_path))
    assert service.count("POST /v1/predictions") == calls
    assert "sends 3 photographs to replicate.com in 3 paid calls. Continue? [y/N]" in (
        capsys.readouterr().err
    )


def test_the_command_line_sends_a_folder_with_yes_and_says_no_secret(
    service: Service, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["predict", str(photos), "--model", MODEL, "--kind", "affine", "--yes"]
    arguments += ["--save", "npy", "--output", str(out), "--set", 'inputs={"num_infer": 2}']
    assert main(arguments) == 0
    assert service.count("POST /v1/predictions") == 3
    captured = capsys.readouterr()
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert TOKEN not in captured.out + captured.err
    assert TOKEN.encode() not in written
    prediction = read_prediction(out / "1.json")
    assert prediction.made_by.settings["inputs"] == '{"num_infer": 2}'


def test_one_photograph_that_was_named_needs_no_question(
    service: Service, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert predict_files([photos / "0.png"], options(tmp_path), show=False).done == 1


def test_mirror_images_are_counted_too(
    service: Service, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(OptionError, match="in 6 paid calls"):
        predict_files([photos], options(tmp_path, flip=True))


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"tile": 64}, "tile may send a photograph more than once"),
        ({"batch_size": 2}, "batch_size may send a photograph more than once"),
        ({"sequence": True}, "each frame of a video is one call"),
    ],
)
def test_what_would_cost_an_unknown_number_of_calls_is_refused(
    service: Service, photos: Path, tmp_path: Path, others: dict[str, object], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        predict_files([photos], options(tmp_path, yes=True, **others))
    assert service.count("POST") == 0


def test_calls_that_were_set_bound_what_a_folder_may_cost(
    service: Service, photos: Path, tmp_path: Path
) -> None:
    summary = predict_files([photos], options(tmp_path, yes=True, settings=("calls=2",)))
    assert (summary.done, summary.failed) == (2, 1)
    assert service.count("POST /v1/predictions") == 2


@pytest.mark.slow
def test_ctrl_c_cancels_the_prediction_that_runs(
    service: Service, photos: Path, tmp_path: Path
) -> None:
    service.polls_needed = 10**9
    command = [sys.executable, "-m", "rilievo", "predict", str(photos), "--model", MODEL]
    command += ["--kind", "affine", "--yes", "--output", str(tmp_path / "out")]
    process = start_process(command)
    try:
        while not service.count("GET /v1/predictions/"):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert service.cancelled == ["prediction0"]
    assert service.files == {}
    assert service.count("POST /v1/predictions") == 2  # The prediction, and its cancelling.
