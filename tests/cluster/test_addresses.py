"""Photographs and results at addresses: the files of one machine's disk, and what is in the way."""

import io
import json
import os
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.cluster import remote_files
from rilievo.cluster.remote_files import Remote, open_remote
from rilievo.cluster.remote_jobs import list_jobs
from rilievo.cluster.staging import Addresses
from rilievo.errors import InputError, MissingExtraError, OptionError
from rilievo.io.files.names import address_or_none, local_path
from rilievo.predicting.inputs import SkippedInputs, find_jobs
from rilievo.predicting.options import BatchOptions, PredictOptions
from rilievo.predicting.predict_across import PredictWork, predict_across
from rilievo.predicting.run import predict_files
from rilievo.predicting.work_processes import Report
from support.static_host import Quiet, hosted

fsspec = pytest.importorskip("fsspec", reason="the extra 'cluster' is not installed")

MakeNetwork = Callable[..., Path]
NAMES = ("a.png", "a.jpg", "deep/b.png", ".hidden.png", "deep/notes.txt")
WHEN = 1_700_000_000


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        path = folder / name
        if path.suffix == ".txt":
            path.write_text("notes")
        else:
            pixels = np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8)
            Image.fromarray(pixels).save(path)
        os.utime(path, (WHEN, WHEN))
    return folder


@pytest.fixture
def memory(photos: Path) -> Iterator[Any]:
    """The same photographs in fsspec's memory."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    for name in NAMES:
        files.pipe_file(f"/photos/{name}", (photos / name).read_bytes())
    yield files
    files.store.clear()


def do(output: str, network: Path, **more: object) -> Report:
    options = PredictOptions(
        model=str(network),
        output=Path(output),
        **{"save": "colour,npz", **more},  # pyright: ignore[reportArgumentType]
    )
    jobs = list(list_jobs(["memory://photos"], options.saving.output, sequence=False))
    return PredictWork(options=options, storage=Addresses()).open()(jobs, is_retry=False)


def test_an_address_is_told_from_a_path_also_after_it_has_been_one() -> None:
    assert address_or_none("s3://bucket/a b/c.jpg") == "s3://bucket/a b/c.jpg"
    assert address_or_none(Path("s3://bucket/c.jpg")) == "s3://bucket/c.jpg"
    assert address_or_none("photos/c.jpg") is None
    assert address_or_none("C:/photos/c.jpg") is None
    assert address_or_none("file:///photos/c.jpg") is None
    assert local_path("file:///photos/c.jpg") == "/photos/c.jpg"
    assert local_path(Path("file:///photos")) == "/photos"


def test_folders_elsewhere_are_listed_as_on_disk(photos: Path, memory: Any) -> None:
    here, there = SkippedInputs(), SkippedInputs()
    on_disk = list(find_jobs([photos], Path("out"), sequence=False, skipped=here))
    jobs = list(list_jobs(["memory://photos"], Path("out"), sequence=False, skipped=there))
    assert [job.target for job in jobs] == [job.target for job in on_disk]
    assert [job.medium for job in jobs] == [job.medium for job in on_disk]
    assert [Path(str(job.source)).name for job in jobs] == ["a.jpg", "a.png", "b.png"]
    assert here == there


def test_a_folder_of_results_among_the_photographs_is_left_out(memory: Any) -> None:
    """Also pictures that no JSON lists, as a run leaves them that was stopped."""
    memory.pipe_file("/photos/out/c.png", memory.cat_file("/photos/a.png"))
    for output in ("memory://photos/out", "memory://photos/out/"):
        jobs = list(list_jobs(["memory://photos"], Path(output), sequence=False))
        assert [Path(str(job.source)).name for job in jobs] == ["a.jpg", "a.png", "b.png"]


def test_a_pattern_names_files_elsewhere(memory: Any) -> None:
    jobs = list(list_jobs(["memory://photos/*.png"], Path("out"), sequence=False))
    assert [job.target for job in jobs] == [Path("out/a")]


def test_results_there_are_those_of_a_disk(
    tmp_path: Path, photos: Path, memory: Any, make_network: MakeNetwork
) -> None:
    network = make_network()
    assert do("memory://out", network).done == 3
    options = PredictOptions(model=str(network), output=tmp_path / "out", save="colour,npz")
    predict_files([photos], options, show=False)
    on_disk = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")
    }
    assert {path.removeprefix("/out/") for path in memory.find("/out")} == on_disk
    one = json.loads(memory.cat_file("/out/deep/b.json"))
    other = json.loads((tmp_path / "out/deep/b.json").read_bytes())
    for metadata in (one, other):
        # This memory gives every file the time at which it was put there; results hold it too.
        del metadata["run"]["source_modified_ns"]
        for file in metadata["files"]:
            del file["sha256"]
    assert one == other
    with Image.open(tmp_path / "out/deep/b.depth.png") as picture:
        there = Image.open(io.BytesIO(memory.cat_file("/out/deep/b.depth.png")))
        assert np.array_equal(np.asarray(there), np.asarray(picture))


@pytest.mark.slow
def test_a_second_run_there_adds_what_is_missing_or_overwrites(
    memory: Any, make_network: MakeNetwork
) -> None:
    network = make_network()
    do("memory://out", network)
    is_retry = do("memory://out", network)
    assert (is_retry.done, is_retry.finished_before, is_retry.failures) == (0, 3, ())
    before = memory.cat_file("/out/a.jpg.npz")
    added = do("memory://out", network, save="tiff")
    assert (added.done, added.failures) == (3, ())
    assert memory.cat_file("/out/a.jpg.npz") == before
    assert do("memory://out", network, save="colour,npz,tiff").finished_before == 3
    assert do("memory://out", network, overwrite=True).done == 3
    other = do("memory://out", make_network(offset=2.0, name="other.onnx"))
    assert other.failures[0].reason.startswith("memory://photos/a.jpg: memory://out/a.jpg.json")
    assert "a different model" in other.failures[0].reason


def test_files_of_others_there_are_not_replaced(memory: Any, make_network: MakeNetwork) -> None:
    memory.pipe_file("/out/deep/b.npz", b"somebody's")
    report = do("memory://out", make_network(), overwrite=True)
    assert report.done == 2
    assert "rilievo did not write this file" in report.failures[0].reason
    assert memory.cat_file("/out/deep/b.npz") == b"somebody's"
    assert not memory.exists("/out/deep/b.json")


def test_a_run_that_ends_between_two_files_leaves_what_the_next_one_finishes(
    memory: Any, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, store = make_network(), Remote.upload

    def failing(self: Remote, path: Path) -> None:
        if path.name == "b.npz":
            raise KeyboardInterrupt
        store(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "upload", failing)
        with pytest.raises(KeyboardInterrupt):
            do("memory://out", network)
    assert memory.exists("/out/deep/b.depth.png")
    assert not memory.exists("/out/deep/b.json"), "a JSON stands beside whole files alone"
    assert do("memory://out", network, resume=True).failures == ()
    assert memory.exists("/out/deep/b.json")
    assert not memory.find("/out/deep/.b.json.pending")


def test_damage_of_the_same_size_there_is_found_by_hashes(
    memory: Any, make_network: MakeNetwork
) -> None:
    network = make_network()
    done = do("memory://out", network).done
    whole = memory.cat_file("/out/deep/b.depth.png")
    memory.pipe_file("/out/deep/b.depth.png", bytes(len(whole)))
    assert do("memory://out", network).finished_before == done, "sizes alone are asked there"
    is_retry = do("memory://out", network, resume="hash")
    assert (is_retry.done, is_retry.finished_before) == (1, done - 1)
    assert memory.cat_file("/out/deep/b.depth.png") == whole


def test_a_place_that_fails_is_asked_again_and_then_given_up_in_one_line(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Failing:
        def info(self, path: str) -> dict[str, int]:
            asked.append(path)
            if len(asked) < 3:
                raise ConnectionError("reset by peer\nsecond line")
            return {"size": 5, "mtime": 2}

        def exists(self, path: str) -> bool:
            raise ConnectionError("reset by peer\nsecond line")

    monkeypatch.setattr(remote_files, "FIRST_WAIT", 0.0)
    place = Remote(files=Failing(), path="bucket/a.png", scheme="s3")
    assert place.size_and_time() == (5, 2_000_000_000)
    with pytest.raises(InputError) as caught:
        place.exists()
    assert str(caught.value) == (
        "s3://bucket/a.png: all 4 attempts failed (ConnectionError: reset by peer)"
    )


@pytest.fixture(params=["fsspec", "core"])
def reach(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers of web addresses: fsspec, or Python alone as on a core without extras."""
    if request.param == "fsspec":
        pytest.importorskip("aiohttp", reason="the extra 'cluster' is not installed")
    else:
        monkeypatch.setattr(remote_files, "find_spec", lambda name: None)


@pytest.mark.usefixtures("reach")
def test_photographs_of_a_web_server_give_the_files_of_a_disk(
    tmp_path: Path, photos: Path, make_network: MakeNetwork
) -> None:
    options = PredictOptions(model=str(make_network()), save="npz")
    work = PredictWork(options=options, storage=Addresses()).open()

    def does(sources: list[str], folder: str) -> Report:
        return work(list(list_jobs(sources, tmp_path / folder, sequence=False)), is_retry=False)

    names = ["a.png", "deep/b.png"]
    with hosted(photos) as base:
        web = does([f"{base}{name}" for name in (*names, "none.png")], "web")
    assert does([str(photos / name) for name in names], "disk").done == 2
    reasons = [failure.reason for failure in web.failures]
    assert (web.done, reasons) == (2, [f"{base}none.png: does not exist"])
    for name in ("a.json", "a.npz", "b.json", "b.npz"):
        assert (tmp_path / "web" / name).read_bytes() == (tmp_path / "disk" / name).read_bytes()


@pytest.mark.slow
def test_workers_fetch_photographs_of_a_web_server(
    tmp_path: Path, photos: Path, make_network: MakeNetwork
) -> None:
    options = PredictOptions(model=str(make_network()), output=tmp_path / "web", save="npz")
    with hosted(photos) as base:
        sources = [f"{base}{name}" for name in ("a.png", "none.png")]
        web = predict_across(sources, options, BatchOptions(workers=1), show=False)
    assert (web.done, web.failures) == (1, (f"{base}none.png: does not exist",))
    assert (tmp_path / "web" / "a.npz").exists()


@pytest.mark.usefixtures("reach")
def test_a_server_that_does_not_answer_is_told_from_a_file_that_is_not_there(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_files, "FIRST_WAIT", 0.0)
    with pytest.raises(InputError, match=r"a\.png: .*cannot be reached"):
        open_remote(f"http://127.0.0.1:{closed_port}/a.png").size_and_time()


class Breaking(Quiet):
    """A server that says 1,000 bytes and sends three; of a file called secret it sends none."""

    def do_GET(self) -> None:
        if "secret" in self.path:
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"abc")


def test_half_files_and_closed_doors_of_a_web_server_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_files, "find_spec", lambda name: None)
    monkeypatch.setattr(remote_files, "FIRST_WAIT", 0.0)
    with hosted(tmp_path, Breaking) as base:
        with pytest.raises(InputError, match="transfer stopped after 3 of 1,000 bytes"):
            open_remote(f"{base}a.png").download(tmp_path / "a.png")
        with pytest.raises(InputError, match=r"secret\.png: no permission"):
            open_remote(f"{base}secret.png").size_and_time()


def test_times_that_places_tell_in_words_are_understood() -> None:
    class Told:
        def info(self, path: str) -> dict[str, object]:
            return {"size": 1, "Last-Modified": formatdate(WHEN, usegmt=True)}

    assert Remote(files=Told(), path="a", scheme="https").size_and_time() == (1, WHEN * 10**9)


def test_what_cannot_be_reached_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="files cannot be written to https"):
        predict_across([tmp_path], PredictOptions(output=Path("https://example.org/x")), show=False)
    with pytest.raises(OptionError, match="this kind of address cannot be opened"):
        open_remote("nonsense://x/y")
    with pytest.raises(OptionError, match="others are addresses"):
        list_jobs(["memory://photos", "photos"], Path("out"), sequence=False)
    monkeypatch.setattr(remote_files, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"rilievo\[cluster\]"):
        open_remote("s3://bucket/x")
