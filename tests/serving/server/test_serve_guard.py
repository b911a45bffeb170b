"""Callers of the HTTP interface: hosts, origins, tokens, and how a refusal reaches a client."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from uvicorn.server import ServerState

from rilievo.serving.listener.http_server import http_server
from rilievo.serving.listener.request_refusals import Refusal, RefusalResponse, TrackedReceive
from rilievo.serving.server.server_options import ServeOptions
from support.served import check_refused, picture, served
from support.served_app import served_app

TOKEN = "0123456789abcdef0123"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"Authorization": "Bearer ÿ".encode("latin-1")}, 401),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        ({"Authorization": f"bearer another-{TOKEN}"}, 200),
    ],
)
def test_a_token_is_asked_for(tmp_path: Path, headers: dict[str, Any], status: int) -> None:
    with served(tmp_path, tokens=(TOKEN, f"another-{TOKEN}")) as server:
        answer = server.client.post("/v1/predict", content=picture(), headers=headers)
        assert answer.status_code == status
        for path in ("/metrics", "/v1/models", "/openapi.json"):
            assert server.client.get(path, headers=headers).status_code == status
        assert server.client.get("/healthz").status_code == 200
    assert server.model.batches == ([1] if status == 200 else [])
    if status == 401:
        check_refused(answer, 401, "Authorization: Bearer TOKEN")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("localhost", 200),
        ("Depth.Example.org", 200),
    ],
)
def test_a_foreign_name_of_the_server_is_refused(tmp_path: Path, host: str, status: int) -> None:
    with served(tmp_path, hosts="depth.example.org") as server:
        assert server.client.get("/healthz", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://127.0.0.1", 200),
    ],
)
def test_web_pages_of_other_sites_are_refused(tmp_path: Path, origin: str, status: int) -> None:
    with served(tmp_path) as server:
        headers = {"Origin": origin}
        answer = server.client.post("/v1/predict", content=picture(), headers=headers)
        assert answer.status_code == status
        assert "access-control-allow-origin" not in answer.headers


NAMED = "https://page.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@pytest.mark.parametrize("origins", [f"{NAMED}:443/, http://[::1]:3000", "*"])
def test_pages_of_named_origins_may_call(tmp_path: Path, origins: str) -> None:
    with served(tmp_path, origins=origins, tokens=(TOKEN,)) as server:
        headers = {"Origin": NAMED}
        leave = server.client.options("/v1/predict", headers=headers | PREFLIGHT)
        assert leave.status_code == 200
        assert "POST" in leave.headers["access-control-allow-methods"]
        assert "Authorization" in leave.headers["access-control-allow-headers"]
        refused = server.client.post("/v1/predict", content=picture(), headers=headers)
        headers["Authorization"] = f"Bearer {TOKEN}"
        answer = server.client.post("/v1/predict?save=npy", content=picture(), headers=headers)
        streamed = server.client.websocket_connect("ws://127.0.0.1/v1/stream", headers=headers)
        with streamed as stream:
            stream.send_bytes(picture())
            assert stream.receive_json()["kind"]
    assert (refused.status_code, answer.status_code) == (401, 200)
    for each in (leave, refused, answer):
        assert each.headers["access-control-allow-origin"] in (NAMED, "*")
        assert "access-control-allow-credentials" not in each.headers
        assert each.headers["x-content-type-options"] == "nosniff"
    assert "X-Depth-Kind" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", [NAMED.upper(), f"{NAMED}:443"])
def test_who_may_call_may_read_the_answer_however_its_origin_is_spelled(
    tmp_path: Path, origin: str
) -> None:
    with served(tmp_path, origins=NAMED) as server:
        leave = server.client.options("/v1/predict", headers={"Origin": origin} | PREFLIGHT)
        answers = [
            server.client.get("/healthz", headers={"Origin": origin}),
            server.client.get("/healthz", headers={"Origin": origin, "Host": "page.example"}),
        ]
    assert [leave.status_code, *(answer.status_code for answer in answers)] == [200, 200, 421]
    for answer in (leave, *answers):
        assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "LOCALHOST:80"])
def test_its_own_pages_may_call_however_the_usual_port_is_spelled(
    tmp_path: Path, host: str
) -> None:
    with served(tmp_path) as server:
        headers = {"Origin": "http://localhost", "Host": host}
        assert server.client.get("/healthz", headers=headers).status_code == 200
        headers["Origin"] = "http://localhost:81"
        assert server.client.get("/healthz", headers=headers).status_code == 403


@pytest.mark.parametrize("origins", ["", NAMED])
@pytest.mark.parametrize("origin", ["http://evil.example", "http://page.example", "null"])
def test_pages_of_other_origins_get_no_leave(tmp_path: Path, origins: str, origin: str) -> None:
    with served(tmp_path, origins=origins) as server:
        headers = {"Origin": origin}
        answers = (
            server.client.options("/v1/predict", headers=headers | PREFLIGHT),
            server.client.post("/v1/predict", content=picture(), headers=headers),
        )
    assert server.model.batches == []
    for answer in answers:
        check_refused(answer, 403, "web pages of other sites")
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_named_origin_does_not_name_the_server(tmp_path: Path) -> None:
    with served(tmp_path, origins="*") as server:
        headers = {"Origin": NAMED, "Host": "page.example"}
        assert server.client.get("/healthz", headers=headers).status_code == 421
        leave = server.client.options("/healthz", headers=headers | PREFLIGHT)
        assert leave.status_code == 421


@pytest.mark.parametrize("origins", [NAMED, "*"])
def test_a_page_reads_that_the_server_has_another_name(tmp_path: Path, origins: str) -> None:
    with served(tmp_path, origins=origins) as server:
        foreign = {"Host": "page.example"}
        named = server.client.get("/healthz", headers={"Origin": NAMED, **foreign})
        other = server.client.get("/healthz", headers={"Origin": "http://page.example", **foreign})
    assert (named.status_code, other.status_code) == (421, 421)
    assert named.headers["access-control-allow-origin"] in (NAMED, "*")
    assert ("access-control-allow-origin" in other.headers) == (origins == "*")


def test_a_server_does_not_close_the_handlers_of_other_libraries() -> None:
    """uvicorn's own configuration of logging does. absl's handler closes standard error then."""
    closed: list[logging.Handler] = []

    class Watched(logging.NullHandler):
        def close(self) -> None:
            closed.append(self)
            super().close()

    handler = Watched()
    app: Any = None
    http_server(app, ServeOptions(), max_client_connections=1)
    assert closed == []
    handler.close()


@pytest.mark.parametrize("origins", ["", NAMED])
def test_a_page_reads_that_its_address_has_too_many_connections(origins: str) -> None:
    """The server of the options, with no connection to spare."""
    app: Any = None
    options = ServeOptions(origins=origins, proxies="")
    config = http_server(app, options, max_client_connections=0).config
    config.load()

    async def answer() -> bytes:
        loop = asyncio.get_running_loop()
        kind: Any = config.http_protocol_class
        listener = await loop.create_server(
            lambda: kind(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0
        )
        async with listener:
            reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
            head = await reader.read()
            writer.close()
        return head

    head, _, problem = asyncio.run(answer()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"too many connections" in problem
    assert (b"\r\nAccess-Control-Allow-Origin: *\r\n" in head) == bool(origins)


@pytest.mark.parametrize(
    ("origins", "status"),
    [(NAMED, 200), (f"http://[::1]:3000,{NAMED}", 200), ("*", 400), ("", 403)],
)
def test_named_origins_alone_enter_a_private_network(
    tmp_path: Path, origins: str, status: int
) -> None:
    with served(tmp_path, origins=origins) as server:
        headers = {"Origin": NAMED, "Access-Control-Request-Private-Network": "true"} | PREFLIGHT
        leave = server.client.options("/v1/predict", headers=headers)
    assert leave.status_code == status
    allowed = leave.headers.get("access-control-allow-private-network")
    assert allowed == ("true" if status == 200 else None)


def test_every_answer_forbids_scripts_and_frames(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        answers = (
            server.client.get("/healthz"),
            server.client.get("/nothing"),
            server.client.post("/v1/predict?save=html", content=picture()),
        )
    for answer in answers:
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def sent(messages: Sequence[dict[str, Any]], *, read: int) -> tuple[list[dict[str, Any]], int]:
    """Run a refusal after some messages of the client were read; what it sends, and how many
    messages are left."""
    left = list(messages)
    answers: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    async def send(message: Any) -> None:
        answers.append(message)

    async def run() -> None:
        body = TrackedReceive(receive)
        for _ in range(read):
            await body()
        scope = {"type": "http", "headers": []}
        await RefusalResponse(Refusal(413, "too large"))(scope, body, send)

    asyncio.run(run())
    return answers, len(left)


PIECE = {"type": "http.request", "body": b"x", "more_body": True}
LAST = {"type": "http.request", "body": b"x", "more_body": False}


def test_a_refusal_comes_before_the_rest_of_the_body_is_dropped() -> None:
    answers, left = sent([PIECE, PIECE, LAST, {"type": "http.disconnect"}], read=1)
    assert [answer["type"].rpartition(".")[2] for answer in answers] == ["start", "body", "body"]
    assert b"too large" in answers[1]["body"]
    assert left == 1


def test_a_refusal_waits_for_nothing_after_the_body() -> None:
    answers, left = sent([PIECE, LAST, {"type": "http.disconnect"}], read=2)
    assert [answer["type"].rpartition(".")[2] for answer in answers] == ["start", "body"]
    assert left == 1


@pytest.mark.parametrize(("path", "status"), [("/depth/healthz", 200), ("/depth/metrics", 401)])
def test_routes_are_known_behind_a_proxy_s_path(tmp_path: Path, path: str, status: int) -> None:
    from starlette.testclient import TestClient

    with served(tmp_path, tokens=(TOKEN,), root_path="/depth") as server:
        inside = TestClient(server.client.app, "http://127.0.0.1", root_path="/depth")
        assert inside.get(path).status_code == status


@pytest.mark.parametrize("kind", ["serve", "app"])
@pytest.mark.parametrize(
    ("address", "status"),
    [
        *(("127.0.0.1", 200), ("127.3.2.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200)),
        *(("192.168.1.7", 403), ("93.184.215.14", 403), ("2606:2800:21f::1", 403), ("", 403)),
    ],
)
def test_metrics_are_this_machine_s_where_no_token_is_asked_for(
    tmp_path: Path, kind: str, address: str, status: int
) -> None:
    from starlette.testclient import TestClient

    with (served if kind == "serve" else served_app)(tmp_path) as server:
        asking = TestClient(server.client.app, "http://127.0.0.1", client=(address, 50000))
        answer = asking.get("/metrics")
        assert answer.status_code == status
        if status == 403:
            check_refused(answer, 403, "token")


def test_metrics_are_for_who_sends_the_token(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    with served(tmp_path, tokens=(TOKEN,)) as server:
        asking = TestClient(server.client.app, "http://127.0.0.1", client=("192.168.1.7", 50000))
        assert asking.get("/metrics").status_code == 401
        known = {"Authorization": f"Bearer {TOKEN}"}
        assert asking.get("/metrics", headers=known).status_code == 200
