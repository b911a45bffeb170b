"""Recalibration of an embedded model's confidence: ``python -m lab.making.recalibrate``.

A network learns the expected error of its depth mostly from frames that it was trained on, and
there its errors are small. It errs more often far from the middle of depth, and where the slopes
of its depth disagree with its normals. A logistic regression combines all into the chance that
depth is right within a factor of 1.25. It is fitted on frames with known depth that the network was
not trained on: photographs, and rendered scenes for views that the photographs lack; the constant
is that of photographs, since rendered scenes are easier for a network that learned from them. Its
five numbers become part of the ONNX file; depth and normals stay as they are.

A frame of another kind than all of those, such as a turned corridor, is not recognised by this. A
model of two networks has a second witness: how far their answers lie apart. Over cameras the mean
difference is about the mean error, with no number to fit, so the more doubtful witness counts.
"""

import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, UInt8
from PIL import Image
from torch import Tensor, nn

from lab.making.distil.frames.shards import Shard, read_shard
from lab.making.distil.frames.training_frames import Frame
from lab.making.gating import gate, ungate
from lab.making.nyu_frames import held_out_frames
from lab.making.program import run_program
from rilievo.cli.parsing import parse
from rilievo.errors import InputError, OptionError
from rilievo.geometry.cameras.camera import ASSUMED_FOV
from rilievo.io.files.atomic import replacing
from rilievo.io.files.names import printable
from rilievo.io.training_files import ONNX_KEY, append_onnx_checksum
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.file_writing import set_metadata
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.schema.fields import option
from rilievo.system.telemetry import import_onnxruntime
from rilievo.training.networks.small import double_bilinearly
from rilievo.training.networks.small_weights import MULTIPLE

RECALIBRATED = "rilievo.confidence"
"""Entry of a file's metadata that has the five numbers."""
_OUTPUTS = ("depth", "normals", "confidence")
_INPUTS = (*_OUTPUTS, "layout", "detail", "sky")
_WITNESSES = ("layout.depth", "detail.depth", "sky")
"""Depth of both networks of a graph of two, and the chance of sky."""
_PREFIX, _SAID = "sure/", "sure/said"
_UNMOVED = "fused.unmoved_"
"""Prefix of depth and normals before outlines are sharpened, which confidence belongs to."""
_LEAST_APART, _CELL = 0.02, 16
"""Least mean difference, for numerical safety; side of the cells whose means are compared [px]."""
_WINDOW, _AROUND = 9, 17
"""Windows, in pixels of half the size, of disagreement and of the network's own confidence."""
_LEAST, _LEAST_AWAY = 0.005, 0.1
_ROUNDS = 5
_DOUBT = 4.0
"""Factor of the network's own mean log odds that is added, where these are below 0."""
_NEAR = np.log(1.25)
_PIXELS_A_FRAME = 2000


class Recalibration(nn.Module):
    """Confidence from the network's own, from depth, and from its agreement with normals."""

    weights: Tensor

    def __init__(self, weights: Sequence[float] = (1.0, 0.0, 0.0, 0.0, 0.0)) -> None:
        """Take the factors of the four rows of ``evidence``, and the constant."""
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32))

    def evidence(
        self,
        depth: Float[Tensor, "b h w"],
        normals: Float[Tensor, "b 3 h w"],
        confidence: Float[Tensor, "b h w"],
    ) -> Float[Tensor, "b 4 h w"]:
        """Return what tells right from wrong depth, each row in logarithms.

        Odds of the network's confidence around a place; distance of the place from the middle of
        depth, before or behind; disagreement of depth and normals nearby, and on the whole.
        """
        angle = disagreement(depth, normals)[:, None]
        near = _averaged(angle, _WINDOW)
        whole = angle.mean(dim=(2, 3), keepdim=True).expand_as(near)
        chance = confidence[:, None, ::2, ::2].clamp(0.01, 0.999)
        odds = _averaged(torch.log(chance / (1 - chance)), _AROUND)
        away = torch.log(from_middle(torch.log(depth[:, None, ::2, ::2])) + _LEAST_AWAY)
        rows = [odds, away, *(torch.log(term + _LEAST) for term in (near, whole))]
        return double_bilinearly(torch.cat(rows, dim=1))

    def forward(
        self,
        depth: Float[Tensor, "b h w"],
        normals: Float[Tensor, "b 3 h w"],
        confidence: Float[Tensor, "b h w"],
        layout: Float[Tensor, "b _ _"] | None = None,
        detail: Float[Tensor, "b h w"] | None = None,
        sky: Float[Tensor, "b h w"] | None = None,
    ) -> Float[Tensor, "b h w"]:
        """Return the chance that depth is right within a factor of 1.25.

        Args:
            depth: Depth, up to scale.
            normals: Unit normals towards the camera.
            confidence: The network's own confidence.
            layout: Depth of the first of two networks, if there are two.
            detail: Depth of the second one.
            sky: Chance that a pixel sees no surface.

        Frames with known depth show rooms and streets. Of noise, black, a drawing or a page of text
        the network itself says that it is more wrong than right on the whole, and of those frames
        it never does: so this alone is not fitted.
        """
        factors, constant = self.weights[:4].view(1, 4, 1, 1), self.weights[4]
        evidence = self.evidence(depth, normals, confidence)
        whole = evidence[:, 0].mean(dim=(1, 2), keepdim=True)
        odds = (evidence * factors).sum(dim=1) + constant + _DOUBT * whole.clamp(max=0)
        if layout is not None and detail is not None and sky is not None:
            odds = odds + warned(whole[:, 0, 0], layout, detail, sky)[:, None, None]
        return torch.sigmoid(odds)


def warned(
    whole: Float[Tensor, "b"],
    layout: Float[Tensor, "b _ _"],
    detail: Float[Tensor, "b h w"],
    sky: Float[Tensor, "b h w"],
) -> Float[Tensor, "b"]:
    """Log odds by which the distance of two answers lowers those of a frame; 0 or less.

    An error with the distribution of Laplace whose mean is the distance is below log 1.25 with
    the chance 1 - exp(-log 1.25 / distance).

    Args:
        whole: Mean log odds of the network's own confidence.
        layout: Depth of the first network.
        detail: Depth of the second one.
        sky: Chance that a pixel sees no surface.
    """
    chance = 1 - torch.exp(-_NEAR / apart(layout, detail, sky).clamp(min=_LEAST_APART))
    return (torch.log(chance / (1 - chance)) - whole).clamp(max=0)


def apart(
    layout: Float[Tensor, "b _ _"], detail: Float[Tensor, "b h w"], sky: Float[Tensor, "b h w"]
) -> Float[Tensor, "b"]:
    """Mean size of the difference of two answers' log depth, without the sky.

    The second answer is brought to the spread of the first: how steep it is says little.
    """
    other = F.avg_pool2d(torch.log(detail)[:, None], _CELL)
    land = 1 - F.avg_pool2d(sky[:, None], _CELL) + _LEAST
    land = land / land.sum(dim=(2, 3), keepdim=True)
    one = F.interpolate(torch.log(layout)[:, None], size=other.shape[2:], mode="bilinear")
    first, second = (x - (land * x).sum(dim=(2, 3), keepdim=True) for x in (one, other))
    squares = [(land * x * x).sum(dim=(2, 3), keepdim=True) for x in (first, second)]
    ratio = torch.sqrt(squares[0] / (squares[1] + 1e-6))
    return (land * (first - ratio * second).abs()).sum(dim=(1, 2, 3))


def from_middle(logs: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Size of the difference of log depth to its middle, about the median of the image.

    A network that says too much or too little contrast of depth is right in the middle, where
    depth is brought to scale, and the more wrong the farther from there. The middle minimises the
    sum of the sizes, by iterated least squares: a median is a sort, which takes longer.
    """
    middle = logs.mean(dim=(2, 3), keepdim=True)
    for _ in range(_ROUNDS):
        weight = 1 / ((logs - middle).abs() + _LEAST_AWAY / 4)
        middle = (weight * logs).sum(dim=(2, 3), keepdim=True) / weight.sum(
            dim=(2, 3), keepdim=True
        )
    return (logs - middle).abs()


def _averaged(values: Float[Tensor, "b 1 h w"], window: int) -> Float[Tensor, "b 1 h w"]:
    """Mean over a square window, of the pixels that it has inside the image."""
    pad = window // 2
    rows = F.avg_pool2d(values, (1, window), 1, (0, pad), count_include_pad=False)
    return F.avg_pool2d(rows, (window, 1), 1, (pad, 0), count_include_pad=False)


def disagreement(
    depth: Float[Tensor, "b h w"], normals: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, "b h2 w2"]:
    """1 − cos between predicted normals and those of the depth, at half the size.

    Depth is seen through the camera that is assumed for photographs without tags.

    Args:
        depth: Depth, up to scale; the sides are even.
        normals: Unit normals towards the camera.
    """
    height, width = depth.shape[1], depth.shape[2]
    longer = torch.maximum(torch.as_tensor(height), torch.as_tensor(width))
    focal = longer / (2 * np.tan(np.radians(ASSUMED_FOV) / 2))
    logs = F.pad(torch.log(depth[:, None, ::2, ::2]), (1, 1, 1, 1), mode="replicate")
    # Pixels of the half-size grid lie two apart, and a central difference spans two of them.
    across = focal * (logs[:, 0, 1:-1, 2:] - logs[:, 0, 1:-1, :-2]) / 4
    down = focal * (logs[:, 0, 2:, 1:-1] - logs[:, 0, :-2, 1:-1]) / 4
    columns = (torch.arange(0, width, 2, device=depth.device) - (width - 1) / 2) / focal
    rows = (torch.arange(0, height, 2, device=depth.device) - (height - 1) / 2) / focal
    ahead = -1 - columns * across - rows[:, None] * down
    implied = torch.stack([across, down, ahead], dim=1)
    return 1 - (F.normalize(implied, dim=1) * normals[:, :, ::2, ::2]).sum(dim=1)


class Sampled(NamedTuple):
    """Pixels of a frame: their evidence, whether depth is right, and the warning of the frame."""

    evidence: Float64[np.ndarray, "n 4"]
    right: Bool[np.ndarray, "n"]
    offset: Float64[np.ndarray, "n"]


def recalibrate(
    source: Path, target: Path, frames: Sequence[Frame], rendered: Sequence[Frame] = ()
) -> Float64[np.ndarray, "5"]:
    """Write a network with its confidence calibrated on frames.

    Args:
        source: ONNX file of ``export_small``, ``quantise_small`` or ``write_fused``.
        target: File to write; may be ``source``.
        frames: Photographs with known depth that it was not trained on.
        rendered: Rendered frames beside them, which have a constant of their own.

    Returns:
        The five numbers.

    Raises:
        OptionError: If the file has been recalibrated already.
        InputError: If it is no embedded network, or all pixels of the frames are right, or none.
        OutputError: If the file cannot be written.
    """
    model = OnnxModel(source, LoadOptions(device="cpu", threads=1))
    if RECALIBRATED in model.metadata:
        raise OptionError(f"{printable(source)}: recalibrated already; give the file before that")
    area = int(model.metadata.get("rilievo.area", 0))
    sampled = list(_sampled(source, area, frames))
    others = list(_sampled(source, area, rendered))
    every = [*sampled, *others]
    evidence = np.concatenate([sample.evidence for sample in every])
    if others:
        is_rendered = np.repeat(
            [False] * len(sampled) + [True] * len(others), [len(each.right) for each in every]
        )
        evidence = np.concatenate([evidence, is_rendered[:, None]], axis=1)
    weights = fit_logistic(
        evidence,
        np.concatenate([sample.right for sample in every]),
        np.concatenate([sample.offset for sample in every]),
    )
    weights = np.concatenate([weights[:4], weights[-1:]])
    metadata = {key: value for key, value in model.metadata.items() if key != ONNX_KEY}
    with replacing(target) as part:
        _append(source, part, Recalibration([float(weight) for weight in weights]))
        numbers = " ".join(f"{weight:.4f}" for weight in weights)
        set_metadata(part, {**metadata, RECALIBRATED: numbers})
        append_onnx_checksum(part)
    return weights


def fit_logistic(
    evidence: Float64[np.ndarray, "n k"],
    right: Bool[np.ndarray, "n"],
    offset: Float64[np.ndarray, "n"] | None = None,
) -> Float64[np.ndarray, "k1"]:
    """Factors and constant of a logistic regression, by Newton's method.

    Args:
        evidence: Inputs.
        right: Answers.
        offset: Log odds that are added with a factor of 1; none by default.

    Raises:
        InputError: If all are right, or none is.
    """
    if right.all() or not right.any():
        raise InputError("confidence cannot be calibrated: all pixels are right, or none is")
    inputs = np.concatenate([evidence, np.ones((len(evidence), 1))], axis=1)
    weights = np.zeros(inputs.shape[1])
    small = 1e-6 * len(inputs) * np.eye(len(weights))
    for _ in range(30):
        chance = 1 / (1 + np.exp(-inputs @ weights - (0 if offset is None else offset)))
        gradient = inputs.T @ (right - chance) - small @ weights
        hessian = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + small
        weights += np.linalg.solve(hessian, gradient)
    return weights


def _sampled(source: Path, area: int, frames: Sequence[Frame]) -> Iterator[Sampled]:
    """Run the network on the frames, and sample pixels with known depth."""
    onnxruntime = import_onnxruntime()
    model = ungate(onnx.load(str(source)))
    if not {output.name for output in model.graph.output}.issuperset(_OUTPUTS) or not area:
        raise InputError(f"{printable(source)}: no embedded network, with {', '.join(_OUTPUTS)}")
    names = _inputs_of(model)
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name)
        for name in names
        if name not in {output.name for output in model.graph.output}
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    random, plain = np.random.default_rng(0), Recalibration()
    for frame in frames:
        pixels = picture_of(frame.image, area)
        (height, width), (rows_of, columns_of) = pixels.shape[1:3], frame.valid.shape
        depth, normals, confidence, *witnesses = map(
            torch.from_numpy, session.run(names, {"image": pixels})
        )
        rows = (np.arange(height) + 0.5) * rows_of // height
        columns = (np.arange(width) + 0.5) * columns_of // width
        place = np.ix_(rows.astype(int), columns.astype(int))
        valid = frame.valid[place] & ~frame.sky[place]
        off = (torch.log(depth)[0].numpy() - frame.log_depth[place])[valid]
        if not off.size:
            continue
        chosen = random.choice(off.size, min(off.size, _PIXELS_A_FRAME), replace=False)
        terms = plain.evidence(depth, normals, confidence)
        evidence = terms[0].numpy()[:, valid]
        right = np.abs(off - np.median(off)) < _NEAR
        odds = 0.0
        if witnesses:
            odds = float(warned(terms[:, 0].mean(dim=(1, 2)), *witnesses)[0])
        yield Sampled(
            evidence.T[chosen].astype(np.float64), right[chosen], np.full(len(chosen), odds)
        )


def picture_of(image: UInt8[np.ndarray, "_ _ 3"], area: int) -> UInt8[np.ndarray, "1 h w 3"]:
    """Photograph as a network that sees ``area`` pixels takes it."""
    picture = Image.fromarray(image)
    scale = (area / (picture.width * picture.height)) ** 0.5
    width, height = (
        max(1, round(side * scale / MULTIPLE)) * MULTIPLE
        for side in (picture.width, picture.height)
    )
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))[None]


def _inputs_of(model: onnx.ModelProto) -> list[str]:
    """Names of depth, normals, the network's own confidence, and the answers of two networks."""
    present = {name for node in model.graph.node for name in node.output}
    names = [f"{_UNMOVED}{name}" if f"{_UNMOVED}{name}" in present else name for name in _OUTPUTS]
    return [*names, *_WITNESSES] if present.issuperset(_WITNESSES) else names


def _append(source: Path, target: Path, recalibration: Recalibration) -> None:
    """Join the recalibration to the network in one graph."""
    gated = onnx.load(str(source))
    network = ungate(gated)
    names = _inputs_of(network)
    tail = _exported(recalibration, len(names), network.opset_import[0].version)
    inputs = dict(zip(_INPUTS, names, strict=False)) | {"confidence": _SAID, "new": "confidence"}
    own = {name for node in tail.graph.node for name in (*node.input, *node.output) if name}
    own |= {weight.name for weight in tail.graph.initializer}
    renamed = {name: f"{_PREFIX}{name}" for name in own} | inputs
    _rename(network.graph.node, {"confidence": _SAID})
    _rename(tail.graph.node, renamed)
    for node in tail.graph.node:
        node.name = f"{_PREFIX}{node.name}"
    for weight in tail.graph.initializer:
        weight.name = renamed[weight.name]
    network.graph.node.extend(tail.graph.node)
    network.graph.initializer.extend(tail.graph.initializer)
    onnx.checker.check_model(network)
    onnx.save(network if network is gated else gate(network), str(target))


def _exported(recalibration: Recalibration, count: int, version: int) -> onnx.ModelProto:
    """Graph of the recalibration with its first inputs."""
    maps = {0: "batch", 1: "height", 2: "width"}
    plane = torch.full((1, 64, 96), 0.5)
    given = (plane, torch.ones(1, 3, 64, 96), plane, torch.ones(1, 8, 12), plane, plane)
    axes = dict.fromkeys((*_INPUTS, "new"), maps) | {
        "normals": {0: "batch", 2: "height", 3: "width"},
        "layout": {0: "batch", 1: "rows", 2: "columns"},
    }
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constants that the exporter does not fold
        path = Path(folder) / "recalibration.onnx"
        torch.onnx.export(
            recalibration.eval(),
            given[:count],
            str(path),
            input_names=list(_INPUTS[:count]),
            output_names=["new"],
            dynamic_axes={name: axes[name] for name in (*_INPUTS[:count], "new")},
            opset_version=version,
            dynamo=False,
        )
        return onnx.load(str(path))


def without_recalibration(source: Path, target: Path) -> None:
    """Write a network with its own confidence, as before ``recalibrate``; another one is copied.

    Raises:
        InputError: If its recalibration cannot be taken out.
    """
    gated = onnx.load(str(source))
    model = ungate(gated)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    if RECALIBRATED in facts:
        nodes = list(model.graph.node)
        if not any(_SAID in node.output for node in nodes):
            raise InputError(
                f"{printable(source)}: its recalibration cannot be taken out; give the file before"
            )
        del model.graph.node[:]
        model.graph.node.extend(node for node in nodes if not _is_tail(node))
        _rename(model.graph.node, {_SAID: "confidence"})
        weights = [each for each in model.graph.initializer if not each.name.startswith(_PREFIX)]
        del model.graph.initializer[:]
        model.graph.initializer.extend(weights)
        onnx.checker.check_model(model)
    facts = {key: value for key, value in facts.items() if key not in (RECALIBRATED, ONNX_KEY)}
    with replacing(target) as part:
        onnx.save(model if model is gated else gate(model), str(part))
        set_metadata(part, facts)
        append_onnx_checksum(part)


def _is_tail(node: onnx.NodeProto) -> bool:
    """Whether a node is of the recalibration."""
    return all(
        name == "confidence" or (name.startswith(_PREFIX) and name != _SAID) for name in node.output
    )


def _rename(nodes: Iterable[onnx.NodeProto], names: Mapping[str, str]) -> None:
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def frames_of(shard: Shard) -> Iterator[Frame]:
    """Frames of a shard in order."""
    return map(shard.frame, range(len(shard.image)))


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the program."""

    source: Annotated[Path, option(positional=True)]
    """Network, as a run writes it."""
    real: Path
    """Folder of NYU Depth V2's labelled frames; the training frames that are kept out of training
    are taken."""
    shards: Path | None = None
    """Folder of rendered scenes that it was not trained on; all frames are taken."""
    output: Annotated[Path, option(aliases=("-o",))]
    """File to write."""


def main(arguments: Sequence[str]) -> None:
    """Write an embedded network with its confidence calibrated."""
    options = parse(
        Arguments,
        arguments,
        prog="python -m lab.making.recalibrate",
        description="Write an embedded network with its confidence calibrated.",
    )
    files = [] if options.shards is None else sorted(options.shards.rglob("shard-*.npz"))
    rendered = [frame for file in files for frame in frames_of(read_shard(file))]
    frames = held_out_frames(options.real)
    weights = recalibrate(options.source, options.output, frames, rendered)
    sys.stdout.write(
        f"{printable(options.output)}: log odds of the confidence count {weights[0]:.2f}, distance "
        f"from the middle {weights[1]:.2f}, disagreement nearby {weights[2]:.2f}, on the whole "
        f"{weights[3]:.2f}\n"
    )


if __name__ == "__main__":
    run_program(main)
