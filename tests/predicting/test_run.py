"""``rilievo predict`` from end to end, with a network whose answer is known."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.errors.messages import Note
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.checksums import compute_file_sum
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.io.verification import verify
from rilievo.predicting.inputs import Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.finishing import finish
from rilievo.predicting.photographs.images import predict
from rilievo.predicting.run import no_effect_notes, predict_files
from rilievo.predicting.summary import RunSummary
from rilievo.prediction import Prediction
from rilievo.prediction.readback import read_prediction
from rilievo.records.depth_map import DepthKind
from rilievo.version import PROCESSING
from support.interruptible import start_process

MakeNetwork = Callable[..., Path]


def write_photo(path: Path, brightness: int = 40, size: tuple[int, int] = (60, 80)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), brightness, np.uint8)).save(path)
    return path


def run(network: Path, output: Path, *inputs: Path, **options: object) -> RunSummary:
    given = PredictOptions(model=str(network), output=output, **options)  # pyright: ignore
    return predict_files(inputs, given, show=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_folder_is_done_and_every_file_explained(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    for name in ("a.png", "deep/b.png", "deep/c.jpg"):
        write_photo(tmp_path / "photos" / name)
    summary = run(make_network(), tmp_path / "out", tmp_path / "photos", save="all")
    assert (summary.done, summary.failed, summary.exit_code) == (3, 0, 0)
    for stem in ("a", "deep/b", "deep/c"):
        sidecar = read_sidecar(tmp_path / "out" / f"{stem}.json")
        assert sidecar.made_by.model == "test/brightness"
        assert sidecar.depth is not None
        assert sidecar.depth.kind is DepthKind.UP_TO_SCALE
        for facts in sidecar.files:
            assert (tmp_path / "out" / stem).with_name(facts.file).is_file()
        assert len(sidecar.files) >= 9


def test_what_is_broken_is_reported_and_the_rest_is_done(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    for index in range(6):
        write_photo(tmp_path / "photos" / f"{index}.png")
    (tmp_path / "photos" / "2.png").write_bytes(b"no image")
    (tmp_path / "photos" / "4.png").write_bytes(b"")
    (tmp_path / "photos" / "x.jpg").mkdir()
    summary = run(make_network(), tmp_path / "out", tmp_path / "photos", save="npy")
    assert (summary.done, summary.failed, summary.exit_code) == (4, 2, 1)
    assert all("\n" not in message for message in summary.failures)
    assert all("photos/" in message for message in summary.failures)


def test_the_same_run_twice_passes_over_what_is_finished(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    network, photos, out = make_network(), tmp_path / "photos", tmp_path / "out"
    write_photo(photos / "a.png")
    assert run(network, out, photos).done == 1
    before = contents(out)
    for options in ({}, {"resume": True}):
        again = run(network, out, photos, **options)
        assert (again.done, again.finished_before, again.exit_code) == (0, 1, 0)
        assert contents(out) == before
    assert run(network, out, photos, overwrite=True).done == 1
    assert contents(out) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [({"fov": 70.0}, "fov was not given and is now 70.0"), ({"flip": True}, "flip")],
)
def test_a_second_run_with_other_options_is_refused(
    tmp_path: Path, make_network: MakeNetwork, options: dict[str, object], words: str
) -> None:
    photo = write_photo(tmp_path / "a.png")
    run(make_network(), tmp_path / "out", photo)
    before = contents(tmp_path / "out")
    summary = run(make_network(), tmp_path / "out", photo, **options)
    assert summary.exit_code == 1
    assert words in summary.failures[0]
    assert "overwrite=True" in summary.failures[0]
    assert contents(tmp_path / "out") == before


def test_options_of_writing_concern_their_own_files(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    network, out = make_network(), tmp_path / "out"
    photo = write_photo(tmp_path / "a.png", size=(80, 120))

    def files(**options: object) -> dict[str, bytes]:
        summary = run(network, out, photo, **options)
        assert (summary.done, summary.failures) == (1, ())
        assert verify(out).is_whole
        return contents(out)

    first = files(save="colour,panel,glb")
    beside = files(save="stereo", stereo="anaglyph", edge=0.2, backing=0.1)
    assert {name for name in beside if beside[name] != first.get(name)} == {
        "a.json",
        "a.stereo.png",
    }
    other = files(save="colour", colour_map="turbo")
    assert {name for name in other if other[name] != beside[name]} == {"a.json", "a.depth.png"}
    assert files(save="glb", edge=0.2)["a.depth.png"] == other["a.depth.png"]
    # What is damaged is made again as it was, whatever else is asked for.
    (out / "a.stereo.png").write_bytes(b"broken")
    last = files(save="npy")
    assert last["a.stereo.png"] == beside["a.stereo.png"]
    assert run(network, out, photo, save="colour", colour_map="turbo").finished_before == 1
    assert run(network, out, photo, save="stereo", stereo="anaglyph").finished_before == 1
    assert run(network, out, photo, save="colour").done == 1


def test_results_of_another_way_of_processing_are_not_gone_on_with(
    tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = write_photo(tmp_path / "a.png")
    run(make_network(), tmp_path / "out", photo)
    monkeypatch.setattr("rilievo.models.base.PROCESSING", PROCESSING + 1)
    [failure] = run(make_network(), tmp_path / "out", photo, resume=True).failures
    assert f"processing was {PROCESSING}" in failure
    path = tmp_path / "out" / "a.json"
    stored = json.loads(path.read_text())
    stored["made_by"]["settings"] = {"an": "option that is gone"}
    path.write_text(json.dumps(stored))
    [failure] = run(make_network(), tmp_path / "out", photo, resume=True).failures
    assert "processing was not stated" in failure


def test_depth_does_not_depend_on_the_other_outputs(tmp_path: Path) -> None:
    photo = tmp_path / "coffee.png"
    Image.fromarray(skimage.data.coffee()).resize((450, 300)).save(photo)
    for name, outputs in (("plain", "npy"), ("whole", "npy,normals-npy")):
        rilievo.predict_files([photo], PredictOptions(output=tmp_path / name, save=outputs))
    plain, whole = (np.load(tmp_path / each / "coffee.depth.npy") for each in ("plain", "whole"))
    np.testing.assert_array_equal(plain, whole)


def test_resuming_without_an_option_that_was_there_is_refused(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo = write_photo(tmp_path / "a.png", size=(200, 200))
    for options in ({"flip": True}, {"tile": 100}):
        out = tmp_path / next(iter(options))
        run(make_network(), out, photo, **options)
        assert "different options" in run(make_network(), out, photo, resume=True).failures[0]


def test_a_camera_as_text_and_in_a_file_is_the_same_option_when_a_run_resumes(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo, file = write_photo(tmp_path / "a.png"), tmp_path / "K.txt"
    file.write_text("100 0 39\n0 110 29\n0 0 1\n")
    run(make_network(), tmp_path / "out", photo, camera="100,110,39,29")
    resumed = run(make_network(), tmp_path / "out", photo, camera=str(file))
    assert (resumed.failures, resumed.finished_before) == ((), 1)


def test_resuming_with_another_model_or_a_changed_photograph_is_refused(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo = write_photo(tmp_path / "a.png")
    network = make_network()
    run(network, tmp_path / "out", photo)
    other = run(make_network(offset=2.0, name="b.onnx"), tmp_path / "out", photo, resume=True)
    assert "a different model or different weights" in other.failures[0]
    write_photo(photo, brightness=90)
    changed = run(network, tmp_path / "out", photo, resume=True)
    assert "changed" in changed.failures[0]


def test_photographs_finished_with_another_model_are_stated_once_with_their_number(
    tmp_path: Path, make_network: MakeNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [write_photo(tmp_path / name) for name in ("a.png", "b.png", "c.png", "d.png")]
    network, out = make_network(), tmp_path / "out"
    run(network, out, *photos)
    write_photo(photos[3], brightness=90)
    command = ["predict", *map(str, photos), "-o", str(out), "-m"]
    assert main([*command, str(make_network(offset=2.0, name="b.onnx"))]) == 1
    error_lines = capsys.readouterr().err
    assert error_lines.count("a different model or different weights") == 1
    assert f"4 failed for the same reason, such as {photos[0]}: " in error_lines
    assert "--overwrite" in error_lines
    # Photographs that have changed themselves are named one by one.
    assert main([*command, str(network), "--fov", "60"]) == 1
    assert f"4 failed for the same reason, such as {photos[0]}: " in capsys.readouterr().err
    assert main([*command, str(network)]) == 1
    error_lines = capsys.readouterr().err
    assert f"rilievo: {photos[3]}: " in error_lines
    assert "1 failed (see above)" in error_lines


def test_the_only_photograph_finished_with_other_options_is_named(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photos = [write_photo(tmp_path / name) for name in ("a.png", "b.png")]
    network, out = make_network(), tmp_path / "out"
    run(network, out, photos[0])
    summary = run(network, out, *photos, fov=60)
    assert f"1 failed: {photos[0]}: " in str(summary)
    assert "see above" not in str(summary)


def test_notes_come_in_the_order_of_the_inputs(
    tmp_path: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [write_photo(tmp_path / name) for name in ("a.png", "b.png", "c.png")]

    def finish_first_photo_late(*given: Any, **named: Any) -> Prediction:
        photo = given[2]
        if photo.name.endswith("a.png"):
            time.sleep(0.3)
        return finish(*given, **named)

    monkeypatch.setattr(
        "rilievo.predicting.photographs.results.finish_photo", finish_first_photo_late
    )
    monkeypatch.setattr("rilievo.predicting.photographs.photos.thread_count", lambda: 3)
    summary = run(make_network(), tmp_path / "out", *photos, tile=900, save="npy,ply")
    assert summary.done == 3
    named = [note.partition(": ")[0] for note in summary.notes if note.startswith(str(tmp_path))]
    assert [*dict.fromkeys(named)] == [*map(str, photos)]
    assert named == sorted(named)


def test_results_of_an_earlier_version_that_wrote_decimals_of_a_camera_are_resumed(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo, network = write_photo(tmp_path / "a.png"), make_network()
    out = tmp_path / "out"
    assert run(network, out, photo, camera="100,110,39,29").done == 1
    sidecar = out / "a.json"
    text = sidecar.read_text()
    assert '"100,110,39,29"' in text

    sidecar.write_text(text.replace('"100,110,39,29"', '"100.0,110.0,39,29.0"'))
    resumed = run(network, out, photo, camera="100,110,39,29")
    assert (resumed.failures, resumed.finished_before) == ((), 1)

    sidecar.write_text(text.replace('"100,110,39,29"', '"100.5,110.0,39,29.0"'))
    assert len(run(network, out, photo, camera="100,110,39,29").failures) == 1


def test_resuming_with_another_sensor_file_names_the_file_and_no_checksum(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo, network = write_photo(tmp_path / "a.png"), make_network()
    first, second = tmp_path / "first.npy", tmp_path / "second map.npy"
    for path, metres in ((first, 2.0), (second, 2.5)):
        np.save(path, np.full((60, 80), metres, np.float32))
    out = tmp_path / "out"
    assert run(network, out, photo, sparse=first).done == 1
    [other] = run(network, out, photo, sparse=second).failures
    assert "(sparse was first.npy and is now second map.npy): " in other
    [without] = run(network, out, photo).failures
    assert "(sparse was first.npy and is now not given): " in without
    np.save(first, np.full((60, 80), 3.0, np.float64))
    [changed] = run(network, out, photo, sparse=first).failures
    assert "a different file first.npy, or one that was changed since then: " in changed
    checksum = compute_file_sum(first).sha256
    assert not any(checksum in text for text in (other, without, changed))


def test_a_second_run_adds_a_format_to_those_that_are_there(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo, out = write_photo(tmp_path / "a.png"), tmp_path / "out"
    network = make_network()
    run(network, out, photo)
    picture = (out / "a.depth.png").read_bytes()
    for save in ("npy", "ply,npz"):
        added = run(network, out, photo, save=save)
        assert (added.done, added.failed) == (1, 0)
    sidecar = read_sidecar(out / "a.json")
    assert {facts.output for facts in sidecar.files} == {"colour", "npy", "ply", "npz"}
    assert sidecar.earlier == ()
    assert (out / "a.depth.png").read_bytes() == picture
    assert run(network, out, photo, save="colour,ply").finished_before == 1


def test_a_foreign_file_is_never_replaced(tmp_path: Path, make_network: MakeNetwork) -> None:
    photo = write_photo(tmp_path / "a.png")
    foreign = tmp_path / "out/a.depth.png"
    foreign.parent.mkdir()
    foreign.write_bytes(b"precious")
    for overwrite in (False, True):
        summary = run(make_network(), tmp_path / "out", photo, overwrite=overwrite)
        assert summary.exit_code == 1
        assert foreign.read_bytes() == b"precious"


def test_batches_write_the_same_files(tmp_path: Path, make_network: MakeNetwork) -> None:
    network = make_network()
    for index in range(7):
        write_photo(tmp_path / f"photos/{index}.png", 20 * index, (48 + 16 * (index % 3), 64))
    run(network, tmp_path / "one", tmp_path / "photos", save="npy,normals")
    run(network, tmp_path / "four", tmp_path / "photos", save="npy,normals", batch_size=4)
    assert contents(tmp_path / "one") == contents(tmp_path / "four")


def test_known_points_and_camera_height_give_metres(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo = write_photo(tmp_path / "a.png", brightness=99)
    summary = run(make_network(), tmp_path / "out", photo, save="npy", known=("40,30,2.5",))
    assert summary.exit_code == 0
    np.testing.assert_allclose(np.load(tmp_path / "out/a.depth.npy"), 2.5, rtol=1e-6)
    sidecar = read_sidecar(tmp_path / "out/a.json")
    assert sidecar.depth is not None
    assert sidecar.depth.unit == "metre"
    assert sidecar.calibration is not None
    assert sidecar.calibration.asked == ("40,30,2.5",)
    assert sidecar.calibration.scale == pytest.approx(0.025)
    no_floor = run(make_network(), tmp_path / "o2", photo, camera_height=1.5)
    assert "floor" in no_floor.failures[0]


def test_the_camera_comes_from_the_user_or_is_assumed(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo = write_photo(tmp_path / "a.png")
    network = make_network()
    for name, options, source in (
        ("given", {"camera": "100,110,39,29"}, "given"),
        ("fov", {"fov": 90.0}, "fov"),
        ("none", {}, "assumed"),
    ):
        run(network, tmp_path / name, photo, **options)
        facts = json.loads((tmp_path / name / "a.json").read_text())["camera"]
        assert facts["source"] == source
    assert json.loads((tmp_path / "given/a.json").read_text())["camera"]["K"] == [
        [100.0, 0.0, 39.0],
        [0.0, 110.0, 29.0],
        [0.0, 0.0, 1.0],
    ]
    outside = run(network, tmp_path / "outside", photo, camera="500,500,320,240")
    assert "are for this resolution" in outside.failures[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"save": "colr"}, "did you mean 'colour'"),
        ({"save": ""}, "save is empty"),
        ({"camera": "1,2,3"}, "FX,FY,CX,CY"),
        ({"known": ("1,2,3", "1,2")}, "u,v,metres"),
        ({"camera": "nan,1,2,3"}, "finite"),
        ({"camera": "0,0,0,0"}, "positive"),
        ({"camera": "1,1,1,1", "fov": 50.0}, "cannot be combined"),
        ({"fov": 180.0}, "between 0 and 180"),
        ({"fov": float("nan")}, "between 0 and 180"),
        ({"known": ("1,2",)}, "u,v,metres"),
        ({"known": ("1,2,3",), "camera_height": 1.0}, "cannot be combined"),
        ({"camera_height": -1.0}, "positive"),
        ({"colour_map": "jet"}, "no colour map"),
        ({"colour_range": "5,2"}, "NEAR < FAR"),
        ({"tile": 8}, "64"),
        ({"batch_size": 0}, "1 or more"),
        ({"resume": True, "overwrite": True}, "cannot be combined"),
        ({"resume": "hash", "overwrite": True}, "cannot be combined"),
        ({"resume": "sizes"}, "'hash'"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        PredictOptions(**options)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)


def test_every_option_without_effect_is_told() -> None:
    photo, clip, frames = ({medium: 1} for medium in Medium)
    for options, inputs, silent in (
        ({"sequence": True}, photo, frames),
        ({"fps": 30.0}, photo, clip),
        ({"fps": 5}, photo, frames),
        ({"independent": True}, photo, clip),
        ({"batch_size": 4}, photo, clip),
        ({"alpha": "keep"}, clip, photo),
        ({"stretch": True}, clip, frames),
        ({"manhattan": "off"}, frames, photo),
        ({"own_depth": "off"}, clip, photo),
        ({"same_camera": True, "known": ("1,2,3",)}, photo, {Medium.PHOTO: 2}),
    ):
        [note] = no_effect_notes(PredictOptions(**options), inputs)
        assert isinstance(note, Note)
        assert note.option == next(iter(options))
        assert " only applies to " in note
        assert no_effect_notes(PredictOptions(**options), silent) == []


@pytest.mark.parametrize(
    ("options", "shown", "not_shown"),
    [
        ({"stereo": "anaglyph"}, "stereo", "colour"),
        ({"edge": 0.2}, "glb", "npz,colour"),
        ({"surface_points": 5000}, "ply", "png16"),
        ({"drop": "sky"}, "html", "colour"),
        ({"backing": 0.1}, "turn", "html"),
        ({"relief_height": 9.0}, "stl", "glb"),
        ({"relief_width": 9.0}, "stl", "glb"),
        ({"relief_base": 9.0}, "stl", "glb"),
        ({"normals_axes": "opencv"}, "normals", "normals-npy"),
        ({"colour_map": "turbo"}, "panel", "npy,glb"),
        ({"colour_range": "1,5"}, "stereo", "normals"),
        ({"confidence": "mirror"}, "npz", "colour"),
    ],
)
def test_an_option_that_no_saved_output_shows_is_told(
    options: dict[str, Any], shown: str, not_shown: str
) -> None:
    inputs = {Medium.PHOTO: 2, Medium.VIDEO: 1}
    [note] = no_effect_notes(PredictOptions(save=not_shown, **options), inputs)
    assert isinstance(note, Note)
    assert note.option == next(iter(options))
    [listed] = re.findall(r"which this run does not save: add (.*) to save$", note)
    names = re.split(", | or ", listed)
    for name in names:
        assert no_effect_notes(PredictOptions(save=name, **options), inputs) == []
    assert shown in names
    assert no_effect_notes(PredictOptions(save=f"{not_shown},{shown}", **options), inputs) == []
    assert no_effect_notes(PredictOptions(save=not_shown), inputs) == []


def test_a_run_tells_what_has_no_effect_in_one_line_each(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo = write_photo(tmp_path / "a.png")
    summary = run(
        make_network(), tmp_path / "out", photo, fps=5, stereo="anaglyph", edge=0.1, tile=4096
    )
    named = {note.option for note in summary.notes if isinstance(note, Note)}
    assert {"fps", "stereo", "edge", "tile"} <= named
    assert len(_of_options(summary)) == 4
    assert not any("\n" in note for note in summary.notes)
    known = {"fov": 60.0, "vanishing_points": True}
    given = run(make_network(), tmp_path / "known", photo, **known)
    assert _of_options(given) == [
        "vanishing_points has no effect, because fov=... gives the focal length"
    ]


def _of_options(summary: RunSummary) -> list[str]:
    return [note for note in summary.notes if "has little contrast" not in note]


def test_an_empty_folder_and_no_input_are_said(tmp_path: Path, make_network: MakeNetwork) -> None:
    with pytest.raises(OptionError, match="no photograph"):
        run(make_network(), tmp_path / "out", tmp_path)
    with pytest.raises(OptionError, match="at least one"):
        run(make_network(), tmp_path / "out")


def test_an_output_folder_that_cannot_be_is_said_before_any_work(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo = write_photo(tmp_path / "a.png")
    (tmp_path / "file").touch()
    with pytest.raises(RilievoError, match="file"):
        run(make_network(), tmp_path / "file", photo)


def test_predict_gives_one_prediction(tmp_path: Path, make_network: MakeNetwork) -> None:
    photo = write_photo(tmp_path / "a.png", brightness=7)
    prediction = predict(
        photo, model=make_network(), fov=60.0, known=[rilievo.KnownPoint(u=3.0, v=4.0, metres=1.6)]
    )
    assert prediction.depth.kind is DepthKind.METRIC
    np.testing.assert_allclose(prediction.depth.depth(), 1.6, rtol=1e-6)
    assert prediction.camera is not None
    assert prediction.camera.source is CameraSource.FOV
    with pytest.raises(OptionError):
        predict(
            photo,
            model=make_network(),
            fov=60.0,
            camera=Camera(K=np.eye(3), source=CameraSource.GIVEN),
        )
    with pytest.raises(InputError):
        predict(tmp_path / "none.jpg", model=make_network())


def test_what_no_photograph_could_be_given_is_refused_before_any_work(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo = write_photo(tmp_path / "a.png")
    with pytest.raises(OptionError, match="needs confidence"):
        run(make_network(), tmp_path / "out", photo, save="colour,confidence")
    affine = make_network(kind="affine_inverse")
    with pytest.raises(OptionError, match="needs calibrated depth"):
        run(affine, tmp_path / "out", photo, save="ply", anchor="off")
    summary = run(affine, tmp_path / "out", photo, save="all")
    assert summary.exit_code == 0
    assert not (tmp_path / "out/a.ply").exists()


@pytest.mark.parametrize("photo_first", [True, False])
def test_the_command_line_takes_every_known_point_before_or_after_the_photograph(
    tmp_path: Path, make_network: MakeNetwork, photo_first: bool
) -> None:
    photo, out = write_photo(tmp_path / "a.png"), tmp_path / "out"
    known = ["--known", "5,5,2", "--known", "40,30,2.1"]
    inputs = [str(photo), *known] if photo_first else [*known, str(photo)]
    assert main(["predict", *inputs, "-o", str(out), "-m", str(make_network())]) == 0
    calibration = read_sidecar(out / "a.json").calibration
    assert calibration is not None
    assert calibration.asked == ("5,5,2", "40,30,2.1")
    assert len(calibration.residuals) == 2


def test_a_missing_name_fails_alone(tmp_path: Path, make_network: MakeNetwork) -> None:
    photo = write_photo(tmp_path / "a.png")
    summary = run(make_network(), tmp_path / "out", photo, tmp_path / "none.jpg")
    assert (summary.done, summary.failed, summary.exit_code) == (1, 1, 1)
    assert "no such file" in summary.failures[0]


def test_a_known_point_that_disagrees_is_said_at_the_end(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo = write_photo(tmp_path / "a.png")
    known = ("5,5,2", "40,30,2", "60,50,4")
    summary = run(make_network(), tmp_path / "out", photo, known=known)
    assert summary.exit_code == 0
    assert any("60,50,4" in note for note in summary.notes)
    with pytest.warns(UserWarning, match="60,50,4"):
        prediction = predict(photo, model=make_network(), known=known)
    assert prediction.calibration is not None
    assert prediction.calibration.asked == known


def test_a_sequence_with_a_changed_frame_is_not_finished(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    for index in range(3):
        write_photo(tmp_path / f"frames/{index}.png", size=(64, 64))
    network, frames, out = make_network(), tmp_path / "frames", tmp_path / "out"
    assert run(network, out, frames, sequence=True).done == 1
    assert run(network, out, frames, sequence=True, resume=True).finished_before == 1
    write_photo(tmp_path / "frames/1.png", 200, (64, 64))
    assert "changed" in run(network, out, frames, sequence=True, resume=True).failures[0]


@pytest.mark.parametrize("bad", [{"save": 3}, {"known": "1,2,3"}, {"camera": (1, 2)}])
def test_options_of_the_wrong_type_are_refused_at_once(bad: dict[str, object]) -> None:
    """Run without the type checks of the tests, as for users."""
    script = f"import rilievo\nrilievo.PredictOptions(**{bad!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "OptionError" in done.stderr.splitlines()[-1]


START = [sys.executable, "-m", "rilievo", "predict"]


def start(network: Path, output: Path, photos: Path, *more: str) -> subprocess.Popen[str]:
    command = [*START, str(photos), "-o", str(output), "--model", str(network), *more]
    return start_process(command)


def wait_for_results(output: Path, process: subprocess.Popen[str], count: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(output.glob("*.json"))) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_nothing_half_and_resumes_to_the_same(
    tmp_path: Path, make_network: MakeNetwork, kill: signal.Signals
) -> None:
    network, photos = make_network(), tmp_path / "photos"
    for index in range(80):
        write_photo(photos / f"{index:02}.png", 3 * index, (480, 640))
    formats = ("--save", "colour,npy,tiff")
    process = start(network, tmp_path / "out", photos, *formats)
    wait_for_results(tmp_path / "out", process, 3)
    process.send_signal(kill)
    _, errors = process.communicate(timeout=60)
    if kill is not signal.SIGKILL:
        assert process.returncode == 130, errors
        assert "same command" in errors
        assert not list(tmp_path.glob("out/.*"))
    assert "Traceback" not in errors
    done = list((tmp_path / "out").glob("*.json"))
    assert 3 <= len(done) < 80
    for path in done:
        for facts in read_sidecar(path).files:
            assert path.with_name(facts.file).is_file()
    again = start(network, tmp_path / "out", photos, *formats, "--resume")
    again.communicate(timeout=120)
    assert again.returncode == 0
    whole = start(network, tmp_path / "whole", photos, *formats)
    whole.communicate(timeout=120)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_wrong_use_is_one_line_and_code_2(tmp_path: Path) -> None:
    commands = [["predict", "none.jpg"], ["predikt", "a.jpg"]]
    if find_spec("rilievo.training"):  # it knows the names of backbones
        commands.append(["models", "rilievo/smal"])
    for arguments in commands:
        done = subprocess.run(
            [sys.executable, "-m", "rilievo", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ},
        )
        assert done.returncode == 2
        assert done.stderr.startswith("rilievo: ")
        assert done.stderr.count("\n") == 1


def test_a_broken_file_of_another_format_is_made_anew_too(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photo, out, network = write_photo(tmp_path / "a.png"), tmp_path / "out", make_network()
    run(network, out, photo, save="colour,npy")
    before = contents(out)
    (out / "a.depth.npy").write_bytes(b"cut")
    assert run(network, out, photo, save="colour").done == 1
    assert contents(out) == before
    assert run(network, out, photo, save="colour").finished_before == 1


def test_a_known_point_is_of_one_photograph(tmp_path: Path, make_network: MakeNetwork) -> None:
    photos = [write_photo(tmp_path / name) for name in ("a.png", "b.png")]
    with pytest.raises(OptionError, match=r"there are 2: .*FILE\.csv.*file,u,v,metres"):
        run(make_network(), tmp_path / "out", *photos, known=("20,20,2",))
    with pytest.raises(OptionError, match="there are 2"):
        run(make_network(), tmp_path / "out", tmp_path, known=("20,20,2",))
    assert not (tmp_path / "out").exists()


def test_a_table_gives_every_photograph_its_own_points(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    photos, network = tmp_path / "photos", make_network()
    for name in ("a.png", "deep/b.png", "c.png"):
        (photos / name).parent.mkdir(exist_ok=True, parents=True)
        write_photo(photos / name)
    table = photos / "points.csv"
    table.write_text("file,u,v,metres,along\na.png,20,20,2,\n\ndeep/b.png,20,20,5,axis\n")
    summary = run(network, tmp_path / "out", photos, save="npz", known=(str(table),))
    assert (summary.done, summary.failed) == (2, 1)
    assert summary.failures[0].endswith("points.csv has no known size for this photograph")
    for stem, metres in (("a", 2), ("deep/b", 5)):
        depth = read_prediction(tmp_path / "out" / stem).depth
        assert depth is not None
        assert depth.kind is DepthKind.METRIC
        assert depth.values[20, 20] == pytest.approx(metres, rel=0.02)
    again = run(network, tmp_path / "out", photos, save="npz", known=(str(table),))
    assert again.finished_before == 2
    table.write_text("file,u,v,metres\na.png,20,20,3\ndeep/b.png,20,20,5\n")
    changed = run(network, tmp_path / "out", photos, save="npz", known=(str(table),))
    assert (changed.finished_before, changed.failed) == (1, 2)
    assert "known was 20,20,2 and is now 20,20,3" in changed.failures[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,u,v\na.png,1,1", "its header is 'file,u,v', expected 'file,u,v,metres'"),
        ("file,u,v,metres\n", "has no known size"),
        ("file,u,v,metres\nx.png,1,1,2", "line 2: there is no file 'x.png'"),
        ("file,u,v,metres\na.png,1,1", "line 2: has 3 values, but the header has 4 columns"),
        ("file,u,v,metres\na.png,1,1,far", "line 2: known point"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_before_any_work(
    tmp_path: Path, make_network: MakeNetwork, text: str, words: str
) -> None:
    photo, table = write_photo(tmp_path / "a.png"), tmp_path / "points.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=re.escape(words)):
        run(make_network(), tmp_path / "out", photo, known=(str(table),))


def test_arrays_are_refused_where_paths_are_expected() -> None:
    with pytest.raises(OptionError, match=r"not ndarray; pass arrays and images"):
        rilievo.predict_files([np.zeros((64, 64, 3), np.uint8)])  # pyright: ignore
