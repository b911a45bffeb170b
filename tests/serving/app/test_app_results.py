"""Results of photographs: shown, kept at an address, taken home as files."""

import asyncio
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from rilievo.errors import ModelError
from rilievo.models.base import Inference
from rilievo.prediction.output import OUTPUTS
from rilievo.serving.app import app_photographs as photographs
from rilievo.serving.app.app_photographs import example_names
from rilievo.serving.app.result_store import StoredResult
from rilievo.serving.browser.document import EXAMPLES, FILES
from rilievo.serving.server import answer_files
from support.photographs_with_depth import gdepth
from support.round_pictures import round_picture
from support.served import PATIENCE, Brightness, check_refused, picture
from support.served_app import App, served_app
from support.views import read_view


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with served_app(tmp_path) as found:
        yield found


def view_of(app: App, id: str) -> tuple[dict, np.ndarray, bytes]:
    """Facts, depth and what comes after it."""
    view = read_view(app.client.get(f"/app/results/{id}/view").content)
    return view.about, view.depth, view.photo


def test_a_view_has_depth_of_every_so_many_th_pixel_and_the_photograph(app: App) -> None:
    id = app.give(picture(100, (1600, 800)))
    about, depth, rest = view_of(app, id)
    whole = np.load(BytesIO(app.files(id, "save=npy").content))
    assert about["lattice"] == {
        "step": 3, "rows": 267, "columns": 533, "first_row": 1, "first_column": 1,
    }  # fmt: skip
    np.testing.assert_array_equal(depth, whole[1::3, 1::3])
    assert (about["name"], about["normals"]) == ("holiday", False)
    assert about["depth"]["kind"] == "up_to_scale"
    assert {"npy", "glb"} <= {*about["outputs"]}
    assert "normals" not in about["outputs"]
    with Image.open(BytesIO(rest)) as photo:
        assert photo.size == (1600, 800)
    with Image.open(BytesIO(app.client.get(f"/app/results/{id}/thumbnail").content)) as small:
        assert max(small.size) == 192
    assert app.client.get(f"/app/results/{id}/photo").content == picture(100, (1600, 800))


def test_files_need_no_second_run_of_the_network_and_lengths_make_metres(app: App) -> None:
    id = app.give()
    zipped = app.files(id, "save=npz,colour&known_length=10,10,80,40,1.5")
    assert app.server.model.batches == [1]
    with zipfile.ZipFile(BytesIO(zipped.content)) as packed:
        assert {*packed.namelist()} == {"holiday.npz", "holiday.depth.png", "holiday.json"}
        arrays = np.load(BytesIO(packed.read("holiday.npz")))
    assert arrays["kind"].item() == "metric"
    assert view_of(app, id)[0]["depth"]["kind"] == "up_to_scale"
    assert list(app.server.folder.iterdir()) == []


def test_the_same_photograph_is_predicted_again_otherwise(app: App) -> None:
    id = app.give()
    again = app.give(b"", f"again={id}&fov=90")
    assert again != id
    assert view_of(app, again)[0]["camera"]["K"][0][0] == pytest.approx(48)
    other = app.give(b"", f"again={id}&model=other")
    assert view_of(app, other)[0]["made_by"]["model"] == "other"


def test_a_panorama_is_taken_as_one_unless_another_lens_is_named(app: App) -> None:
    about = view_of(app, app.give(round_picture()))[0]
    assert about["lens"]["lens"] == "equirectangular"
    assert any("is treated as one" in each for each in about["notes"])
    plain = view_of(app, app.give(round_picture(), "name=hall.png&projection=pinhole"))[0]
    assert plain["lens"]["lens"] == "pinhole"
    assert not any("is treated as one" in each for each in plain["notes"])


def test_an_example_is_predicted_once_for_all_visitors(app: App) -> None:
    first, second = (app.give(b"", "example=coffee") for _ in range(2))
    assert first == second
    assert app.server.model.batches == [1]
    assert view_of(app, first)[0]["source"] == {"file": "coffee", "width": 600, "height": 400}
    check_refused(app.client.post("/app/results?example=../coffee"), 404, "no such example")
    assert {*EXAMPLES} == {*example_names()}
    assert len(EXAMPLES) >= 6


def test_an_example_with_other_parameters_is_the_visitor_s_own(app: App) -> None:
    shared = app.give(b"", "example=coffee")
    own = [app.give(b"", f"example=coffee&surface_points={count}") for count in (1000, 1001, 1000)]
    assert len({shared, *own}) == 4
    clients = {id: app.site.store.find(id).client for id in (shared, *own)}
    assert clients == {shared: "", **dict.fromkeys(own, "127.0.0.1")}
    assert app.give(b"", "example=coffee&model=test/model") == shared, (
        "a model's name is no odd one"
    )


def test_examples_that_are_asked_for_at_once_are_predicted_once(app: App) -> None:
    model = app.server.model
    model.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(app.give, b"", "example=coffee") for _ in range(8)]
        assert model.begun.wait(PATIENCE)
        model.gate.set()
        ids = {each.result() for each in asked}
    assert len(ids) == 1
    assert sum(model.batches) == 1


def test_an_example_that_was_deleted_or_failed_is_predicted_anew(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = app.give(b"", "example=coffee")
    app.site.store.remove(app.site.store.find(first))
    second = app.give(b"", "example=coffee")
    assert second != first
    app.site.store.remove(app.site.store.find(second))
    with monkeypatch.context() as patch:
        patch.setattr(Brightness, "infer", _fails)
        check_refused(app.client.post("/app/results?example=coffee"), 500, "no memory today")
    assert app.give(b"", "example=coffee") not in (first, second)


def _fails(self: Brightness, photos: object) -> list[Inference]:
    raise ModelError("no memory today")


def test_a_few_examples_are_kept_alone(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "_MAX_EXAMPLES", 2)
    names = example_names()[:3]
    first = [app.give(b"", f"example={name}") for name in names]
    assert app.give(b"", f"example={names[2]}") == first[2]
    assert app.give(b"", f"example={names[0]}") != first[0], (
        "the one that was not asked for longest"
    )


@pytest.mark.parametrize("path", ["/", "/large.bin"])
def test_a_file_of_the_page_that_is_taken_slowly_is_ended(tmp_path: Path, path: str) -> None:
    with served_app(tmp_path, download_seconds=0.2) as app:
        (app.site.page / "large.bin").write_bytes(bytes(1_000_000))
        sent = asyncio.run(asyncio.wait_for(_taken_slowly(app.client.app, path), PATIENCE))
    assert sent[0]["status"] == 200
    assert not any(each for each in sent if each.get("more_body") is False)


async def _taken_slowly(application: Any, path: str) -> list[Any]:
    """Messages of an answer whose body nobody takes."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope = {
        **{"type": "http", "method": "GET", "path": path, "query_string": b"", "root_path": ""},
        **{"headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "extensions": {}},
    }
    await application(scope, receive, send)
    return sent


def test_the_page_has_a_word_for_every_file() -> None:
    assert {*FILES} == {*OUTPUTS.own}


def test_depth_in_the_file_gives_metres_at_once(app: App) -> None:
    id = app.give(gdepth())
    assert view_of(app, id)[0]["depth"]["kind"] == "metric"


def test_what_was_not_given_or_is_gone_is_told(app: App) -> None:
    id = app.give()
    for path in ("", "/view", "/thumbnail", "/photo", "/files?save=npy", "/made/a.mp4"):
        answer = app.client.get(f"/app/results/{'A' * 22}{path}")
        check_refused(answer, 404, "no longer exists")
    check_refused(app.client.get(f"/app/results/{id}/made/photo"), 404, "no such file")
    check_refused(app.client.get(f"/app/zip?ids={id},{'A' * 22}"), 404, "no longer exists")
    check_refused(app.client.get("/app/results/forged"), 404, "no result has this id")
    for query in ("", "?ids=", "?ids=,"):
        check_refused(app.client.get(f"/app/zip{query}"), 400, "no results given")
    check_refused(app.files(id, "save=normals"), 400, "normals")
    check_refused(app.files(id, "save=../photo"), 400, "'../photo'")
    check_refused(app.client.post("/app/results?name=a.jpg", content=b"no"), 422, "a: ")
    check_refused(app.client.post("/app/results?modell=x", content=picture()), 400, "modell")
    assert app.folders == {id}


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/../requests", "/%2e%2e/results", "/r", "/page/index.html", "/app"]
)
def test_no_path_of_the_server_is_readable(app: App, path: str) -> None:
    check_refused(app.client.get(path), 404, "no such address")


@pytest.mark.parametrize("path", ["/depth/", "/depth/r/one", "/depth/depth/", "/depth/depth/r/one"])
def test_a_proxy_s_path_may_be_there_or_cut_off(tmp_path: Path, path: str) -> None:
    # uvicorn puts the path of the option before that of the request.
    with served_app(tmp_path, root_path="/depth") as app:
        found = TestClient(app.client.app, base_url="http://127.0.0.1", root_path="/depth")
        assert "the page" in found.get(path).text


def test_the_openapi_document_has_the_routes_of_the_page_too(app: App) -> None:
    paths = app.client.get("/openapi.json").json()["paths"]
    assert {"/v1/predict", "/app/results", "/app/videos", "/app/zip"} <= set(paths)
    made = paths["/app/results/{id}/made/{name}"]["get"]
    assert [each["name"] for each in made["parameters"]] == ["id", "name"]
    assert "video" in made["summary"]


def test_the_page_with_examples_lists_the_addresses_of_the_page_too(app: App) -> None:
    page = app.client.get("/docs").text
    assert "<code>POST /v1/predict</code>" in page
    assert "<code>GET /app/results/{id}/made/{name}</code>" in page


def test_results_that_are_shown_together_have_one_short_address(app: App) -> None:
    ids = [app.give(b"", f"example={name}") for name in example_names()[:3]]
    group = app.client.post(f"/app/groups?ids={','.join(ids)}").json()["id"]
    assert len(group) == 22
    assert app.client.get(f"/app/results/{group}").json()["ids"] == ids
    check_refused(app.client.post("/app/groups?ids="), 400, "no results given")
    check_refused(app.client.post(f"/app/groups?ids={'A' * 22}"), 404, "no longer exists")


def test_every_address_of_a_result_shows_the_page_which_no_other_site_can_frame(app: App) -> None:
    for path in ("/", f"/r/{'A' * 22}", "/r/one,two", "/index.html"):
        answer = app.client.get(path)
        assert "the page" in answer.text
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'self'" in policy
        assert "http" not in policy
    answer = app.client.post("/app/results", headers={"origin": "http://evil.example"})
    check_refused(answer, 403, "other sites")
    check_refused(app.client.get("/", headers={"host": "evil.example"}), 421, "name")


def test_a_zip_holds_files_of_several_results_by_names_of_their_own(app: App) -> None:
    ids = [app.give(picture(level)) for level in (50, 100)]
    broken = app.give()
    (app.site.store.find(broken).path / "photo").write_bytes(b"lost")
    answer = app.client.get(f"/app/zip?ids={','.join([*ids, broken])}&save=npy")
    with zipfile.ZipFile(BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        names = ["holiday.depth.npy", "holiday-2.depth.npy", "holiday-3.error.txt"]
        assert packed.namelist() == names
        first, second = (np.load(BytesIO(packed.read(name))) for name in names[:2])
    np.testing.assert_allclose(second, 2 * first, rtol=1e-4)
    assert {entry.num_pins for entry in entries(app)} == {0}


def entries(app: App) -> list[StoredResult]:
    return [app.site.store.find(id) for id in app.folders]


def test_every_request_for_one_result_gets_its_own_bytes(app: App) -> None:
    """The colours of 60 requests at once: the server once gave some the file of others."""
    id = app.give()
    maps = ("viridis", "turbo", "grey")
    alone = {name: app.files(id, f"save=colour&colour_map={name}").content for name in maps}
    assert len({*alone.values()}) == 3
    with ThreadPoolExecutor(6) as visitors:
        asked = [maps[each % 3] for each in range(60)]
        found = visitors.map(
            lambda name: app.files(id, f"save=colour&colour_map={name}").content, asked
        )
        assert [content == alone[name] for name, content in zip(asked, found, strict=True)] == [
            True
        ] * 60


@pytest.mark.slow
def test_one_visitor_s_large_files_do_not_hold_up_a_photograph(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, begun, save = threading.Event(), threading.Event(), answer_files.save

    def held(prediction: object, stem: Path, names: list[str], *rest: object, **more: object):
        begun.set()
        assert release.wait(60)
        return save(prediction, stem, names, *rest, **more)

    monkeypatch.setattr(answer_files, "save", held)
    id = app.give()
    with ThreadPoolExecutor(6) as visitors:
        zips = [visitors.submit(app.files, id, "save=all") for _ in range(6)]
        assert begun.wait(60)
        assert app.give() in app.folders
        assert not any(each.done() for each in zips)
        release.set()
        assert {each.result(60).status_code for each in zips} == {200}
    assert list(app.server.folder.iterdir()) == []


def test_a_result_in_use_is_not_deleted_under_its_user(app: App) -> None:
    id = app.give()
    app.server.model.gate.clear()
    with app.site.store.pinned(id) as entry:
        app.site.store.remove(entry)
        assert (entry.path / "view").exists()
        check_refused(app.files(id, "save=npy"), 404, "no longer exists")
    assert app.folders == set()
    assert app.site.store.reserved_bytes == 0


def noise(seed: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A PNG that nothing packs."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    with BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()


def test_a_visitor_s_new_results_replace_the_oldest(tmp_path: Path) -> None:
    with served_app(tmp_path, result_megabytes=0.3) as app:
        ids = [app.give(noise(level)) for level in range(50, 70)]
        assert ids[-1] in app.folders
        assert ids[0] not in app.folders
        used = sum(p.stat().st_size for p in app.site.store.folder.rglob("*") if p.is_file())
        assert used <= app.site.store.reserved_bytes <= 150_000
        large = noise(90, (1600, 1600))
        check_refused(app.client.post("/app/results", content=large), 413, "disk")
        assert ids[-1] in app.folders


def test_marks_are_changed_by_whoever_made_the_result_alone(app: App) -> None:
    told = app.client.post("/app/results?name=a.png", content=picture(100, (64, 48))).json()
    place, marks = f"/app/results/{told['id']}", "m=l1,2,30.5,4~0.46&v=0.1,0,0,0,0,-1,0"
    for key in ("", "A" * 22):
        check_refused(
            app.client.put(f"{place}/marks?key={key}", content=marks), 403, "only the creator"
        )
    assert app.client.get(place).json()["marks"] == ""
    own = f"{place}/marks?key={told['key']}"
    assert app.client.put(own, content=marks).json() == {"marks": marks}
    for wrong, status in ((b"m=<script>", 400), (b"\xff", 400), (b"m" * 4001, 413)):
        assert app.client.put(own, content=wrong).status_code == status
    assert app.client.get(place).json()["marks"] == marks
    assert told["key"] not in app.client.get(place).text
    example = app.client.post("/app/results?example=bear").json()
    assert "key" not in example


@pytest.mark.parametrize("leaves", [False, True])
def test_marks_arrive_within_a_time(leaves: bool, tmp_path: Path) -> None:
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": b"m=", "more_body": True}]
    messages += [{"type": "http.disconnect"}] if leaves else []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return messages.pop(0) if messages else await asyncio.Event().wait()

    with served_app(tmp_path, upload_seconds=0.2) as app:
        path = f"/app/results/{app.give(picture())}/marks"
        scope = {
            **{"type": "http", "method": "PUT", "path": path, "query_string": b"", "root_path": ""},
            **{"headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "extensions": {}},
        }
        asyncio.run(asyncio.wait_for(app.client.app(scope, receive, send), PATIENCE))
    assert [each["status"] for each in sent if "status" in each] == [499 if leaves else 408]


def test_a_server_that_names_no_origins_is_not_embedded(app: App) -> None:
    check_refused(app.client.get("/embed?example=bear"), 404, "embed_origins")
    for path in ("/", "/index.html", "/r/" + "A" * 22):
        assert "frame-ancestors 'none'" in app.client.get(path).headers["content-security-policy"]
