"""Refusals of the HTTP interface: one line each, with a status, and nothing of the server in it."""

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from starlette.requests import Request
from starlette.responses import Response

from rilievo.errors import ModelError, OutputError, RilievoError, UnknownCameraError
from rilievo.errors.messages import OptionName, Text
from rilievo.serving.listener.request_refusals import refusal_from_error
from rilievo.serving.server.endpoint import Endpoint
from rilievo.serving.server.routes import respond_or_refuse
from support.served import FAULTY, PATIENCE, Served, check_refused, picture, served

FACTS = ("option", "value", "expected", "hint")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, max_megabytes=0.2, max_megapixels=0.5) as found:
        yield found


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/v1/predict?sav=npz", 400, "'save'"),
        ("/v1/predict?points=1,1", 400, "did you mean 'at'?"),
        ("/v1/predict?colour-mpa=grey", 400, "did you mean 'colour_map'?"),
        ("/v1/predict?colour=grey", 400, "did you mean 'colour_map' or 'colour_range'?"),
        ("/v1/predict?image=a.jpg", 400, "send the photograph as the request body"),
        ("/v1/predict?img=a.jpg", 400, "send the photograph as the request body"),
        ("/v1/predict?grid=1", 400, "no parameter 'grid'; known: "),
        ("/v1/predict?model=tset/model", 404, "did you mean 'test/model'?"),
        ("/v1/predict?model=rilievo/small", 404, "can add this one with --offer rilievo/small"),
        ("/v1/predict?model=moge-2/small", 404, "can add this one with --offer moge-2/small"),
        ("/v1/predict?save=gbl", 400, "'glb'"),
        ("/v1/predict?save=,", 400, "save is empty"),
        ("/v1/predict?save=os:path", 400, "'os:path'"),
        ("/v1/predict?fov=wide", 400, "fov"),
        ("/v1/predict?fov=181", 400, "fov must be between 0 and 180"),
        ("/v1/predict?fov=nan", 400, "fov"),
        ("/v1/predict?fov=50&fov=60", 400, "twice"),
        ("/v1/predict?fov=50&camera=1,1,1,1", 400, "camera and fov"),
        ("/v1/predict?camera=1,1", 400, "camera"),
        ("/v1/predict?camera=/etc/hosts", 400, "camera"),
        ("/v1/predict?camera=pyproject.toml", 400, "camera"),
        ("/v1/predict?known=/etc/passwd", 400, "/etc/passwd"),
        ("/v1/predict?known=table.csv", 400, "table"),
        ("/v1/predict?known_length=1,1,2,2,x", 400, "'x' is neither a number of metres"),
        ("/v1/predict?known=1,1,2&camera_height=1", 400, "known and camera_height"),
        ("/v1/predict?known_length=1,1,90,50,1e-300", 400, "between 1e-06 and 1e+06"),
        ("/v1/predict?known=1,1,1e-300", 400, "between 1e-06 and 1e+06"),
        ("/v1/predict?known=1,1,2&" + "&".join(64 * ["known_length=1,1,9,9,1"]), 400, "at most 64"),
        ("/v1/predict?" + "&".join(65 * ["known=1,1,2"]), 400, "64"),
        (
            "/v1/predict?known=1,1,9,1,9,9,1,9,a4&"
            + "&".join(8 * ["known_rectangle=1,1,9,1,9,9,1,9,a4"]),
            400,
            "at most 8 are allowed for one photograph",
        ),
        ("/v1/predict?at=1", 400, "point '1'"),
        ("/v1/predict?at=500,1", 422, "outside"),
        ("/v1/predict?colour_map=dark", 400, "dark"),
        ("/v1/predict?model=package.module:load", 404, "package.module:load"),
        ("/v1/predict?model=../../etc", 404, "no model"),
        ("/v1/predict?save=normals", 400, "normals"),
        ("/v1/predict?save=glb&surface_points=-" + 400 * "9", 400, "surface_points"),
        ("/v1/predict?known=500,1,2", 422, "outside"),
        ("/v1/predict?url=http://example.org/a.jpg", 400, "url"),
        ("/v1/predict?flip=" + 5000 * "x", 400, "flip"),
        ("/v1/measure", 400, "no point is given"),
        ("/v1/measure?at=1,1&at=9,9", 422, "known_length"),
        ("/v1/measure?save=npz", 400, "save"),
        ("/nothing", 404, "no such address"),
        ("/v1/predict/", 404, "no such address"),
        ("/v1/models", 405, "this address does not accept POST; use "),
    ],
)
def test_a_request_that_makes_no_sense(
    server: Served, address: str, status: int, words: str
) -> None:
    check_refused(server.client.post(address, content=picture()), status, words)
    assert server.files() == []
    assert server.disk.reserved_bytes == 0


def test_a_stream_is_asked_for_as_a_websocket(server: Served) -> None:
    answer = server.client.get("/v1/stream")
    check_refused(answer, 426, "WebSocket")
    assert answer.headers["upgrade"] == "websocket"
    for method in ("TRACE", "POST", "DELETE"):
        answer = server.client.request(method, "/v1/stream")
        check_refused(answer, 405, f"this address does not accept {method}")
        assert {*answer.headers["allow"].split(", ")} == {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 400, "no image"),
        (b"hello", 422, "is a text file"),
        (b"\0\1\2\3" * 99, 422, "is not in a supported image format"),
        (b"\xff\xd8\xff" + bytes(500), 422, "damaged"),
        (picture()[:60], 422, "PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "image"),
        (b"%PDF-1.4\n", 422, "PDF"),
        (picture(size=(20, 20)), 422, "at least 32"),
        (picture(size=(1000, 1000)), 422, "limit of 0.5 million"),
        (bytes(300_000), 413, "0.2 MB"),
    ],
)
def test_a_body_that_is_no_photograph(
    server: Served, content: bytes, status: int, words: str
) -> None:
    check_refused(server.client.post("/v1/predict?save=npz", content=content), status, words)
    form = {"image": ("a.jpg", content)}
    answer = server.client.post("/v1/measure?distance=1,1", files=form)
    assert answer.status_code == status
    assert server.files() == []
    assert server.disk.reserved_bytes == 0


def test_a_body_of_unknown_length_that_is_too_large_is_413(server: Served) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            yield bytes(10_000)

    check_refused(server.client.post("/v1/predict", content=pieces()), 413, "0.2 MB")
    assert server.disk.reserved_bytes == 0


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("multipart/form-data", b"--a\r\n", "boundary"),
        ("multipart/form-data; boundary=a", b"hello", "form"),
        ("multipart/form-data; boundary=a", b"--a\r\nContent-Disposition: x\r\n\r\n1", "name"),
        (
            "multipart/form-data; boundary=a",
            b'--a\r\nContent-Disposition: form-data; name="image"\r\n\r\ntext\r\n--a--\r\n',
            "must be a file",
        ),
        (
            "multipart/form-data; boundary=a",
            2 * b'--a\r\nContent-Disposition: form-data; name="i"; filename="b"\r\n\r\nx\r\n'
            + b"--a--\r\n",
            "a file 'i', but only 'image' is expected",
        ),
        (
            "multipart/form-data; boundary=a",
            2 * b'--a\r\nContent-Disposition: form-data; name="image"; filename="b"\r\n\r\nx\r\n'
            + b"--a--\r\n",
            "2 files named 'image'",
        ),
        (
            "multipart/form-data; boundary=a",
            20 * b'--a\r\nContent-Disposition: form-data; name="i"; filename="b"\r\n\r\nx\r\n',
            "Too many files",
        ),
        (
            "multipart/form-data; boundary=a",
            b'--a\r\nContent-Disposition: form-data; name="fov"\r\n\r\n' + 5000 * b"9",
            "maximum size",
        ),
    ],
)
def test_a_form_that_cannot_be_read(server: Served, kind: str, body: bytes, words: str) -> None:
    headers = {"Content-Type": kind}
    check_refused(server.client.post("/v1/predict", content=body, headers=headers), 400, words)
    assert server.disk.reserved_bytes == 0


@pytest.mark.parametrize("name", ["depth", "sparse", "mask"])
def test_a_depth_map_is_not_taken_for_the_photograph(server: Served, name: str) -> None:
    for files in (
        {name: ("z.png", picture())},
        {"image": ("a.png", picture()), name: ("z.png", picture())},
    ):
        answer = server.client.post("/v1/measure?distance=1,1", files=files)
        check_refused(answer, 400, f"a file '{name}'")
        says_where = "rilievo measure --depth" in answer.json()["detail"]
        assert says_where == (name != "mask")
    assert server.disk.reserved_bytes == 0


@pytest.mark.parametrize(
    "name", ["depth", "depth_error", "unit", "kind", "sparse", "sparse_unit", "sparse_kind"]
)
@pytest.mark.parametrize("address", ["/v1/measure?distance=1,1", "/v1/predict?save=json"])
def test_options_about_depth_files_are_refused_by_name(
    server: Served, name: str, address: str
) -> None:
    words = f"no parameter '{name}'; the server does not accept depth maps"
    check_refused(server.client.post(f"{address}&{name}=1", content=picture()), 400, words)
    form = {"image": ("a.png", picture()), name: (None, "1")}
    check_refused(server.client.post(address, files=form), 400, words)
    body = {"image": base64.b64encode(picture()).decode(), name: "1"}
    check_refused(server.client.post(address, json=body), 400, words)


@pytest.mark.parametrize("name", ["img", "photo", "file"])
def test_a_photograph_under_another_name_is_answered_with_its_own(
    server: Served, name: str
) -> None:
    words = f"no parameter '{name}'; send the photograph as the request body, or as 'image'"
    body = {name: base64.b64encode(picture()).decode()}
    check_refused(server.client.post("/v1/predict", json=body), 400, words)
    check_refused(server.client.post("/v1/predict", files={name: (None, "text")}), 400, words)


def test_a_form_without_an_image(server: Served) -> None:
    form = {"fov": (None, "60")}
    check_refused(server.client.post("/v1/predict", files=form), 400, "no image")


def test_a_model_that_fails_says_so(server: Served) -> None:
    for model in ("test/model", "other"):
        answer = server.client.post(f"/v1/predict?model={model}", content=picture(FAULTY))
        check_refused(answer, 500, "a white photograph")
    with server.stream("?model=other") as socket:
        socket.send_bytes(picture(FAULTY))
        assert json.loads(socket.receive_text())["error"] == "other: a white photograph"


def test_a_model_that_needs_the_camera_says_so(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(photos: object) -> None:
        hint = Text("give ", OptionName("fov", "..."))
        raise UnknownCameraError("it needs the focal length", hint=hint)

    monkeypatch.setattr(server.model, "infer", unknown)
    check_refused(server.client.post("/v1/predict", content=picture()), 422, "give fov")


def test_a_defect_is_told_once_to_the_operator_and_never_to_the_client(
    server: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("in /nowhere/secret")

    monkeypatch.setattr("rilievo.serving.server.service.finish_photo", broken)
    for _ in range(3):
        check_refused(server.client.post("/v1/predict", content=picture()), 500, "internal server")
    assert capsys.readouterr().err.count("ZeroDivisionError: in /nowhere/secret") == 1


def test_a_full_disk_is_told_without_its_place(
    server: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OutputError("/nowhere/secret/a.npz: the disk is full")

    monkeypatch.setattr("rilievo.serving.server.answer_files.save", full)
    answer = server.client.post("/v1/predict?save=npz", content=picture())
    check_refused(answer, 507, "cannot write")
    assert "the disk is full" in capsys.readouterr().err
    assert server.files() == []
    assert server.disk.reserved_bytes == 0


def test_a_result_that_the_disk_has_no_room_for_is_refused_before_it_is_written(
    tmp_path: Path,
) -> None:
    with served(tmp_path, disk_megabytes=3) as server:
        large = picture(size=(800, 600), kind="JPEG")
        check_refused(server.client.post("/v1/predict?save=npz", content=large), 413, "MB of disk")
        assert server.model.batches == []
        assert server.client.post("/v1/predict?save=png16", content=picture()).status_code == 200
        assert server.disk.reserved_bytes == 0


def test_more_than_the_queue_takes_is_429_and_says_when_to_come_again(tmp_path: Path) -> None:
    with served(tmp_path, queue=2, workers=1, batch=1) as server, ThreadPoolExecutor(12) as clients:
        server.model.gate.clear()
        sent = [
            clients.submit(server.client.post, "/v1/predict", content=picture()) for _ in range(12)
        ]
        # The places are two of a single client, one of its requests may wait.
        done = [each.result(PATIENCE) for each in wait_for(sent, 8)]
        for answer in done:
            check_refused(answer, 429, "waiting")
            assert int(answer.headers["retry-after"]) >= 1
        server.model.gate.set()
        rest = [each.result(PATIENCE).status_code for each in sent]
    assert rest.count(200) == 12 - rest.count(429) >= 2


def wait_for(futures: list[Any], count: int) -> list[Any]:
    """The first futures that are done."""
    enough = threading.Event()
    done: list[Any] = []

    def note(future: Any) -> None:
        done.append(future)
        if len(done) >= count:
            enough.set()

    for each in futures:
        each.add_done_callback(note)
    assert enough.wait(PATIENCE)
    return done[:count]


def test_a_request_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with served(tmp_path, time_limit=0.3) as server:
        server.model.gate.clear()
        answer = server.client.post("/v1/predict?save=npz", content=picture())
        check_refused(answer, 503, "no result after 0.3 s")
        server.model.gate.set()
    assert server.files() == []
    assert server.disk.reserved_bytes == 0


def test_a_model_that_cannot_be_downloaded_is_a_refusal_for_now() -> None:
    error = ModelError("model 'm': host cannot be reached ([Errno -2] Name not known)")
    error.__cause__ = URLError("[Errno -2] Name not known")
    refused = refusal_from_error(error)
    assert refused.status == 503
    assert "Errno" not in refused.line


def test_a_request_that_is_cancelled_because_the_server_stops_gets_503(server: Served) -> None:
    async def waiting(service: object, request: Request) -> Response:
        await asyncio.sleep(PATIENCE)
        return Response()

    async def cancelled() -> Response:
        endpoint = Endpoint(address="GET /wait", respond=waiting, summary="Nothing.")
        task = asyncio.ensure_future(
            respond_or_refuse(endpoint, server.service, Request({"type": "http"}))
        )
        await asyncio.sleep(0)
        task.cancel()
        return await task

    answer = asyncio.run(cancelled())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


def test_clients_read_of_parameters_alone() -> None:
    error = RilievoError(
        problem=Text(
            "give ",
            OptionName("fov", "..."),
            ", ",
            OptionName("known", "U,V,METRES"),
            " or ",
            OptionName("vanishing_points", "True"),
        )
    )
    line = "give fov, known=U,V,METRES or vanishing_points=True"
    assert refusal_from_error(error).line == line


@pytest.mark.parametrize(
    ("line", "clear"),
    [
        ("/srv/runs/mine/depth.pth: no file of torch", "mine/depth.pth: no file of torch"),
        (f"no file {Path.home() / 'hub' / 'x'}", f"no file {Path('~') / 'hub' / 'x'}"),
        ("a model of one part", "a model of one part"),
    ],
)
def test_folders_of_the_server_are_not_told(line: str, clear: str) -> None:
    shown = {"runs/mine": "mine", "/srv/runs/mine": "mine", "a": "b"}
    assert refusal_from_error(ModelError(line), shown).line == clear
    facts = {"value": line, "expected": line, "hint": line}
    assert refusal_from_error(ModelError("a model", **facts), shown).details == dict.fromkeys(
        facts, clear
    )


@pytest.mark.parametrize(
    ("query", "facts"),
    [
        ("fov=181", {"option": "fov", "value": 181, "expected": "between 0 and 180 degrees"}),
        ("fov=wide", {"option": "fov", "value": "wide", "expected": "a valid number"}),
        ("fov=nan", {"option": "fov", "value": "nan", "expected": "between 0 and 180 degrees"}),
        ("save=gbl", {"option": "save", "hint": "did you mean 'glb'?"}),
        ("fov=50&fov=60", {"option": "fov"}),
        ("sav=npz", {"hint": "did you mean 'save'?"}),
        ("model=none", {}),
    ],
)
def test_a_refusal_has_its_facts_as_members_of_one_schema(
    server: Served, query: str, facts: dict[str, Any]
) -> None:
    problem = server.client.post(f"/v1/predict?{query}", content=picture()).json()
    assert {name: problem[name] for name in FACTS if name in problem} == facts
    components = server.client.get("/openapi.json").json()["components"]
    schema = components["schemas"]["Problem"]
    assert {*schema["required"]} <= {*problem} <= {*schema["properties"]}
    for response in components["responses"].values():
        schemas = {kind: content["schema"] for kind, content in response["content"].items()}
        assert schemas == {"application/problem+json": {"$ref": "#/components/schemas/Problem"}}
