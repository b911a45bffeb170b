"""The running app under attack: paths in addresses, and questions that no page would ask."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from app_server import Served, lacking

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))


def status_of(served: Served, path: str) -> int:
    try:
        with urlopen(served.address.rstrip("/") + path, timeout=20) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../../etc/passwd",
        "/gradio_api/file=%2Fetc%2Fpasswd",
        "/gradio_api/file=%2e%2e/%2e%2e/etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2f..%2fetc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:22/",
        "/gradio_api/file=http://127.0.0.1:22/",
        "/answers/AAAAAAAAAAAAAAAAAAAAAA/photo.jpg",
        "/answers/AAAAAAAAAAAAAAAAAAAAAA/clip/..%2f..%2fphoto.jpg",
        "/gradio_api/info",
        "/monitoring",
        "/docs",
    ],
)
def test_no_path_of_the_server_is_readable(served: Served, path: str):
    assert status_of(served, path) in (403, 404)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "http://127.0.0.1:1/x.jpg", "file:///etc/passwd"]
)
def test_an_event_that_names_a_path_of_the_server_is_refused(served: Served, path: str):
    with urlopen(served.address + "config", timeout=20) as answer:
        config = json.load(answer)
    kinds = {each["id"]: each["type"] for each in config["components"]}
    asks = [
        each
        for each in config["dependencies"]
        if each["inputs"] and kinds[each["inputs"][0]] in ("image", "file")
    ]
    assert len(asks) >= 3, "a photograph that is given, the button, and the video"
    for each in asks:
        forged = {"path": path, "orig_name": "x.jpg", "meta": {"_type": "gradio.FileData"}}
        rest = ["rilievo/small", False, "photograph", None, "viridis", None, None]
        body = {
            "data": [forged, *rest][: len(each["inputs"])],
            "fn_index": each["id"],
            "session_hash": "forged",
        }
        join = Request(
            served.address + "gradio_api/queue/join",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with pytest.raises(HTTPError, match="400"):
            urlopen(join, timeout=20)
