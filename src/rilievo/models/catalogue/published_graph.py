"""Adapter of published graphs, and their opening."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from rilievo.arrays.shapes import Float32, Mask
from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_fov, resize_K
from rilievo.models.base import Inference, Model, focal_length_error, infer_by_size
from rilievo.models.card import ModelCard
from rilievo.models.catalogue import table
from rilievo.models.catalogue.download import check_sha256, fetch_files
from rilievo.models.catalogue.feeding import FEEDERS, PICTURE, Fed, GraphFacts, graph_facts
from rilievo.models.catalogue.post_functions import GraphAnswer, read_points
from rilievo.models.catalogue.table import CatalogueEntry, RemoteFile, find_entry
from rilievo.models.load_options import AUTO, ONNX_ENGINES, LoadOptions
from rilievo.models.network_files import combined_sha256, sha256
from rilievo.models.onnx_files.agreement import check_limits, compare_answers, example_photo
from rilievo.models.onnx_files.conversion import FP32, INT8, Origin, open_converted
from rilievo.models.onnx_files.engines import Session, open_session
from rilievo.models.onnx_files.quantisation import quantise
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import BEYOND
from rilievo.records.sample import Photo


def _read_depth(answer: GraphAnswer) -> Inference:
    if not answer.facts.sky:
        return Inference(depth=answer.depth())
    depth = answer.depth()
    valid = np.isfinite(depth) & _non_sky_mask(answer)
    return Inference(depth=np.where(valid, depth, np.float32(1)), valid=valid)


def _non_sky_mask(answer: GraphAnswer) -> Mask:
    return answer.map("sky") < answer.facts.sky


def _read_depth_and_camera(answer: GraphAnswer) -> Inference:
    """Depth Anything 3 (Lin et al. 2025): depth, confidence from 1, intrinsics."""
    depth = answer.depth()
    valid = np.isfinite(depth) & (depth > 0)
    confidence = None
    if answer.find("confidence") is not None:
        confidence = 1 - 1 / np.maximum(answer.map("confidence"), 1)
    return Inference(
        depth=np.where(valid, depth, np.float32(1)),
        valid=None if valid.all() else valid,
        confidence=confidence,
        camera=_predicted_camera(answer),
    )


def _predicted_camera(answer: GraphAnswer) -> Camera | None:
    """Camera by intrinsics; None if the photograph has one."""
    K = answer.find("intrinsics")
    if K is None or answer.photo.camera is not None:
        return None
    K = K.reshape(-1)
    if K.size != 9 or not (np.isfinite(K).all() and min(K[0], K[4]) > 0):
        raise ModelError(
            f"model '{answer.model}' returned invalid intrinsics",
            hint=Text("give ", OptionName("fov", "..."), " or ", OptionName("camera", "...")),
        )
    square = K.reshape(3, 3).astype(np.float64)
    whole = resize_K(square, size=answer.fed.size, new_size=answer.photo.shape)
    return Camera(K=whole, source=CameraSource.PREDICTED)


def _read_depth_and_focal(answer: GraphAnswer) -> Inference:
    """Depth Pro (Bochkovskii et al. 2024): metres for its focal length."""
    depth, focal = answer.depth(), answer.find("focal")
    width = np.float32(answer.fed.size[1])
    if focal is None or focal.size != 1:
        name = answer.facts.outputs["focal"][0]
        raise ModelError(
            f"model '{answer.model}': the network has no output '{name}' of one number"
        )
    focal = focal.reshape(1)
    fov = float(np.degrees(2 * np.arctan(width / 2 / focal)).astype(np.float32)[0])
    if not (0 < focal[0] < np.inf and 0 < fov < 180):
        raise ModelError(f"model '{answer.model}' returned a focal length of {focal[0]:g} pixels")
    shape, camera = answer.photo.shape, None
    if answer.photo.camera is None:
        camera = Camera(K=K_from_fov(fov, shape), source=CameraSource.PREDICTED)
    best_camera = answer.photo.camera or camera
    assert best_camera is not None, "one of the two is a camera"
    # The graph limits its depth; what reaches the end of its range may lie anywhere beyond.
    depth = np.where(depth < answer.facts.resizing.farthest, depth, np.float32(BEYOND))
    of_width = depth / (focal / width)
    return Inference(depth=of_width * np.float32(best_camera.focal / shape[1]), camera=camera)


def _read_canonical_depth(answer: GraphAnswer) -> Inference:
    """Metres of one focal length, as by Metric3D v2 (Hu et al. 2024); sky has no depth."""
    photo, facts = answer.photo, answer.facts
    if photo.camera is None:
        raise focal_length_error(answer.model)
    canonical = _crop_letterbox(answer, answer.depth())
    valid = np.isfinite(canonical) & (canonical > 0)
    if facts.farthest:
        valid &= canonical < facts.farthest
    if facts.sky:
        valid &= _non_sky_mask(answer)
    place = answer.fed.place
    scale = answer.fed.size[1] / photo.shape[1] if place is None else place.scale
    metres = canonical * np.float32(photo.camera.focal * scale / facts.focal)
    return Inference(
        depth=np.where(np.isfinite(metres), metres, np.float32(1)),
        valid=valid,
        normals=_find_normals(answer),
    )


def _find_normals(answer: GraphAnswer) -> Float32[np.ndarray, "3 a b"] | None:
    """Normals without a channel of uncertainty."""
    normals = answer.find("normals") if "normals" in answer.facts.outputs else None
    if normals is None:
        return None
    if normals.ndim != 4 or normals.shape[1] < 3:
        height, width = answer.fed.size
        raise ModelError(
            f"model '{answer.model}': output '{answer.facts.outputs['normals'][0]}' is "
            f"{normals.shape}, expected (1, 3, {height}, {width})"
        )
    return _crop_letterbox(answer, normals[0, :3])


def _crop_letterbox(
    answer: GraphAnswer, field: Float32[np.ndarray, "*c h w"]
) -> Float32[np.ndarray, "*c a b"]:
    height, width = answer.fed.size
    if field.shape[-2:] != answer.fed.size:
        raise ModelError(
            f"model '{answer.model}': an output is {field.shape}, expected {height} x {width}"
        )
    return field if answer.fed.place is None else answer.fed.place.inside(field)


POST_FUNCTIONS: Mapping[str, Callable[[GraphAnswer], Inference]] = {
    "depth": _read_depth,
    "depth-and-camera": _read_depth_and_camera,
    "depth-and-focal": _read_depth_and_focal,
    "canonical-depth": _read_canonical_depth,
    "points": read_points,
}
"""Functions from outputs to an inference."""


class PublishedGraph(Model):
    """Published graph in an ONNX file."""

    def __init__(
        self,
        path: Path,
        options: LoadOptions,
        card: ModelCard,
        facts: GraphFacts,
        *,
        weights_sha256: str,
    ) -> None:
        self.card, self.weights_sha256, self.facts = card, weights_sha256, facts
        self._session = open_session(path, options, f"model '{card.name}'")
        self._names = _input_names_by_role(path, facts, self._session)
        self._feeder = FEEDERS[facts.feeding](path, facts, options.settings, card.name)
        self._read = POST_FUNCTIONS[facts.reading]
        self.settings = {**self._session.settings, **self._feeder.settings}

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run photographs of one size together, if the graph takes batches."""
        if self.facts.one_by_one:
            return [answer for photo in photos for answer in self._infer_batch([photo])]
        return infer_by_size(photos, self._feeder.size, self._infer_batch)

    def _infer_batch(self, photos: Sequence[Photo]) -> Iterator[Inference]:
        fed = self._feeder.feed(photos)
        for photo, outputs in zip(photos, self._outputs_by_photo(fed, len(photos)), strict=True):
            answer = GraphAnswer(
                model=self.card.name,
                facts=self.facts,
                outputs=outputs,
                photo=photo,
                fed=fed,
            )
            yield self._read(answer)

    def _outputs_by_photo(self, fed: Fed, count: int) -> Iterator[Arrays]:
        inputs = {self._names[role]: np.asarray(a, order="C") for role, a in fed.inputs.items()}
        [picture, *others] = inputs
        if others:
            answers = self._session.feed(inputs)
        else:
            answers = self._session.run(inputs[picture], picture)
        answers = {key: array.astype(np.float32, copy=False) for key, array in answers.items()}
        for row in range(count):
            yield {key: self._batch_row(key, array, row, count) for key, array in answers.items()}

    def _batch_row(self, name: str, array: np.ndarray, row: int, count: int) -> np.ndarray:
        if count == 1:
            return array
        if array.ndim == 0 or len(array) != count:
            raise ModelError(
                f"model '{self.card.name}': output '{name}' is {array.shape}, expected "
                f"({count}, ...)"
            )
        return array[row : row + 1]


def open_graph(path: Path, options: LoadOptions, card: ModelCard, *, weights_sha256: str) -> Model:
    """Open a model of the catalogue from its file."""
    facts = graph_facts(find_entry(card.name).graph)
    return PublishedGraph(path, options, card, facts, weights_sha256=weights_sha256)


def _input_names_by_role(path: Path, facts: GraphFacts, session: Session) -> Mapping[str, str]:
    if facts.inputs:
        missing = sorted(set(facts.inputs.values()) - set(session.input_names))
        if missing:
            raise ModelError(
                (f"not a graph of {facts.name}: it has no input {missing[0]!r}"), path=path
            )
        return facts.inputs
    if len(session.input_names) != 1:
        raise ModelError(
            (
                "expected a graph with one picture as input; it has the "
                f"inputs {', '.join(session.input_names)}"
            ),
            path=path,
        )
    return {PICTURE: session.input_names[0]}


_ENGINE = ONNX_ENGINES[0]
_NEARLY = 0.5  # MB, for sizes that are not known exactly


def _quantise_and_compare(
    name: str, files: Sequence[Path], open_model: Callable[[Path], Model], part: Path
) -> None:
    photo = example_photo()
    [reference] = open_model(files[0]).infer([photo])
    # The quantiser writes beside its source, which is no place of ours.
    with tempfile.TemporaryDirectory(dir=part.parent) as work:
        for path in files:
            shutil.copyfile(path, Path(work) / path.name)
        quantise(Path(work) / files[0].name, part)
    [answer] = open_model(part).infer([photo])
    try:
        check_limits(compare_answers(reference, answer), INT8)
    except ModelError as error:
        raise ModelError(f"model '{name}': {error}") from error


def load(card: ModelCard, options: LoadOptions) -> Model:
    """Load a model from the cache, downloaded first where needed."""
    if options.revision is not None:
        raise ModelError(
            f"model '{card.name}' is pinned to one commit, so it takes no '@{options.revision}'"
        )
    entry = find_entry(card.name)
    files = fetch_files(entry)
    digests = [
        check_sha256(path, file, entry.name) for path, file in zip(files, entry.files, strict=True)
    ]
    weights = combined_sha256(digests)

    def open_model(path: Path, chosen: LoadOptions) -> Model:
        return open_graph(path, chosen, card, weights_sha256=weights)

    if options.precision != INT8:
        return open_model(files[0], options)
    if options.engine not in (AUTO, _ENGINE):
        raise OptionError(
            f"model '{card.name}' is run in int8 by {_ENGINE}, not by {options.engine}; "
            "openvino has bf16"
        )
    options = replace(options, engine=_ENGINE)
    plain = partial(open_model, chosen=replace(options, precision=FP32))
    origin = Origin(
        card=card,
        files={file.path: digest for file, digest in zip(entry.files, digests, strict=True)},
        weights_sha256=weights,
        converter=lambda: lambda part, _: _quantise_and_compare(card.name, files, plain, part),
        open=open_model,
    )
    return open_converted(origin, options)


def find(request: ModelRequest) -> FoundModel | None:
    """Find a published graph by its file's size and hash."""
    path = Path(request.name)
    if not request.is_onnx_file or not os.path.isfile(path):  # also False for too long a name
        return None
    nearby = [
        entry for entry in table.ENTRIES.values() if _may_have_size(entry, path.stat().st_size)
    ]
    if not nearby:
        return None
    digest = sha256(path)
    entry = next((row for row in nearby if row.files[0].is_same(digest)), None)
    if entry is None:
        return None
    return FoundModel(card=None, load=lambda options: _open_entry(path, digest, entry, options))


def _open_entry(path: Path, digest: str, entry: CatalogueEntry, options: LoadOptions) -> Model:
    digests = [digest, *(_check_weights_beside(path, file) for file in entry.files[1:])]
    return open_graph(path, options, entry.card, weights_sha256=combined_sha256(digests))


def _check_weights_beside(graph: Path, file: RemoteFile) -> str:
    path = graph.parent / PurePosixPath(file.path).name
    if not path.is_file():
        raise ModelError(f"{graph}: its weights are missing; put {path.name} beside it")
    digest = sha256(path)
    if not file.is_same(digest):
        raise ModelError(
            (
                f"not the weights of {graph.name}: sha256 {digest[:12]}..., "
                f"expected {(file.sha256 or '')[:12]}...; download it again"
            ),
            path=path,
        )
    return digest


def _may_have_size(entry: CatalogueEntry, size: int) -> bool:
    graph = entry.files[0]
    if graph.sha256 is None:
        return False
    if graph.size is not None:
        return graph.size == size
    return abs(size / 1e6 - (entry.megabytes or 0)) < _NEARLY
