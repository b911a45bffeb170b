"""Training of an outline head: frozen networks, target, losses, measures, and a short run."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from lab.making.fused_graph import refuse
from lab.making.gating import ungate
from lab.making.outline_command import main
from lab.making.outline_faults import compressed, melted, photographed, turned
from lab.making.outline_frames import Frames, read_photographs
from lab.making.outline_frozen import read_frozen, write_frozen
from lab.making.outline_head import head_arrays, read_head
from lab.making.outline_lessons import LessonStore, lesson_of, softened
from lab.making.outline_losses import (
    aim_of,
    error_loss,
    facet_loss,
    fray_loss,
    layout_loss,
    still_aim,
    still_loss,
)
from lab.making.outline_maps import borders_of, outlines_of, window_means
from lab.making.outline_measures import outline_width, step_scores
from lab.making.outline_network import fuse
from lab.making.outline_target import outlined
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
    write_frozen(read_frozen(MODELS / "base.onnx"), path)
    return path


def test_frozen_networks_agree_with_the_file(archive: Path) -> None:
    random = torch.Generator().manual_seed(0)
    image = F.interpolate(torch.rand(1, 3, 6, 8, generator=random), size=(384, 512)) * 255
    image = image.round()
    model = refuse(ungate(onnx.load(str(MODELS / "base.onnx"))))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    pixels = image[0].permute(1, 2, 0).byte().numpy()[None]
    depth, sky = session.run(["depth", "sky"], {"image": pixels})
    views = read_frozen(archive)(image)
    fused = fuse(views.coarse, views.fine, views.sky)
    assert np.abs(fused[:, 0].numpy() - np.log(depth)).max() < 1e-4
    assert np.abs(views.sky[:, 0].numpy() - sky).max() < 1e-5


def test_folded_norms_change_nothing(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Conv2d, "half", lambda layer: layer)
    image = torch.rand(1, 3, *_SIZE) * 255
    plain, folded = read_frozen(archive), read_frozen(archive).quicken()
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
    aim = aim_of(true, land, outlines_of(true), torch.rand(1, 3, 96, 128) * 255)
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


def _ground(size: tuple[int, int] = (96, 128), horizon: int = 40) -> torch.Tensor:
    """Log depth of a plane below a slanting horizon, with sky above."""
    rows = torch.arange(size[0]).view(-1, 1) - 0.03 * torch.arange(size[1])
    below = rows - horizon
    return torch.where(below > 0, -torch.log(below.clamp(min=0.1) / 60), torch.inf)[None, None]


def test_ground_up_to_the_horizon_has_no_outline_and_a_body_on_it_has() -> None:
    true = _ground()
    assert not outlines_of(true).any()
    large = F.interpolate(true, scale_factor=1.3, mode="nearest")
    assert not outlines_of(large).any()
    true[..., 30:70, 60:64] = 0.0
    outlines = outlines_of(true)
    assert outlines[..., 32:60, 60:64].any(dim=-1).all()
    assert not outlines[..., :50].any()


def test_depth_that_moves_far_from_outlines_costs_and_near_them_does_not() -> None:
    true = _two_planes((96, 256))
    aim = aim_of(true, torch.isfinite(true), outlines_of(true), torch.zeros(1, 3, 96, 256))
    near, far = true.clone(), true.clone()
    near[..., 120:136] += 0.1
    far[..., 20:36] += 0.1
    assert still_loss(near, true, aim) == 0 < still_loss(far, true, aim)


def test_measured_depth_asks_for_nothing_near_its_steps_and_where_it_is_unknown() -> None:
    measured = _two_planes((96, 256))
    measured[..., 200:] = torch.nan
    fused = torch.rand(1, 1, 96, 256)
    aim = still_aim(fused, measured, torch.zeros(1, 3, 96, 256))
    assert torch.equal(aim.target, fused)
    assert aim.smooth[..., :100].all()
    assert not aim.smooth[..., 110:146].any()
    assert not aim.smooth[..., 180:].any()
    assert aim.smooth[..., 160:170].all()


def test_a_layout_without_cause_to_change_is_pulled_back() -> None:
    own = torch.zeros(1, 1, 12, 16)
    everywhere = torch.ones_like(own, dtype=torch.bool)
    target = own + 0.2
    free, held = (
        layout_loss(own + 0.1, own, target, everywhere, quiet)
        for quiet in (~everywhere, everywhere)
    )
    assert float(held - free) == pytest.approx(0.2)


def test_lessons_in_memory_are_those_that_were_made(archive: Path) -> None:
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    frozen, store = read_frozen(archive), LessonStore(2)
    true = F.pad(_two_planes((48, 128)), (0, 0, 16, 0), value=torch.inf).repeat(3, 1, 1, 1)
    flags = torch.tensor([False, True, False]).view(3, 1, 1, 1)
    frames = Frames(torch.rand(3, 3, *_SIZE) * 255, true, ~flags & (flags < 0), flags)
    lesson = lesson_of(frames, frozen, random, picks=True)
    store.add(lesson)
    assert len(store) == 2
    drawn = store.draw(8, random).aim.target
    newest = lesson.aim.target[1:].half().float()
    assert all(any(torch.equal(one, other) for other in newest) for one in drawn)
    views = softened(lesson, random, picks=True)
    own = fuse(lesson.views.coarse, lesson.views.fine, lesson.views.sky)
    assert torch.equal(views.fine[1], lesson.views.fine[1])
    assert torch.equal(lesson.aim.target[1], own[1])
    assert not torch.allclose(lesson.aim.target[0], own[0], atol=0.01)


def _nyu(folder: Path, count: int = 62) -> Path:
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    names = [f"{number:04}" for number in range(count)]
    (folder / "train.txt").write_text("\n".join(names))
    depth = np.full((480, 640), 60, np.uint8)
    depth[:, 320:] = 255
    for name in names[:2]:
        Image.fromarray(np.full((480, 640, 3), 128, np.uint8)).save(folder / f"rgb/{name}.jpg")
        Image.fromarray(depth).save(folder / f"depth/{name}.png")
    return folder


def test_photographs_with_measured_depth_leave_out_those_held_out(tmp_path: Path) -> None:
    photographs = read_photographs(_nyu(tmp_path / "nyu"), _SIZE, torch.device("cpu"))
    assert photographs.image.shape == (2, 3, *_SIZE)
    frames = photographs.draw(4, np.random.default_rng(0))
    assert frames.measured.all()
    known = torch.isfinite(frames.true)
    assert 0.45 < float(known.float().mean()) < 0.55
    assert frames.true[known].mean() == pytest.approx(np.log(60.5 / 25.5), abs=0.01)


@pytest.mark.slow
def test_a_run_writes_weights_and_goes_on(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--shards", str(_shards(tmp_path / "shards")), "--start", str(archive)]
    arguments += ["-o", str(tmp_path / "run"), "--size", "64,128"]
    arguments += ["--batch", "2", "--held-out", "2", "--device", "cpu"]
    arguments += ["--pick", "--photos", str(_nyu(tmp_path / "nyu")), "--measured", "0.5"]
    arguments += ["--reuse", "2", "--plain", "0.5"]
    assert main([*arguments, "--seconds", "1"]) == 0
    head = read_head(tmp_path / "run/average.npz")
    assert head.pick is not None
    assert main([*arguments, "--seconds", "2", "--resume"]) == 0
    lines = (tmp_path / "run/log.txt").read_text().splitlines()
    assert sum(line.startswith("begins at step 0") for line in lines) == 1
    assert "F1" in lines[-1]
    arguments[arguments.index("-o") + 1] = str(tmp_path / "other")
    begun = {name: value + 0.1 for name, value in head_arrays(head.state_dict()).items()}
    np.savez(tmp_path / "begun.npz", allow_pickle=False, **begun)
    arguments += ["--init", str(tmp_path / "begun.npz"), "--rate", "0"]
    assert main([*arguments, "--seconds", "0.1"]) == 0
    end = read_head(tmp_path / "other/head.npz")
    for name, value in head_arrays(end.state_dict()).items():
        assert value == pytest.approx(begun[name], abs=0.01)
    capsys.readouterr()
