"""Rows of the three articles that rilievo began with, against computations by their descriptions.

El Banani et al., "Probing the 3D Awareness of Visual Foundation Models", with two toy networks;
Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation" (Monodepth2); FiftyOne's
tutorial "Monocular Depth Estimation". Where an article's own code fails, the test says how.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rilievo.data.datasets import open_dataset
from rilievo.evaluation.metrics.depth import DEPTH_METRICS
from rilievo.evaluation.metrics.metric import value
from rilievo.evaluation.metrics.normals import NORMAL_METRICS
from rilievo.evaluation.metrics.pairs import DepthPair, NormalsPair
from rilievo.evaluation.views.fiftyone import thumbnail_embedding
from rilievo.evaluation.views.rows import write_row
from rilievo.evaluation.views.targets import open_targets
from rilievo.evaluation.views.view_options import SourceOptions, ViewOptions
from rilievo.geometry.transforms import rigid, rotation_from_axis_angle
from rilievo.models import load_model
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth
from rilievo.training.commands.train_probe import parse_and_complete
from rilievo.training.losses.supervised import (
    angular_loss,
    angular_von_mises_fisher_loss,
    depth_objective,
)
from rilievo.training.losses.supervised_options import Losses
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.losses.view_synthesis import video_loss
from rilievo.training.losses.warped_frames import Views
from rilievo.training.networks.blueprint import DepthChoice, Readout, VideoBlueprint
from rilievo.training.networks.features import Box, Features
from rilievo.training.networks.probe_network import (
    BackboneWithProbe,
    backbone_from_blueprint,
    probe_from_blueprint,
)
from rilievo.training.networks.probes import DepthHead, Logits, load_probe3d_weights, make_probe
from rilievo.training.networks.video import video_networks
from rilievo.training.networks.video.depth_network import sigmoid_to_depth
from rilievo.training.networks.video.encoders import ResNetEncoder
from rilievo.training.networks.video.monodepth2_weights import read_official_checkpoint
from rilievo.training.networks.video.video_networks import make_networks
from rilievo.training.probe.probe_config import RunOptions
from rilievo.training.probe.probe_presets import with_overrides
from rilievo.training.probe.probe_run import train_probe
from rilievo.training.probe.probe_task import RateSchedule
from support.looked_at import write_run, write_sunrgbd
from support.official_checkpoints import (
    exact_state,
    plain_disparities,
    plain_features,
    plain_motion,
    write_checkpoint,
)
from support.plain_probe3d import (
    plain_bins,
    plain_gradient,
    plain_probe,
    plain_scale_invariant,
    random_state,
)
from support.replicate_calls import model as replicate_model
from support.replicate_calls import photo as replicate_photo
from support.replicate_calls import running_service
from support.replicate_server import Service
from support.scenes_to_score import scored
from support.tiny_checkpoints import Checkpoints, checkpoint, copied
from support.video_loss_by_hand import Recipe, loss_of, pyramid_of_bytes

__all__ = ["checkpoint", "running_service"]

CHANNELS = (3, 4, 5, 6)


def random_numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Probing the 3D Awareness of Visual Foundation Models


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("kind", ["linear", "multiscale", "dpt"])
def test_probes_of_both_kernels_read_frozen_features(kind: str, kernel: int) -> None:
    torch.manual_seed(0)
    hidden = None if kind == "linear" else 8
    probe = make_probe(kind, CHANNELS, 0, 256, preset="probe3d", hidden=hidden, kernel=kernel)
    state = random_state(kind, CHANNELS, 256, 8, kernel)
    load_probe3d_weights(probe.double(), state)
    maps = tuple(torch.randn(1, c, 8, 9, dtype=torch.float64) for c in CHANNELS)
    box = Box(top=0, left=0, height=112, width=126)
    logits = probe.logits(Features(maps=maps, tokens=None, padded=(112, 126), box=box))
    plain = plain_probe(kind, state, maps)
    for readout, expected in (
        (Readout.EXPECTATION, plain_bins(plain, 0.001, 10.0)),
        (Readout.MOST_PROBABLE, 0.001 + plain.relu().argmax(dim=1) * (9.999 / 255)),
    ):
        head = DepthHead(DepthChoice(readout=readout)).eval()
        resized = F.interpolate(
            expected.double()[:, None], size=(112, 126), mode="bilinear", align_corners=True
        )
        torch.testing.assert_close(head(logits, (112, 126)), resized[:, 0], rtol=0, atol=2e-6)


def test_256_bins_are_read_by_expectation_or_by_the_most_probable() -> None:
    values = random_numbers(1, 256, 4, 5) - 0.2
    box = Box(top=0, left=0, height=4, width=5)
    logits = Logits(
        values=values, scale=1, upsampling_mode="corners", padded=(4, 5), box=box, crop=False
    )
    expected, best = torch.zeros(4, 5).double(), torch.zeros(4, 5).double()
    for row in range(4):
        for column in range(5):
            shares = [max(float(each), 0) + 0.1 for each in values[0, :, row, column]]
            centres = [0.001 + (10 - 0.001) * bin / 255 for bin in range(256)]
            pairs = list(zip(shares, centres, strict=True))
            expected[row, column] = sum(s * c for s, c in pairs) / sum(shares)
            best[row, column] = max(pairs, key=lambda pair: pair[0])[1]
    head = DepthHead(DepthChoice()).eval()
    torch.testing.assert_close(head(logits, (4, 5))[0], expected, rtol=1e-12, atol=0)
    head = DepthHead(DepthChoice(readout=Readout.MOST_PROBABLE)).eval()
    torch.testing.assert_close(head(logits, (4, 5))[0], best, rtol=1e-12, atol=0)


def test_losses_of_depth_and_of_normals_are_those_of_the_paper() -> None:
    predicted, true = 1 + random_numbers(2, 9, 8), 1 + random_numbers(2, 9, 8, seed=1)
    true[:, 2:4, 3] = 0
    valid = true > 0
    by_hand = 10 * plain_scale_invariant(predicted, true, valid)
    by_hand = by_hand + 0.5 * plain_gradient(predicted, true, valid)
    torch.testing.assert_close(depth_objective(predicted, true, Losses()), by_hand)

    normals = F.normalize(random_numbers(1, 3, 6, 7) - 0.5, dim=1)
    other = F.normalize(random_numbers(1, 3, 6, 7, seed=1) - 0.5, dim=1)
    kappa, mask = 0.01 + 3 * random_numbers(1, 6, 7, seed=2), random_numbers(1, 6, 7, seed=3) > 0.3
    angles, likelihoods = [], []
    for row, column in mask[0].nonzero().tolist():
        cosine = float((normals[0, :, row, column] * other[0, :, row, column]).sum())
        angle, k = math.acos(max(-0.9999, min(0.9999, cosine))), float(kappa[0, row, column])
        angles.append(angle)
        likelihoods.append(k * angle + math.log(1 + math.exp(-k * math.pi)) - math.log(k * k + 1))
    assert float(angular_loss(normals, other, mask)) == pytest.approx(np.mean(angles))
    loss = angular_von_mises_fisher_loss(normals, kappa, other, mask)
    assert float(loss) == pytest.approx(np.mean(likelihoods))


def test_the_learning_rate_rises_for_1_5_epochs_and_falls_by_a_cosine() -> None:
    words = ["-b", "timm/vit", "--root", "data", "-o", "run", "--preset"]
    for preset, form in (
        ("probe3d", lambda r: 0.01 + 0.99 * math.cos(math.pi / 2 * r)),
        ("default", lambda r: 0.5 * (1 + math.cos(math.pi * r))),
    ):
        config = parse_and_complete("probe", [*words, preset])[1]
        assert (config.learning_rate, config.weight_decay) == (5e-4, 0.01)
        for step in range(0, 200):
            rise = 0.01 + 0.99 * step / 30
            expected = rise if step < 30 else form((step - 30) / 170)
            assert RateSchedule.from_config(config, epoch_steps=20).factor(step) == pytest.approx(
                expected
            )


def test_metrics_are_means_over_the_pixels_of_an_image() -> None:
    dice = np.random.default_rng(0)
    true, predicted = dice.uniform(1, 5, (20, 30)), dice.uniform(1, 5, (20, 30))
    valid = dice.random((20, 30)) > 0.3
    pair = DepthPair(predicted=predicted, true=true, valid=valid)
    ratio = np.maximum(true / predicted, predicted / true)[valid]
    for power in (1, 2, 3):
        found = value(DEPTH_METRICS[f"delta{power}"], pair)
        assert found == pytest.approx(np.mean(ratio < 1.25**power))
    rmse = np.sqrt(np.mean((true - predicted)[valid] ** 2))
    assert value(DEPTH_METRICS["rmse"], pair) == pytest.approx(rmse)
    normals, other = dice.normal(size=(2, 3, 20, 30))
    cosine = (normals * other).sum(0) / np.linalg.norm(normals, axis=0)
    angles = np.degrees(np.arccos(cosine / np.linalg.norm(other, axis=0)))[valid]
    turned = NormalsPair(predicted=normals, true=other, valid=valid)
    for name, expected in (
        ("rmse", np.sqrt(np.mean(angles**2))),
        ("within_11_25", np.mean(angles < 11.25)),
        ("within_22_5", np.mean(angles < 22.5)),
        ("within_30", np.mean(angles < 30)),
    ):
        assert value(NORMAL_METRICS[name], turned) == pytest.approx(expected)


def test_the_toy_networks_fail_as_printed() -> None:
    """The size of a tensor is taken by an index, and (2, 1) numbers are compared with five axes."""
    size: Any = torch.zeros(3, 128, 128).size
    with pytest.raises(TypeError, match="not subscriptable"):
        size[1]
    with pytest.warns(UserWarning, match="target size"), pytest.raises(RuntimeError):
        nn.MSELoss()(torch.zeros(2, 1), torch.zeros(2, 1, 1, 128, 128))


@pytest.mark.parametrize(("network", "task"), [("depth-cnn", "depth"), ("normal-cnn", "normals")])
def test_the_toy_loop_trains_to_the_same_weights(tmp_path: Path, network: str, task: str) -> None:
    """Mended so that it runs: mean squared errors, Adam at 0.001, batches of two, in order."""
    dice, images, truths = np.random.default_rng(0), [], []
    for name in ("images", "depth", "normals"):
        (tmp_path / name).mkdir()
    for number in range(4):
        images.append(dice.integers(0, 256, (32, 48, 3), np.uint8))
        millimetres = dice.integers(500, 9000, (32, 48)).astype(np.uint16)
        normals = np.zeros((32, 48, 3), np.float32)
        normals[..., number % 3] = -1
        Image.fromarray(images[-1]).save(tmp_path / f"images/{number}.png")
        Image.fromarray(millimetres).save(tmp_path / f"depth/{number}.png")
        np.save(tmp_path / f"normals/{number}.npy", normals)
        metres = (millimetres / 1000).astype(np.float32)
        truths.append(metres if task == "depth" else normals.transpose(2, 0, 1))
    words = ["--root", str(tmp_path), "-o", "run", "--network", network, "--weights", "random"]
    words += ["--task", task, "--preset", "plain", "--size", "32,48", "--epochs", "3"]
    config = with_overrides(parse_and_complete("supervised", words)[1], {"shuffle": False})
    train_probe(config, tmp_path / "run", RunOptions(device="cpu", shown=False))

    backbone = backbone_from_blueprint(config.blueprint)
    probe = probe_from_blueprint(config.blueprint, backbone, seed=config.seed)
    probed = BackboneWithProbe(config.blueprint, backbone, probe).train().requires_grad_(True)
    optimizer, criterion = torch.optim.Adam(probed.parameters(), lr=0.001), nn.MSELoss()
    for _ in range(3):
        for batch in ((0, 1), (2, 3)):
            pixels = torch.tensor(np.stack([images[each] for each in batch]))
            answer = probed(pixels.permute(0, 3, 1, 2).float() / 255)
            output = answer.depth if task == "depth" else answer.normals
            loss = criterion(output, torch.tensor(np.stack([truths[each] for each in batch])))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    trained = load_model(tmp_path / "run", device="cpu", engine="torch").network.probed
    for name, tensor in probed.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)


# Digging Into Self-Supervised Monocular Depth Estimation


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("resnet18", 1),
        ("resnet18", 2),
        ("resnet34", 1),
        ("resnet50", 2),
        ("resnet101", 1),
        ("resnet152", 1),
    ],
)
def test_features_of_every_resnet_over_one_frame_and_over_two(name: str, frames: int) -> None:
    encoder = ResNetEncoder(name, colours=3 * frames).eval().double()
    image = random_numbers(1, 3 * frames, 32, 64)
    with torch.no_grad():
        found = encoder(image)
        expected = plain_features(encoder.state_dict(), name, image)  # pyright: ignore
    for mine, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-9, atol=1e-9)


def test_a_state_dict_gives_four_scales_and_a_motion(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, size=(64, 96))
    networks = make_networks(
        read_official_checkpoint(tmp_path).blueprint, offsets=(-1, 1), seed=3, start=str(tmp_path)
    )
    networks = networks.eval().double()
    earlier, later = random_numbers(1, 3, 64, 96), random_numbers(1, 3, 64, 96, seed=1)
    expected = plain_disparities(
        exact_state(tmp_path, "encoder.pth"),
        exact_state(tmp_path, "depth.pth"),
        earlier,
        name="resnet18",
        scales=(0, 1, 2, 3),
    )
    maps = plain_features(
        exact_state(tmp_path, "pose_encoder.pth"), "resnet18", torch.cat([earlier, later], 1)
    )
    motion = plain_motion(exact_state(tmp_path, "pose.pth"), [maps[-1]])
    with torch.no_grad():
        for scale, found in enumerate(networks.depth(earlier)):
            torch.testing.assert_close(found, expected[scale], rtol=0, atol=1e-9)
        for mine, plain in zip(networks.pose(earlier, later), motion, strict=True):
            torch.testing.assert_close(mine, plain, rtol=1e-9, atol=1e-12)


def test_the_first_kernel_is_repeated_and_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    create: Any = timm.create_model
    published = create("resnet18", pretrained=False)
    monkeypatch.setattr(
        timm,
        "create_model",
        lambda name, **options: published if options.get("pretrained") else create(name, **options),
    )
    networks = make_networks(VideoBlueprint(size=(64, 96)), offsets=(-1, 1), seed=0)
    assert video_networks.fill_from_start(networks, "imagenet") == ()
    kernel = networks.pose.encoder.encoder.conv1.weight
    torch.testing.assert_close(kernel[:, :3], published.conv1.weight / 2, rtol=0, atol=0)
    torch.testing.assert_close(kernel[:, 3:], published.conv1.weight / 2, rtol=0, atol=0)


def test_a_sigmoid_is_inverse_depth_between_0_01_and_10() -> None:
    sigmoid = random_numbers(50)
    expected = 1 / (0.01 + (10 - 0.01) * sigmoid)
    torch.testing.assert_close(sigmoid_to_depth(sigmoid, VideoBlueprint()), expected)


def test_the_loss_has_minimum_reprojection_automask_and_smoothness() -> None:
    """A target and two sources, four scales, against NumPy, SciPy and OpenCV."""
    dice = np.random.default_rng(0)
    K = np.array([[20.0, 0, 11.2], [0, 22.0, 7.9], [0, 0, 1]])
    pyramids = [pyramid_of_bytes(dice.integers(0, 256, (16, 24, 3), np.uint8)) for _ in range(3)]
    motion = [
        rigid(rotation_from_axis_angle(dice.normal(0, 0.03, 3)), dice.normal(0, 0.05, 3))
        for _ in range(2)
    ]
    sigmoids = [dice.uniform(0, 0.2, (16 >> scale, 24 >> scale)) for scale in range(4)]
    target, *sources = (
        tuple(torch.tensor(level).permute(2, 0, 1)[None] for level in pyramid)
        for pyramid in pyramids
    )
    views = Views(
        target=target[0],
        sources=tuple(source[0] for source in sources),
        target_seen=target[0],
        sources_seen=tuple(each[0] for each in sources),
        pyramid=target,
        source_pyramids=tuple(sources),
        K=torch.tensor(K)[None],
        source_T_target=(None, None),
    )
    found = video_loss(
        views,
        tuple(torch.tensor(sigmoid)[None, None] for sigmoid in sigmoids),
        tuple(torch.tensor(each)[None] for each in motion),
        min_depth=0.1,
        max_depth=100.0,
        scales=(0, 1, 2, 3),
        options=VideoLosses(in_front=False),
        generator=None,
    )
    expected = loss_of(pyramids, K, motion, sigmoids, Recipe())
    assert float(found.total) == pytest.approx(expected, rel=1e-6)


# Monocular Depth Estimation with FiftyOne


def test_scenes_are_read_by_their_own_bits(tmp_path: Path) -> None:
    write_sunrgbd(tmp_path, scenes=3)
    dataset = open_dataset("sunrgbd", tmp_path / "kv1/NYUdata", split="all", variant="bfx")
    assert len(dataset.ids) == 3
    for id, path in zip(dataset.ids, sorted(tmp_path.rglob("depth_bfx/*.png")), strict=True):
        with Image.open(path) as image:
            stored = np.asarray(image).astype(np.uint32)
        turned = (stored >> 3 | stored << 13) & 0xFFFF
        np.testing.assert_allclose(dataset.truth(id).depth, turned / 1000, atol=1e-6)


def grey(numbers: np.ndarray, *, turned: bool) -> np.ndarray:
    """Grey levels by a map's own maximum; the tutorial's own wrap around below 0."""
    share = numbers.astype(np.float64) * 255 / np.max(numbers)
    return np.clip(255 - share if turned else share, 0, 255).astype(np.uint8)


def ssim_by_hand(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al. 2004 over all whole windows of 7 x 7, with sample variances."""
    windows = [
        np.lib.stride_tricks.sliding_window_view(each.astype(np.float64), (7, 7)).reshape(-1, 49)
        for each in (x, y)
    ]
    a, b = (window.mean(1) for window in windows)
    va, vb = (each.var(1, ddof=1) for each in windows)
    both = ((windows[0] - a[:, None]) * (windows[1] - b[:, None])).sum(1) / 48
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(
        np.mean((2 * a * b + c1) * (2 * both + c2) / ((a**2 + b**2 + c1) * (va + vb + c2)))
    )


def scores_by_hand(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """RMSE, PSNR and SSIM of two pictures of grey levels."""
    square = np.mean((predicted.astype(np.float64) - true.astype(np.float64)) ** 2)
    return {
        "rmse": math.sqrt(square),
        "psnr": 10 * math.log10(255**2 / square),
        "ssim": ssim_by_hand(predicted, true),
    }


def truth_of(stored: np.ndarray) -> Truth:
    depth = (stored / 1000).astype(np.float32)
    return Truth(id="a", depth=depth, depth_valid=stored > 0)


def test_a_local_dpt_is_resized_turned_and_scored(checkpoint: Checkpoints, tmp_path: Path) -> None:
    """Resized bicubically; the tutorial's own grey levels wrap around where ours are clamped."""
    transformers = pytest.importorskip("transformers")
    folder = copied(checkpoint("dpt"), tmp_path / "dpt")
    weights = load_file(folder / "model.safetensors")
    # Random weights alone answer nothing above zero.
    weights["head.head.4.weight"] *= 100
    weights["head.head.4.bias"] += 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    dice = np.random.default_rng(0)
    photo = np.kron(dice.integers(0, 256, (6, 8, 3), np.uint8), np.ones((15, 15, 1), np.uint8))
    stored = dice.integers(500, 8000, photo.shape[:2]).astype(np.uint16)
    network = transformers.AutoModelForDepthEstimation.from_pretrained(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.inference_mode():
        said = network(**processor(images=photo, return_tensors="pt")).predicted_depth
    output = F.interpolate(said[:, None], size=photo.shape[:2], mode="bicubic")[0, 0].numpy()
    assert np.ptp(output) > 0.1 * output.max() > 0
    model = load_model(folder, kind="affine_inverse", engine="torch")
    [prediction] = model.predict_raw([photo])
    found = scored("sunrgbd-article", prediction.depth, truth_of(stored)).score.values
    expected = scores_by_hand(grey(output, turned=True), grey(stored, turned=False))
    # Grey levels at a cut differ by rounding.
    assert found["rmse"] == pytest.approx(expected["rmse"], abs=2e-2)
    assert found["ssim"] == pytest.approx(expected["ssim"], abs=1e-3)


def test_an_answer_of_replicate_is_turned_and_scored(service: Service) -> None:
    """The grey picture from far to near is scored as 255 less itself, as the tutorial has it."""
    photo = replicate_photo()
    [prediction] = replicate_model(DepthKind.AFFINE_INVERSE).predict_raw([photo])
    ramp = np.broadcast_to(np.arange(64) * 4, (48, 64)).astype(np.uint8)
    np.testing.assert_allclose(prediction.depth.values * 255, ramp, atol=1e-4)
    stored = np.random.default_rng(0).integers(500, 8000, (48, 64)).astype(np.uint16)
    found = scored("sunrgbd-article", prediction.depth, truth_of(stored)).score.values
    expected = scores_by_hand(grey(ramp, turned=True), grey(stored, turned=False))
    assert found == pytest.approx(expected, rel=1e-6)


def test_rmse_psnr_and_ssim_are_those_of_the_tutorials_pictures() -> None:
    dice = np.random.default_rng(3)
    stored = dice.integers(500, 8000, (40, 60)).astype(np.uint16)
    stored[dice.random(stored.shape) < 0.1] = 0
    output = dice.uniform(0, 2000, stored.shape).astype(np.float32)
    predicted = DepthMap(values=output, kind=DepthKind.AFFINE_INVERSE)
    found = scored("sunrgbd-article", predicted, truth_of(stored)).score.values
    expected = scores_by_hand(grey(output, turned=True), grey(stored, turned=False))
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_metric_is_called_by_the_run_and_its_name(tmp_path: Path) -> None:
    run = write_run(tmp_path, "some/model").rename(tmp_path / "dpt")
    items = open_targets([run], SourceOptions())
    rows = [write_row(items, id, tmp_path / "view") for id in items.ids]
    scores = items.columns[0].scores
    assert {row.id: row.numbers["dpt.rmse"] for row in rows} == {
        id: score.values["rmse"] for id, score in scores.items()
    }
    assert all("dpt" in row.maps for row in rows)


@pytest.mark.filterwarnings("ignore")
def test_the_mean_of_a_runs_metric_is_asked_as_in_the_tutorial(tmp_path: Path) -> None:
    pytest.importorskip("fiftyone", reason="FiftyOne is not installed: make test-view")
    import fiftyone

    from rilievo.evaluation.views.fiftyone import fill_view

    run = write_run(tmp_path, "some/model").rename(tmp_path / "dpt")
    name = f"articles {tmp_path.name}"
    viewed = fill_view([run], None, ViewOptions(name=name, output=tmp_path / "view"), show=False)
    dataset = fiftyone.load_dataset(viewed.name)
    scores = open_targets([run], SourceOptions()).columns[0].scores.values()
    expected = np.mean([score.values["rmse"] for score in scores])
    assert dataset.mean("dpt.rmse") == pytest.approx(expected)
    fiftyone.delete_dataset(name)


def test_the_brain_compares_mean_colours_of_16_by_16_cells(tmp_path: Path) -> None:
    """Index and uniqueness are tested with the other datasets of FiftyOne."""
    cells = np.random.default_rng(0).integers(0, 256, (16, 3, 16, 4, 3), np.uint8)
    Image.fromarray(cells.reshape(48, 64, 3)).save(tmp_path / "photo.png")
    expected = cells.astype(float).mean(axis=(1, 3)).ravel() / 255
    found = thumbnail_embedding(str(tmp_path / "photo.png"))
    np.testing.assert_allclose(found, expected, atol=1.01 / 255)  # rounded along each axis
