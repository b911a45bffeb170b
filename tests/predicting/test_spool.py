"""Answers come back from disk as they went, to the stated precision."""

import os
from pathlib import Path

import numpy as np
import pytest

from rilievo.models.base import Inference
from rilievo.predicting.videos.stored_inferences import open_stored_inferences


def answers(count: int) -> list[Inference]:
    random = np.random.default_rng(0)
    result = []
    for _ in range(count):
        normals = random.normal(size=(3, 9, 11)).astype(np.float32)
        result.append(
            Inference(
                depth=np.exp(random.uniform(0, 6, (9, 11))).astype(np.float32),
                normals=normals / np.linalg.norm(normals, axis=0),
                confidence=random.random((9, 11)).astype(np.float32),
                sky=random.random((9, 11)).astype(np.float32),
            )
        )
    return result


def test_positive_depth_keeps_its_proportions(tmp_path: Path) -> None:
    given = answers(5)
    with open_stored_inferences(tmp_path, is_positive=True) as stored:
        for answer in given:
            stored.append(answer)
        for _ in range(2):
            for answer, (back, _) in zip(given, stored, strict=True):
                assert answer.depth is not None
                # Half a step of a range of e^6 in 65,535 steps.
                np.testing.assert_allclose(back.depth, answer.depth, rtol=5e-5)
                np.testing.assert_allclose(back.normals, answer.normals, atol=2e-5)
                np.testing.assert_allclose(back.confidence, answer.confidence, atol=1e-5)
                np.testing.assert_allclose(back.sky, answer.sky, atol=0.5 / 255 + 1e-6)


def test_other_depth_keeps_its_differences_whatever_its_sign(tmp_path: Path) -> None:
    numbers = np.linspace(-3, 2, 99, dtype=np.float32).reshape(9, 11)
    with open_stored_inferences(tmp_path, is_positive=False) as stored:
        stored.append(Inference(depth=numbers))
        [(back, _)] = stored
    np.testing.assert_allclose(back.depth, numbers, atol=5 / 65535)
    assert back.normals is None
    assert back.confidence is back.sky is None


@pytest.mark.filterwarnings("error")
def test_normals_that_are_not_there_come_back_as_zero(tmp_path: Path) -> None:
    normals = np.full((3, 4, 5), np.nan, np.float32)
    normals[:, 0] = [[0], [0], [-1]]
    with open_stored_inferences(tmp_path, is_positive=True) as stored:
        stored.append(Inference(depth=np.ones((4, 5), np.float32), normals=normals))
        [(back, _)] = stored
    assert back.normals is not None
    np.testing.assert_array_equal(back.normals, np.nan_to_num(normals))


@pytest.mark.parametrize("value", [1e-6, 2.5, 1e30])
def test_a_constant_map_comes_back(tmp_path: Path, value: float) -> None:
    with open_stored_inferences(tmp_path, is_positive=True) as stored:
        stored.append(Inference(depth=np.full((4, 5), value, np.float32)))
        [(back, _)] = stored
    np.testing.assert_allclose(back.depth, value, rtol=1e-5)


@pytest.mark.skipif(os.name == "nt", reason="files have names there while they are open")
def test_the_file_has_no_name_that_could_be_left_behind(tmp_path: Path) -> None:
    with open_stored_inferences(tmp_path, is_positive=True) as stored:
        stored.append(answers(1)[0])
        assert not list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
