"""The dataset that renders itself: no root, splits apart, one rendering for each frame read."""

import pickle
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from rilievo.data.datasets import Dataset, find_dataset, open_dataset
from rilievo.data.datasets.sets import rendered
from rilievo.errors import InputError, OptionError
from scenes import Kind, TextureBank, make_textures, render, renderer


@pytest.fixture(scope="module")
def textures() -> TextureBank:
    return make_textures([], share=0.01)


@pytest.fixture
def dataset(textures: TextureBank, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Small frames with few textures, so that a test does not wait for sixty megabytes of them."""
    monkeypatch.setattr(renderer, "default_textures", lambda: textures)
    monkeypatch.setattr(rendered, "SIZE", (48, 64))
    rendered._frame.cache_clear()
    return open_dataset("synthetic")


def test_it_needs_no_root_and_has_the_frames_that_its_card_tells(dataset: Dataset) -> None:
    card = dataset.card
    assert (dataset.ids[0], dataset.ids[-1]) == ("0000000001", "0000000100")
    for split in card.splits:
        assert len(open_dataset("synthetic", split=split)) == card.counts[split]
    assert dataset.absent == ()


def test_no_two_splits_share_a_frame_and_none_is_among_those_of_shards() -> None:
    splits = [
        {rendered.FIRST_SEED + int(id) for id in open_dataset("synthetic", split=split).ids}
        for split in ("test", "valid", "train")
    ]
    assert all(one.isdisjoint(other) for one, other in combinations(splits, 2))
    largest_of_a_plan = (2**31 - 1) * 2**32 + 2**32 - 1
    assert min(min(split) for split in splits) > largest_of_a_plan


@pytest.mark.slow
def test_a_frame_is_what_its_seed_renders(dataset: Dataset, textures: TextureBank) -> None:
    sample = dataset.sample("0000000007")
    straight = render(2**63 + 7, size=(48, 64), textures=textures)
    assert sample.id == "0000000007"
    np.testing.assert_array_equal(sample.image, straight.image)
    for name in ("depth", "depth_valid", "normals", "normals_valid", "sky", "world_T_cam"):
        np.testing.assert_array_equal(getattr(sample, name), getattr(straight, name))
    assert sample.camera is not None
    assert straight.camera is not None
    np.testing.assert_array_equal(sample.camera.K, straight.camera.K)


def test_the_order_of_reading_and_what_is_done_to_a_frame_change_nothing(dataset: Dataset) -> None:
    first = dataset[0]
    image, depth = first.image.copy(), np.array(first.depth)
    first.image[:] = 0
    assert first.depth is not None
    first.depth[:] = 0
    np.testing.assert_array_equal(dataset.image(dataset.ids[0]), image)
    np.testing.assert_array_equal(dataset.truth(dataset.ids[0]).depth, depth)
    assert not np.array_equal(dataset[1].image, image)
    np.testing.assert_array_equal(dataset[0].image, image)
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[0].image, image)


def test_a_frame_is_rendered_once_for_its_photograph_and_its_truth(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = []
    draw = renderer.draw_scene
    monkeypatch.setattr(renderer, "draw_scene", lambda *given: views.append(1) or draw(*given))
    dataset.truth(dataset.ids[0])
    dataset.image(dataset.ids[0])
    dataset.sample(dataset.ids[0])
    assert len(views) == 1
    dataset.truth(dataset.ids[1])
    assert len(views) == 2


def test_every_kind_of_scene_is_a_variant_and_gives_other_frames(dataset: Dataset) -> None:
    # Furnished scenes are made of models, which a user gives.
    assert dataset.card.variants == tuple(kind for kind in Kind if kind is not Kind.FURNISHED)
    rooms = open_dataset("synthetic", variant="rooms")
    streets = open_dataset("synthetic", variant="streets")
    assert not np.array_equal(rooms[0].image, streets[0].image)
    skies = [streets.truth(id).sky for id in streets.ids[:4]]
    assert any(sky is not None and sky.any() for sky in skies)
    for id in rooms.ids[:4]:
        depth = rooms.truth(id).depth
        assert depth is not None
        assert depth.max() < 30


def test_a_list_chooses_frames_by_their_numbers(dataset: Dataset, tmp_path: Path) -> None:
    listed = tmp_path / "mine.txt"
    listed.write_text("# two of them\n0000000009\n2000000001\n")
    assert open_dataset("synthetic", list_file=listed).ids == ("0000000009", "2000000001")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7\n", r"mine\.txt: line 1 is '7', but a frame is a number of 10 digits"),
        ("0000000001\n٠٠٠٠٠٠٠٠٠١\n", "line 2"),
        ("0000000001\n0000000001\n", "twice"),
    ],
)
def test_a_list_of_anything_else_is_refused(tmp_path: Path, text: str, said: str) -> None:
    listed = tmp_path / "mine.txt"
    listed.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        open_dataset("synthetic", list_file=listed)


def test_an_unknown_split_and_variant_are_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean 'test'"):
        open_dataset("synthetic", split="tests")
    with pytest.raises(OptionError, match="did you mean 'streets'"):
        open_dataset("synthetic", variant="street")


def test_its_card_is_read_without_the_renderer_and_its_frames_name_the_extra() -> None:
    code = (
        "import sys\n"
        "sys.modules['numba'] = None\n"
        "from rilievo.data.datasets import open_dataset\n"
        "dataset = open_dataset('synthetic')\n"
        "print(len(dataset), 'cv2' in sys.modules)\n"
        "dataset[0]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "100 False\n"
    assert "rendering synthetic scenes needs the extra 'train'" in done.stderr
    assert find_dataset("synthetic").card.extra == "train"
