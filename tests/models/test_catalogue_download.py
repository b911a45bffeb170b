"""Files of the catalogue: fetched once, resumed, checked; one line for what goes wrong."""

import errno
import hashlib
import os
import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rilievo.errors import ModelError
from rilievo.models.catalogue import download
from rilievo.models.catalogue.download import fetch_files, find_files
from rilievo.models.catalogue.table import CatalogueEntry, RemoteFile
from rilievo.records.depth_map import DepthKind

CONTENT = bytes(range(256)) * 40_000  # 10 MB: several chunks
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "a" * 40


@dataclass(kw_only=True)
class Mirror:
    """Behaviour of the server; tests change it while it runs."""

    fault: str | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    content: bytes = CONTENT
    stated: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    mirror: Mirror
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        mirror = self.mirror
        mirror.asked.append((self.path, dict(self.headers)))
        if mirror.fault == "slow":
            mirror.ended.wait(30)
            self.close_connection = True
            return
        if mirror.fault and mirror.fault.isdigit():
            self.send_response(int(mirror.fault))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if mirror.fault == "redirect" and not self.path.startswith("/files"):
            self.send_response(302)
            self.send_header("Location", "/files" + self.path)
            self.send_header("X-Repo-Commit", COMMIT)
            for name, value in mirror.stated.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=")[:-1])
        rest = mirror.content[start:]
        self.send_response(206 if start else 200)
        size = len(rest) if mirror.announced is None else mirror.announced
        self.send_header("Content-Length", str(size))
        if "main" in self.path and not self.path.startswith("/files"):
            self.send_header("X-Repo-Commit", COMMIT)
            for name, value in mirror.stated.items():
                self.send_header(name, value)
        self.end_headers()
        if mirror.fault == "break":
            self.wfile.write(rest[: len(rest) // 3])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
        else:
            with suppress(ConnectionError):  # it is refused by its headers
                self.wfile.write(rest)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Mirror]:
    state = Mirror()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (Handler,), {"mirror": state}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for name in (
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_TOKEN",
        "HF_HUB_CACHE",
        "HF_TOKEN_PATH",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "rilievo"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield state
    state.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


def entry(
    *, sha256: str | None = DIGEST, size: int | None = len(CONTENT), **more: Any
) -> CatalogueEntry:
    fields: dict[str, Any] = {
        "name": "test/net",
        "summary": "a test",
        "repository": "someone/net",
        "revision": "b" * 40,
        "files": (RemoteFile(path="onnx/model.onnx", size=size, sha256=sha256),),
        "family": "moge-2",
        "kind": DepthKind.METRIC,
        "licence": "MIT",
        "commercial": True,
    }
    return CatalogueEntry(**(fields | more))


def failure(wanted: CatalogueEntry) -> str:
    with pytest.raises(ModelError) as caught:
        fetch_files(wanted)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def left_over(tmp_path: Path) -> list[Path]:
    return [each for each in (tmp_path / "hf").rglob("*.incomplete") if each.is_file()]


def test_a_file_lies_where_huggingface_hub_looks_for_it(mirror: Mirror, tmp_path: Path) -> None:
    from huggingface_hub import try_to_load_from_cache

    [path] = fetch_files(entry())
    assert path.read_bytes() == CONTENT
    found = try_to_load_from_cache(
        "someone/net", "onnx/model.onnx", revision="b" * 40, cache_dir=tmp_path / "hf" / "hub"
    )
    assert found == str(path)
    assert not left_over(tmp_path)


def test_the_second_time_nobody_is_asked_and_nothing_is_hashed(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_files(entry())
    mirror.asked.clear()
    monkeypatch.setattr(download, "sha256", lambda *_: pytest.fail("hashed again"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fetch_files(entry())
    assert not mirror.asked


def test_a_download_that_broke_off_goes_on_where_it_was(mirror: Mirror, tmp_path: Path) -> None:
    mirror.fault = "break"
    assert "try again to resume the download" in failure(entry())
    [part] = left_over(tmp_path)
    size = part.stat().st_size
    assert 0 < size < len(CONTENT)
    mirror.fault = None
    assert fetch_files(entry())[0].read_bytes() == CONTENT
    assert mirror.asked[-1][1]["Range"] == f"bytes={size}-"


@pytest.mark.parametrize(
    ("changed", "words"), [(b"x" + CONTENT[1:], "sha256"), (CONTENT + b"x", "announces")]
)
def test_another_content_is_refused_and_not_kept(
    mirror: Mirror, tmp_path: Path, changed: bytes, words: str
) -> None:
    mirror.content = changed
    assert words in failure(entry())
    assert find_files(entry()) is None
    mirror.content = CONTENT
    assert fetch_files(entry())[0].read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("404", "HF_ENDPOINT"),
        ("401", "HF_TOKEN"),
        ("503", "503"),
        ("302", "redirects"),
        ("slow", "in time"),
    ],
)
def test_what_a_server_refuses_is_one_line(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    mirror.fault = fault
    if fault == "slow":
        monkeypatch.setattr(download, "_TIMEOUT", 0.2)
    assert words in failure(entry())


REMEDY = (
    "run 'rilievo models fetch test/net' while you are online, or use quality='fast', which needs "
    "no download"
)


def test_a_shut_network_is_one_line_without_the_mirror_s_password(
    mirror: Mirror, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://user:secret@127.0.0.1:{closed_port}")
    message = failure(entry())
    assert "cannot be reached" in message
    assert "secret" not in message
    assert message.endswith(REMEDY)


def test_offline_names_the_command_that_fetches(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert failure(entry()).endswith(REMEDY)
    assert not mirror.asked


def test_a_disk_without_room_is_said_before_anything_is_fetched(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    assert "disk is full" in failure(entry())
    assert not mirror.asked


def test_a_disk_that_fills_up_meanwhile_is_one_line(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    assert "disk is full" in failure(entry())


def test_two_at_once_share_one_download(mirror: Mirror) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch_files(entry())[0], range(4)))
    assert len(set(paths)) == 1
    assert len(mirror.asked) == 1


def test_the_token_goes_to_the_hub_and_not_to_where_it_redirects(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    mirror.fault = "redirect"
    fetch_files(entry())
    [first, second] = mirror.asked
    assert first[1]["Authorization"] == "Bearer hf_secret"
    assert "Authorization" not in second[1]


@pytest.mark.parametrize("fault", [None, "redirect"])
def test_a_file_without_a_known_hash_is_checked_against_its_first_download(
    mirror: Mirror, fault: str | None
) -> None:
    mirror.fault = fault
    unknown = entry(sha256=None, size=None, revision="main")
    [path] = fetch_files(unknown)
    assert path.parts[-3] == COMMIT
    path.resolve().write_bytes(b"x" * len(CONTENT))
    assert "remove the file" in failure(unknown)


STATED = {"X-Linked-Size": str(len(CONTENT)), "X-Linked-Etag": f'"{DIGEST}"'}
UNKNOWN = {"sha256": None, "size": None, "revision": "main"}


@pytest.mark.parametrize("fault", [None, "redirect"])
def test_what_the_hub_states_for_a_file_without_a_known_hash_is_checked(
    mirror: Mirror, fault: str | None
) -> None:
    mirror.fault, mirror.stated = fault, STATED
    mirror.content = b"x" + CONTENT[1:]
    message = failure(entry(**UNKNOWN))
    assert f"expected {len(CONTENT):,} bytes and sha256 {DIGEST[:12]}..." in message
    mirror.content = CONTENT[:-1]
    assert f"announces {len(CONTENT) - 1:,};" in failure(entry(**UNKNOWN))
    assert find_files(entry(**UNKNOWN)) is None
    mirror.content = CONTENT
    assert fetch_files(entry(**UNKNOWN))[0].read_bytes() == CONTENT


@pytest.mark.parametrize("fault", [None, "redirect"])
@pytest.mark.parametrize(
    "changed", [{"X-Linked-Etag": f'"{"0" * 64}"'}, {"X-Linked-Size": "12"}], ids=["hash", "size"]
)
def test_a_hub_that_has_another_file_now_is_refused_before_it_sends_it(
    mirror: Mirror, tmp_path: Path, fault: str | None, changed: dict[str, str]
) -> None:
    mirror.fault, mirror.stated = fault, STATED | changed
    message = failure(entry(revision="main"))
    assert "now has a different onnx/model.onnx" in message
    assert "expected 10,240,000 bytes and sha256 " in message
    assert not left_over(tmp_path)


@pytest.mark.parametrize("wrong", [9, -9])
@pytest.mark.parametrize("known", [True, False])
def test_a_length_that_is_not_true_is_one_line(mirror: Mirror, *, wrong: int, known: bool) -> None:
    mirror.announced = len(CONTENT) + wrong
    mirror.stated = {} if known else STATED
    wanted = entry() if known else entry(**UNKNOWN)
    assert f"should have {len(CONTENT):,} bytes, but" in failure(wanted)
    mirror.announced = None
    assert fetch_files(wanted)[0].read_bytes() == CONTENT


def test_a_file_that_is_downloaded_again_is_the_one_of_the_first_download(mirror: Mirror) -> None:
    unknown = entry(**UNKNOWN)
    [path] = fetch_files(unknown)
    path.resolve().unlink()
    path.unlink()
    mirror.content = b"x" + CONTENT[1:]
    message = failure(unknown)
    assert "its first download had" in message
    record = Path(message.rpartition("remove ")[2].removesuffix(" to accept the new file"))
    # It asks for the commit of the first download, whatever the branch holds now.
    assert f"/resolve/{COMMIT}/" in mirror.asked[-1][0]
    mirror.content = CONTENT
    assert fetch_files(unknown)[0].read_bytes() == CONTENT
    path.resolve().unlink()
    path.unlink()
    record.unlink()
    mirror.content = b"x" + CONTENT[1:]
    assert fetch_files(unknown)[0].read_bytes() == mirror.content


def test_a_changed_file_of_the_cache_is_refused(mirror: Mirror) -> None:
    [path] = fetch_files(entry())
    path.resolve().write_bytes(CONTENT[:-1] + b"x")
    assert "sha256" in failure(entry())
    path.resolve().write_bytes(CONTENT[:-1])
    assert "bytes" in failure(entry())


def test_the_licence_is_said_once_and_loudly_where_it_forbids_commercial_use(
    mirror: Mirror, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = entry(licence="CC-BY-NC-4.0", commercial=False)
    fetch_files(wanted)
    assert "NON-COMMERCIAL" in capsys.readouterr().err
    fetch_files(wanted)
    assert not capsys.readouterr().err
