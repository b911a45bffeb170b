"""The folder of files that ``rilievo page`` writes and ``rilievo app`` serves."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import chain
from pathlib import Path

import numpy as np

from rilievo.errors import OptionError, OutputError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.files.atomic import make_folder, replacing_folder
from rilievo.io.files.names import printable
from rilievo.io.map_pictures import DEPTH_COLOURS, colour_table
from rilievo.measure.page_terms import Terms, misfit_terms, page_terms
from rilievo.models import load_model
from rilievo.models.catalogue import table
from rilievo.models.catalogue.download import require_files
from rilievo.models.catalogue.table import CatalogueEntry
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
    PageModel,
    PageSettings,
    page_html,
)
from rilievo.serving.browser.page_graph import PageGraph, make_page_graph
from rilievo.version import VERSION

INDEX = "index.html"
FIRST = "first.html"
"""Page with the result of the first example, which is shown before a network is loaded."""
_SAVED = "page-to-save.html"  # template that the browser fills with a result for a download
_SERVICE_WORKER = "sw.js"
_MODEL_FOLDER = "models"
_EXAMPLE_FOLDER = "examples"

_NETWORKS_OF_EVERY_PAGE = ("rilievo/small",)  # the quickest first
_BETTER_NETWORK = "rilievo/base"  # for pages without a server, and for the first example
_FAMILIES_THAT_SCRIPTS_KNOW = ("moge-2", "depth-pro")

_RUNTIMES: Mapping[str, Sequence[str]] = {
    "cpu": ("worker.js", "ort.mjs", "ort.wasm.gz"),
    "gpu": ("worker-gpu.js", "ort-gpu.mjs", "ort-gpu.wasm.gz"),
}
"""Files of the ONNX runtime by device; a browser needs those of one device."""
_BUILT_FILES = ("app.js", *chain.from_iterable(_RUNTIMES.values()))
_MANIFEST = {
    "name": "rilievo: depth and surface of a photograph",
    "short_name": "rilievo",
    "start_url": "./",
    "display": "standalone",
    "icons": [{"src": "icon.svg", "sizes": "any", "type": "image/svg+xml"}],
}
_PAGE_FILES = {
    INDEX,
    FIRST,
    _SAVED,
    _SERVICE_WORKER,
    _MODEL_FOLDER,
    _EXAMPLE_FOLDER,
    "coffee.jpg",  # in older pages
    "page.css",
    "icon.svg",
    "licences.txt",
    "page.webmanifest",
    *_BUILT_FILES,
}
"""Files and folders of a page. A folder with any other file is not replaced."""
_ASSETS = files("rilievo.serving.browser")
_PERFECT_ANCHORING = Anchoring(model="", rank_correlation=1.0, residual=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPage:
    """A page that was written.

    Attributes:
        models: Licences of the networks by their names.
        bytes: Size of all files together.
    """

    folder: Path
    models: Mapping[str, str]
    bytes: int


def write_page(
    output: str | Path, models: Sequence[str | Path] = (), app: AppSettings | None = None
) -> WrittenPage:
    """Write a page that predicts depth in the visitor's browser; an older one is replaced.

    ``models`` are further networks (names, or ONNX files with metadata), and ``app`` is the server
    behind the page, if there is one.

    Raises:
        OptionError: If a page cannot run a model, or two models have the same name.
        ModelError: If a model is not found or cannot be read.
        OutputError: If the folder holds other files, or cannot be written.
    """
    folder = Path(output).expanduser().absolute()
    _check_no_foreign_files(folder)
    names = [*_NETWORKS_OF_EVERY_PAGE, *models]
    if app is None and _BETTER_NETWORK not in models:
        names.append(_BETTER_NETWORK)
    networks = [_load_network(name) for name in names]
    _check_unique_names(networks)

    make_folder(folder.parent)
    with replacing_folder(folder) as new_folder:
        _write_page_files(new_folder, {network.name: network for network in networks}, app)
        size = sum(file.stat().st_size for file in new_folder.rglob("*") if file.is_file())
    licences = {network.name: network.licence for network in networks}
    return WrittenPage(folder=Path(output), models=licences, bytes=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Network:
    """A network that is copied into the folder. ``PageModel`` explains the attributes."""

    name: str
    kind: DepthKind | None
    licence: str
    commercial: bool | None
    note: str
    path: Path
    sha256: str
    graph: PageGraph | None


def _check_unique_names(networks: Sequence[_Network]) -> None:
    """Raise OptionError if different networks have the same name; a repeated one is allowed."""
    hashes: dict[str, str] = {}
    for network in networks:
        known_hash = hashes.setdefault(network.name, network.sha256)
        if known_hash != network.sha256:
            raise OptionError(
                f"two networks are called '{printable(network.name)}': leave one of them out, or "
                "export it under another name"
            )


def _load_network(name: str | Path) -> _Network:
    """Load a model and find its only ONNX file; raise OptionError if the page cannot run it."""
    entry = table.ENTRIES.get(str(name))
    catalogue_files = [] if entry is None else require_files(entry)
    model = load_model(name)
    card = model.card
    graph = make_page_graph(card)
    if type(model) is OnnxModel and card.kind is not None:
        files = [model.path]
    elif graph is not None or _is_known_to_scripts(entry):
        files = catalogue_files
    else:
        files = []
    if len(files) != 1:
        raise OptionError(
            f"model '{printable(name)}' cannot run in a page, which accepts MoGe-2, Depth Pro, "
            "published networks that predict one depth map from one picture, and depth models in a "
            "single ONNX file with metadata: try to write such a file with "
            f"'rilievo export {printable(name)} -o FILE.onnx'"
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


def _is_known_to_scripts(entry: CatalogueEntry | None) -> bool:
    return entry is not None and entry.family in _FAMILIES_THAT_SCRIPTS_KNOW


def _write_page_files(
    folder: Path, networks: Mapping[str, _Network], app: AppSettings | None
) -> None:
    (folder / _MODEL_FOLDER).mkdir()
    models = [_copy_network(folder, network) for network in networks.values()]
    for name in _BUILT_FILES:
        _copy_asset(f"built/{name}", folder / name)
    for name in ("icon.svg", "licences.txt"):
        _copy_asset(name, folder / name)
    _write_examples(folder)

    shared_style = asset("style.css") + asset("stage/stage.css")
    own_style = (_ASSETS / "style.css").read_text("utf-8")
    _write_text(folder / "page.css", shared_style + own_style)
    _write_text(folder / INDEX, page_html(_page_settings(models, app)))
    _write_text(folder / _SAVED, saved_page())
    if app is None:
        _write_text(folder / "page.webmanifest", json.dumps(_MANIFEST, indent=1) + "\n")
        # It is written last, because its version is a hash of all other files.
        _write_text(folder / _SERVICE_WORKER, _service_worker_script(folder, models))


def _write_examples(folder: Path) -> None:
    (folder / _EXAMPLE_FOLDER).mkdir()
    for name in EXAMPLES:
        path = f"{_EXAMPLE_FOLDER}/{name}.jpg"
        _copy_asset(path, folder / path)
    first_photograph = folder / _EXAMPLE_FOLDER / f"{next(iter(EXAMPLES))}.jpg"
    load_model(_BETTER_NETWORK)(first_photograph).save(folder / FIRST)
    (folder / FIRST).with_suffix(".json").unlink()  # the sidecar, which the page does not read


def _page_settings(models: Sequence[PageModel], app: AppSettings | None) -> PageSettings:
    return PageSettings(
        models=models,
        colours=colour_table(DEPTH_COLOURS).tobytes().hex(),
        terms=_range_terms_by_depth_and_camera(),
        misfit=misfit_terms(),
        app=app,
    )


def _copy_network(folder: Path, network: _Network) -> PageModel:
    file = f"{_MODEL_FOLDER}/{_onnx_file_name(network.name)}"
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
    safe_name = re.sub("[^A-Za-z0-9]", "-", model)
    digest = hashlib.sha256(model.encode()).hexdigest()[:6]  # keeps similar names apart
    return f"{safe_name[:60]}-{digest}.onnx"


def _copy_asset(name: str, path: Path) -> None:
    path.write_bytes((_ASSETS / name).read_bytes())


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _service_worker_script(folder: Path, models: Sequence[PageModel]) -> str:
    """Script that caches the page for use offline.

    Its version is a hash of all files, so that browsers fetch them again after a change. It lists
    the files to cache at once, and those of the runtime by device.
    """
    digest = hashlib.sha256(VERSION.encode())
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()} {sha256(file)}\n".encode())
    cached_later = {_SAVED, *chain.from_iterable(_RUNTIMES.values())}
    names = [file.name for file in sorted(folder.iterdir()) if file.is_file()]
    page_files = [name for name in names if name not in cached_later]
    first_example = f"{_EXAMPLE_FOLDER}/{next(iter(EXAMPLES))}.jpg"
    cached_at_once = ["./", *page_files, models[0].file, first_example]
    constants = (
        f"const VERSION = {json.dumps(digest.hexdigest()[:16])};\n"
        f"const FILES = {json.dumps(cached_at_once)};\n"
        f"const RUNTIMES = {json.dumps(_RUNTIMES)};\n"
    )
    return constants + (_ASSETS / _SERVICE_WORKER).read_text("utf-8")


def _range_terms_by_depth_and_camera() -> Mapping[str, Mapping[str, Terms]]:
    """Terms of the ranges of sizes, first by kind of depth, then by camera (assumed or known)."""
    return {
        "up_to_scale": _range_terms_by_camera(DepthKind.UP_TO_SCALE),
        "metric": _range_terms_by_camera(DepthKind.METRIC),
        "anchored": _range_terms_by_camera(DepthKind.UP_TO_SCALE, _PERFECT_ANCHORING),
    }


def _range_terms_by_camera(
    kind: DepthKind, anchoring: Anchoring | None = None
) -> Mapping[str, Terms]:
    """Terms for a camera whose field of view is assumed, and for one from EXIF."""
    sources = {"assumed": CameraSource.ASSUMED, "known": CameraSource.EXIF_35MM}
    terms = {}
    for name, source in sources.items():
        prediction = _placeholder_prediction(kind, source, anchoring)
        # The page measures in depth from a network, which blurs edges.
        terms[name] = replace(page_terms(prediction), has_soft_edges=True)
    return terms


def _placeholder_prediction(
    kind: DepthKind, source: CameraSource, anchoring: Anchoring | None
) -> Prediction:
    """Prediction from which ``page_terms`` computes the terms of error ranges.

    They depend on the kind of depth, the camera and the anchoring only, so the pixels are dummies.
    """
    made_by = MadeBy(model="", weights_sha256="", licence="", settings={}, version=VERSION)
    return Prediction(
        depth_or_none=DepthMap(values=np.ones((2, 2), np.float32), kind=kind),
        camera=Camera(K=np.eye(3), source=source),
        photo=None,
        made_by=made_by,
        anchoring=anchoring,
    )


def _check_no_foreign_files(folder: Path) -> None:
    """Raise OutputError if a folder holds anything besides a page that was written before."""
    if not folder.is_dir():
        return
    index = folder / INDEX
    is_page = index.is_file() and GENERATOR in index.read_text("utf-8", "replace")[:4096]
    if is_page:
        other_files = sorted(_other_files_beside_page(folder))
    else:
        other_files = sorted(path.name for path in folder.iterdir())
    if other_files:
        raise OutputError(
            f"contains {printable(other_files[0])}, which is not part of a page that rilievo "
            "wrote: choose another folder",
            path=printable(folder),
        )


def _other_files_beside_page(folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        if path.name not in _PAGE_FILES:
            yield path.name
    for name, suffix in ((_MODEL_FOLDER, ".onnx"), (_EXAMPLE_FOLDER, ".jpg")):
        for path in (folder / name).glob("*"):
            if path.suffix != suffix:
                yield f"{name}/{path.name}"
