"""Training on from an ONNX file of the network."""

from pathlib import Path

import pytest
import torch

from lab.making.distil.distil_config import Stage
from lab.making.distil.frames.frame_batches import Mix, make_batch
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.distil.measured_norms import measure_statistics
from lab.making.distil.small_export import Provenance, export_small
from rilievo.errors import InputError
from rilievo.models.default.embedded import embedded_file
from rilievo.models.onnx_files.file_writing import write_fp16_weights
from rilievo.system.telemetry import import_onnxruntime
from rilievo.training.networks.small import BASE, SMALL, SmallNet, Widths, double_bilinearly
from rilievo.training.networks.small_weights import fill_from_onnx
from support.network_numbers import assert_networks_agree

WIDTHS = Widths(blocks=13, decoder=(16, 12, 8, 8))


def settled(seed: int) -> SmallNet:
    """A network whose normalisations have statistics and scales of their own."""
    torch.manual_seed(seed)
    network = SmallNet(WIDTHS)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for name, (low, high) in {
                "running_mean": (-0.5, 0.5), "running_var": (0.5, 2.0), "weight": (0.5, 1.5),
                "bias": (-0.2, 0.2),
            }.items():  # fmt: skip
                torch.nn.init.uniform_(module.state_dict()[name], low, high)
    return network.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "small.onnx"
    export_small(settled(0), path, Provenance(name="settled", trained_on="nothing"))
    return path


IMAGE = torch.randint(
    0, 256, (2, 64, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)


@torch.no_grad()
def test_a_network_read_from_its_file_says_the_same(exported: Path) -> None:
    network = settled(1)
    fill_from_onnx(network, exported)
    for mine, theirs in zip(network.eval()(IMAGE), settled(0)(IMAGE), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
def test_weights_in_16_bits_are_read_too(exported: Path, tmp_path: Path) -> None:
    write_fp16_weights(exported, tmp_path / "half.onnx")
    network = settled(1)
    fill_from_onnx(network, tmp_path / "half.onnx")
    difference = network.eval()(IMAGE).log_depth - settled(0)(IMAGE).log_depth
    assert 0 < difference.abs().max() < 0.05


@torch.no_grad()
def test_measured_statistics_change_no_output_and_hold_in_training(
    exported: Path, shards: Path
) -> None:
    mix = Mix(
        source=ShardPool(shards, outdoors=0.0),
        stage=Stage(until=1.0, areas=(6144,)),
        size=8,
    )
    batches = [make_batch(mix, seed=0, number=number) for number in range(3)]
    network = settled(1)
    fill_from_onnx(network, exported)
    before = network.eval()(batches[0].image).log_depth
    unmeasured = network.train()(batches[0].image).log_depth
    fill_from_onnx(network, exported)
    measure_statistics(network, (batch.image for batch in batches))
    after = network.eval()(batches[0].image).log_depth
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    training = network.train()(batches[0].image).log_depth
    assert (training - before).abs().mean() < 0.5 * (unmeasured - before).abs().mean()


def test_files_of_other_networks_are_refused_by_name(exported: Path, tmp_path: Path) -> None:
    wider = SmallNet(Widths(blocks=13, decoder=(24, 12, 8, 8)))
    with pytest.raises(InputError, match=r"small\.onnx: .* do not match this network"):
        fill_from_onnx(wider, exported)
    with pytest.raises(InputError, match=r"base\.onnx: .* do not match this network"):
        fill_from_onnx(SmallNet(BASE), embedded_file("rilievo/base"))
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(InputError, match=r"broken\.onnx: is not a network that rilievo exported"):
        fill_from_onnx(wider, broken)
    with pytest.raises(InputError, match=r"absent\.onnx"):
        fill_from_onnx(wider, tmp_path / "absent.onnx")


@torch.no_grad()
def test_an_embedded_file_in_8_bits_is_read() -> None:
    """Weights are steps and sizes; of a network without sky, its layers stay as they are."""
    path = embedded_file("rilievo/small")
    torch.manual_seed(0)
    network = SmallNet(SMALL)
    untaught = {name: value.clone() for name, value in network.sky.state_dict().items()}
    fill_from_onnx(network, path)
    surface = network.eval()(IMAGE)
    session = import_onnxruntime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(names, {"image": IMAGE.numpy()})
    answer = dict(zip(names, map(torch.from_numpy, outputs), strict=True))
    centred = surface.log_depth - surface.log_depth.mean(dim=(1, 2), keepdim=True)
    assert_networks_agree(centred, answer["depth"].log(), median=1e-5, tolerance=1e-4, limit=0.05)
    mine = torch.nn.functional.normalize(double_bilinearly(surface.normals), dim=1)
    assert_networks_agree(mine, answer["normals"], median=1e-5, tolerance=1e-4, limit=0.1)
    for name, value in network.sky.state_dict().items():
        assert torch.equal(value, untaught[name]), name
