"""Lessons of turned and grey pictures: their views, their loss, and a short run."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from lab.making.command import main
from lab.making.layout_network import LayoutNet
from lab.making.shipped_layout import shipped_layout
from lab.making.turns_training import WEIGHTS, TurnedView, fitted, turns_loss, views
from lab.making.write_default_models import read_layout
from rilievo.errors import InputError
from rilievo.models.default import embedded
from support.nyu_training_folder import write_nyu
from support.sloping_shards import write_sloping_shards

BASE = Path(embedded.__file__).parent / "base.onnx"


@pytest.fixture(scope="module")
def layout() -> LayoutNet:
    return shipped_layout(BASE, 0)


@pytest.fixture
def astronaut() -> np.ndarray:
    return fitted(skimage.data.astronaut()[:, 64:448])


def seen(layout: LayoutNet, picture: np.ndarray, grey: float = 0.0) -> list[TurnedView]:
    return views(layout, picture, (1, 2, 3), grey=grey, random=np.random.default_rng(0))


def test_pictures_have_the_network_s_area_and_keep_their_aspect() -> None:
    assert fitted(np.zeros((480, 640, 3), np.uint8)).shape == (192, 256, 3)
    assert fitted(np.zeros((640, 480, 3), np.uint8)).shape == (256, 192, 3)
    assert fitted(np.zeros((10, 1000, 3), np.uint8)).shape == (32, 2208, 3)


def test_turned_views_have_the_upright_answer_turned_along(
    layout: LayoutNet, astronaut: np.ndarray
) -> None:
    upright, *turned = seen(layout, astronaut)
    assert upright.turns == 0
    with torch.no_grad():
        answer = layout(torch.from_numpy(astronaut[None]))
    torch.testing.assert_close(upright.log_depth, answer.log_depth[0])
    for view in turned:
        again = np.rot90(view.log_depth.numpy(), -view.turns)
        np.testing.assert_array_equal(again, answer.log_depth[0].numpy())
        height, width = view.log_depth.shape
        assert view.levels[0].shape[1:] == (height, width)
    # The features are those of the turned picture, not the turned features.
    apart = np.rot90(turned[1].levels[0].float().numpy(), -2, axes=(1, 2))
    assert np.abs(apart - upright.levels[0].float().numpy()).max() > 0.5


def test_grey_views_have_the_answer_in_colour(layout: LayoutNet, astronaut: np.ndarray) -> None:
    upright, grey, *turned = seen(layout, astronaut, grey=1.0)
    assert [view.turns for view in (grey, *turned)] == [0, 1, 2, 3]
    torch.testing.assert_close(grey.log_depth, upright.log_depth)
    assert (grey.levels[2] - upright.levels[2]).abs().max() > 0.1


def test_only_turned_views_have_something_to_learn(
    layout: LayoutNet, astronaut: np.ndarray
) -> None:
    upright, *turned = seen(layout, astronaut)
    with torch.no_grad():
        least = turns_loss(layout, [upright])
        losses = [turns_loss(layout, [view]) for view in turned]
    assert all(loss > least + 0.05 for loss in losses)


def test_a_run_teaches_turned_pictures_and_writes_the_network(
    layout: LayoutNet, tmp_path: Path
) -> None:
    write_sloping_shards(tmp_path / "shards")
    write_nyu(tmp_path / "nyu", [f"{number:04}" for number in range(62)])
    (tmp_path / "photos").mkdir()
    for number in range(2):
        picture = skimage.data.astronaut()[:, 64 * number : 64 * number + 384]
        Image.fromarray(picture).save(tmp_path / "photos" / f"{number}.jpg")
    folders = [f"--{name}={tmp_path / name}" for name in ("shards", "photos")]
    arguments = [f"--base={BASE}", "--member=0", f"--real={tmp_path / 'nyu'}", *folders]
    assert main(["turns", *arguments, "--steps=20", "-o", str(tmp_path / "run")]) == 0
    learned = read_layout(tmp_path / "run" / WEIGHTS).eval()
    picture = fitted(skimage.data.astronaut()[:, 64:448])
    turned = seen(layout, picture)[1:]
    with torch.no_grad():
        before, after = (
            [float(turns_loss(network, [view])) for view in turned] for network in (layout, learned)
        )
    assert np.mean(after) < 0.9 * np.mean(before)
    encoder = layout.encoder.state_dict()
    for name, value in learned.encoder.state_dict().items():
        torch.testing.assert_close(value, encoder[name])


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    write_sloping_shards(tmp_path / "shards")
    arguments = [f"--base={BASE}", "--member=0", f"--shards={tmp_path / 'shards'}"]
    arguments += [f"--real={tmp_path}", f"--photos={tmp_path}", f"-o={tmp_path / 'run'}"]
    with pytest.raises(InputError, match=r"no \.jpg files; give a folder of photographs"):
        main(["turns", *arguments])
