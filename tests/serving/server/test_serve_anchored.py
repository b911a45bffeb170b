"""A server anchors affine depth as the command line does, and says so."""

import json
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.records.depth_map import DepthKind
from support import served as serving
from support.affine_answers import AffineAnswer
from support.served import Served, served


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as found:
        serving.MODELS["test/model"] = AffineAnswer(DepthKind.AFFINE_INVERSE)
        yield found


def photo() -> bytes:
    chance = np.random.default_rng(0)
    pixels = np.full((96, 128, 3), 180.0)
    pixels[50:] = 90
    pixels = np.clip(pixels + chance.normal(0, 5, pixels.shape), 0, 255).astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_surfaces_and_depth_of_a_request_are_those_of_python(server: Served) -> None:
    answer = server.client.post("/v1/predict?save=npy,anchored,glb", content=photo())
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(BytesIO(answer.content)) as packed:
        found = {Path(name).suffixes[-2]: packed.read(name) for name in packed.namelist()
                 if name.endswith(".npy")}  # fmt: skip
        [said] = [
            json.loads(packed.read(name)) for name in packed.namelist() if name.endswith("json")
        ]
    model = serving.MODELS["test/model"]
    expected = rilievo.predict(photo(), model=model)
    np.testing.assert_allclose(np.load(BytesIO(found[".depth"])), expected.depth.values, rtol=1e-5)
    np.testing.assert_allclose(
        np.load(BytesIO(found[".anchored"])), expected.anchored.depth.values, rtol=1e-4
    )
    assert said["depth"]["kind"] == "affine_inverse"
    assert said["anchored"]["kind"] == "up_to_scale"
    assert said["anchoring"]["model"] == "rilievo/base"


def test_a_request_may_switch_it_off(server: Served) -> None:
    answer = server.client.post("/v1/predict?save=glb&anchor=off", content=photo())
    assert answer.status_code == 422 or answer.status_code == 400
    assert "known distances" in answer.text
    one = "/v1/measure?known=60,80,2.0&at=20,80&at=100,80"
    assert server.client.post(one, content=photo()).json()["unit"] == "m"
    off = server.client.post(f"{one}&anchor=off", content=photo())
    assert "give a second one" in off.text
