"""Write the embedded models' files from the runs that trained them.

    python -m lab.making.write_default_models --small run/ --rendered run-rendered/ \
        --layout run-layout/ run-mirrored/ --detail run-detail/

    python -m lab.making.write_default_models --outlines HEAD.npz
    python -m lab.making.write_default_models --layout-weights ONE.npz OTHER.npz
    python -m lab.making.write_default_models --normals NORMALS.npz
    python -m lab.making.write_default_models --again

What is not named stays as it is. ``small.onnx`` and ``base.onnx``, the graph of two runs of layout
and one of detail, go into the package, their weights stored in 8 bits, and ``small-rendered.onnx``,
stored in 16, into ``lab/making``. With ``--layout`` alone the detail network is that of
``base.onnx``.

``--outlines`` gives the weights of ``OutlineNet`` and, optionally, of ``LayoutPick``, their names
behind ``outline.`` and ``pick.``; ``--layout-weights`` the states of the two layout
networks. Both change ``base.onnx`` and leave its other weights, its confidence and its metadata.
``--again`` writes ``base.onnx`` and ``small.onnx`` with the same weights and at equal bits, in the
form that opens and runs fastest today.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from jaxtyping import Float32, Int8
from onnx import helper, numpy_helper

from lab.making.distil.small_export import export_small
from lab.making.fused_graph import (
    AREA,
    detail_of,
    fuse,
    refuse,
    write_fused,
)
from lab.making.gating import gate, ungate
from lab.making.lasting_task import Network
from lab.making.layout_network import LayoutNet, NormalsDecoder
from lab.making.outline_graph import OUTLINE, PICK, Weights, halve_outlines, outlines_of
from lab.making.outline_network import LayoutPick, OutlineNet
from lab.making.provenances import PROVENANCES
from lab.making.quick_nodes import quicken
from lab.making.quick_upsampling import quicken_upsampling
from lab.making.recipe_options import DETAIL, LAYOUT
from lab.making.recipes import RECIPES
from lab.making.run_export import export_layout, export_run
from lab.making.shipped_layout import shipped_layout, shipped_normals
from lab.making.stored_weights import dequantise
from lab.making.wider_start import read_average
from rilievo.errors import InputError, RilievoError
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.io.training_files import ONNX_KEY
from rilievo.models.default.embedded import BASE
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import INT8_WEIGHTS
from rilievo.models.onnx_files.file_writing import (
    replace_dequantize_nodes,
    set_metadata,
    store_constants,
    write_fp16_weights,
)
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.training.networks.small import SmallNet

_ROOT = Path(__file__).parents[2]
PACKAGE = _ROOT / "src" / "rilievo" / "models" / "default"
WEIGHTS = _ROOT / "lab" / "making"
_FEWEST = 2048


def write_model(
    recipe: str, run: Path, target: Path, store: Callable[[Path], None] | None = None
) -> None:
    """Export the averaged weights of a run's last checkpoint.

    Args:
        recipe: Recipe of the run; it determines the network's width and name.
        run: Folder of the run.
        target: The ONNX file to write.
        store: Function that makes the written file smaller.

    Raises:
        InputError: If the folder has no checkpoint, or another network's.
        OutputError: If the file cannot be written.
    """
    network = SmallNet(RECIPES[recipe]().widths)
    try:
        network.load_state_dict(read_average(run))
    except RuntimeError as error:
        raise InputError(f"{run}: no run of the recipe '{recipe}': other weights") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    export_small(network, target, PROVENANCES[recipe])
    if store is not None:
        store(target)


def write_base(layouts: Sequence[Path], detail: Path | None, base: Path, out: Path) -> None:
    """Write the graph of runs of ``layout`` and of ``detail``.

    Args:
        layouts: Folder of one run of ``layout``, or of two, the second for mirror images.
        detail: Folder of a run of ``detail``; None for the network that ``base`` has.
        base: ONNX file of a layout and a detail network.
        out: ONNX file to write.
    """
    with TemporaryDirectory() as folder:
        coarse, fine = (Path(folder) / f"{recipe}.onnx" for recipe in (LAYOUT, DETAIL))
        mirrored = layouts[1] if len(layouts) > 1 else None
        export_run(layouts[0], coarse, recipe=LAYOUT, mirrored=mirrored)
        store_in_8_bits(coarse)
        if detail is None:
            model = ungate(onnx.load(str(base)))
            replace_dequantize_nodes(model)
            onnx.save(detail_of(model), str(fine))
        else:
            export_run(detail, fine, recipe=DETAIL)
            store_in_8_bits(fine)
        one, other = (onnx.load(str(part)) for part in (coarse, fine))
        write_fused(fuse(one, other, area=AREA, name=BASE), out)


def rewrite_base(
    target: Path,
    *,
    layouts: Sequence[Path] = (),
    normals: Path | None = None,
    outlines: Path | None = None,
    out: Path,
) -> None:
    """Write a model like ``target`` with other layout networks, normals, or sharper outlines.

    Args:
        target: ONNX file of a layout and a detail network.
        layouts: Files of the states of the layout networks, the second for mirror images; none for
            those that ``target`` has.
        normals: File of the weights of a decoder of normals; None for that of ``target``.
        outlines: File of weights that sharpen outlines; None for those that ``target`` has.
        out: ONNX file to write.

    Raises:
        InputError: If a file has no such weights, or ``target`` no such networks.
    """
    model = ungate(onnx.load(str(target)))
    replace_dequantize_nodes(model)
    store_constants(model)
    layout = None
    if layouts or normals:
        networks = [
            read_layout(layouts[member]) if layouts else shipped_layout(target, member)
            for member in (0, 1)
        ]
        decoder = shipped_normals(target) if normals is None else read_normals(normals)
        with TemporaryDirectory() as folder:
            file = Path(folder) / "layout.onnx"
            export_layout(file, *networks, normals=decoder)
            store_in_8_bits(file)
            layout = onnx.load(str(file))
    sharper = outlines_of(model) if outlines is None else read_outlines(outlines)
    again = refuse(model, layout=layout, outlines=sharper)
    halve_outlines(again)
    write_quick(again, out, gated=sharper is not None)


def rewrite_small(target: Path, out: Path) -> None:
    """Write a model of one network like ``target``, in the form that opens and runs faster.

    Args:
        target: ONNX file of one network.
        out: ONNX file to write.
    """
    model = ungate(onnx.load(str(target)))
    facts = [each for each in model.metadata_props if each.key != ONNX_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(facts)
    replace_dequantize_nodes(model)
    store_constants(model)
    write_quick(model, out, gated=False)


def write_quick(model: onnx.ModelProto, out: Path, *, gated: bool) -> None:
    """Write a model in the form that ONNX Runtime opens and runs faster, at equal bits."""
    quicken_upsampling(model)
    quicken(model)
    # OpenVINO loses normals that a branch both answers and reads, as confidence does without them.
    model = gate(model) if gated else model
    dequantise(model)
    store_constants(model)
    write_fused(model, out)


def read_layout(path: Path) -> LayoutNet:
    """Read the state of a layout network from an npz file, of any precision.

    Raises:
        InputError: If it has other weights.
    """
    return _with_state(LayoutNet(), path, "a layout network")


def read_normals(path: Path) -> NormalsDecoder:
    """Read the state of a decoder of normals from an npz file, of any precision.

    Raises:
        InputError: If it has other weights.
    """
    return _with_state(NormalsDecoder(), path, "a decoder of normals")


def _with_state(network: Network, path: Path, name: str) -> Network:
    """Fill a network with the state in an npz file, and return it."""
    try:
        with np.load(path) as file:
            state = {key: torch.from_numpy(file[key].astype(np.float32)) for key in file.files}
        counts = {
            k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")
        }
        network.load_state_dict(counts | state)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{printable(path)}: no weights of {name} ({reason(error)})") from error
    return network


def read_outlines(path: Path) -> Weights:
    """Read weights that sharpen outlines from an npz file.

    Raises:
        InputError: If it has other weights.
    """
    try:
        with np.load(path) as file:
            weights = {name: file[name].astype(np.float32) for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError(f"{printable(path)}: no npz file ({reason(error)})") from error
    expected = {f"{OUTLINE}{name}": w.shape for name, w in OutlineNet().state_dict().items()}
    if any(name.startswith(PICK) for name in weights):
        expected |= {f"{PICK}{name}": w.shape for name, w in LayoutPick().state_dict().items()}
    if expected != {name: values.shape for name, values in weights.items()}:
        raise InputError(f"{printable(path)}: no weights of OutlineNet, and of LayoutPick or none")
    return weights


def store_in_half(path: Path) -> None:
    """Store a network's weights in 16 bits; arithmetic is in 32 all the same."""
    metadata = OnnxModel(path, LoadOptions(device="cpu")).metadata
    with replacing(path) as part:
        write_fp16_weights(path, part)
        set_metadata(part, {**metadata, "rilievo.precision": "fp16"})


def store_in_8_bits(path: Path) -> None:
    """Store large weights in 8 bits, with a factor for every output channel.

    They are multiplied out once, when the network is loaded, so its arithmetic and its speed stay
    those of fp32, on any processor.
    """
    metadata = OnnxModel(path, LoadOptions(device="cpu")).metadata
    model = onnx.load(str(path))
    graph = model.graph
    nodes, stored = [], []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.ndim < 2 or values.size < _FEWEST:
            stored.append(weight)
            continue
        name = weight.name
        steps, size = rounded(values)
        stored += [
            numpy_helper.from_array(steps, f"{name}/int8"),
            numpy_helper.from_array(size, f"{name}/step"),
        ]
        nodes += [
            helper.make_node(
                "Cast", [f"{name}/int8"], [f"{name}/float"], to=onnx.TensorProto.FLOAT
            ),
            helper.make_node("Mul", [f"{name}/float", f"{name}/step"], [name]),
        ]
    nodes += graph.node
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(stored)
    with replacing(path) as part:
        part.write_bytes(model.SerializeToString())
        set_metadata(part, {**metadata, "rilievo.precision": INT8_WEIGHTS})


def rounded(
    values: Float32[np.ndarray, "channels *rest"],
) -> tuple[Int8[np.ndarray, "channels *rest"], Float32[np.ndarray, "channels *ones"]]:
    """Round weights to whole steps from -127 to 127.

    Returns the steps and, for every channel, the size of one: of 21 sizes, up to the one that cuts
    nothing off, the one with the least squared error.
    """
    flat = values.reshape(len(values), -1)
    largest = np.maximum(np.abs(flat).max(axis=1, keepdims=True) / 127, 1e-12)
    sizes = [largest * share for share in np.linspace(0.6, 1, 21)]
    errors = [((_steps(flat, size) * size - flat) ** 2).sum(axis=1) for size in sizes]
    best = np.stack(sizes)[np.argmin(errors, axis=0), np.arange(len(flat))].astype(np.float32)
    steps = _steps(flat, best).astype(np.int8).reshape(values.shape)
    return steps, best.reshape(-1, *(1 for _ in values.shape[1:]))


def _steps(
    flat: Float32[np.ndarray, "channels n"], size: Float32[np.ndarray, "channels 1"]
) -> Float32[np.ndarray, "channels n"]:
    return np.clip(np.round(flat / size), -127, 127)


def main() -> None:
    """Read the options, write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("small", "rendered", "detail"):
        parser.add_argument(f"--{name}", type=Path, metavar="RUN", help=f"the run of {name}")
    parser.add_argument("--layout", type=Path, metavar="RUN", nargs="+",
                        help="the run of layout; a second one sees mirror images")  # fmt: skip
    parser.add_argument("--layout-weights", type=Path, metavar="NPZ", nargs=2, default=(),
                        help="states of the two layout networks")  # fmt: skip
    parser.add_argument("--normals", type=Path, metavar="NPZ", help="weights of normals")
    parser.add_argument("--outlines", type=Path, metavar="NPZ", help="weights of sharper outlines")
    parser.add_argument("--base", type=Path, default=PACKAGE / "base.onnx",
                        help="file to change (that of the package)")  # fmt: skip
    parser.add_argument("--again", action="store_true", help="write both files anew")
    parser.add_argument("-o", "--output", type=Path, help="file to write (the file to change)")
    options = parser.parse_args()
    if options.small:
        write_model("small", options.small, PACKAGE / "small.onnx", store_in_8_bits)
    if options.rendered:
        target = WEIGHTS / "small-rendered.onnx"
        write_model("small-rendered", options.rendered, target, store_in_half)
    if options.detail and not options.layout:
        sys.exit("error: give the run of layout too, --layout")
    if options.layout:
        write_base(options.layout, options.detail, options.base, options.output or options.base)
    if options.again:
        rewrite_base(options.base, out=options.output or options.base)
        rewrite_small(PACKAGE / "small.onnx", PACKAGE / "small.onnx")
    elif options.layout_weights or options.normals or options.outlines:
        rewrite_base(
            options.base,
            layouts=options.layout_weights,
            normals=options.normals,
            outlines=options.outlines,
            out=options.output or options.base,
        )
    elif not (options.small or options.rendered or options.layout):
        sys.exit("error: name a run or weights at least, such as --layout or --outlines")


if __name__ == "__main__":
    try:
        main()
    except RilievoError as error:
        sys.exit(f"error: {error}")
