"""Further training of the shipped layout pair, and what is stored of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lab.making.device_batches import DeviceMix
from lab.making.device_store import FrameStore
from lab.making.layout_further import FurtherConfig, Steps, train
from lab.making.shipped_layout import mixture, read_weights, shipped_layout
from rilievo.errors import ModelError
from rilievo.models.default import embedded

BASE = Path(embedded.__file__).parent / "base.onnx"


@pytest.fixture
def store(shards: Path) -> FrameStore:
    frames = FrameStore(torch.device("cpu"))
    frames.scan(shards.parent)
    frames.joined()
    return frames


def config(seconds: float = 0.0, **changes: object) -> FurtherConfig:
    mix = DeviceMix(weights={}, pasted=0.0)
    return replace(FurtherConfig(runs=1, seconds=seconds, batch_size=2, mix=mix), **changes)


def test_a_pair_without_layout_networks_is_refused() -> None:
    with pytest.raises(ModelError, match="convolutions"):
        shipped_layout(BASE.parent / "small.onnx", 0)


def test_the_pair_is_that_of_the_file() -> None:
    one, other = (shipped_layout(BASE, member) for member in (0, 1))
    image = torch.randint(0, 255, (1, 64, 96, 3), dtype=torch.uint8)
    answers = [network(image).log_depth for network in (one, other)]
    assert (answers[0] - answers[1]).abs().max() > 1e-3
    assert all(torch.isfinite(answer).all() for answer in answers)


def test_a_mixture_is_the_weighted_mean() -> None:
    one = {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    other = {"w": torch.tensor([3.0, 6.0]), "n": torch.tensor(3)}
    mixed = mixture([(0.75, one), (0.25, other)])
    torch.testing.assert_close(mixed["w"], torch.tensor([1.5, 3.0]))
    assert mixed["n"].dtype == torch.int64


def test_a_step_lowers_the_loss_of_its_batch(store: FrameStore) -> None:
    from lab.making.device_batches import make_device_batch

    options = config()
    steps = Steps(shipped_layout(BASE, 0), options, torch.device("cpu"))
    random, draws = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    batch = make_device_batch(store, options.mix, (64, 96), 4, random, draws)
    losses = []
    for number in range(60, 72):
        losses.append(float(steps.losses(batch)[1]))
        steps.step(0.0, number)
    assert losses[-1] < 0.8 * losses[0]


def test_norms_keep_their_statistics(store: FrameStore) -> None:
    from lab.making.device_batches import make_device_batch

    options, network = config(), shipped_layout(BASE, 0)
    before = {name: value.clone() for name, value in network.named_buffers()}
    steps = Steps(network, options, torch.device("cpu"))
    random, draws = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    batch = make_device_batch(store, options.mix, (64, 96), 2, random, draws)
    steps.losses(batch)
    steps.step(0.0, 100)
    for name, value in network.named_buffers():
        torch.testing.assert_close(value, before[name])


@pytest.mark.slow
def test_runs_of_a_member_go_on_and_their_mean_is_written(
    store: FrameStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.making.layout_further.batch_shape", lambda stage, random: (64, 96))
    lines: list[str] = []
    options = config(seconds=1.0, runs=2)
    for _ in range(2):  # the second time every run is there
        train(shipped_layout(BASE, 0), store, options, tmp_path, scan=None, log=lines.append)
    assert sum("ended after" in line for line in lines) == 2
    one, other, mean = (read_weights(tmp_path / f"{n}.npz") for n in ("run-1", "run-2", "mean"))
    name = "to_eighth.lateral.weight"
    assert not torch.equal(one[name], other[name])
    torch.testing.assert_close(mean[name], (one[name] + other[name]) / 2)
