"""The page at the server's address: lines that work, and nothing from elsewhere."""

import re
import shlex
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from support.served import check_refused, picture, served

TOKEN = "a-token-of-this-test"


def lines_of(page: str) -> list[list[str]]:
    [block] = re.findall(r"<pre>\n(.*?)\n</pre>", page, re.DOTALL)
    return [shlex.split(line) for line in unescape(block).splitlines()]


def run(client: Any, words: list[str], token: str = "") -> Any:
    headers = {}
    if "-H" in words:
        name, _, value = words[words.index("-H") + 1].partition(": ")
        headers[name] = value.replace("TOKEN", token)
    [address] = [word for word in words if word.startswith("http")]
    assert words[0] == "curl"
    assert words[words.index("--data-binary") + 1] == "@photo.jpg"
    content = picture(size=(640, 480))
    return client.post(address, content=content, headers=headers)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_address_of_the_server_shows_lines_that_work(tmp_path: Path, path: str) -> None:
    with served(tmp_path) as server:
        answer = server.client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'; sandbox" in answer.headers["content-security-policy"]
        lines = lines_of(answer.text)
        assert len(lines) == 4
        for words in lines:
            made = run(server.client, words)
            assert made.status_code == 200, (words, made.text)
        for link in re.findall(r'href="([^"]+)"', answer.text):
            assert server.client.get(link).status_code == 200
        addresses = set(re.findall(r"https?://[^/\"' ]+", answer.text))
        assert addresses == {"http://127.0.0.1"}
        assert not re.findall(r"\bsrc=|<script|<link|<img|<style|url\(", answer.text)
        assert server.client.head(path).status_code == 200
        check_refused(server.client.post(path), 405, "GET")


def test_the_page_writes_the_token_that_is_needed(tmp_path: Path) -> None:
    with served(tmp_path, tokens=(TOKEN,)) as server:
        check_refused(server.client.get("/"), 401, "token")
        page = server.client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).text
        assert TOKEN not in page
        for words in lines_of(page):
            assert run(server.client, words, TOKEN).status_code == 200


def test_behind_a_proxy_the_lines_have_its_path(tmp_path: Path) -> None:
    with served(tmp_path, root_path="/depth") as server:
        inside = TestClient(server.client.app, "http://127.0.0.1", root_path="/depth")
        for path in ("/depth/", "/depth/docs"):
            page = inside.get(path).text
            assert "http://127.0.0.1/depth/v1/predict?save=glb" in page
            assert 'href="http://127.0.0.1/depth/openapi.json"' in page


@pytest.mark.parametrize("host", ["evil.example", "'x", '"><script>', "a b", ""])
def test_a_name_that_is_not_the_servers_is_not_written(tmp_path: Path, host: str) -> None:
    with served(tmp_path) as server:
        answer = server.client.get("/", headers={"host": host})
        assert answer.status_code == 421
        assert "<" not in answer.text


def test_the_pages_are_in_the_document_and_in_the_counters(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        paths = server.client.get("/openapi.json").json()["paths"]
        assert {"/", "/docs"} <= set(paths)
        server.client.get("/docs")
        assert 'route="/docs"' in server.client.get("/metrics").text
        check_refused(server.client.get("/no"), 404, "see /docs for examples")


def test_the_app_has_its_own_page_and_the_lines_at_docs(tmp_path: Path) -> None:
    from support.served_app import served_app

    with served_app(tmp_path) as app:
        assert "the page" in app.client.get("/").text
        lines = lines_of(app.client.get("/docs").text)
        assert len(lines) == 4
        assert app.client.get("/openapi.json").json()["paths"]["/"]["get"]["summary"] == "The page."
