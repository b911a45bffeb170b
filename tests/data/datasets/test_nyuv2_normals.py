"""True normals of NYU Depth V2: one tilted plane in every file's convention, and back in ours."""

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.data.datasets.mat_file import read_mat
from rilievo.errors import InputError
from support import analytic
from support import nyu_lookalikes as nyu


@pytest.fixture(scope="module")
def plane() -> nyu.Scene:
    return nyu.scene()


def _geonet(root: Path, each: nyu.Scene) -> Dataset:
    nyu.write_geonet_training(root / "attic_0001-1.5-2.mat", each)
    return open_dataset("nyuv2", root, split="train", variant="normals")


def _ladicky(root: Path, each: nyu.Scene) -> Dataset:
    """The names decide: the file has the second image first."""
    other = nyu.scene(1)
    nyu.write_labelled(root / "nyu_depth_v2_labeled.mat", [each, other])
    nyu.write_ladicky(root / "all_normals.pklz", {2: nyu.Scene(*_turned(other)), 1: each})
    return open_dataset("nyuv2", root, split="all", variant="normals")


def _geonet_truth(root: Path, each: nyu.Scene) -> Dataset:
    nyu.write_labelled(root / "nyu_depth_v2_labeled.mat", [each, nyu.scene(1)])
    nyu.write_geonet_truth(root / "gt", [each, nyu.Scene(*_turned(nyu.scene(1)))])
    return open_dataset("nyuv2", root, split="all", variant="normals")


def _turned(each: nyu.Scene) -> tuple[np.ndarray, ...]:
    """Another plane, so that a mix-up of images shows."""
    return each.photo, each.filled, each.raw, each.normals[[1, 0, 2]]


LAYOUTS: list[Callable[[Path, nyu.Scene], Dataset]] = [_geonet, _ladicky, _geonet_truth]


@pytest.mark.parametrize("write", LAYOUTS)
def test_a_tilted_plane_comes_back_in_our_frame_from_every_file(
    write: Callable[[Path, nyu.Scene], Dataset], tmp_path: Path, plane: nyu.Scene
) -> None:
    sample = write(tmp_path, plane)[0]
    assert sample.normals is not None
    assert sample.normals_valid is not None
    assert sample.camera is not None
    np.testing.assert_array_equal(sample.normals_valid, plane.raw > 0)
    errors = analytic.angle(sample.normals, plane.normals)[sample.normals_valid]
    assert errors.max() < 0.01
    assert not sample.normals[:, ~sample.normals_valid].any()
    np.testing.assert_allclose(sample.camera.K, nyu.K)
    # JPEG is not among these, so the photograph is exact.
    np.testing.assert_array_equal(sample.image, plane.photo)


@pytest.mark.slow
def test_depth_lies_beside_the_normals_where_the_layout_has_it(
    tmp_path: Path, plane: nyu.Scene
) -> None:
    for write in (_geonet, _ladicky):
        folder = tmp_path / write.__name__
        folder.mkdir()
        dataset = write(folder, plane)
        truth = dataset.truth(dataset.ids[0])
        assert truth.depth is not None
        np.testing.assert_allclose(truth.depth, plane.raw, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("write", LAYOUTS)
def test_normals_that_face_the_other_way_are_refused(
    write: Callable[[Path, nyu.Scene], Dataset], tmp_path: Path, plane: nyu.Scene
) -> None:
    turned = nyu.Scene(plane.photo, plane.filled, plane.raw, -plane.normals)
    dataset = write(tmp_path, turned)
    with pytest.raises(InputError, match="100% of the normals point away from the camera"):
        dataset.truth(dataset.ids[0])


def test_normals_are_computed_from_the_depth_where_no_file_has_them(
    tmp_path: Path, plane: nyu.Scene
) -> None:
    nyu.write_labelled(tmp_path / "nyu_depth_v2_labeled.mat", [plane])
    truth = open_dataset("nyuv2", tmp_path, split="all", variant="depth_normals").truth("0000")
    assert truth.normals is not None
    assert truth.normals_valid is not None
    known = truth.normals_valid
    assert analytic.angle(truth.normals, plane.normals)[known].max() < 0.05
    assert known.mean() > 0.99
    assert not known[plane.raw == 0].any()
    with pytest.raises(InputError, match="has no variant 'normals'"):
        open_dataset("nyuv2", tmp_path, split="all", variant="normals")


def test_steps_of_millimetres_do_not_show_in_the_normals_of_the_depth(
    tmp_path: Path, plane: nyu.Scene
) -> None:
    """Windows of 3 pixels, 4 mm apart each, would be off by degrees."""
    nyu.write_sync(tmp_path / "attic", 1, plane)
    truth = open_dataset("nyuv2", tmp_path, split="all", variant="depth_normals").truth(
        "attic/00001"
    )
    assert truth.normals is not None
    assert truth.normals_valid is not None
    errors = analytic.angle(truth.normals, plane.normals)[truth.normals_valid]
    assert np.median(errors) < 0.3


class _Command:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return exec, ("raise SystemExit('a pickle ran a command')",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_Command(), "refers to builtins.exec, which is not an array"),
        ({"all_normals": np.zeros((1, 480, 640, 3))}, "expected 'all_normals', 'all_filenames'"),
        ([1, 2], "contains list"),
        (
            {"all_normals": np.zeros((2, 4, 4, 3)), "all_filenames": ["00001"]},
            r"has normals of shape \(2, 4, 4, 3\), .* and 1 name,",
        ),
        (
            {"all_normals": np.zeros((1, 4, 4, 3)), "all_filenames": ["attic"]},
            "names that are not numbers, such as attic",
        ),
        (
            {"all_normals": np.zeros((1, 4, 4, 3)), "all_filenames": ["00009"]},
            "has no normals for image 1",
        ),
    ],
)
def test_a_pickle_of_anything_else_is_refused_and_runs_nothing(
    content: object, said: str, tmp_path: Path, plane: nyu.Scene
) -> None:
    nyu.write_labelled(tmp_path / "nyu_depth_v2_labeled.mat", [plane])
    with gzip.open(tmp_path / "all_normals.pklz", "wb") as file:
        pickle.dump(content, file)
    dataset = open_dataset("nyuv2", tmp_path, split="all", variant="normals")
    with pytest.raises(InputError, match=said):
        dataset.truth("0000")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_every_pickle_protocol_are_read(
    protocol: int, tmp_path: Path, plane: nyu.Scene
) -> None:
    nyu.write_labelled(tmp_path / "nyu_depth_v2_labeled.mat", [plane])
    normals = np.asfortranarray(nyu.outward(plane)[None].astype(np.float32))
    with gzip.open(tmp_path / "all_normals.pklz", "wb", compresslevel=1) as file:
        content = {"all_normals": normals, "all_filenames": np.array(["00001"])}
        pickle.dump(content, file, protocol=protocol)
    truth = open_dataset("nyuv2", tmp_path, split="all", variant="normals").truth("0000")
    assert truth.normals_valid is not None
    np.testing.assert_array_equal(truth.normals_valid, plane.raw > 0)


def test_a_pickle_that_is_cut_short_is_told_in_one_line(tmp_path: Path, plane: nyu.Scene) -> None:
    path = tmp_path / "all_normals.pklz"
    nyu.write_labelled(tmp_path / "nyu_depth_v2_labeled.mat", [plane])
    nyu.write_ladicky(path, {1: plane})
    for content in (path.read_bytes()[:5000], b"no gzip at all"):
        path.write_bytes(content)
        dataset = open_dataset("nyuv2", tmp_path, split="all", variant="normals")
        with pytest.raises(InputError, match="is not a valid gzip-compressed pickle") as told:
            dataset.truth("0000")
        assert "\n" not in str(told.value)


def test_a_training_file_that_is_cut_short_or_another_is_told(
    tmp_path: Path, plane: nyu.Scene
) -> None:
    dataset = _geonet(tmp_path, plane)
    path = next(tmp_path.glob("*.mat"))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="MATLAB file is"):
        dataset.truth(dataset.ids[0])
    other = {"img": np.full((481, 641, 3), 90.0), "norm": np.zeros((2, 2, 3))}
    scipy.io.savemat(path, {**other, "depth": np.ones((481, 641))})
    with pytest.raises(InputError, match=r"'norm' has the shape \(2, 2, 3\), expected 481 x 641"):
        dataset.truth(dataset.ids[0])
    with pytest.raises(InputError, match="expected 0 to 255"):
        dataset.image(dataset.ids[0])
    with pytest.raises(InputError, match="for training and do not contain the split 'test'"):
        open_dataset("nyuv2", tmp_path, variant="normals")


def test_matlab_files_of_both_generations_give_the_same_arrays(tmp_path: Path) -> None:
    array = np.arange(12.0).reshape(3, 4)
    scipy.io.savemat(tmp_path / "old.mat", {"a": array, "b": array * 2})
    import h5py

    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["a"], file["b"] = array.T, array.T * 2
    for name in ("old.mat", "new.mat"):
        np.testing.assert_array_equal(read_mat(tmp_path / name, "b")["b"], array * 2)
        assert sorted(read_mat(tmp_path / name)) == ["a", "b"]
        with pytest.raises(InputError, match="has no variable 'c'; its variables are: a, b"):
            read_mat(tmp_path / name, "c")
