"""A prediction is finished in one place, and every entry point shows its notes."""

import ast
import json
import warnings
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.calibration.camera_checks import panorama_note
from rilievo.io.files.limits import read_text
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files
from rilievo.records.sample import Photo
from support.fixed_depth import FixedDepth
from support.round_pictures import round_picture

SOURCE = Path(rilievo.__file__).parent
NAME = "rilievo/small"
NOT_FOR_USERS = {
    "predicting/photographs/finishing.py",
    "predicting/photographs/anchoring.py",  # the embedded model's depth, as a reference
    "predicting/videos/first_pass.py",  # compares frames at the network's size
    "serving/app/view_file.py",  # normals of the page, at its size
    "serving/server/server_models.py",  # a model that hands on
}
"""Modules of the entry points that may finish an answer by the model alone."""


def calls_of_finish(path: Path) -> int:
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return sum(
        isinstance(call.func, ast.Attribute)
        and call.func.attr in ("finish", "predict_raw")
        and len(call.args) == 2 - (call.func.attr == "predict_raw")
        for call in calls
    )


@pytest.mark.skipif(not (SOURCE / "serving").exists(), reason="the server's folder is left out")
def test_entry_points_finish_answers_in_one_place() -> None:
    files = [path for part in ("predicting", "serving") for path in (SOURCE / part).rglob("*.py")]
    callers = {path.relative_to(SOURCE).as_posix() for path in files if calls_of_finish(path)}
    assert callers == NOT_FOR_USERS


@pytest.fixture
def panorama(tmp_path: Path) -> Path:
    """A picture that goes round and is calm at its poles."""
    noise = np.random.default_rng(0).normal(0, 20, (16, 32, 3))
    level = np.clip(np.kron(noise, np.ones((16, 16, 1))) + 128, 0, 255).astype(np.uint8)
    level[:, -16:] = level[:, :16]
    level[:30] = level[-30:] = 128
    path = tmp_path / "in" / "panorama.png"
    path.parent.mkdir()
    Image.fromarray(level).resize((256, 128)).save(path)
    return path


@pytest.mark.parametrize(("step", "goes_round"), [(0, True), (1, True), (2, True), (3, False)])
def test_a_picture_goes_round_if_its_ends_differ_by_up_to_two_usual_steps(
    step: int, goes_round: bool
) -> None:
    """From left to right grey rises by 1 a column, then falls by 1 to ``step``."""
    columns = np.arange(256)
    across = np.minimum(columns, 255 + step - columns)
    down = 60 + 40 * (np.arange(128) // 8 % 2)
    grey = down[:, None] + across
    grey[0] = grey[-1] = 128  # the poles
    photo = Photo(pixels=grey[..., None].repeat(3, axis=2).astype(np.uint8), name="x")
    assert (panorama_note(photo) is not None) == goes_round


@pytest.mark.parametrize(("poles", "is_noted"), [((), True), ((0,), True), ((0, -1), False)])
def test_a_panorama_has_one_calm_pole_at_least(poles: tuple[int, ...], is_noted: bool) -> None:
    """A tripod, or the corner of a tile below the camera, is a varied pole."""
    pixels = np.array(Image.open(BytesIO(round_picture())).convert("RGB"))
    for row in poles:
        pixels[row] = np.repeat([60, 200, 60, 200], 128)[:, None]
    assert (panorama_note(Photo(pixels=pixels, name="x")) is not None) == is_noted


def test_a_panorama_is_noted_at_every_entry_point(panorama: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="looks like a panorama") as records:
        prediction = rilievo.predict(panorama, model=NAME)
    assert [str(record.message) for record in records] == [*prediction.notes]
    assert {record.filename for record in records} == {__file__}
    [note] = prediction.notes
    places = (
        [(panorama, False)]
        if find_spec("av") is None
        else [(panorama, False), (panorama.parent, True)]
    )
    for source, video in places:
        out = tmp_path / f"out-{video}"
        options = PredictOptions(model=NAME, output=out, sequence=video, save="npz")
        summary = predict_files([source], options, show=False)
        assert any(remark.endswith(note) for remark in summary.notes)
        [sidecar] = out.glob("*.json")
        assert note in json.loads(read_text(sidecar))["notes"]
    served = pytest.importorskip(
        "support.served", reason="the extra 'serve' is not installed"
    ).served
    with served(tmp_path) as there:
        answer = there.client.post("/v1/predict", content=panorama.read_bytes())
        # The server spells the option in its own way.
        assert [remark.partition(", give")[0] for remark in answer.json()["notes"]] == [
            note.partition(", give")[0]
        ]
        answer = there.client.post("/v1/predict?save=npy", content=panorama.read_bytes())
        assert "looks like a panorama" in answer.headers["x-notes"]


def test_notes_are_told_also_where_the_rest_fails() -> None:
    with (
        pytest.warns(UserWarning, match="read as 2000 metres"),
        pytest.raises(rilievo.RilievoError),
    ):
        rilievo.predict(
            np.zeros((60, 80, 3), np.uint8), model=NAME, known=["10,10,2000", "900,10,2"]
        )


def test_what_only_informs_is_no_warning() -> None:
    model = FixedDepth(np.full((60, 80), 2.0))
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prediction = model.predict(pixels, known=[(40, 30, 3.0)])
    assert prediction.notes[-1].startswith("metres from known points")
