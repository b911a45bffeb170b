"""Averages of learned weights with those of the start."""

import torch
from torch import nn

from rilievo.training.video.other_places import average_with_start, copy_weights


def test_an_average_lies_between_start_and_end_and_is_undone() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    start = copy_weights(network)
    with torch.no_grad():
        for each in network.parameters():
            each.add_(4.0)
    learned = copy_weights(network)
    with average_with_start(network, start, 0.25):
        moved = {name: network.state_dict()[name] - start[name] for name in ("0.weight", "1.bias")}
        assert all(torch.allclose(each, torch.full_like(each, 3.0)) for each in moved.values())
        assert int(network.state_dict()["1.num_batches_tracked"]) == 0
    assert all(torch.equal(value, learned[name]) for name, value in network.state_dict().items())
    with average_with_start(network, start, 0.0):
        assert torch.equal(network.state_dict()["0.weight"], learned["0.weight"])
