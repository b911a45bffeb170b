"""Affine depth becomes a surface by the embedded model, and only where a surface is asked for."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.geometry.normals import normals_from_depth
from rilievo.measure.expected_errors import anchoring_misfit
from rilievo.measure.ranges import Circumstances, expected_error
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.predicting.photographs import anchoring
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from support.affine_answers import SHIFT, AffineAnswer, affine_graph
from support.ply_files import read_ply

SIZE = (120, 160)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A floor, a wall and a box, with texture."""
    chance = np.random.default_rng(1)
    height, width = SIZE
    picture = np.full((height, width, 3), 170.0)
    picture[60:] = np.linspace(90, 150, 60)[:, None, None]
    picture[40:90, 60:100] = (120, 60, 40)
    return np.clip(picture + chance.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return affine_graph(tmp_path_factory.mktemp("affine") / "affine.onnx")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Photographs that the embedded model was asked for."""
    asked: list[object] = []
    reference = anchoring.reference_depth

    def counted(photo, refine):
        asked.append(photo)
        return reference(photo, refine)

    monkeypatch.setattr(anchoring, "reference_depth", counted)
    return asked


def same(depth: np.ndarray, other: np.ndarray, *, one_scale: bool = False) -> None:
    """Compare all but the edges, where resizing of depth and of inverse depth differ."""
    ratios = np.log(depth / other)
    middle = np.median(ratios) if one_scale else 0
    assert np.quantile(np.abs(ratios - middle), 0.9) < 0.01


def write(folder: Path, photo: np.ndarray) -> Path:
    path = folder / "room.png"
    Image.fromarray(photo).save(path)
    return path


def test_the_surface_is_the_models_and_its_two_numbers_are_the_embedded_ones(
    photo: np.ndarray, network: Path
) -> None:
    own = rilievo.predict(photo)
    affine = rilievo.predict(photo, model=network)
    assert affine.depth.kind is DepthKind.AFFINE_INVERSE
    anchored = affine.anchored
    assert anchored.depth.kind is DepthKind.UP_TO_SCALE
    same(anchored.depth.values, own.depth.values, one_scale=True)
    found = anchored.anchoring
    assert found is not None
    assert found.model == "rilievo/base"
    assert found.rank_correlation == pytest.approx(1, abs=1e-3)
    assert found.residual == pytest.approx(0, abs=1e-3)
    assert found.shift is not None
    assert found.scale is not None
    assert found.shift / found.scale == pytest.approx(-SHIFT, rel=0.05)
    assert anchored.normals is not None
    expected, known = normals_from_depth(
        anchored.depth.values, anchored.known_camera, anchored.depth.valid, window=5
    )
    np.testing.assert_allclose(anchored.normals[:, known], expected[:, known], atol=1e-5)
    assert len(affine.mesh().triangles) == len(anchored.mesh().triangles) > 100
    assert own.anchored is own


def test_the_embedded_model_runs_only_when_a_surface_is_asked_for_and_then_once(
    photo: np.ndarray, network: Path, runs: list[object], tmp_path: Path
) -> None:
    predicted = rilievo.predict(photo, model=network)
    predicted.save(tmp_path / "maps", "npy,png16,colour")
    assert not runs
    predicted.save(tmp_path / "surfaces", "ply,glb,normals,anchored")
    predicted.points()
    assert len(runs) == 1


@pytest.mark.parametrize("kind", [DepthKind.AFFINE, DepthKind.AFFINE_INVERSE])
def test_depth_with_a_shift_and_inverse_depth_with_one_are_anchored(
    photo: np.ndarray, kind: DepthKind
) -> None:
    own = rilievo.predict(photo)
    affine = rilievo.predict(photo, model=AffineAnswer(kind))
    same(affine.anchored.depth.values, own.depth.values, one_scale=True)


def test_surfaces_of_a_model_that_gives_normals_are_of_anchored_depth_and_its_normals_stay(
    photo: np.ndarray, tmp_path: Path
) -> None:
    affine = rilievo.predict(photo, model=AffineAnswer(DepthKind.AFFINE_INVERSE))
    normals = np.zeros((3, *SIZE), np.float32)
    normals[1:] = np.array([-0.6, -0.8], np.float32)[:, None, None]
    affine = affine.but(normals=normals)
    affine.save(tmp_path / "room", "anchored,ply,normals-npy")
    surface = np.load(tmp_path / "room.anchored.npy")
    np.testing.assert_array_equal(surface, affine.anchored.depth.values)
    points = read_ply(tmp_path / "room.ply")["vertex"]
    assert points["z"].min() == pytest.approx(surface.min(), rel=0.05)
    assert points["z"].max() == pytest.approx(surface.max(), rel=0.05)
    stored = np.load(tmp_path / "room.normals.npy")
    np.testing.assert_array_equal(stored, np.moveaxis(normals, 0, 2))


def test_depth_files_keep_the_models_own_answer_whatever_else_is_saved(
    photo: np.ndarray, network: Path, tmp_path: Path
) -> None:
    path = write(tmp_path, photo)
    options = rilievo.PredictOptions(
        model=str(network), output=tmp_path / "out", save="npy,anchored,ply,glb,normals,html,npz"
    )
    assert rilievo.predict_files([path], options, show=False).exit_code == 0
    said = json.loads((tmp_path / "out/room.json").read_text())
    assert said["depth"]["kind"] == "affine_inverse"
    assert said["anchored"]["kind"] == "up_to_scale"
    assert said["anchoring"]["model"] == "rilievo/base"
    assert said["anchoring"]["rank_correlation"] > 0.99
    assert said["anchoring"]["residual"] < 0.01
    own = np.load(tmp_path / "out/room.depth.npy")
    np.testing.assert_array_equal(own, rilievo.predict(photo, model=network).depth.values)
    np.testing.assert_array_equal(np.load(tmp_path / "out/room.npz")["depth"], own)
    surface = np.load(tmp_path / "out/room.anchored.npy")
    numbers = said["anchoring"]
    np.testing.assert_allclose(1 / surface, numbers["scale"] * own + numbers["shift"], rtol=1e-4)
    assert "<canvas" in (tmp_path / "out/room.html").read_text(encoding="utf-8")
    again = rilievo.predict_files([path], options, show=False)
    assert again.exit_code == 0
    read = rilievo.read_prediction(tmp_path / "out/room")
    assert read.depth.kind is DepthKind.AFFINE_INVERSE
    np.testing.assert_allclose(read.anchored.depth.values, surface, rtol=1e-5)
    named = rilievo.read_prediction(tmp_path / "out/room.anchored.npy")
    assert named.depth.kind is DepthKind.UP_TO_SCALE
    np.testing.assert_array_equal(named.depth.values, surface)


def test_one_known_distance_gives_metres_by_the_anchored_depth(
    photo: np.ndarray, network: Path, tmp_path: Path
) -> None:
    known = [(80, 100, 2.0)]
    own = rilievo.predict(photo, known=known)
    metric = rilievo.predict(photo, model=network, known=known)
    assert anchoring_misfit(metric) is not None
    assert metric.depth.kind is DepthKind.METRIC
    same(metric.depth.values, own.depth.values)
    assert metric.calibration is not None
    assert metric.calibration.method == "known points"
    assert metric.anchoring is not None
    assert metric.measure((20, 100), (140, 100)).value == pytest.approx(
        own.measure((20, 100), (140, 100)).value, rel=0.01
    )
    metric.save(tmp_path / "room", "npy")
    said = json.loads((tmp_path / "room.json").read_text())
    assert said["depth"]["kind"] == "metric"
    assert said["anchoring"]["model"] == "rilievo/base"


def test_two_known_distances_fix_both_numbers_and_nothing_is_anchored(
    photo: np.ndarray, network: Path, runs: list[object]
) -> None:
    own = rilievo.predict(photo).depth.values
    known = [(80, 115, float(own[115, 80])), (80, 20, float(own[20, 80]))]
    metric = rilievo.predict(photo, model=network, known=known)
    assert anchoring_misfit(metric) is None
    assert metric.depth.kind is DepthKind.METRIC
    same(metric.depth.values, own)
    assert metric.anchoring is None
    assert metric.normals is not None
    assert not runs


def test_two_known_distances_at_one_depth_give_the_scale_alone(
    photo: np.ndarray, network: Path
) -> None:
    own = rilievo.predict(photo).depth.values
    metres = float(own[100, 80])
    known = [(80, 100, metres), (81, 100, metres)]
    metric = rilievo.predict(photo, model=network, known=known)
    assert metric.anchoring is not None
    same(metric.depth.values, own)


def test_off_refuses_surfaces_and_single_sizes_as_ever(
    photo: np.ndarray, network: Path, tmp_path: Path
) -> None:
    predicted = rilievo.predict(photo, model=network, anchor="off")
    assert predicted.anchoring is None
    for make in (predicted.mesh, predicted.points, lambda: predicted.anchored):
        with pytest.raises(InputError, match="two or more known distances"):
            make()
    with pytest.raises(CalibrationError, match="give a second one"):
        rilievo.predict(photo, model=network, anchor="off", known=[(80, 100, 2.0)])
    with pytest.raises(OptionError, match="auto or off"):
        rilievo.predict(photo, model=network, anchor="on")
    options = rilievo.PredictOptions(model=str(network), output=tmp_path, save="npy", anchor="off")
    rilievo.predict_files([write(tmp_path, photo)], options, show=False)
    assert json.loads((tmp_path / "room.json").read_text())["run"]["anchor"] == "off"


def test_an_answer_in_another_order_is_refused_in_words(photo: np.ndarray, tmp_path: Path) -> None:
    noise = AffineAnswer(DepthKind.AFFINE_INVERSE, seed=3)
    predicted = rilievo.predict(photo, model=noise)
    for save in ("ply", "glb", "anchored", "normals"):
        with pytest.raises(
            InputError, match=r"correlation of their depths is -?0\.\d\d, below 0\.7"
        ):
            predicted.save(tmp_path / "room", save)
    predicted.save(tmp_path / "room", "npy,html")
    said = json.loads((tmp_path / "room.json").read_text())
    assert "rank correlation" in said["anchoring"]["refused"]
    assert said.get("anchored") is None
    with pytest.raises(CalibrationError, match=r"give a second one.*rank correlation"):
        rilievo.predict(photo, model=noise, known=[(80, 100, 2.0)])


class Doubtful(Model):
    """Answers a mixture of the embedded model's order and noise, under a name."""

    def __init__(self, name: str, share: float) -> None:
        self.card = ModelCard(name=name, summary="", kind=DepthKind.AFFINE_INVERSE, licence="none")
        self.weights_sha256, self.settings = f"{share}", {}
        self.share, self._embedded = share, rilievo.load_model()

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        return [Inference(depth=self._values(photo)) for photo in photos]

    def _values(self, photo: Photo) -> np.ndarray:
        [answer] = self._embedded.infer([photo])
        assert answer.depth is not None
        order = -np.log(answer.depth)
        half = tuple(side // 2 for side in order.shape)
        noise = np.kron(np.random.default_rng(5).normal(size=half), np.ones((2, 2)))
        own = (order - order.mean()) / order.std()
        return (5 + (1 - self.share) * own + self.share * noise).astype(np.float32)


# Shares of noise that leave rank correlations of about 0.5 and 0.15.
DOUBTED, WRONG = 0.64, 0.92
KNOWN = ["depth-anything-v2/small", "dpt/large", "depth-anything/Depth-Anything-V2-Small-hf"]


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_model_is_anchored_where_the_order_is_doubtful_with_a_remark(
    photo: np.ndarray, name: str, tmp_path: Path
) -> None:
    predicted = rilievo.predict(photo, model=Doubtful(name, DOUBTED))
    with pytest.warns(UserWarning, match=r"depths is 0\.\d\d, below 0\.7\), so .* less cert"):
        surface = predicted.anchored
    assert surface.depth.kind is DepthKind.UP_TO_SCALE
    found = predicted.anchoring
    assert found is not None
    assert found.rank_correlation is not None
    assert 0.35 < found.rank_correlation < 0.65
    predicted.save(tmp_path / "room", "ply")
    said = json.loads((tmp_path / "room.json").read_text())["anchoring"]
    assert "less certain" in said["remark"]


def test_ranges_are_wider_where_the_order_is_doubtful(photo: np.ndarray) -> None:
    known = [(80, 100, 2.0)]
    with pytest.warns(UserWarning, match="less certain"):
        doubted = rilievo.predict(photo, model=Doubtful(KNOWN[0], DOUBTED), known=known)
    sure = rilievo.predict(photo, model=Doubtful(KNOWN[0], 0.0), known=known)

    def error(prediction: Any) -> float:
        fit = anchoring_misfit(prediction)
        assert fit is not None
        return expected_error("length", Circumstances(method="known points", anchoring=fit))

    assert error(doubted) > 1.3 * error(sure)


@pytest.mark.parametrize(("name", "share"), [("mine/depth", DOUBTED), (KNOWN[0], WRONG)])
def test_an_unknown_model_in_doubt_and_a_known_one_in_another_order_are_refused(
    photo: np.ndarray, name: str, share: float
) -> None:
    predicted = rilievo.predict(photo, model=Doubtful(name, share))
    limit = "0.3" if name == KNOWN[0] else "0.7"
    with pytest.raises(InputError, match=f"below {limit}"):
        predicted.mesh()


def test_a_folder_notes_doubtful_anchoring_once_a_photograph(
    photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Doubtful(KNOWN[0], DOUBTED)
    monkeypatch.setattr("rilievo.predicting.run.load_as", lambda *_: model)
    options = rilievo.PredictOptions(output=tmp_path / "out", save="ply,normals,anchored")
    found = rilievo.predict_files([write(tmp_path, photo)], options, show=False)
    assert sum("less certain" in each for each in found.notes) == 1


def test_a_height_of_the_camera_measures_anchored_depth(network: Path) -> None:
    """A floor seen from above: the same metres as by the embedded model itself."""
    height, width = 240, 320
    chance = np.random.default_rng(2)
    picture = np.full((height, width, 3), 200.0)
    v, u = np.mgrid[100:height, :width]
    away = 3000 / (v - 90)
    tiles = away // 1 + (u - 160) * away // 900
    picture[100:] = (110 + 40 * (tiles % 2))[..., None]
    picture = np.clip(picture + chance.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    own = rilievo.predict(picture, camera_height=1.5, fov=60)
    metric = rilievo.predict(picture, model=network, camera_height=1.5, fov=60)
    ratio = metric.depth.values / own.depth.values
    assert np.median(ratio) == pytest.approx(1, rel=0.15)


def test_raw_predictions_and_those_of_evaluation_have_no_anchor(
    photo: np.ndarray, network: Path
) -> None:
    [raw] = rilievo.load_model(network).predict_raw([photo])
    assert not raw.has("anchoring")
    with pytest.raises(InputError, match="two or more known distances"):
        raw.mesh()
