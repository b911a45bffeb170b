"""Judge weights of the layout networks: ``python lab/studies/judge_layout.py BASE.onnx NAME=A,B``.

A and B are the weights of both members of the pair, the second of which sees the mirror image:
``state_dict`` of ``LayoutNet`` in npz files, or mixtures of them. A term is ``[SHARE*]FILE``, terms
are joined by ``+``, ``-`` is the file's own weights and a pattern the mean of its files::

    judge_layout.py base.onnx 'half=.5*-+.5*runs/0-*.npz,.5*-+.5*runs/1-*.npz' 'one=A.npz,-'

The layout's own depth is scored, without the detail: AbsRel after the ratio of medians, by camera,
upright and turned by 30 degrees to both sides, against the file's own pair. Prepared frames and
answers of weights are kept in a folder, so a second mixture with the same member is cheaper.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import onnxruntime
import torch
from jaxtyping import Float32, UInt8
from judge_changes import Comparison, Measure, compared, lines
from judge_frames import BLOCKS, CAMERAS, GROUPS, SEVEN, judged_frames
from judge_turns import ANGLES, FEWEST, turned
from layout_weights import START, Weights, file_weights, mixture

from lab.making.gating import ungate
from lab.making.layout_network import LayoutNet
from rilievo.errors import OptionError, RilievoError
from rilievo.models.onnx_files.onnx_model import parse_preparation
from rilievo.models.resampling.preparation import Preparation
from rilievo.models.resampling.resizing import resize

_ABS_REL = Measure(title="AbsRel of the layout")
_BATCH = 8
_TALL = 350
"""Frames of at least this height are scored at every second row and column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedFrame:
    """One frame as the layout network sees it.

    Attributes:
        camera: Name in ``CAMERAS``.
        turned: Whether it is turned.
        picture: Photograph at the layout network's size.
        depth: True depth [m], 0 where it is not scored.
    """

    camera: str
    turned: bool
    picture: UInt8[np.ndarray, "h w 3"]
    depth: Float32[np.ndarray, "_ _"]


class Front:
    """Photograph to the layout network's picture, as the file does it."""

    def __init__(self, path: Path) -> None:
        model = ungate(onnx.load(path))
        self._preparation = _preparation(model)
        self.bytes = _front(model).SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self._session = onnxruntime.InferenceSession(
            self.bytes, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, photo: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """Return the picture."""
        image = self._preparation.pixels(np.ascontiguousarray(photo))
        (pictures,) = self._session.run(["layout.image"], {"image": image[None]})
        assert isinstance(pictures, np.ndarray)
        return pictures[0]


def _front(model: onnx.ModelProto) -> onnx.ModelProto:
    """Cut a fused file behind the layout network's picture."""
    nodes, needed = [], {"layout.image"}
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    end = onnx.helper.make_tensor_value_info("layout.image", onnx.TensorProto.UINT8, None)
    constants = [each for each in model.graph.initializer if each.name in needed]
    graph = onnx.helper.make_graph(nodes[::-1], "front", model.graph.input, [end], constants)
    return onnx.helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version
    )


def _preparation(model: onnx.ModelProto) -> Preparation:
    return parse_preparation({each.key: each.value for each in model.metadata_props})


def prepared(front: Front, data: Path, cache: Path) -> list[PreparedFrame]:
    """Prepare every frame, or read them from the cache."""
    print_of = hashlib.sha256(front.bytes + repr((CAMERAS, ANGLES)).encode()).hexdigest()[:12]
    path = cache / f"frames-{print_of}.npz"
    if not path.exists():
        _write_frames(path, _frames(front, data))
    with np.load(path) as file:
        return [
            PreparedFrame(
                camera=str(camera),
                turned=bool(is_turned),
                picture=file[f"picture{number}"],
                depth=file[f"depth{number}"],
            )
            for number, (camera, is_turned) in enumerate(
                zip(file["cameras"], file["turned"], strict=True)
            )
        ]


def _frames(front: Front, data: Path) -> Iterator[PreparedFrame]:
    for camera in CAMERAS:
        for frame in judged_frames(camera, data):
            step = 2 if frame.depth.shape[0] >= _TALL and camera != "kitti" else 1
            yield PreparedFrame(
                camera=camera,
                turned=False,
                picture=front(frame.sample.image),
                depth=frame.depth[::step, ::step],
            )
            for angle in ANGLES if frame.turned else ():
                image, depth = turned(frame.sample.image, frame.depth, angle)
                if np.count_nonzero(depth) >= FEWEST:
                    yield PreparedFrame(
                        camera=camera, turned=True, picture=front(image), depth=depth
                    )


def _write_frames(path: Path, frames: Iterable[PreparedFrame]) -> None:
    every = list(frames)
    arrays: dict[str, np.ndarray] = {
        "cameras": np.array([frame.camera for frame in every]),
        "turned": np.array([frame.turned for frame in every]),
    }
    for number, frame in enumerate(every):
        arrays |= {f"picture{number}": frame.picture, f"depth{number}": frame.depth}
    _save(path, arrays)


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz file so that no reader sees a part of it."""
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **dict(arrays))
    part.replace(path)


def answers(
    weights: Weights, frames: Sequence[PreparedFrame], cache: Path, *, mirrored: bool
) -> list[Float32[np.ndarray, "_ _"]]:
    """Log depth of one network on every frame, on its own grid; read from the cache if there.

    Args:
        weights: Weights of the network.
        frames: Frames to answer.
        cache: Folder of the cache.
        mirrored: Whether the network sees mirror images; its answers are mirrored back.
    """
    hashed = hashlib.sha256(repr((mirrored, len(frames))).encode())
    for frame in frames:
        hashed.update(frame.picture.tobytes())
    for name in sorted(weights):
        hashed.update(weights[name].tobytes())
    path = cache / f"answers-{hashed.hexdigest()[:16]}.npz"
    if not path.exists():
        logs = _run(weights, frames, mirrored=mirrored)
        _save(path, {str(number): log for number, log in enumerate(logs)})
    with np.load(path) as file:
        return [file[str(number)] for number in range(len(frames))]


@torch.no_grad()
def _run(
    weights: Weights, frames: Sequence[PreparedFrame], *, mirrored: bool
) -> list[Float32[np.ndarray, "_ _"]]:
    network = LayoutNet()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    network.eval()
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for number, frame in enumerate(frames):
        by_shape.setdefault(frame.picture.shape, []).append(number)
    logs: dict[int, Float32[np.ndarray, "_ _"]] = {}
    for numbers in by_shape.values():
        for first in range(0, len(numbers), _BATCH):
            batch = numbers[first : first + _BATCH]
            pictures = torch.from_numpy(np.stack([frames[number].picture for number in batch]))
            log = network(pictures.flip(2) if mirrored else pictures).log_depth
            log = log.flip(2) if mirrored else log
            logs |= zip(batch, log.numpy().astype(np.float32), strict=True)
    return [np.ascontiguousarray(logs[number]) for number in range(len(frames))]


def abs_rel(log: Float32[np.ndarray, "_ _"], depth: Float32[np.ndarray, "h w"]) -> float:
    """AbsRel of log depth on a coarse grid after the medians of both depths are made equal."""
    known = depth > 0
    predicted, true = resize(log, depth.shape)[known], np.log(depth[known])
    off = predicted - np.median(predicted) - (true - np.median(true))
    return float(np.abs(np.expm1(off)).mean())


def pair_errors(
    first: Sequence[Float32[np.ndarray, "_ _"]],
    second: Sequence[Float32[np.ndarray, "_ _"]],
    frames: Sequence[PreparedFrame],
) -> dict[bool, dict[str, np.ndarray]]:
    """AbsRel of the mean of both members, by whether frames are turned and by camera."""
    errors: dict[bool, dict[str, list[float]]] = {False: {}, True: {}}
    for one, other, frame in zip(first, second, frames, strict=True):
        error = abs_rel((one + other) / 2, frame.depth)
        errors[frame.turned].setdefault(frame.camera, []).append(error)
    return {
        is_turned: {camera: np.array(each) for camera, each in cameras.items()}
        for is_turned, cameras in errors.items()
    }


def compared_pairs(
    old: Mapping[bool, Mapping[str, np.ndarray]], new: Mapping[bool, Mapping[str, np.ndarray]]
) -> dict[str, Comparison]:
    """Compare two pairs upright and turned; both angles of a frame are drawn together."""
    blocks = {name: len(ANGLES) * block for name, block in BLOCKS.items()}
    groups = {"turned": tuple(name for name, camera in CAMERAS.items() if camera.turned)}
    return {
        "upright": compared(old[False], new[False], _ABS_REL, blocks=BLOCKS, means=GROUPS),
        "turned": compared(old[True], new[True], _ABS_REL, blocks=blocks, means=groups),
    }


def _parse(text: str) -> tuple[str, list[str]]:
    name, equals, members = text.partition("=")
    both = members.split(",")
    if not equals or len(both) != 2:
        raise OptionError(f"{text!r}, expected NAME=FIRST,SECOND")
    return name, [member or START for member in both]


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path, help="fused file whose pair the others are compared to")
    parser.add_argument("pairs", nargs="*", help="NAME=FIRST,SECOND; a mixture a member")
    parser.add_argument("--data", type=Path, default=os.environ.get("RILIEVO_DATA"))
    parser.add_argument("--cache", type=Path, default=Path("runs/judge"), help="folder kept")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument(
        "--write", type=Path, help="folder for the mixtures, NAME-0.npz, NAME-1.npz"
    )
    options = parser.parse_args()
    if options.data is None:
        raise OptionError("set RILIEVO_DATA or --data to the folder that holds the sets")
    return options


def _errors_of_pair(
    members: Sequence[Weights], frames: Sequence[PreparedFrame], cache: Path
) -> dict[bool, dict[str, np.ndarray]]:
    """AbsRel of a pair, whose second member sees mirror images; see ``pair_errors``."""
    first, second = (
        answers(weights, frames, cache, mirrored=bool(number))
        for number, weights in enumerate(members)
    )
    return pair_errors(first, second, frames)


def _print_comparison(
    name: str, texts: Sequence[str], found: Mapping[str, Comparison], cpu_seconds: float
) -> None:
    sys.stdout.write(f"## {name} ({', '.join(texts)})\n")
    for kind, comparison in found.items():
        sys.stdout.write("".join(f"{kind} {line}\n" for line in lines(comparison)))
    sys.stdout.write(f"{cpu_seconds:.0f} s of CPU\n\n")
    sys.stdout.flush()


def main() -> None:
    """Read the options, judge, print."""
    options = _read_options()
    pairs = [_parse(text) for text in options.pairs]
    torch.set_num_threads(1)
    for folder in (options.cache, options.write):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    frames = prepared(Front(options.base), options.data, options.cache)
    start = [file_weights(options.base, number) for number in (0, 1)]
    old = _errors_of_pair(start, frames, options.cache)
    out: dict[str, object] = {
        "base": {"mean": {name: float(each.mean()) for name, each in old[False].items()}}
    }
    for name, texts in pairs:
        began = time.process_time()
        members = [mixture(text, own) for text, own in zip(texts, start, strict=True)]
        for number, weights in enumerate(members) if options.write else ():
            _save(options.write / f"{name}-{number}.npz", weights)
        found = compared_pairs(old, _errors_of_pair(members, frames, options.cache))
        _print_comparison(name, texts, found, time.process_time() - began)
        out[name] = {kind: comparison.record() for kind, comparison in found.items()}
    if not pairs:
        for name, each in old[False].items():
            sys.stdout.write(f"{name:12} n={len(each):<4} {each.mean():.4f}\n")
        sys.stdout.write(f"seven {np.mean([old[False][name].mean() for name in SEVEN]):.4f}\n")
    if options.json:
        options.json.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except RilievoError as error:
        sys.exit(f"error: {error}")
