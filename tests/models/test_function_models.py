"""Functions from an image to depth as models, with a card by a decorator or with none."""

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import ModelError, OptionError
from rilievo.models.outside import object_as_model
from support.floor_model import LAB, lab
from support.lab_package import GUIDE

__all__ = ["lab"]


def test_a_decorated_function_predicts_and_stays_a_function(lab: Any) -> None:
    prediction = rilievo.predict("photo.png", model=lab.floor)
    assert prediction.depth.kind == "metric"
    assert prediction.shape == (120, 160)
    assert prediction.depth.values[0, 0] == pytest.approx(4.0, abs=0.05)
    assert prediction.depth.values[-1, 0] == pytest.approx(1.0, abs=0.05)
    assert (prediction.made_by.model, prediction.made_by.licence) == ("lab_floor:floor", "MIT")
    assert lab.floor(np.zeros((8, 6, 3), np.uint8)).shape == (4, 3)


def test_every_door_of_python_takes_it(lab: Any) -> None:
    expected = rilievo.predict("photo.png", model=lab.floor).depth.values
    loaded = rilievo.load_model(lab.floor)
    piped = rilievo.pipeline("depth-estimation", model=lab.floor)("photo.png")
    options = rilievo.PredictOptions(output=Path("files"), save="npy", model=lab.floor)
    rilievo.predict_files(["photo.png"], options, show=False)
    for depth in (
        loaded("photo.png").depth.values,
        np.asarray(piped["predicted_depth"]),
        np.load("files/photo.depth.npy"),
        pickle.loads(pickle.dumps(loaded))("photo.png").depth.values,
    ):
        np.testing.assert_array_equal(depth, expected)
    assert loaded.card.summary == "Floor of our lab."


def test_every_command_takes_its_place(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    expected = rilievo.predict("photo.png", model=lab.floor).depth.values
    for place in ("lab_floor:floor", "lab_floor.py:floor"):
        folder = f"of-{place[9]}"
        assert main(["predict", "photo.png", "-m", place, "-o", folder, "--save", "npy"]) == 0
        np.testing.assert_array_equal(np.load(f"{folder}/photo.depth.npy"), expected)
    capsys.readouterr()
    assert main(["measure", "photo.png", "20,100", "120,100", "-m", "lab_floor:floor"]) == 0
    assert capsys.readouterr().out.startswith("length: ")
    assert main(["models", "lab_floor:floor"]) == 0
    assert "metric" in capsys.readouterr().out


def test_workers_import_it_by_its_place(lab: Any) -> None:
    pytest.importorskip("rilievo.training", reason="models of names are looked for there")
    for number in range(4):
        Image.effect_noise((64, 48), 60).convert("RGB").save(f"photos-{number}.png")
    photos = [f"photos-{number}.png" for number in range(4)]
    words = ["-m", "lab_floor:floor", "--workers", "2", "-o", "out", "--save", "npy"]
    assert main(["predict", *photos, *words]) == 0
    assert len([*Path("out").glob("*.npy")]) == 4


def test_a_function_without_a_card_gives_depth_up_to_scale(lab: Any) -> None:
    prediction = rilievo.predict("photo.png", model=lab.plain)
    assert prediction.depth.kind == "up_to_scale"
    assert prediction.made_by.licence == "not stated"
    with pytest.raises(OptionError, match=r"@rilievo\.model"):
        object_as_model(lab.plain, "lab_floor.py:plain")


Answer = Callable[[np.ndarray], Any]
BAD: dict[str, tuple[Answer, str]] = {
    "shape": (lambda image: np.ones((1, 4, 4), np.float32), r"shape \(1, 4, 4\); expected"),
    "nothing": (lambda image: None, "a NoneType; expected depth as floats"),
    "number": (lambda image: 2.0, "a float; expected"),
    "whole numbers": (lambda image: np.ones((4, 4), int), "numbers of type int64; expected"),
    "turned": (lambda image: np.ones(image.shape[1::-1]), "columns before rows"),
    "large": (lambda image: np.ones((500, 500)), r"shape \(500, 500\); expected .* at most"),
    "NaN": (lambda image: np.full((4, 4), np.nan), "NaN or infinite depth"),
    "infinite": (lambda image: np.full((4, 4), np.inf), "NaN or infinite depth"),
    "negative": (lambda image: -np.ones((4, 4)), "values that are not positive: check the kind"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_it_returns_is_checked_in_one_line(name: str, lab: Any) -> None:
    function, words = BAD[name]
    with pytest.raises(ModelError, match=words) as refused:
        rilievo.predict("photo.png", model=function)
    assert "\n" not in str(refused.value)


def test_an_affine_function_may_return_any_sign(lab: Any) -> None:
    inverse = rilievo.model(kind="affine_inverse")(lambda image: -np.ones((4, 4), np.float32))
    assert rilievo.predict("photo.png", model=inverse).depth.kind == "affine_inverse"


def test_the_image_is_the_functions_own(lab: Any) -> None:
    photo = rilievo.read_photo("photo.png")
    before = photo.pixels.copy()

    def erases(image: np.ndarray) -> np.ndarray:
        image[:] = 0
        return np.ones((4, 4))

    rilievo.predict(photo, model=erases)
    np.testing.assert_array_equal(photo.pixels, before)


def test_hashes_tell_functions_apart_and_closures_from_themselves(lab: Any) -> None:
    floor = rilievo.load_model(lab.floor).weights_sha256
    assert rilievo.load_model(lab.floor).weights_sha256 == floor
    assert rilievo.load_model(lab.plain).weights_sha256 != floor
    Path("lab_floor.py").write_text(LAB + "\n")
    assert rilievo.load_model(lab.floor).weights_sha256 != floor

    def times(factor: float) -> Answer:
        return lambda image: factor * np.ones((4, 4))

    twice = times(2.0)
    hashes = {rilievo.load_model(twice).weights_sha256 for _ in range(2)}
    assert len(hashes) == 2
    Path("net.pt").write_bytes(b"1")
    weighted = rilievo.model(kind="metric", weights="net.pt")(lab.plain)
    first = rilievo.load_model(weighted).weights_sha256
    Path("net.pt").write_bytes(b"2")
    assert rilievo.load_model(weighted).weights_sha256 != first


def test_functions_of_one_name_are_not_mixed_up(lab: Any) -> None:
    def constant(value: float) -> Answer:
        return lambda image: np.full((4, 4), value)

    near, far = constant(1.0), constant(5.0)
    models = [rilievo.load_model(near), rilievo.load_model(far)]
    assert models[0].name != models[1].name
    options = [rilievo.PredictOptions(model=each) for each in (near, far)]
    assert options[0].network.model != options[1].network.model
    assert rilievo.predict("photo.png", model=far).depth.values.max() == pytest.approx(5.0)


def test_what_other_processes_cannot_import_is_refused_in_words(lab: Any) -> None:
    loaded = rilievo.load_model(lambda image: np.ones((4, 4)))
    with pytest.raises(OptionError, match="define the function at the top level of a module"):
        pickle.dumps(loaded)


def test_wrong_uses_are_refused_in_words(type_errors: tuple[type[Exception], ...]) -> None:
    with pytest.raises(OptionError, match="no kind 'meters'; did you mean 'metric'"):
        rilievo.model(kind="meters")
    with pytest.raises((OptionError, *type_errors)) as refused:
        rilievo.model(kind="metric")(7)  # pyright: ignore
    assert isinstance(refused.value, type_errors) or "decorate a function, got 7" in str(
        refused.value
    )
    with pytest.raises((OptionError, *type_errors)) as refused:
        rilievo.predict("photo.png", model=7)  # pyright: ignore
    assert isinstance(refused.value, type_errors) or "got 7" in str(refused.value)


def test_the_guides_function_predicts(lab: Any) -> None:
    [code, use, *_] = re.findall(r"^```python\n(.*?)^```", GUIDE, re.M | re.S)
    Path("lab_floor.py").write_text(code)
    sys.modules.pop("lab_floor")
    Path("photo.png").rename("photo.jpg")
    exec(use, found := {})
    assert found["prediction"].depth.kind == "up_to_scale"
    assert Path("floors/photo.depth.npy").is_file()


def test_a_script_gives_its_own_function(lab: Any) -> None:
    """The example of the README: a script, run as ``__main__``, with worker processes."""
    script = LAB + (
        "if __name__ == '__main__':\n"
        "    print(rilievo.predict('photo.png', model=floor).made_by.model)\n"
        "    options = rilievo.PredictOptions(output='out', save='npy', model=floor)\n"
        "    rilievo.predict_files(['photo.png'], options, show=False)\n"
    )
    Path("script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "script.py:floor"
    assert Path("out/photo.depth.npy").is_file()
