"""Marigold pipelines that are trained further: the real classes of diffusers, small weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from rilievo.cli import main
from rilievo.errors import InputError, OptionError
from rilievo.models import load_model
from rilievo.training.adapters.run_models import PIPELINE_FOLDER, WEIGHTS
from rilievo.training.networks import latent_network
from rilievo.training.networks.latent_network import LatentNetwork, layered_noise
from rilievo.training.probe.probe_config import DataChoice, RunOptions
from rilievo.training.tuning.library_folders import write_library_config, write_run_weights
from rilievo.training.tuning.network_layers import network_layers
from rilievo.training.tuning.start_models import open_start_model
from rilievo.training.tuning.tuning_config import TuningConfig, TuningOptions
from rilievo.training.tuning.tuning_run import fine_tune
from support.rooms_with_boxes import HEIGHT, WIDTH, rooms_with_boxes
from support.tiny_pipelines import save_pipeline

CPU = RunOptions(device="cpu", shown=False)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rooms_with_boxes(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def pipeline(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_pipeline(tmp_path_factory.mktemp("pipelines") / "depth")
    teach_to_encode(folder / "vae", root)
    return folder


def teach_to_encode(folder: Path, root: Path) -> None:
    """Train an autoencoder for a second on depth, so that its latents state depth."""
    import diffusers

    vae = diffusers.AutoencoderKL.from_pretrained(folder, low_cpu_mem_usage=False)
    maps = [Image.open(path).resize((32, 24)) for path in sorted((root / "depth").glob("*.png"))]
    depth = torch.from_numpy(np.stack([np.asarray(each, np.float32) for each in maps]))
    depth = (depth - depth.min()) / (depth.max() - depth.min()) * 2 - 1
    images = depth[:, None].expand(-1, 3, -1, -1)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        latents = vae.encode(images).latent_dist.mode()
        (vae.decode(latents).sample - images).square().mean().backward()
        optimizer.step()
    vae.register_to_config(scaling_factor=float(1 / latents.detach().std()))
    vae.save_pretrained(folder)


def config_of(root: Path, start: Path, epochs: int = 12, **tuning: object) -> TuningConfig:
    options = {"layer_rate": 1.0, "average": 0.5, "patience": epochs, **tuning}
    return TuningConfig(
        data=DataChoice(root=str(root)),
        tuning=TuningOptions(start=str(start), **options),  # pyright: ignore[reportArgumentType]
        epochs=epochs,
        batch_size=4,
        learning_rate=1e-2,
    )


@pytest.mark.slow
def test_the_error_falls_the_run_resumes_to_the_bit_and_diffusers_loads_it(
    pipeline: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import diffusers

    config = config_of(root, pipeline)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    record = fine_tune(config, whole, CPU)
    assert record is not None
    assert record.best_step > 0
    assert record.kept_out.after < 0.5 * record.kept_out.before
    assert fine_tune(config, cut, replace(CPU, stop_at=5)) is None
    # A run that was stopped is a model already.
    assert load_model(cut, device="cpu").kind == "affine"
    fine_tune(config, cut, replace(CPU, resume=True))
    first, second = (load_file(each / "weights.safetensors") for each in (whole, cut))
    assert all(torch.equal(first[name], second[name]) for name in first)

    # Only the U-Net has learned; diffusers loads the folder, and answers as the run does.
    theirs = diffusers.DiffusionPipeline.from_pretrained(
        whole / "diffusers", low_cpu_mem_usage=False
    )
    theirs.set_progress_bar_config(disable=True)
    for name, weights in theirs.unet.state_dict().items():
        assert torch.equal(weights, first[f"unet.{name}"]), name
    before = load_file(pipeline / "vae" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(before[name], each) for name, each in theirs.vae.state_dict().items())
    photo = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    (answer,) = load_model(whole, device="cpu").predict_raw([photo])
    expected = theirs(photo, generator=torch.Generator().manual_seed(0)).prediction[0, ..., 0]
    np.testing.assert_allclose(answer.depth.values, expected, atol=1e-5)
    assert main(["export", str(whole), "-o", str(tmp_path / "tuned.onnx")]) == 2
    assert f"load {whole / 'diffusers'}" in capsys.readouterr().err
    # A run goes on from a run.
    again = fine_tune(config_of(root, whole, epochs=1), tmp_path / "again", CPU)
    assert again is not None
    assert again.kept_out.before == pytest.approx(record.kept_out.after)


@pytest.mark.slow
def test_a_run_that_ended_before_its_first_checkpoint_leaves_no_pipeline_to_the_next(
    pipeline: Path, root: Path, tmp_path: Path
) -> None:
    folder = rooms_with_boxes(tmp_path / "empty", count=4)
    for path in (folder / "depth").glob("*.png"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16)).save(path)
    other, run = save_pipeline(tmp_path / "other"), tmp_path / "run"
    with pytest.raises(InputError, match="none of the held-out images"):
        fine_tune(config_of(folder, other), run, CPU)
    name = f"{PIPELINE_FOLDER}/vae/diffusion_pytorch_model.safetensors"
    assert (run / name).read_bytes() == (other / name.partition("/")[2]).read_bytes()
    assert fine_tune(config_of(root, pipeline, epochs=1), run, CPU) is not None
    first, second = (
        load_file(each / "vae" / Path(name).name) for each in (run / PIPELINE_FOLDER, pipeline)
    )
    assert all(torch.equal(first[key], second[key]) for key in second)


def network_of(pipeline: Path) -> LatentNetwork:
    network = open_start_model(str(pipeline)).network
    assert isinstance(network, LatentNetwork)
    return network


def loss_of(network: LatentNetwork, target: torch.Tensor, valid: torch.Tensor) -> float:
    torch.manual_seed(3)
    image = torch.zeros(*target.shape, 3, dtype=torch.uint8)
    with torch.no_grad():
        return float(network(image, target, valid))


@pytest.mark.parametrize("ends_in_noise", [False, True], ids=["paper", "later program"])
def test_the_loss_is_that_of_the_authors_program_by_hand(
    pipeline: Path, ends_in_noise: bool
) -> None:
    """The later program leaves no signal at the last time, and its pipelines say so."""
    import diffusers

    own = network_of(pipeline).pipeline
    own.scheduler = diffusers.DDIMScheduler.from_config(
        own.scheduler.config, rescale_betas_zero_snr=ends_in_noise
    )
    network = LatentNetwork(own)
    depth = torch.rand(2, 16, 24, generator=torch.Generator().manual_seed(1)) + 1
    valid = torch.ones_like(depth, dtype=torch.bool)
    valid[0, :5, :7] = False
    found = loss_of(network, depth, valid)

    torch.manual_seed(3)
    parts = network.pipeline
    placed = []
    for values, known in zip(depth.double(), valid, strict=True):
        low, high = np.percentile(values[known].numpy(), (2, 98))
        placed.append(((values - low) / (high - low) * 2 - 1).clip(-1, 1))
    maps = torch.stack(placed).float()[:, None].repeat(1, 3, 1, 1)
    scale = parts.vae.config.scaling_factor
    with torch.no_grad():
        photo = parts.vae.encode(torch.full_like(maps, -1.0)).latent_dist.mean * scale
        answer = parts.vae.encode(maps).latent_dist.mean * scale
        times = torch.randint(0, 1000, (2,))
        noise = layered_noise(answer, 0.9 * times / 1000)
        betas = torch.linspace(0.0001**0.5, 0.02**0.5, 1000) ** 2
        signal = torch.cumprod(1 - betas, dim=0).sqrt()
        if ends_in_noise:
            signal = (signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])
        cumulated = signal.square()[times].reshape(-1, 1, 1, 1)
        noisy = cumulated.sqrt() * answer + (1 - cumulated).sqrt() * noise
        velocity = cumulated.sqrt() * noise - (1 - cumulated).sqrt() * answer
        tokens = parts.tokenizer("", return_tensors="pt").input_ids
        words = parts.text_encoder(tokens)[0].repeat(2, 1, 1)
        predicted = parts.unet(torch.cat([photo, noisy], 1), times, words).sample
    squared = (predicted - velocity).square()
    whole = torch.ones_like(squared, dtype=torch.bool)
    whole[0, :, :3, :4] = False  # each latent pixel has 2 x 2 pixels
    assert found == pytest.approx(float(squared[whole].mean()), rel=1e-5)


def test_pixels_without_truth_and_images_without_any_do_not_count(pipeline: Path) -> None:
    network, depth = network_of(pipeline), torch.rand(1, 16, 24) + 1
    valid = torch.ones_like(depth, dtype=torch.bool)
    alone = loss_of(network, depth, valid)
    empty = torch.zeros_like(valid)
    assert loss_of(network, depth.repeat(2, 1, 1), torch.cat([valid, empty])) == alone
    lone = empty.clone()
    lone[0, 3, 3] = True  # no patch is whole
    assert loss_of(network, depth, lone) == 0


def test_noise_has_several_resolutions_and_unit_deviation() -> None:
    like = torch.zeros(2, 4, 24, 32)
    torch.manual_seed(0)
    weak, strong = layered_noise(like, torch.tensor([0.0, 0.9]))
    assert torch.stack([weak, strong]).std() == pytest.approx(1)
    shares = [each.mean(dim=(1, 2)).abs().mean() / each.std() for each in (weak, strong)]
    assert shares[1] > 4 * shares[0], "strong noise has a mean"


def test_every_weight_of_the_unet_stands_in_one_layer(pipeline: Path) -> None:
    network = network_of(pipeline)
    layers = network_layers(network)
    assert len(layers.backbone) == len(layers.all) == 5
    listed = [id(each) for layer in layers.all for each in layer]
    assert sorted(listed) == sorted(id(each) for each in network.unet.parameters())


def test_a_pipeline_that_has_learned_stays_where_a_run_begins_again(
    pipeline: Path, tmp_path: Path
) -> None:
    network = network_of(pipeline)
    write_library_config(network, tmp_path)
    with torch.no_grad():
        next(network.unet.parameters()).add_(1)
    write_run_weights(network, tmp_path)
    path = tmp_path / PIPELINE_FOLDER / "unet" / "diffusion_pytorch_model.safetensors"
    learned = path.read_bytes()
    write_library_config(network_of(pipeline), tmp_path)
    assert path.read_bytes() == learned
    assert {part.name for part in tmp_path.iterdir()} == {PIPELINE_FOLDER, WEIGHTS}


def test_percentiles_of_more_values_than_pytorch_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_network, "_MAX_RANKED", 100)
    target = torch.linspace(0, 1, 1000)[None, None]
    [scaled] = latent_network._scale_percentiles_to_one(
        target, torch.ones_like(target, dtype=torch.bool)
    )
    assert float(scaled[0, 500]) == pytest.approx(0, abs=0.02)


def test_pipelines_that_cannot_be_trained_so_are_refused(tmp_path: Path) -> None:
    normals = save_pipeline(tmp_path / "normals", normals=True)
    with pytest.raises(OptionError, match="pipeline for normals"):
        open_start_model(str(normals))
    few = save_pipeline(tmp_path / "lcm", lcm=True)
    with pytest.raises(OptionError, match="distilled to a few steps"):
        open_start_model(str(few))


def test_replay_of_a_pipeline_is_refused_in_a_line(
    pipeline: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "supervised", "--root", str(root), "--start", str(pipeline)]
    command += ["-o", str(tmp_path / "run"), "--device", "cpu", "--dry-run", "--replay"]
    assert main([*command, "1"]) == 2
    error = capsys.readouterr().err
    assert "--replay cannot be used for a pipeline" in error
    assert error.count("\n") == 1
    assert main([*command, "0"]) == 0
