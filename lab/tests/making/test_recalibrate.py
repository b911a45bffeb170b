"""Confidence calibrated on frames that a network was not trained on."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

from lab.making.distil.frames.training_frames import Frame
from lab.making.distil.small_export import OUTPUTS, export_small
from lab.making.provenances import PROVENANCES
from lab.making.recalibrate import (
    RECALIBRATED,
    Recalibration,
    apart,
    disagreement,
    fit_logistic,
    from_middle,
    main,
    recalibrate,
    without_recalibration,
)
from rilievo.errors import InputError, OptionError
from rilievo.geometry.cameras.camera import assumed_camera
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.training_files import onnx_fault
from rilievo.training.networks.small import SmallNet
from support.light_networks import LIGHT


def frames(count: int) -> list[Frame]:
    """Noise, whose depth no network can know."""
    random = np.random.default_rng(3)
    made = []
    for _ in range(count):
        made.append(
            Frame(
                image=random.integers(0, 256, (48, 64, 3), np.uint8),
                log_depth=random.normal(0, 0.3, (48, 64)).astype(np.float32),
                valid=np.ones((48, 64), bool),
                sky=np.zeros((48, 64), bool),
                normals=np.zeros((3, 48, 64), np.int8),
                normals_valid=np.zeros((48, 64), bool),
                camera=(60.0, 60.0, 31.5, 23.5),
            )
        )
    return made


def sure_network() -> SmallNet:
    """Random weights, whose own confidence is above one half on the whole."""
    network = SmallNet(LIGHT).eval()
    last = [each for each in network.spread.modules() if isinstance(each, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        assert last.bias is not None
        last.bias.fill_(-2)
    return network


def convolutions(path: Path) -> int:
    return sum(node.op_type == "Conv" for node in onnx.load(str(path)).graph.node)


def test_a_surface_agrees_with_its_own_normals_and_not_with_turned_ones() -> None:
    rows, columns = np.mgrid[:96, :64]
    depth = 2 + 0.3 * np.sin(rows / 20) + columns / 60
    camera = assumed_camera(depth.shape)
    normals, _ = normals_from_depth(depth, camera.K, np.ones(depth.shape, bool), window=3)
    given = torch.from_numpy(depth)[None].float()
    inner = (slice(None), slice(2, -2), slice(2, -2))
    assert disagreement(given, torch.from_numpy(normals)[None].float())[inner].max() < 1e-3
    turned = torch.from_numpy(normals * [[[-1]], [[1]], [[1]]])[None].float()
    assert disagreement(given, turned)[inner].mean() > 0.05


def test_distance_from_the_middle_is_that_from_the_median_of_any_scale() -> None:
    random = np.random.default_rng(4)
    logs = torch.from_numpy(random.gumbel(size=(3, 1, 40, 60))).float()
    found = from_middle(logs)
    median = logs.flatten(1).median(dim=1).values[:, None, None, None]
    np.testing.assert_allclose(found, (logs - median).abs(), atol=0.1)
    # The mean of these is 0.2 away from their median.
    assert (logs.mean(dim=(2, 3)) - median[:, 0, 0]).min() > 0.15
    np.testing.assert_allclose(from_middle(logs + 5), found, atol=1e-3)


def test_confidence_falls_with_the_distance_from_the_middle_and_follows_its_neighbours() -> None:
    shape = (1, 64, 96)
    normals = torch.zeros(1, 3, 64, 96)
    normals[:, 2] = -1
    depth = torch.exp(torch.linspace(-1, 1, 96)).expand(shape)
    said = torch.full(shape, 0.7)
    told = Recalibration([1.0, -0.5, 0.0, 0.0, 0.0])(depth, normals, said)[0, 32]
    assert told.argmax() == pytest.approx(48, abs=3)
    assert told[48] > told[20] > told[2]
    said[:, 32, 48] = 0.01
    plain = Recalibration()
    around = plain(depth, normals, said)[0]
    assert around[32, 48] > 0.6
    assert around[32, 48] < plain(depth, normals, torch.full(shape, 0.7))[0, 32, 48]


def test_a_network_that_doubts_itself_on_the_whole_is_believed() -> None:
    shape = (1, 64, 96)
    normals = torch.zeros(1, 3, 64, 96)
    normals[:, 2] = -1
    plain = Recalibration()
    for said, doubt in ((0.7, 0.0), (0.5, 0.0), (0.4, 4.0), (0.2, 4.0)):
        odds = np.log(said / (1 - said))
        told = plain(torch.ones(shape), normals, torch.full(shape, said))
        np.testing.assert_allclose(told, 1 / (1 + np.exp(-(1 + doubt) * odds)), atol=1e-4)


def test_the_distance_of_two_answers_lowers_a_frame_s_confidence_and_never_raises_it() -> None:
    """A mean distance d of errors of Laplace is within log 1.25 with 1 - exp(-log 1.25 / d)."""
    shape = (1, 64, 96)
    normals = torch.zeros(1, 3, 64, 96)
    normals[:, 2] = -1
    across = torch.linspace(-1, 1, 96).expand(shape)
    depth, sky = torch.exp(across), torch.zeros(shape)
    layout = F.avg_pool2d(across[:, None], 8)[:, 0].exp()
    said = torch.full(shape, 0.8)
    plain = Recalibration()
    same = plain(depth, normals, said, layout, depth**2, sky)
    np.testing.assert_allclose(same, 0.8, atol=1e-3)
    turned = torch.exp(torch.linspace(-1, 1, 64)[:, None].expand(shape))
    distance = float(apart(layout, turned, sky))
    assert 0.5 < distance < 1.0
    warned = plain(depth, normals, said, layout, turned, sky)
    np.testing.assert_allclose(warned, 1 - np.exp(-np.log(1.25) / distance), atol=1e-3)


def test_a_regression_finds_the_chances_that_made_its_answers() -> None:
    random = np.random.default_rng(0)
    evidence = random.normal(size=(20000, 2))
    chance = 1 / (1 + np.exp(-(evidence @ [1.5, -0.5] + 0.3)))
    found = fit_logistic(evidence, random.random(20000) < chance)
    np.testing.assert_allclose(found, [1.5, -0.5, 0.3], atol=0.08)
    with pytest.raises(InputError, match="all pixels are right, or none"):
        fit_logistic(evidence, np.ones(20000, bool))


def test_the_file_s_confidence_alone_changes_and_becomes_the_share_that_is_right(
    tmp_path: Path,
) -> None:
    torch.manual_seed(1)
    network, before, after = sure_network(), tmp_path / "a.onnx", tmp_path / "b.onnx"
    export_small(network, before, PROVENANCES["small"])
    weights = recalibrate(before, after, frames(3))
    assert onnx_fault(after) is None
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 64, 3), np.uint8)
    old, new = (
        onnxruntime.InferenceSession(str(path)).run(OUTPUTS, {"image": pixels})
        for path in (before, after)
    )
    for same in (0, 1, *range(3, len(OUTPUTS))):
        np.testing.assert_array_equal(old[same], new[same])
    judge = Recalibration([float(each) for each in weights])
    np.testing.assert_allclose(judge(*map(torch.from_numpy, old[:3])), new[2], rtol=1e-3, atol=1e-4)
    assert abs(float(new[2].mean()) - 0.54) < 0.1  # normal errors of 0.3 within log 1.25
    with pytest.raises(OptionError, match="recalibrated already"):
        recalibrate(after, tmp_path / "c.onnx", frames(1))
    again = tmp_path / "d.onnx"
    without_recalibration(after, again)
    assert onnx_fault(again) is None
    back = onnxruntime.InferenceSession(str(again)).run(OUTPUTS, {"image": pixels})
    for one, other in zip(old, back, strict=True):
        np.testing.assert_array_equal(one, other)
    # Further training reads the convolutions of a file in order: none was added.
    assert convolutions(before) == convolutions(after)


def test_rendered_frames_count_beside_photographs(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    before = tmp_path / "a.onnx"
    export_small(SmallNet(LIGHT).eval(), before, PROVENANCES["small"])
    monkeypatch.setattr("lab.making.recalibrate.held_out_frames", lambda _: frames(1))
    told = []
    for name, given in (("alone", None), ("both", shards)):
        more = [] if given is None else ["--shards", str(given)]
        output = str(tmp_path / f"{name}.onnx")
        main([str(before), "--real", str(tmp_path), "-o", output, *more])
        told += [
            entry.value
            for entry in onnx.load(str(tmp_path / f"{name}.onnx")).metadata_props
            if entry.key == RECALIBRATED
        ]
    assert len(set(told)) == 2
