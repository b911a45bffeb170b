"""Folders of predictions that other programs wrote."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from predictions import prediction
from rilievo.errors import InputError, OptionError
from rilievo.evaluate.answers import Answer
from rilievo.evaluate.foreign import Foreign, describe_extra, open_foreign
from rilievo.io.outputs import save
from rilievo.types import DepthKind

IDS = ("kitchen/0001", "kitchen/0002", "hall/0003")
DEPTH = np.linspace(0.5, 9, 48 * 64).reshape(48, 64).astype(np.float32)


def opened(folder: Path, **changes: object) -> Foreign:
    given = {"kind": DepthKind.METRIC, "normals": False, "scale": None, **changes}
    return open_foreign(folder, IDS, **given)


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
    found = opened(tmp_path)
    for number, id in enumerate(IDS):
        depth = found.read(id).depth
        assert depth is not None
        np.testing.assert_array_equal(depth.values, DEPTH + number)
    assert found.extra == ()
    assert describe_extra(found) is None


def test_a_last_part_that_two_images_share_fits_neither(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    put(tmp_path, "b_0002.npy")
    found = open_foreign(
        tmp_path,
        ("a/0001", "b/0001", "b/0002"),
        kind=DepthKind.METRIC,
        normals=False,
        scale=None,
    )
    assert list(found.files) == ["b/0002"]
    with pytest.raises(InputError, match=r"no file of it in .*looked for a/0001 or a_0001 or 0001"):
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
    inverse = opened(tmp_path, kind=DepthKind.AFFINE_INVERSE).read(IDS[0]).depth
    assert inverse is not None
    assert inverse.valid.all()


def with_bad(value: float) -> np.ndarray:
    bad = DEPTH.copy()
    bad[:2, :3] = value
    return bad


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (with_bad(np.nan), "NaN or infinite at 6 of 3072 pixels"),
        (with_bad(np.inf), "NaN or infinite at 6 of 3072 pixels"),
        (with_bad(-1), "zero or negative at 6 of 3072 pixels, but depth of kind 'metric'"),
        (with_bad(0), "zero or negative at 6 of 3072 pixels"),
        (np.stack([DEPTH] * 3, axis=2), "expected one number a pixel"),
        (np.full((48, 64), 1500, np.uint16), "whole numbers .* say --scale"),
        (np.zeros((48, 64), np.uint8), "whole numbers"),
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
    with pytest.raises(InputError, match=r"0001\.npy: .*cut short"):
        opened(tmp_path).read(IDS[0])


def test_affine_numbers_may_be_negative(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy", DEPTH - 4)
    depth = opened(tmp_path, kind=DepthKind.AFFINE).read(IDS[0]).depth
    assert depth is not None
    assert depth.values.min() < 0


def test_extra_files_are_named(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    put(tmp_path, "attic/0009.npy")
    (tmp_path / "notes.txt").write_text("not a file of numbers")
    line = describe_extra(opened(tmp_path))
    assert line is not None
    assert line.startswith("1 files in")
    assert line.endswith("attic/0009.npy")


def test_two_files_of_one_image_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    write_png(tmp_path / "0001.png")
    with pytest.raises(InputError, match=r"2 files fit the image 'kitchen/0001' \(0001\.npy, 0001"):
        opened(tmp_path)


def test_a_folder_that_fits_nothing_says_what_was_expected(tmp_path: Path) -> None:
    put(tmp_path, "a.npy")
    with pytest.raises(InputError, match=r"none of its 1 files fits .*kitchen/0001\.png .*a\.npy"):
        opened(tmp_path)
    with pytest.raises(InputError, match="there is no such folder"):
        opened(tmp_path / "nowhere")


def test_the_kind_has_to_be_said(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    with pytest.raises(OptionError, match="say --kind metric, up_to_scale, affine, affine_inverse"):
        opened(tmp_path, kind=None)


def test_normals_come_in_either_order(tmp_path: Path) -> None:
    normals = np.random.default_rng(0).normal(0, 1, (3, 48, 64)).astype(np.float32)
    put(tmp_path, "0001.npy", normals)
    put(tmp_path, "0002.npy", np.moveaxis(normals, 0, 2))
    put(tmp_path, "0003.npy", np.zeros((48, 64, 3), np.uint8))
    found = opened(tmp_path, kind=None, normals=True)
    for id in IDS[:2]:
        answer: Answer = found.read(id)
        assert answer.normals is not None
        np.testing.assert_array_equal(answer.normals, normals)
    with pytest.raises(InputError, match="normals are floating-point numbers"):
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
    with pytest.raises(OptionError, match=r"--kind says .metric., but .* says .affine_inverse."):
        opened(tmp_path)
    with pytest.raises(OptionError, match="--scale is for files that do not say their unit"):
        opened(tmp_path, kind=None, scale=2.0)


def test_a_stray_json_does_not_make_a_folder_ours(tmp_path: Path) -> None:
    put(tmp_path, "0001.npy")
    (tmp_path / "settings.json").write_text('{"batch": 3}')
    assert not opened(tmp_path).ours
