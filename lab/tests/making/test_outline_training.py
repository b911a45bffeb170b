"""Training of an outline head: frozen networks, target, losses, measures, and a short run."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from lab.making.outline_command import main
from lab.making.outline_faults import compressed, melted, photographed, turned
from lab.making.outline_frozen import read_frozen, write_frozen
from lab.making.outline_losses import aim_of, error_loss, facet_loss, fray_loss
from lab.making.outline_maps import borders_of, steps_of, window_means
from lab.making.outline_measures import outline_width, step_scores
from lab.making.outline_network import fuse
from lab.making.outline_target import outlined
from lab.making.outline_training import read_head
from rilievo.models.default.embedded import embedded_file

MODELS = embedded_file("rilievo/base").parent
_SIZE = (64, 128)


def _two_planes(size: tuple[int, int] = (96, 128)) -> torch.Tensor:
    true = torch.zeros(1, 1, *size)
    true[..., size[1] // 2 :] = 1.0
    return true


def _shards(folder: Path, count: int = 6) -> Path:
    folder.mkdir()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, *_SIZE, 3)).astype(np.uint8)
    logs = np.zeros((count, *_SIZE), np.float16)
    logs[:, 16:48, 32:96] = -1
    logs[:, :8] = np.inf
    np.savez(
        folder / "shard-00000.npz",
        image=images,
        log_depth=logs,
        normals=np.zeros((count, 3, *_SIZE), np.int8),
        focal=np.full(count, 100, np.float32),
    )
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frozen") / "base.npz"
    write_frozen(read_frozen(MODELS / "base.onnx", "base"), path)
    return path


def test_frozen_networks_agree_with_the_file(archive: Path) -> None:
    random = torch.Generator().manual_seed(0)
    image = F.interpolate(torch.rand(1, 3, 6, 8, generator=random), size=(384, 512)) * 255
    image = image.round()
    session = onnxruntime.InferenceSession(MODELS / "base.onnx")
    pixels = image[0].permute(1, 2, 0).byte().numpy()[None]
    depth, sky = session.run(["depth", "sky"], {"image": pixels})
    views = read_frozen(archive, "base")(image)
    fused = fuse(views.coarse, views.fine, views.sky)
    assert np.abs(fused[:, 0].numpy() - np.log(depth)).max() < 1e-4
    assert np.abs(views.sky[:, 0].numpy() - sky).max() < 1e-5


def test_folded_norms_change_nothing(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Conv2d, "half", lambda layer: layer)
    image = torch.rand(1, 3, *_SIZE) * 255
    plain, folded = read_frozen(archive, "base"), read_frozen(archive, "base").quicken()
    for one, other in zip(plain(image), folded(image), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_target_has_the_truth_s_outline_and_the_network_s_level() -> None:
    true = _two_planes()
    logs = window_means(true, 25) * 0.5 + 3
    target = outlined(logs, true)
    half = true.shape[-1] // 2
    assert float(target[..., : half - 1].max() - target[..., : half - 1].min()) < 0.1
    assert float(target[..., half].mean() - target[..., half - 1].mean()) > 0.3
    assert torch.allclose(target.mean(), logs.mean(), atol=0.05)


def test_land_beside_the_sky_is_continued_from_land() -> None:
    true = torch.zeros(1, 1, 96, 128)
    true[:, :, :48] = torch.inf
    logs = window_means(torch.where(torch.isfinite(true), 0.0, 2.0), 25)
    target = outlined(logs, true)
    assert float(target[:, :, 48:].max()) < 0.3
    assert torch.isfinite(target).all()


def test_ragged_outlines_and_facets_cost_more() -> None:
    true = _two_planes()
    land = torch.isfinite(true)
    aim = aim_of(true, land, steps_of(true, land), torch.rand(1, 3, 96, 128) * 255)
    ragged = true.clone()
    for row in range(0, 96, 4):
        ragged[..., row : row + 2, 60:64] = 1.0
    ramp = torch.linspace(0, 1, 128).expand(1, 1, 96, 128)
    smooth = aim._replace(target=ramp, smooth=land)
    strokes = (ramp * 8).round() / 8
    assert fray_loss(true, aim) < 1e-6 < fray_loss(ragged, aim)
    assert facet_loss(ramp, ramp, smooth) < 1e-6 < facet_loss(strokes, ramp, smooth)
    assert error_loss(true + 0.2, aim) > error_loss(true - 0.2, aim) > 0


def test_measures_of_a_sharp_and_a_melted_step() -> None:
    true = _two_planes((360, 480))
    soft = window_means(true, 25)
    assert outline_width(true[0, 0]) < 0.5 < outline_width(soft[0, 0])
    exact, melted_scores = step_scores(true, true), step_scores(soft, true)
    assert exact.f1 == pytest.approx(1)
    assert exact.abs_rel == pytest.approx(0)
    assert melted_scores.f1 < 0.5
    assert melted_scores.near_steps > melted_scores.abs_rel > 0


def test_turned_frames_keep_the_truth_s_values_and_follow_the_picture() -> None:
    torch.manual_seed(0)
    true = _two_planes(_SIZE).repeat(8, 1, 1, 1)
    image, depth = turned(true.repeat(1, 3, 1, 1), true)
    assert set(depth.unique().tolist()) == {0.0, 1.0}
    assert float((image.mean(dim=1, keepdim=True) - depth).abs().mean()) < 0.02


def test_faults_stay_pictures() -> None:
    torch.manual_seed(0)
    image = F.interpolate(torch.rand(8, 3, 8, 16), size=_SIZE, mode="bilinear") * 255
    seen = photographed(image)
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 255
    assert torch.equal(seen, seen.round())
    fine = compressed(image / 255, torch.full((8, 1, 1, 1), 90.0))
    coarse = compressed(image / 255, torch.full((8, 1, 1, 1), 20.0))
    errors = [float((each - image / 255).abs().mean()) for each in (fine, coarse)]
    assert errors[0] < errors[1] < 0.1


def test_melted_depth_differs_in_places_and_keeps_its_range() -> None:
    torch.manual_seed(0)
    true = _two_planes().repeat(4, 1, 1, 1)
    soft = melted(true, (9, 17), np.random.default_rng(0), share=1.0)
    assert 0 <= float(soft.min()) <= float(soft.max()) <= 1
    assert 0 < float((soft - true).abs().mean()) < 0.2


def test_borders_lie_on_both_sides() -> None:
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[..., 2:] = True
    assert borders_of(mask)[0, 0, 0].tolist() == [False, True, True, False]


@pytest.mark.parametrize("network", ["base", "small"])
def test_a_run_writes_weights_and_goes_on(
    network: str, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = archive if network == "base" else MODELS / "small.onnx"
    arguments = ["--shards", str(_shards(tmp_path / "shards")), "--start", str(start)]
    arguments += ["-o", str(tmp_path / "run"), "--network", network, "--size", "64,128"]
    arguments += ["--batch", "2", "--held-out", "2", "--device", "cpu"]
    arguments += ["--pick"] if network == "base" else []
    assert main([*arguments, "--seconds", "1"]) == 0
    head = read_head(tmp_path / "run/average.npz", network)
    assert (head.pick is not None) == (network == "base")
    assert main([*arguments, "--seconds", "2", "--resume"]) == 0
    lines = (tmp_path / "run/log.txt").read_text().splitlines()
    assert sum(line.startswith("begins at step 0") for line in lines) == 1
    assert "F1" in lines[-1]
    capsys.readouterr()
