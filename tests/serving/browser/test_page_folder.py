"""``rilievo page``: what lies in the folder, without a browser."""

import gzip
import hashlib
import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest

import rilievo
from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.models.catalogue.download import fetch_files
from rilievo.models.catalogue.table import find_entry
from rilievo.models.finding import find_card
from rilievo.serving.browser.document import EXAMPLES, FILES, SIZES, AppSettings
from rilievo.serving.browser.folder import write_page
from support.catalogue_mirror import CatalogueMirror, catalogue
from support.moge_lookalike import write_moge
from support.published_graphs import write_inverse_depth, write_metric3d

__all__ = ["catalogue"]

ROOT = Path(__file__).parents[3]
PACKAGE = Path(rilievo.__file__).parent
DEFAULT = PACKAGE / "models/default"
"""Compressed, of what a visitor needs for a first answer."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "site"
    write_page(folder)
    return folder


def settings(site: Path) -> Any:
    index = (site / "index.html").read_text("utf-8")
    [text] = re.findall(r'<script type="application/json" id="page-settings">(.*?)</script>', index)
    return json.loads(text)


def first_files(site: Path, device: str) -> list[str]:
    script = (site / "sw.js").read_text("utf-8")
    files, runtimes = (
        json.loads(script.partition(f"{name} = ")[2].partition(";\n")[0])
        for name in ("FILES", "RUNTIMES")
    )
    return [*files, *runtimes[device]]


def test_the_network_is_the_small_one_of_the_package_and_the_better_one_waits(site: Path) -> None:
    model, better = settings(site)["models"]
    assert better["name"] == "rilievo/base"
    assert better["file"] not in first_files(site, "cpu")
    assert model["name"] == "rilievo/small"
    content = (DEFAULT / "small.onnx").read_bytes()
    assert (site / model["file"]).read_bytes() == content
    assert model["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("device", "runtime", "most"), [("cpu", "ort", 7_000_000), ("gpu", "ort-gpu", 7_500_000)]
)
def test_what_a_first_visit_needs_is_there_and_small(
    site: Path, device: str, runtime: str, most: int
) -> None:
    files = first_files(site, device)
    assert files[0] == "./"
    assert settings(site)["models"][0]["file"] in files
    assert {"index.html", "app.js", "page.css", f"{runtime}.mjs", f"{runtime}.wasm.gz"} < {*files}
    assert sum(name.endswith(".wasm.gz") for name in files) == 1
    packed = sum(len(gzip.compress((site / name).read_bytes())) for name in files[1:])
    assert packed < most


def test_the_page_names_no_other_host(site: Path) -> None:
    for name in ("index.html", "page.css", "sw.js", "page.webmanifest"):
        assert not re.search(r"https?:|//[a-z]", (site / name).read_text("utf-8")), name
    # Colours that the rules name, of the style sheet that all pages share.
    assert "--accent:" in (site / "page.css").read_text("utf-8")
    index = (site / "index.html").read_text("utf-8")
    for address in re.findall(r'(?:src|href)="([^"]+)"', index):
        assert (site / address).is_file()


def test_with_a_server_behind_it_the_page_has_examples_and_nothing_for_offline(
    tmp_path: Path,
) -> None:
    app = AppSettings(base="/depth/", models=[], keep_minutes=60, max_bytes=1)
    folder = write_page(tmp_path / "site", app=app).folder
    index = (folder / "index.html").read_text("utf-8")
    assert '<base href="/depth/">' in index
    assert settings(folder)["examples"] == EXAMPLES
    assert {each.stem for each in folder.glob("examples/*")} == {*EXAMPLES}
    assert not re.search(r"https?:|//[a-z]", index)
    assert not (folder / "sw.js").exists()
    assert "webmanifest" not in index


def test_a_second_page_replaces_the_first_and_nothing_else_is_replaced(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    version = (folder / "sw.js").read_text("utf-8").splitlines()[0]
    (folder / "page.css").write_text("")
    assert main(["page", "-o", str(folder)]) == 0
    assert (folder / "page.css").read_text("utf-8") == (site / "page.css").read_text("utf-8")
    assert (folder / "sw.js").read_text("utf-8").splitlines()[0] == version
    (folder / "thesis.pdf").write_bytes(b"years of work")
    capsys.readouterr()
    assert main(["page", "-o", str(folder)]) == 2
    complaint = capsys.readouterr().err
    assert "thesis.pdf" in complaint
    assert complaint.count("\n") == 1
    assert (folder / "thesis.pdf").exists()


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>mine</p>")
    assert main(["page", "-o", str(tmp_path)]) == 2
    assert (tmp_path / "index.html").read_text() == "<p>mine</p>"


def test_more_networks_come_along_and_what_no_browser_can_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "a b.onnx"
    shutil.copyfile(ROOT / "lab/making/small-rendered.onnx", own)
    folder = tmp_path / "site"
    assert main(["page", "-o", str(folder), "--with", str(own)]) == 0
    assert "rilievo/small-rendered (Apache-2.0)" in capsys.readouterr().out
    added = settings(folder)["models"][1]
    assert added["file"] not in first_files(folder, "cpu")
    assert (folder / added["file"]).read_bytes() == own.read_bytes()
    assert added["megabytes"] == 5.6
    nothing = tmp_path / "nothing.onnx"
    nothing.write_bytes(b"no model")
    assert main(["page", "-o", str(tmp_path / "other"), "--with", str(nothing)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "other").exists()


def test_models_of_the_catalogue_come_along_where_the_page_can_run_them(
    catalogue: CatalogueMirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offered = catalogue.offer("moge-2/small", write_moge)
    fetch_files(find_entry("moge-2/small"))
    [added] = settings_of(tmp_path / "page", "moge-2/small")
    assert added["licence"] == find_card("moge-2/small").licence
    assert (tmp_path / "page" / added["file"]).read_bytes() == offered.read_bytes()
    catalogue.offer("depth-anything-v2/small", write_inverse_depth)
    fetch_files(find_entry("depth-anything-v2/small"))
    [added] = settings_of(tmp_path / "sharper", "depth-anything-v2/small")
    assert added["kind"] == "affine_inverse"
    assert added["graph"]["rule"] == "shortest-edge"
    catalogue.offer("metric3d-v2/small-fp32", partial(write_metric3d, normalises=False))
    fetch_files(find_entry("metric3d-v2/small-fp32"))
    assert main(["page", "-o", str(tmp_path / "other"), "--with", "metric3d-v2/small-fp32"]) == 2
    assert "MoGe-2, Depth Pro" in capsys.readouterr().err


def settings_of(folder: Path, name: str) -> list[Any]:
    assert main(["page", "-o", str(folder), "--with", name]) == 0
    return [each for each in settings(folder)["models"] if each["name"] == name]


def test_two_networks_of_one_name_are_refused(tmp_path: Path) -> None:
    other = onnx.load(DEFAULT / "small.onnx")
    other.doc_string = "trained anew"
    onnx.save(other, tmp_path / "anew.onnx")
    with pytest.raises(OptionError, match="two networks are called 'rilievo/small'"):
        write_page(tmp_path / "site", [tmp_path / "anew.onnx"])
    assert not (tmp_path / "site").exists()
    write_page(tmp_path / "site", ["rilievo/small"])


def test_what_is_built_is_built_of_what_lies_here() -> None:
    """Otherwise ``make page`` builds it anew."""
    sums = json.loads((PACKAGE / "serving/browser/built/sources.json").read_text("utf-8"))
    sources = {f"web/source/{path.name}" for path in (ROOT / "web/source").iterdir()}
    assert sources < sums.keys()
    for name, digest in sums.items():
        inside = name.removeprefix("src/rilievo/")
        path = ROOT / name if inside == name else PACKAGE / inside
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, name


def test_packages_are_pinned_and_no_registry_is_named() -> None:
    package = json.loads((ROOT / "web/package.json").read_text("utf-8"))
    for version in (package["dependencies"] | package["devDependencies"]).values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    lock = json.loads((ROOT / "web/package-lock.json").read_text("utf-8"))
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert packages
    for each in packages.values():
        assert "resolved" not in each
        assert each["integrity"].startswith("sha512-")


def test_every_file_of_the_app_has_a_usual_size() -> None:
    assert FILES.keys() <= SIZES.keys()
