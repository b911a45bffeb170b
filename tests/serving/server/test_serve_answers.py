"""Answers of the HTTP interface: what ``rilievo.predict`` says, in every form."""

import json
import os
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.prediction.output import OUTPUTS
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from rilievo.serving.server import answer_files, service
from rilievo.serving.server.answer_files import max_output_bytes
from support.predictions import prediction
from support.served import Served, picture, served


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as found:
        yield found


def expected(level: int = 100) -> np.ndarray:
    """Depth that the model itself gives."""
    from support.served import MODELS

    image = np.asarray(Image.open(BytesIO(picture(level))))
    return rilievo.predict(image, model=MODELS["test/model"]).depth.values


def test_json_tells_what_the_numbers_are(server: Served) -> None:
    said = server.client.post("/v1/predict?at=10,20&at=40,50", content=picture()).json()
    assert said["source"] == {"file": "image", "width": 96, "height": 64}
    assert said["depth"]["kind"] == "up_to_scale"
    assert said["made_by"]["model"] == "test/model"
    assert said["camera"]["source"] == "assumed"
    values = [each["value"] for each in said["at"]]
    # A point is read as the median of the 5×5 pixels around it.
    medians = [np.median(expected()[v - 2 : v + 3, u - 2 : u + 3]) for u, v in ((10, 20), (40, 50))]
    np.testing.assert_allclose(values, medians, rtol=1e-3)


def test_npz_holds_what_predict_says(server: Served) -> None:
    answer = server.client.post("/v1/predict?save=npz", content=picture(77))
    assert answer.headers["content-type"] == "application/x-npz"
    with np.load(BytesIO(answer.content)) as found:
        np.testing.assert_allclose(found["depth"], expected(77), rtol=1e-5)


@pytest.mark.parametrize(
    ("save", "kind", "begins"),
    [
        ("json", "application/json", b"{"),
        ("png16", "image/png", b"\x89PNG"),
        ("npz", "application/x-npz", b"PK"),
        ("ply", "application/x-ply", b"ply"),
        ("glb", "model/gltf-binary", b"glTF"),
    ],
)
def test_one_output_comes_as_it_is(server: Served, save: str, kind: str, begins: bytes) -> None:
    answer = server.client.post(f"/v1/predict?save={save}", content=picture())
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.content.startswith(begins)


def test_several_outputs_are_a_zip_with_the_json_that_explains_them(server: Served) -> None:
    answer = server.client.post(
        "/v1/predict?save=png16,ply",
        files={"image": ("../my photo.jpg", picture())},
    )
    with zipfile.ZipFile(BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        assert packed.namelist() == ["my-photo.depth16.png", "my-photo.ply", "my-photo.json"]
        files = json.loads(packed.read("my-photo.json"))["files"]
    assert [each["file"] for each in files] == ["my-photo.depth16.png", "my-photo.ply"]
    assert server.files() == []


def test_json_beside_a_file_is_in_a_zip(server: Served) -> None:
    answer = server.client.post("/v1/predict?save=json,png16", content=picture())
    with zipfile.ZipFile(BytesIO(answer.content)) as packed:
        assert packed.namelist() == ["image.depth16.png", "image.json"]


@pytest.mark.slow
def test_files_are_no_larger_than_what_is_reserved_for_them(tmp_path: Path) -> None:
    """Noise is what compresses least."""
    height, width = 300, 400
    random = np.random.default_rng(0)
    normals = random.normal(size=(3, height, width)).astype(np.float32)
    made = prediction().but(
        depth_or_none=DepthMap(
            values=random.uniform(0.5, 60, (height, width)).astype(np.float32),
            kind=DepthKind.METRIC,
        ),
        normals=normals / np.linalg.norm(normals, axis=0),
        confidence=random.uniform(0, 1, (height, width)).astype(np.float32),
        sky=random.random((height, width)) < 0.001,
        photo=Photo(pixels=random.integers(0, 255, (height, width, 3), np.uint8)),
    )
    options = SaveOptions(edge=1000.0)  # nothing is cut off the surfaces
    # A filled surface of noise takes minutes to draw from all sides.
    torn = replace(options, backing=0)
    for name in OUTPUTS.own:
        if OUTPUTS[name].package is None:
            chosen = torn if name.startswith("turn") else options
            paths = rilievo.save(made, tmp_path / name, [name], chosen)
            size = sum(path.stat().st_size for path in paths)
            assert size <= max_output_bytes([name], height * width, options), name


def test_heavy_requests_do_not_hold_up_light_ones(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, begun = threading.Event(), threading.Event()
    save = answer_files.save

    def held(prediction: object, stem: Path, names: list[str], *rest: object, **more: object):
        if "ply" in names:
            begun.set()
            assert release.wait(60)
        return save(prediction, stem, names, *rest, **more)

    monkeypatch.setattr(answer_files, "save", held)
    with ThreadPoolExecutor(6) as clients:
        post = server.client.post
        heavy = [clients.submit(post, "/v1/predict?save=ply", content=picture()) for _ in range(6)]
        assert begun.wait(60)
        for save_as in ("png16", "json"):
            light = post(f"/v1/predict?save={save_as}", content=picture())
            assert light.status_code == 200
        assert not any(each.done() for each in heavy)
        release.set()
        assert {each.result(60).status_code for each in heavy} == {200}


def test_a_file_of_few_bytes_and_many_pixels_takes_a_heavy_place(server: Served) -> None:
    model = server.model
    model.gate.clear()
    large = picture(100, (2500, 2000))
    assert len(large) < 100_000
    with ThreadPoolExecutor(3) as clients:
        post = server.client.post
        held = [clients.submit(post, "/v1/predict", content=large) for _ in range(3)]
        assert model.begun.wait(60)
        # One client has one heavy place: its others wait, and all the light places are free.
        assert (server.service.heavy.working, server.service.light.working) == (1, 0)
        model.gate.set()
        assert {each.result(60).status_code for each in held} == {200}


def test_memory_is_handed_back_when_requests_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back = threading.Event()
    monkeypatch.setattr(service, "_TIDY_SECONDS", 0.01)
    monkeypatch.setattr(service, "trim_heap", given_back.set)
    with served(tmp_path) as server:
        assert not given_back.wait(0.1), "nothing was asked"
        server.client.post("/v1/predict", content=picture())
        assert given_back.wait(60)


def test_all_leaves_out_what_the_model_does_not_give(server: Served) -> None:
    answer = server.client.post("/v1/predict?save=all", content=picture())
    with zipfile.ZipFile(BytesIO(answer.content)) as packed:
        names = packed.namelist()
    assert {"image.glb", "image.html", "image.npz"} <= set(names)
    assert "image.normals.png" not in names


def test_files_of_an_answer_are_not_synced_to_the_disk(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[object] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(os, "fdatasync", synced.append)
    assert server.client.post("/v1/predict?save=npz,colour", content=picture()).status_code == 200
    assert synced == []


def test_a_large_file_is_sent_in_pieces_and_removed(server: Served) -> None:
    answer = server.client.post(
        "/v1/predict?save=npy", content=picture(size=(1600, 1200), kind="JPEG")
    )
    assert int(answer.headers["content-length"]) == len(answer.content) > 2**22
    assert np.load(BytesIO(answer.content)).shape == (1200, 1600)
    assert server.files() == []
    assert server.disk.reserved_bytes == 0


def test_a_known_point_makes_metres_of_parameters_in_address_and_form(server: Served) -> None:
    by_address = server.client.post("/v1/predict?known=40,30,2.5&at=40,30", content=picture())
    by_form = server.client.post(
        "/v1/predict",
        files={"image": ("a.jpg", picture())},
        data={"known": ["40,30,2.5"], "at": ["40,30"]},
    )
    for answer in (by_address, by_form):
        said = answer.json()
        assert said["depth"]["kind"] == "metric"
        assert said["at"][0]["value"] == pytest.approx(2.5, rel=0.01)
        assert any("metres from known points" in each for each in said["notes"])
    file = server.client.post("/v1/predict?known=40,30,2.5&save=png16", content=picture())
    assert file.headers["x-depth-kind"] == "metric"
    assert "metres from known points" in file.headers["x-notes"]


def test_a_measurement_has_its_range(server: Served) -> None:
    address = "/v1/measure?known=40,30,2.5&fov=60&at=20,20&at=60,40"
    said = server.client.post(address, content=picture()).json()
    assert (said["what"], said["unit"]) == ("length", "m")
    assert said["low"] < said["value"] < said["high"]
    image = np.asarray(Image.open(BytesIO(picture())))
    prediction = rilievo.predict(image, model=server.model, known=[(40, 30, 2.5)], fov=60)
    measured = prediction.measure((20, 20), (60, 40))
    assert said["value"] == pytest.approx(measured.value, rel=1e-4)


def test_a_known_rectangle_measures_in_its_plane(server: Served) -> None:
    corners = [(10, 8), (60, 12), (58, 50), (12, 44)]
    text = ",".join(f"{u},{v}" for u, v in corners)
    query = {"known_rectangle": f"{text},90cm x 60cm", "fov": "60", "at": ["1,1", "70,50"]}
    address = f"/v1/measure?{urlencode(query, doseq=True)}"
    said = server.client.post(f"{address}&in_plane=true", content=picture()).json()
    image = np.asarray(Image.open(BytesIO(picture())))
    sheet = rilievo.KnownRectangle(corners=tuple(corners), sides=(0.9, 0.6))
    prediction = rilievo.predict(image, model=server.model, known=[sheet], fov=60)
    measured = prediction.measure((1, 1), (70, 50), in_plane=True)
    assert (said["value"], said["low"]) == pytest.approx((measured.value, measured.low))
    assert "without depth" in said["notes"][-1]
    by_network = server.client.post(address, content=picture()).json()
    assert "give in_plane to measure from its corners" in by_network["notes"][-1]
    none = server.client.post(
        "/v1/measure?at=1,1&at=9,9&known=40,30,2&in_plane=1", content=picture()
    )
    assert none.status_code in (400, 422)
    assert "known_rectangle" in none.json()["error"]
    feet = server.client.post("/v1/predict?camera_height=5ft&fov=60", content=picture())
    metres = server.client.post("/v1/predict?camera_height=1.524&fov=60", content=picture())
    assert feet.json().get("error") == metres.json().get("error")


def test_a_volume_takes_an_outline_and_points_of_its_plane(server: Served) -> None:
    outline = [(20.0, 15.0), (60.0, 15.0), (60.0, 45.0), (20.0, 45.0)]
    base = [(5.0, 5.0), (75.0, 8.0), (40.0, 55.0)]
    query = {
        "known": "40,30,2.5",
        "fov": "60",
        "volume": "1",
        "at": [f"{u},{v}" for u, v in outline],
        "base": [f"{u},{v}" for u, v in base],
    }
    address = f"/v1/measure?{urlencode(query, doseq=True)}"
    said = server.client.post(address, content=picture()).json()
    image = np.asarray(Image.open(BytesIO(picture())))
    prediction = rilievo.predict(image, model=server.model, known=[(40, 30, 2.5)], fov=60)
    measured = prediction.volume(outline, base)
    assert (said["what"], said["unit"]) == ("volume", "m³")
    assert said["value"] == pytest.approx(measured.value, rel=1e-3)
    without = server.client.post(
        "/v1/measure?known=40,30,2.5&at=1,1&at=9,9&base=1,1", content=picture()
    )
    assert without.status_code == 400
    assert "base" in without.json()["error"]


def test_a_fit_has_its_answer_and_its_opening(server: Served) -> None:
    query = {"known": "40,30,2.5", "fov": "60", "at": ["20,15", "60,15", "60,45", "20,45"]}
    address = f"/v1/measure?{urlencode(query, doseq=True)}"
    said = server.client.post(f"{address}&fits=1x2x3mm", content=picture()).json()
    assert (said["what"], said["answer"]) == ("fit", "yes")
    assert said["object_sides"] == [0.001, 0.002, 0.003]
    assert said["opening_width"]["low"] < said["opening_width"]["value"]
    large = server.client.post(f"{address}&fits=90x90x90m", content=picture()).json()
    assert large["answer"] == "no"
    wrong = server.client.post(f"{address}&fits=90x90", content=picture())
    assert wrong.status_code == 400
    assert "three sides" in wrong.json()["error"]


def test_an_angle_takes_two_points(server: Served) -> None:
    address = "/v1/measure?known=40,30,2.5&angle=1&at=20,20"
    answer = server.client.post(address, content=picture())
    assert answer.status_code == 400
    assert "two points" in answer.json()["error"]


def test_models_are_listed_without_the_places_of_their_files(server: Served) -> None:
    said = server.client.get("/v1/models")
    assert [each["name"] for each in said.json()["models"]] == ["test/model", "other"]
    assert "secret" not in said.text
    named = server.client.post("/v1/predict?model=other", content=picture())
    assert named.json()["made_by"]["model"] == "other"


def test_counters_are_in_the_format_of_prometheus(server: Served) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    for save in ("json", "png16", "nothing"):
        server.client.post(f"/v1/predict?save={save}", content=picture())
    for number in range(3):
        server.client.get(f"/no/such/{number}")
    text = server.client.get("/metrics").text
    families = {each.name: each for each in text_string_to_metric_families(text)}
    counts = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in families["rilievo_requests"].samples
        if sample.name.endswith("_total")
    }
    assert counts[("/v1/predict", "200")] == 2
    assert counts[("/v1/predict", "400")] == 1
    assert counts[("other", "404")] == 3
    assert families["rilievo_disk_bytes"].samples[0].value == 0


def test_the_openapi_document_is_made_once(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    first = server.client.get("/openapi.json")
    monkeypatch.delattr("rilievo.serving.server.endpoints.openapi_document")
    again = server.client.get("/openapi.json")
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["content-type"] == "application/json"


def test_the_openapi_document_has_every_route_and_parameter(server: Served) -> None:
    said = server.client.get("/openapi.json").json()
    assert said["openapi"].startswith("3.1")
    for path in ("/v1/predict", "/v1/measure", "/v1/models", "/v1/stream", "/healthz", "/metrics"):
        assert path in said["paths"], path
    answers = said["paths"]["/v1/stream"]["get"]["responses"]
    assert "101" in answers
    assert "200" not in answers
    predict = said["paths"]["/v1/predict"]["post"]
    named = {each["name"]: each for each in predict["parameters"]}
    assert {"save", "known", "fov", "model", "colour_map"} <= set(named)
    assert all(len(each["description"]) > 10 for each in named.values())
    # Texts of addresses and forms are never null.
    assert named["fov"]["schema"]["type"] == "number"
    assert "null" not in json.dumps(said["paths"])
    form = predict["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert set(form) == {"image", *named}
    for reference in references(said):
        place: object = said
        for part in reference.removeprefix("#/").split("/"):
            assert isinstance(place, dict)
            place = place[part]
    # What the document says of outputs is what there is.
    assert all(name in named["save"]["description"] for name in OUTPUTS.own)


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            yield from references(value)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


def test_health_says_the_version(server: Served) -> None:
    said = server.client.get("/healthz").json()
    assert said == {"status": "ok", "version": rilievo.__version__}
