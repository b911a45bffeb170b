"""The last part of a run: what error to expect, and nothing else, is learned."""

import numpy as np
import pytest
import torch

from lab.making.distil.confidence_training import learn_confidence
from lab.making.distil.depth_losses import confidence_of
from lab.making.distil.frames.blind_images import blinded
from lab.making.distil.frames.frame_batches import Batch
from rilievo.training.networks.small import SmallNet
from support.light_networks import LIGHT

SIZE = (64, 96)


def picture(random: np.random.Generator) -> np.ndarray:
    """Something to see: a smooth pattern of colours."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] / 20
    phases = random.uniform(0, 6, (3, 1, 1))
    return (127 + 120 * np.sin(rows + columns + phases)).astype(np.uint8).transpose(1, 2, 0)


def batch_of(network: SmallNet, number: int) -> Batch:
    """Half of the images can be seen, and there the network is right; elsewhere depth is noise."""
    random = np.random.default_rng([7, number])
    seen = np.stack([picture(random) for _ in range(4)])
    hidden = np.stack([blinded(each, random) for each in seen])
    image = torch.from_numpy(np.concatenate([seen, hidden]))
    with torch.no_grad():
        log_depth = network(image).log_depth.clone()
    log_depth[4:] += torch.from_numpy(random.normal(0, 1, (4, *SIZE)).astype(np.float32))
    there = torch.ones((8, *SIZE), dtype=torch.bool)
    normals = torch.zeros((8, 3, *SIZE))
    camera = torch.tensor([[60.0, 60.0, 47.5, 31.5]]).expand(8, 4).contiguous()
    return Batch(
        image=image,
        log_depth=log_depth,
        valid=there,
        normals=normals,
        normals_valid=there,
        camera=camera,
        sign=torch.zeros(8),
        **dict.fromkeys(("sky", "marked"), torch.zeros_like(there)),
    )


@pytest.mark.slow
def test_it_learns_where_it_is_wrong_and_leaves_depth_as_it_is() -> None:
    torch.manual_seed(0)
    network = SmallNet(LIGHT).eval()
    random = np.random.default_rng(1)
    seen = [picture(random) for _ in range(6)]
    image = torch.from_numpy(np.stack([*seen, *(blinded(each, random) for each in seen)]))
    before = network(image)
    batches = [batch_of(network, number) for number in range(10)]
    learn_confidence(network, lambda number: batches[number % 10], steps=50, seed=0)
    after = network(image)
    torch.testing.assert_close(after.log_depth, before.log_depth, rtol=0, atol=0)
    torch.testing.assert_close(after.normals, before.normals, rtol=0, atol=0)
    sure = confidence_of(after.log_spread).mean(dim=(1, 2))
    assert sure[:6].mean() > sure[6:].mean() + 0.15
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.slow
def test_the_same_batches_teach_the_same_whatever_was_there_before() -> None:
    torch.manual_seed(0)
    network = SmallNet(LIGHT).eval()
    batches = [batch_of(network, number) for number in range(8)]
    learn_confidence(network, batches.__getitem__, steps=4, seed=3)
    once = {name: value.clone() for name, value in network.state_dict().items()}
    learn_confidence(network, batches.__getitem__, steps=4, seed=3)
    assert all(torch.equal(value, once[name]) for name, value in network.state_dict().items())


@pytest.mark.slow
def test_every_kind_of_blind_picture_comes_and_keeps_its_size() -> None:
    random = np.random.default_rng(0)
    image = picture(random)
    found = [blinded(image, random) for _ in range(200)]
    assert all(each.shape == image.shape and each.dtype == np.uint8 for each in found)
    assert not any(np.array_equal(each, image) for each in found)
    colours = [len(np.unique(each.reshape(-1, 3), axis=0)) for each in found]
    assert any(count == 1 for count in colours), "one colour"
    assert any((each == 0).all() for each in found), "black"
    assert any((each == 255).all() for each in found), "white"
    same = [np.array_equal(np.sort(each, None), np.sort(image, None)) for each in found]
    assert any(same), "blocks of the picture in disorder"
    assert sum(count > 200 for count in colours) > 30, "noise"
    first, second = (blinded(image, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
