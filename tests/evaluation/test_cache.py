"""Predictions kept on disk: what was written comes back, and nothing is mixed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError, OptionError
from rilievo.evaluation.predictions.prediction_cache import (
    FINGERPRINT,
    Fingerprint,
    open_cache,
    read_cache,
)
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from support.predictions import MADE_BY, prediction

MARK = Fingerprint(
    model="m",
    weights_sha256="a" * 64,
    licence="MIT",
    settings={"flip": False, "engine": "onnxruntime"},
    kind=DepthKind.AFFINE_INVERSE,
    normals=False,
    dataset="tiny",
    split="test",
    variant="raw",
    input_crop="none",
    version="1",
)
IDS = ("kitchen/0001", "kitchen/0002", "hall")


@pytest.mark.parametrize("kind", DepthKind)
def test_what_is_written_comes_back(kind: DepthKind, tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "p", replace(MARK, kind=kind, normals=True), IDS)
    made = prediction(kind)
    cache.write("kitchen/0001", made)
    answer = read_cache(tmp_path / "p").read("kitchen/0001")
    assert made.depth is not None
    assert answer.depth is not None
    assert answer.depth.kind is kind
    np.testing.assert_array_equal(answer.depth.values, made.depth.values)
    np.testing.assert_array_equal(answer.depth.valid, made.depth.valid)
    assert made.normals is not None
    assert answer.normals is not None
    np.testing.assert_array_equal(answer.normals, made.normals)


def test_holes_come_back(tmp_path: Path) -> None:
    values = np.full((4, 5), 2.0, np.float32)
    values[1, 2] = np.nan
    depth = DepthMap(values=values, kind=DepthKind.METRIC, valid=~np.isnan(values))
    cache = open_cache(tmp_path / "p", replace(MARK, kind=DepthKind.METRIC), IDS)
    cache.write("hall", Prediction(depth_or_none=depth, made_by=MADE_BY))
    found = cache.read("hall").depth
    assert found is not None
    np.testing.assert_array_equal(found.valid, depth.valid)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights_sha256": "b" * 64}, r"weights_sha256: aaaaaaaaaaaa\.\.\., not bbbbbbbbbbbb"),
        ({"settings": {"flip": True, "engine": "onnxruntime"}}, "flip: False, not True"),
        ({"settings": {"flip": False}}, "engine: onnxruntime, not None"),
        ({"input_crop": "nyu_square"}, "input_crop: none, not nyu_square"),
        (
            {"dataset": "other", "split": "train"},
            "dataset: tiny, not other; split: test, not train",
        ),
    ],
)
def test_mixed_settings_are_refused_with_their_names(
    change: dict[str, object], words: str, tmp_path: Path
) -> None:
    open_cache(tmp_path / "p", MARK, IDS)
    with pytest.raises(
        OptionError, match=rf"contains predictions that were made with other settings \({words}"
    ):
        open_cache(tmp_path / "p", replace(MARK, **change), IDS)


def test_another_version_of_rilievo_goes_on(tmp_path: Path) -> None:
    open_cache(tmp_path / "p", MARK, IDS)
    assert open_cache(tmp_path / "p", replace(MARK, version="2"), IDS).folder == tmp_path / "p"


def test_what_is_missing_and_what_is_broken_is_told_apart(tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "p", replace(MARK, kind=DepthKind.METRIC), IDS)
    for id in IDS[:2]:
        cache.write(id, prediction(DepthKind.METRIC))
    whole = cache.file_path(IDS[0]).read_bytes()
    assert cache.missing(IDS) == (["hall"], [])
    for cut in (0, 10, len(whole) // 2, len(whole) - 5):
        cache.file_path(IDS[0]).write_bytes(whole[:cut])
        assert cache.missing(IDS) == (["hall"], [IDS[0]])
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    cache.file_path(IDS[0]).write_bytes(damaged)
    assert cache.missing(IDS) == (["hall"], [IDS[0]])
    with pytest.raises(InputError, match=r"0001\.npz: is damaged .*remove it and evaluate again"):
        cache.read(IDS[0])


@pytest.mark.parametrize(
    "array", [np.array("x"), np.ones(4, np.float32), np.ones((4, 5)), np.ones((0, 5), np.float32)]
)
def test_an_array_that_is_no_depth_is_broken(array: np.ndarray, tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "p", MARK, IDS)
    np.savez(cache.file_path("hall"), depth=array)
    assert cache.missing(["hall"]) == ([], ["hall"])
    with pytest.raises(InputError, match=r"hall\.npz: is damaged \(its depth has"):
        cache.read("hall")


def test_leftovers_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    open_cache(tmp_path / "p", MARK, IDS)
    (tmp_path / "p" / "kitchen").mkdir()
    part = tmp_path / "p" / "kitchen" / ".0001.npz.99999999-0.rilievo-part"
    part.write_bytes(b"half")
    open_cache(tmp_path / "p", MARK, IDS)
    assert not part.exists()


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("x")
    with pytest.raises(InputError, match=r"contains files but no fingerprint\.json"):
        open_cache(tmp_path, MARK, IDS)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.txt"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ('{"model": 3}', "damaged"),
        ("", "is empty"),
    ],
)
def test_a_broken_fingerprint_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    open_cache(tmp_path, MARK, IDS)
    (tmp_path / FINGERPRINT).write_text(text)
    with pytest.raises(InputError, match=rf"fingerprint\.json: .*{words}"):
        read_cache(tmp_path)


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    open_cache(tmp_path, replace(MARK, format="rilievo-predictions/9"), IDS)
    with pytest.raises(InputError, match="its format is 'rilievo-predictions/9', expected"):
        read_cache(tmp_path)
