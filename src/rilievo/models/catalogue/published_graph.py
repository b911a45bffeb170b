"""Adapter of published graphs, readers of their outputs, and their opening."""

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Mask, Shaped, Vectors
from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.focal import fit_focal_shift
from rilievo.geometry.intrinsics import K_from_focal, K_from_fov, resize_K
from rilievo.models.base import Inference, Model, focal_length_error, infer_by_size
from rilievo.models.card import ModelCard
from rilievo.models.catalogue import table
from rilievo.models.catalogue.download import check_sha256, fetch_files
from rilievo.models.catalogue.feeding import FEEDERS, PICTURE, Fed, GraphFacts, graph_facts
from rilievo.models.catalogue.table import CatalogueEntry, RemoteFile, find_entry
from rilievo.models.load_options import AUTO, ONNX_ENGINES, LoadOptions
from rilievo.models.network_files import combined_sha256, sha256
from rilievo.models.onnx_files.conversion import (
    FP32,
    INT8,
    Origin,
    check_limits,
    compare_answers,
    example_photo,
    open_converted,
    quantise,
)
from rilievo.models.onnx_files.engines import Session, open_session
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import BEYOND
from rilievo.records.sample import Photo

_NEEDED = ("points", "mask", "scale")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphAnswer:
    """Outputs for one photograph, batch of one."""

    model: str
    facts: GraphFacts
    outputs: Arrays
    photo: Photo
    fed: Fed

    def find(self, role: str) -> Shaped[np.ndarray, "..."] | None:
        """Output of a role, if any."""
        name = self._output_name(role)
        return None if name is None else self.outputs[name]

    def depth(self) -> Field:
        """Depth, by role or as the only output."""
        if self.facts.any_depth and len(self.outputs) == 1 and self._output_name("depth") is None:
            return self._pixel_field(next(iter(self.outputs)))
        return self.map("depth")

    def map(self, role: str) -> Field:
        """Output with one value a pixel."""
        return self._pixel_field(self._output_name(role) or self.facts.outputs[role][0])

    def _output_name(self, role: str) -> str | None:
        return next((name for name in self.facts.outputs[role] if name in self.outputs), None)

    def _pixel_field(self, name: str) -> Field:
        if name not in self.outputs:
            raise ModelError(f"model '{self.model}': the network has no output '{name}'")
        array = self.outputs[name]
        if array.ndim < 2 or array.size != array.shape[-2] * array.shape[-1]:
            raise ModelError(
                f"model '{self.model}': output '{name}' is {array.shape}, expected "
                "(1, height, width)"
            )
        field = array.reshape(array.shape[-2:])
        return np.ascontiguousarray(np.rot90(field, -1)) if self.fed.turned else field


@dataclass(frozen=True, slots=True, kw_only=True)
class _PointOutputs:
    points: Float32[np.ndarray, "h w 3"]
    normals: Float32[np.ndarray, "h w 3"] | None
    mask: Field
    scale: float


def read_points(answer: GraphAnswer) -> Inference:
    """Fit shift and focal length to a point map; read depth and camera."""
    geometry, photo = _point_outputs(answer), answer.photo
    inside = geometry.mask > 0.5
    camera = photo.camera
    # Focal length relative to half the diagonal, which does not depend on the size.
    focal = None if camera is None else camera.focal * 2 / math.hypot(*photo.shape)
    fit = fit_focal_shift(
        geometry.points, inside & np.isfinite(geometry.points).all(-1), focal=focal
    )
    z, scale = geometry.points[..., 2], np.float32(geometry.scale)
    depth = (z + np.float32(fit.shift)) * scale
    valid: Mask = inside & np.isfinite(depth) & (depth > 0)
    has_log = np.isfinite(depth) & (z > 0)
    return Inference(
        # Without a mask too, depth has a logarithm, because the authors resize it everywhere.
        depth=np.where(has_log, depth, np.float32(1 + abs(fit.shift)) * scale),
        valid=valid & has_log,
        shift=float(np.float32(fit.shift) * scale),
        normals=None if geometry.normals is None else _channels_first_normals(geometry.normals),
        sky=1 - np.nan_to_num(geometry.mask).clip(0, 1),
        camera=_photo_or_focal_camera(fit.focal_px(photo.shape), photo, answer.model),
    )


def _photo_or_focal_camera(focal_px: float, photo: Photo, model: str) -> Camera:
    if photo.camera is not None:
        return photo.camera
    if not (math.isfinite(focal_px) and focal_px > 0):
        raise ModelError(
            problem=Text(
                f"model '{model}' found no camera for {photo.name}: give ",
                OptionName("fov", "..."),
                " or ",
                OptionName("camera", "..."),
            )
        )
    K = K_from_focal(focal_px, focal_px, photo.shape)
    return Camera(K=K, source=CameraSource.PREDICTED)


def _point_outputs(answer: GraphAnswer) -> _PointOutputs:
    named, size = _outputs_by_role(answer), answer.fed.size
    shapes = {"points": (1, *size, 3), "normal": (1, *size, 3), "mask": (1, *size), "scale": (1,)}
    for name, shape in shapes.items():
        if name in named and named[name].size != math.prod(shape):
            raise ModelError(
                f"model '{answer.model}': output {name!r} is {named[name].shape}, expected {shape}"
            )
    missing = [name for name in _NEEDED if name not in named]
    if missing:
        raise ModelError(f"model '{answer.model}': the network has no output {missing[0]!r}")
    normals = named.get("normal")
    return _PointOutputs(
        points=named["points"].reshape(*size, 3),
        normals=None if normals is None else normals.reshape(*size, 3),
        mask=named["mask"].reshape(size),
        scale=float(named["scale"].reshape(-1)[0]),
    )


def _outputs_by_role(answer: GraphAnswer) -> Mapping[str, np.ndarray]:
    roles = list(answer.facts.outputs)
    fields = {role: answer.find(role) for role in roles}
    parts = {role: array for role, array in fields.items() if array is not None}
    if set(parts) >= set(_NEEDED):
        return parts
    # Published order: points, normal if present, mask, scale.
    arrays = list(answer.outputs.values())
    wanted = roles if len(arrays) == len(roles) else [role for role in roles if role != "normal"]
    return dict(zip(wanted, arrays, strict=False)) if len(arrays) >= len(wanted) else parts


def _channels_first_normals(normals: Float32[np.ndarray, "h w 3"]) -> Vectors:
    """Normals; non-finite ones face the camera."""
    channels = np.ascontiguousarray(normals.transpose(2, 0, 1))
    lost = ~np.isfinite(channels).all(0)
    channels[:, lost] = np.array([[0.0], [0.0], [-1.0]], np.float32)
    return channels


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

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
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
