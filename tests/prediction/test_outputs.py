"""``save``: what it writes, what it refuses, and what a kill at any moment leaves."""

import shutil
from dataclasses import replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rilievo.errors import (
    InputError,
    MissingExtraError,
    OptionError,
    OutputError,
)
from rilievo.io.outputs.overwrite_policy import Claim
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.io.verification import verify
from rilievo.prediction import saving as outputs
from rilievo.prediction.output import import_function
from rilievo.prediction.readback import read_prediction
from rilievo.prediction.saving import OUTPUTS, Need, SaveOptions, save
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Anchoring, Calibration
from support.predictions import HEIGHT, WIDTH, K, prediction

OVERWRITE = SaveOptions(overwrite=True)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_output_is_written_and_listed(tmp_path: Path) -> None:
    calibration = Calibration(
        method="known points", asked=("1,2,3",), space="depth", scale=2.0, shift=0.0
    )
    stem = tmp_path / "new" / "photo.v1"
    paths = save(
        replace(prediction(), calibration=calibration), stem, tuple(OUTPUTS), run={"edge": 0.08}
    )
    assert [path.name for path in paths] == [
        *("photo.v1" + output.suffix for output in OUTPUTS.values()),
        "photo.v1.json",
    ]
    assert sorted(tree(stem.parent)) == sorted(path.name for path in paths)
    sidecar = read_sidecar(paths[-1])
    assert [facts.output for facts in sidecar.files] == list(OUTPUTS)
    assert [facts.file for facts in sidecar.files] == [path.name for path in paths[:-1]]
    assert sidecar.calibration == calibration
    assert read_prediction(stem).calibration == calibration
    assert sidecar.run == {"edge": 0.08}


def test_outputs_have_different_suffixes_that_no_stem_confuses() -> None:
    suffixes = [output.suffix for output in OUTPUTS.values()]
    assert len({suffix.lower() for suffix in suffixes}) == len(suffixes)
    assert ".json" not in suffixes


def test_every_output_says_its_media_type_its_name_and_its_sizes() -> None:
    for name, row in OUTPUTS.items():
        assert row.media_type != "application/octet-stream", name
        assert row.label, name
        assert row.usual_size is not None, name
        # A file that is not compressed takes no more than what is reserved for it.
        assert row.bytes_per_pixel <= row.max_bytes_per_pixel, name


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_line_of_the_table_is_true(name: str) -> None:
    output = OUTPUTS[name]
    for place in (output.writer, output.reader, output.json_reader):
        assert place is None or callable(import_function(place))
    assert [*signature(import_function(output.writer)).parameters] == ["job", *output.needs]
    assert bool(output.reader) == bool(output.readable)
    assert (output.extra is None) == (output.package is None)
    assert "\n" not in output.summary


def test_a_name_that_is_asked_twice_is_written_once(tmp_path: Path) -> None:
    assert len(save(prediction(), tmp_path / "photo", ["npy", "npy"])) == 2


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["colouur"], "no output 'colouur'; did you mean 'colour'"),
        ([], "no outputs are given; known: "),
    ],
)
def test_unknown_names_are_refused(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(OptionError) as caught:
        save(prediction(), tmp_path / "photo", names)
    assert words in str(caught.value)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.fbx", "use glb (mesh"),
        ("x.OBJ", "use glb (mesh"),
        ("x.pcd", "use ply (point cloud"),
        ("x.jpg", "use colour (picture"),
        ("x.gif", "use turn (animation of"),
        ("x.v2.usda", "use usdz (mesh"),
        ("x.plyy", "did you mean 'ply'"),
        ("x.depth.bmp", "also give the names of the outputs"),
        ("2026.11.25", "also give the names of the outputs"),
    ],
)
def test_a_suffix_of_no_output_is_refused_with_what_is_meant(
    tmp_path: Path, name: str, words: str
) -> None:
    with pytest.raises(OptionError, match="no output has the suffix") as caught:
        prediction().save(tmp_path / name)
    assert words in str(caught.value)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("stem", ["photo", ".hidden", "a.b/photo", "photo."])
def test_a_stem_without_a_suffix_becomes_a_picture(tmp_path: Path, stem: str) -> None:
    [path, _] = prediction().save(tmp_path / stem)
    assert path.name == f"{Path(stem).name}.depth.png"


def test_a_stem_with_a_dot_is_kept_where_outputs_are_named(tmp_path: Path) -> None:
    [path, _] = prediction().save(tmp_path / "2026.11.25", "npy")
    assert path.name == "2026.11.25.depth.npy"


@pytest.mark.parametrize("need", Need)
def test_what_a_prediction_has_not_is_said_before_anything_is_written(
    tmp_path: Path, need: Need
) -> None:
    names = [name for name, output in OUTPUTS.items() if need in output.needs]
    part = "depth_or_none" if need is Need.DEPTH else need.value
    for name in names:
        with pytest.raises(OptionError) as caught:
            save(replace(prediction(), **{part: None}), tmp_path / "photo", ["npz", name])
        assert f"output '{name}' needs {need.text}" in str(caught.value)
        # A model never predicts the photograph.
        assert ("test/model" in str(caught.value)) == (need is not Need.PHOTO)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("kind", [DepthKind.AFFINE, DepthKind.AFFINE_INVERSE])
@pytest.mark.parametrize("name", ["ply", "glb"])
def test_surfaces_of_affine_depth_are_refused_with_what_to_do(
    tmp_path: Path, kind: DepthKind, name: str
) -> None:
    with pytest.raises(InputError, match="calibrate them with two or more known distances"):
        save(prediction(kind), tmp_path / "photo", ["npy", name])
    assert tree(tmp_path) == {}


def test_normals_of_anchored_depth_are_those_of_its_surface(tmp_path: Path) -> None:
    """A wall with 1/z = 0.5 + 0.01 u, whose affine numbers are its depth times two minus five."""
    u = np.broadcast_to(np.arange(WIDTH), (HEIGHT, WIDTH))
    values = 2 / (0.5 + 0.01 * u) - 5
    given = prediction(DepthKind.AFFINE, values=values, holes=False, with_normals=False)
    fit = Anchoring(model="rilievo/small", space="depth", scale=0.5, shift=2.5)
    [path, _] = save(given.but(anchoring=fit), tmp_path / "wall", ["normals-npy"])
    fx, cx = K[0, 0], K[0, 2]
    # u = fx x / z + cx, so on the wall 0.01 fx x + (0.5 + 0.01 cx) z = 1.
    towards_camera = -np.array([0.01 * fx, 0, 0.5 + 0.01 * cx])
    normal = towards_camera / np.linalg.norm(towards_camera)
    np.testing.assert_allclose(np.load(path)[2:-2, 2:-2] - normal, 0, atol=1e-4)


def test_depth_that_could_not_be_anchored_makes_a_page_without_a_surface(tmp_path: Path) -> None:
    refused = Anchoring(model="rilievo/small", refused="the two models disagree")
    given = prediction(DepthKind.AFFINE, with_normals=False).but(anchoring=refused)
    save(given, tmp_path / "photo", ["html", "npy"])
    before = tree(tmp_path)
    for name in ("ply", "normals"):
        with pytest.raises(InputError, match="the two models disagree"):
            save(given, tmp_path / "photo", [name])
    assert tree(tmp_path) == before


def test_a_missing_extra_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "find_spec", lambda package: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rilievo\[formats\]'"):
        save(prediction(), tmp_path / "photo", ["npy", "exr"])
    assert tree(tmp_path) == {}


def test_a_run_that_writes_the_same_files_meanwhile_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes after this one found no JSON, and before this one claims the names of its files."""
    check_claim, stem = outputs.check_claim, tmp_path / "photo"

    def check_after_another_run(*arguments: Any, **options: Any) -> Claim:
        monkeypatch.setattr(outputs, "check_claim", check_claim)
        save(prediction(), stem, ["npy"])
        return check_claim(*arguments, **options)

    monkeypatch.setattr(outputs, "check_claim", check_after_another_run)
    save(prediction(), stem, ["npy"])
    assert verify(tmp_path).is_whole
    assert sorted(tree(tmp_path)) == ["photo.depth.npy", "photo.json"]


@pytest.mark.parametrize("name", ["photo.depth.npy", "photo.json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_others_are_never_replaced(tmp_path: Path, name: str, overwrite: bool) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(OutputError) as caught:
        save(prediction(), tmp_path / "photo", ["npy"], SaveOptions(overwrite=overwrite))
    assert str(caught.value).startswith(f"{tmp_path / name}: rilievo did not write this file")
    assert tree(tmp_path) == {name: b"mine"}


def test_a_file_of_others_beside_ours_is_never_replaced(tmp_path: Path) -> None:
    save(prediction(), tmp_path / "photo", ["npy"])
    (tmp_path / "photo.ply").write_bytes(b"mine")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=r"photo\.ply: rilievo did not write"):
        save(prediction(), tmp_path / "photo", ["npy", "ply"], OVERWRITE)
    assert tree(tmp_path) == before


def test_a_link_to_a_file_of_others_is_not_replaced_even_if_it_leads_nowhere(
    tmp_path: Path,
) -> None:
    (tmp_path / "photo.depth.npy").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="rilievo did not write this file"):
        save(prediction(), tmp_path / "photo", ["npy"], OVERWRITE)
    assert not (tmp_path / "elsewhere").exists()


def test_the_same_prediction_is_saved_twice_and_with_more_formats(tmp_path: Path) -> None:
    save(prediction(), tmp_path / "photo", ["npy", "colour"])
    before = tree(tmp_path)
    save(prediction(), tmp_path / "photo", ["npy"])
    assert tree(tmp_path).keys() == before.keys()
    save(prediction(), tmp_path / "photo", ["tiff"])
    sidecar = read_sidecar(tmp_path / "photo.json")
    assert {facts.output for facts in sidecar.files} == {"npy", "colour", "tiff"}
    assert sidecar.earlier == ()


def test_a_picture_in_other_colours_replaces_the_first(tmp_path: Path) -> None:
    save(prediction(), tmp_path / "photo", ["colour", "npy"])
    before = tree(tmp_path)
    save(prediction(), tmp_path / "photo", ["colour"], SaveOptions(colour_map="turbo"))
    after = tree(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {
        "photo.depth.png",
        "photo.json",
    }
    assert verify(tmp_path).is_whole


def test_our_own_files_are_replaced_only_when_asked(tmp_path: Path) -> None:
    save(prediction(), tmp_path / "photo", ["npy"])
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="overwrite=True"):
        save(prediction(DepthKind.UP_TO_SCALE), tmp_path / "photo", ["npy"])
    assert tree(tmp_path) == before
    save(prediction(DepthKind.UP_TO_SCALE), tmp_path / "photo", ["npy"], OVERWRITE)
    depth = read_prediction(tmp_path / "photo").depth
    assert depth is not None
    assert depth.kind is DepthKind.UP_TO_SCALE


def test_earlier_files_stay_ours_though_the_json_no_longer_describes_them(tmp_path: Path) -> None:
    save(prediction(), tmp_path / "photo", ["npy", "colour"])
    save(prediction(), tmp_path / "photo", ["png16"], OVERWRITE)
    sidecar = read_sidecar(tmp_path / "photo.json")
    assert [facts.output for facts in sidecar.files] == ["png16"]
    assert sidecar.earlier == ("photo.depth.npy", "photo.depth.png")
    (tmp_path / "photo.depth.png").unlink()
    save(prediction(), tmp_path / "photo", ["npy"], OVERWRITE)
    assert read_sidecar(tmp_path / "photo.json").earlier == ("photo.depth16.png",)


def test_stems_that_begin_alike_do_not_own_each_others_files(tmp_path: Path) -> None:
    save(prediction(), tmp_path / "photo", ["npy"])
    save(prediction(), tmp_path / "photo.depth", ["npy"])
    assert len(tree(tmp_path)) == 4


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every output."""
    folder = tmp_path_factory.mktemp("everything")
    save(prediction(), folder / "photo", tuple(OUTPUTS))
    return folder


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_failure_while_writing_changes_nothing(
    everything: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The disk is full at the last output: what stood there before stands there still."""
    shutil.copytree(everything, tmp_path, dirs_exist_ok=True)
    before = tree(tmp_path)

    def fail(job: object, *parts: object) -> None:
        raise OSError(28, "No space left on device")

    writer = import_function(OUTPUTS[name].writer)
    monkeypatch.setattr(import_module(writer.__module__), writer.__name__, fail)
    # Two outputs may have one writer, which fails at the first of them.
    others = [other for other in OUTPUTS if import_function(OUTPUTS[other].writer) is not fail]
    with pytest.raises(OutputError) as caught:
        save(prediction(DepthKind.UP_TO_SCALE), tmp_path / "photo", [*others, name], OVERWRITE)
    path = tmp_path / f"photo{OUTPUTS[name].suffix}"
    assert str(caught.value).startswith(f"{path}: the disk is full")
    assert tree(tmp_path) == before


def test_nothing_left_of_a_surface_is_said_and_changes_nothing(tmp_path: Path) -> None:
    save(prediction(), tmp_path / "photo", ["npy"])
    before = tree(tmp_path)
    whole = prediction()
    assert whole.depth is not None
    empty = replace(whole, depth_or_none=replace(whole.depth, valid=np.zeros(whole.shape, bool)))
    for name in ("ply", "glb"):
        with pytest.raises(InputError, match=r"^photo\.jpg: no surface is left"):
            save(empty, tmp_path / "photo", ["npy", name], OVERWRITE)
    assert tree(tmp_path) == before


def test_a_stem_in_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(OutputError, match="file"):
        save(prediction(), tmp_path / "file" / "photo", ["npy"])
