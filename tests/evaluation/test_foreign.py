"""Folders of predictions that other programs wrote."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.predictions.foreign_predictions import ForeignPredictions
from rilievo.evaluation.predictions.rilievo_results import RilievoResults
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.prediction.saving import save
from rilievo.records.depth_map import DepthKind
from support.predictions import prediction

IDS = ("kitchen/0001", "kitchen/0002", "hall/0003")
DEPTH = np.linspace(0.5, 9, 48 * 64).reshape(48, 64).astype(np.float32)


def opened(folder: Path, **changes: object) -> RilievoResults | ForeignPredictions:
    options = {"kind": "metric", "task": Task.DEPTH, "scale": None, "pattern": None, **changes}
    kind = options.pop("kind")
    stored = ValueEncoding(number_kind=kind and NumberKind(kind), scale=options.pop("scale"))
    return open_predictions(folder, IDS, value_encoding=stored, **options)


def put(folder: Path, name: str, array: np.ndarray = DEPTH) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


@pytest.mark.parametrize(
    "names",
    [
        ("kitchen/0001.npy", "kitchen/0002.npy", "hall/0003.npy"),
        ("kitchen_0001.npy", "kitchen_0002.npy", "hall_0003.npy"),
        ("0001.npy", "0002.npy", "0003.npy"),
        ("depth/0001.npy", "depth/0002.npy", "depth/0003.npy"),
    ],
)
def test_files_are_found_by_tree_flat_or_by_last_part(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    for number, name in enumerate(names):
        put(tmp_path, name, DEPTH + number)
    predictions = opened(tmp_path)
    for number, id in enumerate(IDS):
        depth = predictions.read(id).depth
        assert depth is not None
        np.testing.assert_array_equal(depth.values, DEPTH + number)
    assert predictions.unmatched_note is None
    assert predictions.folder == tmp_path


def test_a_last_part_that_two_images_share_fits_neither(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    put(tmp_path, "b_0002.npy")
    found = open_predictions(
        tmp_path,
        ("a/0001", "b/0001", "b/0002"),
        value_encoding=ValueEncoding(number_kind=NumberKind.METRIC),
        task=Task.DEPTH,
    )
    assert list(found.files) == ["b/0002"]
    with pytest.raises(
        InputError,
        match=r"there is no prediction for this image in .*b_0002\.npy, which belongs to 'b/0002'",
    ):
        found.read("a/0001")


def write_npz(path: Path) -> None:
    np.savez(path, DEPTH)


def write_png(path: Path) -> None:
    Image.fromarray(np.rint(DEPTH * 1000).astype(np.uint16)).save(path)


def write_tiff(path: Path) -> None:
    Image.fromarray(DEPTH).save(path)


def write_pfm(path: Path) -> None:
    cv2.imwrite(str(path), DEPTH)


@pytest.mark.parametrize(
    ("suffix", "write", "scale"),
    [
        (".npz", write_npz, None),
        (".png", write_png, 0.001),
        (".tiff", write_tiff, None),
        (".pfm", write_pfm, None),
    ],
)
def test_every_format_gives_the_same_metres(
    suffix: str, write: object, scale: float | None, tmp_path: Path
) -> None:
    assert callable(write)
    write(tmp_path / f"0001{suffix}")
    depth = opened(tmp_path, scale=scale).read(IDS[0]).depth
    assert depth is not None
    np.testing.assert_allclose(depth.values, DEPTH, atol=0.0006)


def test_zero_of_whole_numbers_is_no_answer(tmp_path: Path) -> None:
    stored = np.full((48, 64), 1500, np.uint16)
    stored[3, 4] = 0
    put(tmp_path, "0001.npy", stored)
    depth = opened(tmp_path, scale=0.001).read(IDS[0]).depth
    assert depth is not None
    assert np.flatnonzero(~depth.valid).tolist() == [3 * 64 + 4]
    inverse = opened(tmp_path, kind="affine_inverse").read(IDS[0]).depth
    assert inverse is not None
    assert inverse.valid.all()


def with_bad(value: float) -> np.ndarray:
    bad = DEPTH.copy()
    bad[:2, :3] = value
    return bad


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((48, 64), np.nan), "3072 of 3072 are NaN or infinite"),
        (np.full((48, 64), np.inf), "3072 of 3072 are NaN or infinite"),
        (with_bad(-1), "zero or negative at 6 of 3072 pixels, but depth of kind 'metric'"),
        (with_bad(0), "is zero at 6 of 3072 pixels, .* store NaN"),
        (np.where(with_bad(0) == 0, 0, -DEPTH), "zero or negative at 3072 of 3072 .* the kind"),
        (np.stack([DEPTH] * 3, axis=2), "expected one value per pixel"),
        (np.full((48, 64), 1500, np.uint16), "integers .* set scale"),
        (np.zeros((48, 64), np.uint8), "integers"),
    ],
)
def test_a_faulty_prediction_is_one_line(array: np.ndarray, words: str, tmp_path: Path) -> None:
    put(tmp_path, "0001.npy", array)
    with pytest.raises(InputError, match=rf"0001\.npy: .*{words}") as caught:
        opened(tmp_path).read(IDS[0])
    assert "\n" not in str(caught.value)


def test_a_cut_file_is_one_line(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    path = tmp_path / "0001.npy"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"0001\.npy: .*truncated"):
        opened(tmp_path).read(IDS[0])


def test_affine_numbers_may_be_negative(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy", DEPTH - 4)
    depth = opened(tmp_path, kind="affine").read(IDS[0]).depth
    assert depth is not None
    assert depth.values.min() < 0


def test_extra_files_are_named(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    put(tmp_path, "attic/0009.npy")
    (tmp_path / "notes.txt").write_text("not a file of numbers")
    line = opened(tmp_path).unmatched_note
    assert line is not None
    assert line.startswith("1 file in")
    assert line.endswith("attic/0009.npy")


def test_two_files_of_one_image_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    write_png(tmp_path / "0001.png")
    with pytest.raises(
        InputError, match=r"2 files match the image 'kitchen/0001' \(0001\.npy, 0001"
    ):
        opened(tmp_path)


def test_a_folder_that_fits_nothing_says_what_was_expected(tmp_path: Path) -> None:
    put(tmp_path, "a.npy")
    with pytest.raises(
        InputError, match=r"contains no file that belongs to .*kitchen/0001\.png, found a\.npy"
    ):
        opened(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        opened(tmp_path / "nowhere")


def test_the_kind_has_to_be_said(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    with pytest.raises(
        OptionError, match="set kind to metric, up_to_scale, affine, affine_inverse"
    ):
        opened(tmp_path, kind=None)


def test_normals_come_in_either_order(tmp_path: Path) -> None:
    normals = np.random.default_rng(0).normal(0, 1, (3, 48, 64)).astype(np.float32)
    put(tmp_path, "0001.npy", normals)
    put(tmp_path, "0002.npy", np.moveaxis(normals, 0, 2))
    put(tmp_path, "0003.npy", np.zeros((48, 64, 3), np.uint8))
    found = opened(tmp_path, kind=None, task=Task.NORMALS)
    for id in IDS[:2]:
        answer = found.read(id)
        assert answer.normals is not None
        np.testing.assert_array_equal(answer.normals, normals)
    with pytest.raises(InputError, match="expected floating-point normals"):
        found.read(IDS[2])


def test_results_of_predict_say_themselves_what_they_are(tmp_path: Path) -> None:
    for id in IDS:
        (tmp_path / id).parent.mkdir(exist_ok=True)
        save(prediction(DepthKind.AFFINE_INVERSE), tmp_path / id, ["npz"])
    found = opened(tmp_path, kind=None)
    assert found.kind is DepthKind.AFFINE_INVERSE
    assert found.made_by.model == "test/model"
    depth = found.read(IDS[0]).depth
    assert depth is not None
    assert depth.kind is DepthKind.AFFINE_INVERSE
    with pytest.raises(OptionError, match=r"kind says .metric., but .* says .affine_inverse."):
        opened(tmp_path)
    with pytest.raises(
        OptionError, match="scale only applies to files that do not state their unit"
    ):
        opened(tmp_path, kind=None, scale=2.0)


def test_a_stray_json_does_not_make_a_folder_ours(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    (tmp_path / "settings.json").write_text('{"batch": 3}')
    assert isinstance(opened(tmp_path), ForeignPredictions)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_answer(value: float, tmp_path: Path) -> None:
    put(tmp_path, "0001.npy", with_bad(value))
    depth = opened(tmp_path).read(IDS[0]).depth
    assert depth is not None
    assert (~depth.valid).sum() == 6
    assert not depth.valid[:2, :3].any()


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (("kitchen/pred_0001.npy", "kitchen/pred_0002.npy", "hall/pred_0003.npy"), None),
        (("pred_0001.npy", "pred_0002.npy", "pred_0003.npy"), None),
        (("0001_pred.npy", "0002_pred.npy", "0003_pred.npy"), None),
        (("pred_0001.npy", "pred_0002.npy", "pred_0003.npy"), "pred_{id}.npy"),
        (("kitchen/0001-d.npy", "kitchen/0002-d.npy", "hall/0003-d.npy"), "{id}-d.npy"),
        (("out/0001/z.npy", "out/0002/z.npy", "out/0003/z.npy"), "out/{id}/z.npy"),
    ],
)
def test_files_of_peers_are_found_as_they_name_them(
    names: tuple[str, ...], pattern: str | None, tmp_path: Path
) -> None:
    for number, name in enumerate(names):
        put(tmp_path, name, DEPTH + number)
    predictions = opened(tmp_path, pattern=pattern)
    for number, id in enumerate(IDS):
        depth = predictions.read(id).depth
        assert depth is not None
        np.testing.assert_array_equal(depth.values, DEPTH + number)
    assert predictions.unmatched_note is None


def test_moges_folders_are_found(tmp_path: Path) -> None:
    """Names alone: a folder an image, with pictures beside the depth."""
    for id in IDS:
        (tmp_path / id).mkdir(parents=True)
        for name in ("depth.exr", "points.exr", "mask.png", "depth_vis.png"):
            (tmp_path / id / name).write_bytes(b"")
    found = opened(tmp_path)
    assert found.files == {id: tmp_path / id / "depth.exr" for id in IDS}


def test_a_pattern_that_fits_nothing_or_names_no_image_is_one_line(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    with pytest.raises(InputError, match=r"expected names such as d_kitchen/0001\.npy, .*pattern"):
        opened(tmp_path, pattern="d_{id}.npy")
    with pytest.raises(OptionError, match=r"pattern must contain '\{id\}' exactly once, such as"):
        opened(tmp_path, pattern="d_*.npy")


def test_a_disparity_becomes_depth(tmp_path: Path) -> None:
    stored = 3 / DEPTH
    stored[0, 0] = 0
    put(tmp_path, "0001.npy", stored)
    found = opened(tmp_path, kind="disparity")
    assert found.kind is DepthKind.UP_TO_SCALE
    assert found.made_by.settings["kind"] == "disparity"
    depth = found.read(IDS[0]).depth
    assert depth is not None
    assert np.flatnonzero(~depth.valid).tolist() == [0]
    np.testing.assert_allclose(depth.values[1:], DEPTH[1:] / 3, rtol=1e-6)
    metres = opened(tmp_path, kind="disparity", scale=3.0)
    assert metres.kind is DepthKind.METRIC
    depth = metres.read(IDS[0]).depth
    assert depth is not None
    np.testing.assert_allclose(depth.values[1:], DEPTH[1:], rtol=1e-6)
    put(tmp_path, "0001.npy", stored - 1)
    with pytest.raises(InputError, match=r"disparity without a shift .*affine_inverse"):
        found.read(IDS[0])
