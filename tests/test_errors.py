"""Errors of ours are also the built-in that they are, and nothing on their way rewords them."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo import DepthKind, DepthMap, PredictOptions
from rilievo.data.clips.sequence_camera import read_calibration
from rilievo.errors import InputTypeError, MissingExtraError, MissingFileError
from rilievo.io.files.atomic import replacing, replacing_folder
from support.predictions import MADE_BY, prediction


def flat(kind: DepthKind = DepthKind.UP_TO_SCALE, value: float = 1.0) -> DepthMap:
    return DepthMap(values=np.full((40, 40), value, np.float32), kind=kind)


CAUGHT: dict[str, tuple[type[Exception], Callable[[], object]]] = {
    "predict, missing": (FileNotFoundError, lambda: rilievo.predict("missing.jpg")),
    "predict, too small": (ValueError, lambda: rilievo.predict(np.zeros((4, 4, 3), np.uint8))),
    "predict, bad point": (
        ValueError,
        lambda: rilievo.predict(Image.new("RGB", (64, 64)), known=["x"]),
    ),
    "read_photo, missing": (FileNotFoundError, lambda: rilievo.read_photo("missing.jpg")),
    "read_photo, empty": (ValueError, lambda: rilievo.read_photo(b"")),
    "read_prediction, missing": (FileNotFoundError, lambda: rilievo.read_prediction("missing")),
    "verify, missing": (FileNotFoundError, lambda: rilievo.verify(["missing"])),
    "save, no such format": (ValueError, lambda: rilievo.save(prediction(), "x", ["nope"])),
    "calibrate, no point": (ValueError, lambda: rilievo.calibrate(flat(), [])),
    "open_dataset, unknown": (ValueError, lambda: rilievo.open_dataset("nope", ".")),
    "open_dataset, missing": (FileNotFoundError, lambda: rilievo.open_dataset("diode", "missing")),
    "evaluate, unknown": (ValueError, lambda: rilievo.evaluate("rilievo/small", "nope", ".")),
    "load_model, unknown": (ValueError, lambda: rilievo.load_model("nope")),
    "save, no folder": (OSError, lambda: rilievo.save(prediction(), "/dev/null/x", ["npz"])),
    "PredictOptions": (ValueError, lambda: PredictOptions(tile=-1)),
    "DepthMap": (ValueError, lambda: flat(value=np.nan)),
    "DepthMap.depth": (ValueError, lambda: flat(kind=DepthKind.AFFINE).depth()),
    "Prediction.depth": (AttributeError, lambda: rilievo.Prediction(made_by=MADE_BY).depth),
}


@pytest.mark.parametrize("case", CAUGHT)
def test_public_functions_raise_the_built_in_and_ours_at_once(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind, act = CAUGHT[case]
    with pytest.raises(kind) as caught:
        act()
    assert isinstance(caught.value, rilievo.RilievoError), type(caught.value)


# In a process of its own: here, the tests' checks of types come first.
WRONG_TYPES = """
import numpy as np
import rilievo

ones = np.ones((40, 40), np.float32)
for act in (
    lambda: rilievo.predict(3),
    lambda: rilievo.read_photo(None),
    lambda: rilievo.align(ones, ones, ones > 0),
    lambda: rilievo.calibrate(ones, []),
):
    try:
        act()
    except TypeError as error:
        print(isinstance(error, rilievo.RilievoError), error)
"""


def test_wrong_types_are_type_errors_and_ours() -> None:
    done = subprocess.run([sys.executable, "-c", WRONG_TYPES], capture_output=True, text=True)
    told = done.stdout.splitlines()
    assert len(told) == 4, done.stderr
    assert all(line.startswith("True ") for line in told)
    assert "int: this is not an image" in told[0]


def test_a_missing_extra_is_an_import_error() -> None:
    assert issubclass(MissingExtraError, ImportError)


@pytest.mark.parametrize("kind", [MissingFileError, InputTypeError, rilievo.OptionError])
def test_they_say_their_message_here_and_in_another_process(
    kind: type[rilievo.RilievoError],
) -> None:
    error = kind("a\nb: no such file")
    assert str(error) == r"a\nb: no such file"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, str(error))


@pytest.mark.parametrize("write", [replacing, replacing_folder])
def test_a_missing_input_is_not_told_as_an_output_that_cannot_be_written(
    write: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    missing = pytest.raises(MissingFileError, match=r"missing\.jpg: no such file")
    with missing, write(tmp_path / "out"):
        rilievo.read_photo(tmp_path / "missing.jpg")


def test_a_picture_that_is_too_small_is_not_told_as_damaged(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(rilievo.InputError, match=r"a\.png: is 8x8|a\.png: .*32") as caught:
        rilievo.read_photo(tmp_path / "a.png")
    assert "damaged" not in str(caught.value)


def test_what_a_calibration_lacks_is_not_told_as_broken_json(tmp_path: Path) -> None:
    file = tmp_path / "camera.json"
    file.write_text("[1, 2]")
    with pytest.raises(rilievo.InputError) as caught:
        read_calibration(file)
    assert "no YAML or JSON" not in str(caught.value)


def test_a_broken_file_in_a_folder_is_reported_and_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (64, 48), "red").save(photos / "good.png")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photograph")
    Image.new("RGB", (8, 8)).save(photos / "tiny.png")
    options = PredictOptions(output=tmp_path / "out", save="npy")
    summary = rilievo.predict_files([photos, tmp_path / "missing.jpg"], options)
    assert (summary.done, summary.failed) == (1, 3)
    said = capsys.readouterr().err + "\n".join(map(str, getattr(summary, "failures", ())))
    for word in ("broken.jpg", "tiny.png", "missing.jpg: no such file"):
        assert word in said
