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

INDEX = "index.html"
FIRST = "first.html"
"""Page with the result of the first example, which is shown before a network is loaded."""
_SAVED = "page-to-save.html"  # the browser fills it with a result for a download
_SERVICE_WORKER = "sw.js"
_MODEL_FOLDER = "models"
_EXAMPLE_FOLDER = "examples"

_NETWORKS_OF_EVERY_PAGE = ("rilievo/small",)  # the quickest first
_BETTER_NETWORK = "rilievo/base"  # of pages without a server, and of the first example
_FAMILIES_THAT_SCRIPTS_KNOW = ("moge-2", "depth-pro")

_RUNTIMES: Mapping[str, Sequence[str]] = {
    "cpu": ("worker.js", "ort.mjs", "ort.wasm.gz"),
    "gpu": ("worker-gpu.js", "ort-gpu.mjs", "ort-gpu.wasm.gz"),
}
"""Files of the ONNX runtime; a browser needs those of one device."""
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
    *_BUILT,
}
"""Files and folders of a page; any other one is not ours, and such a folder is not replaced."""
_ASSETS = files("rilievo.serving.browser")
_PERFECT_ANCHORING = Anchoring(model="", rank_correlation=1.0, residual=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPage:
    """A page that was written.

    Attributes:
        models: Licences of its networks by their names.
        bytes: Size of all files together.
    """

    folder: Path
    models: Mapping[str, str]
    bytes: int


def write_page(
    output: str | Path, models: Sequence[str | Path] = (), app: AppSettings | None = None
) -> WrittenPage:
    """Write a page that predicts depth in the visitor's browser; an older one is replaced.

    Args:
        output: Folder to write.
        models: Further networks: ONNX files that say what they are, or names.
        app: What the page has to know of the server behind it; None for a page without one.

    Raises:
        OptionError: If a model is not one ONNX file with depth, or two have one name.
        ModelError: If a model is not found or cannot be read.
        OutputError: If something else is in the way, or cannot be written.
    """
    folder = Path(output).expanduser().absolute()
    _refuse_foreign_files(folder)
    names = [*_NETWORKS_OF_EVERY_PAGE, *models]
    if app is None and _BETTER_NETWORK not in models:
        names.append(_BETTER_NETWORK)
    networks = [_network_for_page(name) for name in names]
    _refuse_ambiguous_names(networks)

    make_folder(folder.parent)
    with replacing_folder(folder) as new_folder:
        _write_page_files(new_folder, {network.name: network for network in networks}, app)
        size = sum(file.stat().st_size for file in new_folder.rglob("*") if file.is_file())
    licences = {network.name: network.licence for network in networks}
    return WrittenPage(folder=Path(output), models=licences, bytes=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Network:
    """A network to copy into the folder; its attributes are those of ``PageModel``."""

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
    """Load a model and find its one ONNX file; refuse one that the page cannot run."""
    files = _downloaded_files(name)
    model = load_model(name)
    card = model.card
    graph = page_graph(card)
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
    return isinstance(model, PublishedGraph) and model.family.name in _FAMILIES_THAT_SCRIPTS_KNOW


def _downloaded_files(name: str | Path) -> Sequence[Path]:
    """Files of a published network, which must have been downloaded; none for other names."""
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
    (folder / _MODEL_FOLDER).mkdir()
    models = [_copy_network(folder, network) for network in networks.values()]
    for name in _BUILT:
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
        # The last file, because its version is a hash of all others.
        _write_text(folder / _SERVICE_WORKER, _service_worker_script(folder, models))


def _write_examples(folder: Path) -> None:
    """Copy the photographs to try, and write the result of the first one."""
    (folder / _EXAMPLE_FOLDER).mkdir()
    for name in EXAMPLES:
        path = f"{_EXAMPLE_FOLDER}/{name}.jpg"
        _copy_asset(path, folder / path)
    first = folder / _EXAMPLE_FOLDER / f"{next(iter(EXAMPLES))}.jpg"
    load_model(_BETTER_NETWORK)(first).save(folder / FIRST)
    (folder / FIRST).with_suffix(".json").unlink()


def _page_settings(models: Sequence[PageModel], app: AppSettings | None) -> PageSettings:
    return PageSettings(
        models=models,
        colours=colour_table(DEPTH_COLOURS).tobytes().hex(),
        terms=_range_terms_by_depth_and_camera(),
        misfit=MisfitTerms(
            misfit=feature_weight("length", "misfit", is_anchored=True),
            disorder=feature_weight("length", "disorder", is_anchored=True),
        ),
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
    safe = re.sub("[^A-Za-z0-9]", "-", model)
    digest = hashlib.sha256(model.encode()).hexdigest()[:6]
    return f"{safe[:60]}-{digest}.onnx"


def _copy_asset(name: str, path: Path) -> None:
    path.write_bytes((_ASSETS / name).read_bytes())


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _service_worker_script(folder: Path, models: Sequence[PageModel]) -> str:
    """Script that keeps the page for use offline.

    Its version is a hash of all files, so that browsers fetch them again after a change. It lists
    the files to keep at once, and those of the runtime by device.
    """
    digest = hashlib.sha256(VERSION.encode())
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()} {sha256(file)}\n".encode())
    fetched_later = {_SAVED, *chain.from_iterable(_RUNTIMES.values())}
    names = [file.name for file in sorted(folder.iterdir()) if file.is_file()]
    first_example = f"{_EXAMPLE_FOLDER}/{next(iter(EXAMPLES))}.jpg"
    kept_at_once = [
        "./",
        *(name for name in names if name not in fetched_later),
        models[0].file,
        first_example,
    ]
    constants = (
        f"const VERSION = {json.dumps(digest.hexdigest()[:16])};\n"
        f"const FILES = {json.dumps(kept_at_once)};\n"
        f"const RUNTIMES = {json.dumps(_RUNTIMES)};\n"
    )
    return constants + (_ASSETS / _SERVICE_WORKER).read_text("utf-8")


def _range_terms_by_depth_and_camera() -> Mapping[str, Mapping[str, Terms]]:
    """Terms of the ranges of sizes, by the kind of depth, then by how the camera is known."""
    return {
        "up_to_scale": _range_terms_by_camera(DepthKind.UP_TO_SCALE),
        "metric": _range_terms_by_camera(DepthKind.METRIC),
        "anchored": _range_terms_by_camera(DepthKind.UP_TO_SCALE, _PERFECT_ANCHORING),
    }


def _range_terms_by_camera(
    kind: DepthKind, anchoring: Anchoring | None = None
) -> Mapping[str, Terms]:
    sources = {"assumed": CameraSource.ASSUMED, "known": CameraSource.EXIF_35MM}
    terms = {}
    for name, source in sources.items():
        prediction = _flat_prediction(kind, source, anchoring)
        # The scripts draw a network's depth, whose edges are soft.
        terms[name] = replace(page_terms(prediction), has_soft_edges=True)
    return terms


def _flat_prediction(
    kind: DepthKind, source: CameraSource, anchoring: Anchoring | None
) -> Prediction:
    """Smallest prediction of a kind, since terms depend on its kind and camera alone."""
    made_by = MadeBy(model="", weights_sha256="", licence="", settings={}, version=VERSION)
    return Prediction(
        depth_or_none=DepthMap(values=np.ones((2, 2), np.float32), kind=kind),
        camera=Camera(K=np.eye(3), source=source),
        photo=None,
        made_by=made_by,
        anchoring=anchoring,
    )


def _refuse_foreign_files(folder: Path) -> None:
    """Refuse a folder that holds anything besides an older page."""
    if not folder.is_dir():
        return
    index = folder / INDEX
    is_page = index.is_file() and GENERATOR in index.read_text("utf-8", "replace")[:4096]
    if is_page:
        foreign = sorted(_foreign_file_names(folder))
    else:
        foreign = sorted(path.name for path in folder.iterdir())
    if foreign:
        raise OutputError(
            f"holds {printable(foreign[0])}, which is no part of a page: choose another folder",
            path=printable(folder),
        )


def _foreign_file_names(folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        if path.name not in _NAMES:
            yield path.name
    for name, suffix in ((_MODEL_FOLDER, ".onnx"), (_EXAMPLE_FOLDER, ".jpg")):
        for path in (folder / name).glob("*"):
            if path.suffix != suffix:
                yield f"{name}/{path.name}"
