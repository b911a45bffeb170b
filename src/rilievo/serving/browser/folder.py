"""Folder of ``rilievo page``."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import chain
from pathlib import Path

import numpy as np

from rilievo.calibration.ranges import feature_weight
from rilievo.errors import ModelError, OptionError, OutputError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.files.atomic import make_folder, replacing_folder
from rilievo.io.files.names import printable
from rilievo.io.map_pictures import DEPTH_COLOURS, colour_table
from rilievo.measure.page_terms import Terms, page_terms
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.models.catalogue import table
from rilievo.models.catalogue.download import find_files
from rilievo.models.catalogue.published_graph import PublishedGraph
from rilievo.models.network_files import sha256
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.pages.document import asset
from rilievo.pages.photograph import saved_page
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Anchoring, MadeBy
from rilievo.serving.browser.document import (
    EXAMPLES,
    GENERATOR,
    AppSettings,
    MisfitTerms,
    PageModel,
    PageSettings,
    page_html,
)
from rilievo.serving.browser.page_graph import PageGraph, page_graph
from rilievo.version import VERSION

INDEX, WORKER, MODELS = "index.html", "sw.js", "models"
EXAMPLE_FOLDER = "examples"
FIRST = "first.html"
"""Page of the first example, without a network."""
SAVED = "page-to-save.html"
"""Page that browsers fill with a result."""
USUAL = ("rilievo/small",)
"""Networks of every page, the quickest first."""

BETTER = "rilievo/base"
"""Better network of pages without a server."""

_PUBLISHED = ("moge-2", "depth-pro")
"""Published graphs that the page runs."""

_RUNTIMES: Mapping[str, Sequence[str]] = {
    "cpu": ("worker.js", "ort.mjs", "ort.wasm.gz"),
    "gpu": ("worker-gpu.js", "ort-gpu.mjs", "ort-gpu.wasm.gz"),
}
_BUILT = ("app.js", *chain.from_iterable(_RUNTIMES.values()))
_MANIFEST = {
    "name": "rilievo: depth and surface of a photograph",
    "short_name": "rilievo",
    "start_url": "./",
    "display": "standalone",
    "icons": [{"src": "icon.svg", "sizes": "any", "type": "image/svg+xml"}],
}
_NAMES = {
    INDEX,
    WORKER,
    MODELS,
    EXAMPLE_FOLDER,
    SAVED,
    FIRST,
    "coffee.jpg",
    "page.css",
    "icon.svg",
    "licences.txt",
} | {
    "page.webmanifest",
    *_BUILT,
}
_HERE = files("rilievo.serving.browser")
_UNIT_FIT = Anchoring(model="", rank_correlation=1.0, residual=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPage:
    """Folder that was written.

    Attributes:
        models: Names and licences of its networks.
        bytes: Size of all its files.
    """

    folder: Path
    models: Mapping[str, str]
    bytes: int


def write_page(
    output: str | Path, models: Sequence[str | Path] = (), app: AppSettings | None = None
) -> WrittenPage:
    """Write a page that predicts depth in the visitor's browser; an older one is replaced.

    Args:
        output: Folder.
        models: Further networks: ONNX files that say what they are, or names.
        app: Facts of the server behind the page.

    Raises:
        OptionError: If a model is not one ONNX file with depth, or two have one name.
        ModelError: If a model is not found or cannot be read.
        OutputError: If something else is in the way, or cannot be written.
    """
    folder = Path(output).expanduser().absolute()
    _refuse_foreign_files(folder)
    better = () if app or BETTER in models else (BETTER,)
    networks = [_network_for_page(name) for name in (*USUAL, *models, *better)]
    _refuse_ambiguous_names(networks)
    make_folder(folder.parent)
    with replacing_folder(folder) as part:
        _write_page_files(part, {entry.name: entry for entry in networks}, app)
        size = sum(entry.stat().st_size for entry in part.rglob("*") if entry.is_file())
    licences = {entry.name: entry.licence for entry in networks}
    return WrittenPage(folder=Path(output), models=licences, bytes=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Network:
    name: str
    kind: DepthKind | None
    licence: str
    commercial: bool | None
    note: str
    path: Path
    sha256: str
    graph: PageGraph | None


def _refuse_ambiguous_names(networks: Sequence[_Network]) -> None:
    hashes: dict[str, str] = {}
    for network in networks:
        if hashes.setdefault(network.name, network.sha256) != network.sha256:
            raise OptionError(
                f"two networks are called '{printable(network.name)}': leave one out, or export it "
                "under another name"
            )


def _network_for_page(name: str | Path) -> _Network:
    files = _downloaded_files(name)
    model = load_model(name)
    card, graph = model.card, page_graph(model.card)
    if type(model) is OnnxModel and card.kind is not None:
        files = [model.path]
    elif graph is None and not _is_runnable_published_graph(model):
        files = []
    if len(files) != 1:
        raise OptionError(
            f"model '{printable(name)}': a page runs MoGe-2, Depth Pro, published networks from a "
            "picture to one map of depth, and ONNX files of depth that say what they are, each of "
            f"one file; 'rilievo export {printable(name)} -o FILE.onnx' writes one, if the model "
            "allows"
        )
    return _Network(
        name=card.name,
        kind=card.kind,
        licence=card.licence,
        commercial=card.commercial,
        note=card.note,
        path=files[0],
        sha256=model.weights_sha256,
        graph=graph,
    )


def _is_runnable_published_graph(model: Model) -> bool:
    return isinstance(model, PublishedGraph) and model.family.name in _PUBLISHED


def _downloaded_files(name: str | Path) -> Sequence[Path]:
    """Files of a published network, refused if missing; none for other names."""
    entry = table.ENTRIES.get(str(name))
    if entry is None:
        return []
    paths = find_files(entry)
    if paths is None:
        raise ModelError(
            f"model '{entry.name}' is not on this machine, and a page is written of files that "
            f"are: 'rilievo models fetch {entry.name}' downloads it"
        )
    return paths


def _write_page_files(
    folder: Path, networks: Mapping[str, _Network], app: AppSettings | None
) -> None:
    (folder / MODELS).mkdir()
    models = [_copy_network(folder, network) for network in networks.values()]
    for name in _BUILT:
        _copy_asset(f"built/{name}", folder / name)
    for name in ("icon.svg", "licences.txt"):
        _copy_asset(name, folder / name)
    (folder / EXAMPLE_FOLDER).mkdir()
    for name in EXAMPLES:
        _copy_asset(f"{EXAMPLE_FOLDER}/{name}.jpg", folder / EXAMPLE_FOLDER / f"{name}.jpg")
    first = load_model(BETTER)(folder / EXAMPLE_FOLDER / f"{next(iter(EXAMPLES))}.jpg")
    first.save(folder / FIRST)
    (folder / FIRST).with_suffix(".json").unlink()
    shared = "".join(map(asset, ("style.css", "stage/stage.css")))
    _write_text(folder / "page.css", shared + (_HERE / "style.css").read_text("utf-8"))
    settings = PageSettings(
        models=models,
        colours=colour_table(DEPTH_COLOURS).tobytes().hex(),
        terms=_range_terms_by_depth_and_camera(),
        misfit=MisfitTerms(
            misfit=feature_weight("length", "misfit", is_anchored=True),
            disorder=feature_weight("length", "disorder", is_anchored=True),
        ),
        app=app,
    )
    _write_text(folder / INDEX, page_html(settings))
    _write_text(folder / SAVED, saved_page())
    if app:
        return
    _write_text(folder / "page.webmanifest", json.dumps(_MANIFEST, indent=1) + "\n")
    _write_text(folder / WORKER, _service_worker_script(folder, models))


def _copy_network(folder: Path, network: _Network) -> PageModel:
    file = f"{MODELS}/{_onnx_file_name(network.name)}"
    shutil.copyfile(network.path, folder / file)
    return PageModel(
        name=network.name,
        file=file,
        sha256=sha256(folder / file),
        licence=network.licence,
        kind=network.kind,
        commercial=network.commercial,
        note=network.note,
        graph=network.graph,
        megabytes=round(network.path.stat().st_size / 1e6, 1),
    )


def _onnx_file_name(model: str) -> str:
    safe = "".join(
        character if character.isascii() and character.isalnum() else "-" for character in model
    )
    digest = hashlib.sha256(model.encode()).hexdigest()[:6]
    return f"{safe[:60]}-{digest}.onnx"


def _copy_asset(name: str, path: Path) -> None:
    path.write_bytes((_HERE / name).read_bytes())


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _service_worker_script(folder: Path, models: Sequence[PageModel]) -> str:
    """Script for the page offline; its version hashes all files."""
    digest = hashlib.sha256(VERSION.encode())
    every = sorted(file for file in folder.rglob("*") if file.is_file())
    for file in every:
        digest.update(f"{file.relative_to(folder).as_posix()} {sha256(file)}\n".encode())
    files = [file.name for file in sorted(folder.iterdir()) if file.is_file()]
    one_device = {*chain.from_iterable(_RUNTIMES.values())}
    names = [file for file in files if file not in {*one_device, SAVED}]
    first = ["./", *names, models[0].file, f"{EXAMPLE_FOLDER}/{next(iter(EXAMPLES))}.jpg"]
    head = f"const VERSION = {json.dumps(digest.hexdigest()[:16])};\n"
    head += f"const FILES = {json.dumps(first)};\n"
    head += f"const RUNTIMES = {json.dumps(_RUNTIMES)};\n"
    return head + (_HERE / "sw.js").read_text("utf-8")


def _range_terms_by_depth_and_camera() -> Mapping[str, Mapping[str, Terms]]:
    sources = {"assumed": CameraSource.ASSUMED, "known": CameraSource.EXIF_35MM}
    sorts = {
        "up_to_scale": (DepthKind.UP_TO_SCALE, None),
        "metric": (DepthKind.METRIC, None),
        "anchored": (DepthKind.UP_TO_SCALE, _UNIT_FIT),
    }
    return {
        sort: {
            # A network predicts there, and its edges are soft.
            name: replace(page_terms(_flat_prediction(kind, source, fit)), has_soft_edges=True)
            for name, source in sources.items()
        }
        for sort, (kind, fit) in sorts.items()
    }


def _flat_prediction(kind: DepthKind, source: CameraSource, fit: Anchoring | None) -> Prediction:
    made_by = MadeBy(model="", weights_sha256="", licence="", settings={}, version=VERSION)
    return Prediction(
        depth_or_none=DepthMap(values=np.ones((2, 2), np.float32), kind=kind),
        camera=Camera(K=np.eye(3), source=source),
        photo=None,
        made_by=made_by,
        anchoring=fit,
    )


def _refuse_foreign_files(folder: Path) -> None:
    if not folder.is_dir():
        return
    there = {path.name for path in folder.iterdir()}
    index = folder / INDEX
    is_page = index.is_file() and GENERATOR in index.read_text("utf-8", "replace")[:4096]
    strangers = sorted(_foreign_file_names(folder) if is_page else there)
    if strangers:
        raise OutputError(
            f"holds {printable(strangers[0])}, which is no part of a page: choose another folder",
            path=printable(folder),
        )


def _foreign_file_names(folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        if path.name not in _NAMES:
            yield path.name
    for name, suffix in ((MODELS, ".onnx"), (EXAMPLE_FOLDER, ".jpg")):
        for path in (folder / name).glob("*"):
            if path.suffix != suffix:
                yield f"{name}/{path.name}"
