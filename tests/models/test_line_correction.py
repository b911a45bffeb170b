"""``rilievo.predict`` corrects the depth of rooms to agree with their lines, and says so."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.geometry.manhattan_depth import LogDepthChange
from rilievo.models.base import Inference, Model
from rilievo.models.default.embedded import EMBEDDED
from rilievo.models.refinement.manhattan import correct_by_lines
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files
from rilievo.records.depth_map import DepthKind
from support.fixed_depth import FixedDepth
from support.panelled_rooms import FOV, SIZE, panelled_room

ROOM = panelled_room(25, 10, 3)
TILTED = LogDepthChange(tilt_x=0.25, tilt_y=-0.2, power=1.3).apply(ROOM.depth, ROOM.K)
CUT_OUT = np.concatenate([ROOM.pixels, np.full((*SIZE, 1), 255, np.uint8)], axis=2)
CUT_OUT[:40, :40, 3] = 0


class TiltedRoom(FixedDepth):
    """A model that may be corrected, and tilts the room."""

    def __init__(self, *, corrected_by_lines: bool = True) -> None:
        super().__init__(TILTED[::2, ::2])
        self.card = replace(self.card, corrected_by_lines=corrected_by_lines)

    def run_network(self, photos: Sequence[rilievo.Photo]) -> list[Inference]:
        normals = np.zeros((3, *self._depth.shape), np.float32)
        normals[2] = -1
        return [replace(each, normals=normals) for each in super().run_network(photos)]


class PartlySeenRoom(TiltedRoom):
    """A model that tilts the room, and has no depth in one corner."""

    def run_network(self, photos: Sequence[rilievo.Photo]) -> list[Inference]:
        valid = np.ones(self._depth.shape, bool)
        valid[:20, :20] = False
        return [replace(each, valid=valid) for each in super().run_network(photos)]


def mean_error(prediction: rilievo.Prediction) -> float:
    depth = prediction.depth.values
    scaled = depth * np.median(ROOM.depth) / np.median(depth)
    return float(np.mean(np.abs(scaled / ROOM.depth - 1)))


def is_corrected(prediction: rilievo.Prediction) -> bool:
    return any("lines of the photograph" in note for note in prediction.notes)


@pytest.mark.parametrize("camera", [{"fov": FOV}, {"camera": ROOM.K}])
def test_a_tilted_room_is_corrected_if_the_camera_is_known(camera: dict[str, Any]) -> None:
    model = TiltedRoom()
    tilted = rilievo.predict(ROOM.pixels, model=model, manhattan=False, **camera)
    corrected = rilievo.predict(ROOM.pixels, model=model, **camera)
    assert not is_corrected(tilted)
    assert mean_error(tilted) > 0.2
    assert is_corrected(corrected)
    assert mean_error(corrected) < 0.03
    # The normals are those of the network.
    assert corrected.normals is not None
    assert (corrected.normals[2] < -0.99).all()


def test_the_embedded_models_are_corrected_and_others_are_not() -> None:
    assert all(card.corrected_by_lines for card in EMBEDDED.values())
    assert not any(
        card.corrected_by_lines for card in rilievo.MODELS.values() if card.name not in EMBEDDED
    )


@pytest.mark.parametrize(
    ("model", "pixels", "options"),
    [
        pytest.param(TiltedRoom(), ROOM.pixels, {}, id="camera unknown"),
        pytest.param(
            TiltedRoom(),
            ROOM.pixels,
            {"camera": rilievo.Camera(K=ROOM.K, source="assumed")},
            id="camera assumed earlier",
        ),
        pytest.param(
            TiltedRoom(), ROOM.pixels, {"projection": "fisheye:75"}, id="no pinhole camera"
        ),
        pytest.param(
            TiltedRoom(corrected_by_lines=False), ROOM.pixels, {"fov": FOV}, id="a model of others"
        ),
        pytest.param(PartlySeenRoom(), ROOM.pixels, {"fov": FOV}, id="pixels without depth"),
        pytest.param(
            TiltedRoom(),
            CUT_OUT,
            {"fov": FOV},
            id="transparent pixels",
            marks=pytest.mark.filterwarnings("ignore:its transparent pixels"),
        ),
        pytest.param(
            TiltedRoom(),
            np.full((*SIZE, 3), 120, np.uint8),
            {"fov": FOV, "trim": False},
            id="no lines",
        ),
        pytest.param(
            TiltedRoom(),
            np.concatenate(
                [
                    ROOM.pixels[:, : SIZE[1] // 2],
                    panelled_room(60, -15, 20, seed=1).pixels[:, SIZE[1] // 2 :],
                ],
                axis=1,
            ),
            {"fov": FOV},
            id="two frames",
        ),
    ],
)
def test_depth_is_kept_if_it_is_not_sure(
    model: Model, pixels: np.ndarray, options: dict[str, Any]
) -> None:
    kept = rilievo.predict(pixels, model=model, manhattan="off", **options)
    prediction = rilievo.predict(pixels, model=model, **options)
    assert not is_corrected(prediction)
    assert prediction.depth == kept.depth


def test_a_photograph_inside_borders_is_corrected_with_its_own_camera() -> None:
    framed = np.pad(ROOM.pixels, ((100, 20), (0, 150), (0, 0)))
    K = ROOM.K.copy()
    K[1, 2] += 100
    with pytest.warns(UserWarning, match="uniform border") as caught:
        prediction = rilievo.predict(framed, model=TiltedRoom(), camera=K)
    assert caught[0].filename == __file__
    assert is_corrected(prediction)
    inner = prediction.depth.values[100:-20, :-150]
    scaled = inner * np.median(ROOM.depth) / np.median(inner)
    assert float(np.mean(np.abs(scaled / ROOM.depth - 1))) < 0.03


def test_the_sky_is_no_surface_of_the_room() -> None:
    # A network predicts any depth for the sky, here one that needs the opposite change.
    sky = np.zeros(SIZE, np.float32)
    sky[: SIZE[0] // 2] = 1
    sky_depth = LogDepthChange(tilt_x=-0.25, tilt_y=0.2, power=0.8).apply(ROOM.depth, ROOM.K)
    inference = Inference(depth=np.where(sky > 0, sky_depth, TILTED), sky=sky)
    photo = rilievo.Photo(pixels=ROOM.pixels, camera=rilievo.Camera(K=ROOM.K))
    corrected, change = correct_by_lines(TiltedRoom(), inference, photo)
    assert change is not None
    assert corrected.depth is not None
    land, true = corrected.depth[sky == 0], ROOM.depth[sky == 0]
    assert float(np.mean(np.abs(land * np.median(true) / np.median(land) / true - 1))) < 0.03


def test_metres_are_fitted_to_the_corrected_depth() -> None:
    rows, columns = [60, 200, 300], [100, 380, 200]
    known = [(u, v, float(ROOM.depth[v, u])) for u, v in zip(columns, rows, strict=True)]
    prediction = rilievo.predict(ROOM.pixels, model=TiltedRoom(), fov=FOV, known=known)
    assert prediction.depth.kind is DepthKind.METRIC
    assert prediction.depth.values[150, 240] == pytest.approx(ROOM.depth[150, 240], rel=0.06)


def test_the_correction_is_recorded_beside_the_results(tmp_path: Path) -> None:
    photo = tmp_path / "room.png"
    Image.fromarray(ROOM.pixels).save(photo)
    model = "support.acting_model:tilted"
    for name, manhattan in (("on", True), ("off", False)):
        options = PredictOptions(
            model=model, fov=FOV, manhattan=manhattan, save="npy", output=tmp_path / name
        )
        predict_files([photo], options)
    on, off = (json.loads((tmp_path / name / "room.json").read_text()) for name in ("on", "off"))
    [note] = [note for note in on["notes"] if "lines of the photograph" in note]
    assert "tilt -0." in note
    assert "manhattan" not in on["run"]
    assert not [note for note in off.get("notes", ()) if "lines of the photograph" in note]
    assert off["run"]["manhattan"] == "off"
