"""One graph of two networks: layout from the one, detail from the other.

The layout network sees the photograph small, the detail network sees four times the pixels, and of
its answer only what is finer than the windows counts. In each window of log depth a line
``layout = slope * detail + offset`` is fitted, as in K. He, J. Sun and X. Tang, "Guided Image
Filtering", ECCV 2010, with the detail as the guide; slopes and offsets are enlarged linearly.
Slopes lie between ``FLATTEST`` and ``STEEPEST``: where the layout has a higher step than the
detail, the step of the detail grows, and where it has a lower one, it shrinks. Normals get the
difference of the means of cells, and are normalised. Sky counts in no window of depth, and has the
layout network's depth. Confidence and sky are those of the layout network, whose maps may be
smaller than its picture.

With weights of ``lab.making.outline_network``, the layout is picked anew before it is fused, and
depth and normals are taken from where a displacement field leads. Confidence and sky are not.

Usage: python -m lab.making.fused_graph LAYOUT DETAIL OUT.onnx [--area PIXELS] [--name NAME]
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from lab.making.fusing import CELL, FLATTEST, LEAST_LAND, PULL, STEEPEST
from lab.making.graph_writer import GraphWriter
from lab.making.outline_graph import (
    PICK,
    FeatureNames,
    Field,
    Weights,
    features_of,
    pick_layout,
    sharpen,
    taken,
)
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.io.training_files import append_onnx_checksum

LAYOUT_AREA, LAYOUT_MULTIPLE = 192 * 256, 32
"""Pixels of the layout network's picture, and the divisor of its sides."""
MULTIPLE = 32
"""Divisor of the sides of the detail network's picture."""
AREA = 384 * 512
"""Pixels of the photograph that the detail network sees, unless the command says others."""
_OPSET = 17
_TRAINED_ON = "rilievo.trained_on"
_BETWEEN, _AFTER = " (layout), and ", " (detail)"
_LAYOUT, _DETAIL, _SURE, _SAID = "layout.", "detail.", "sure/", "sure/said"
_LAYOUT_OUTPUTS = ("depth", "normals", "confidence", "sky")
_UNMOVED = "fused.unmoved_"
LOGS = "fused.log_"
"""Logarithms of the networks' depths, which the recalibration reads too: their names stay."""
"""Prefix of depth and normals before a displacement field, which confidence is computed from."""


def fuse(
    layout: onnx.ModelProto,
    detail: onnx.ModelProto,
    *,
    area: int,
    name: str,
    outlines: Weights | None = None,
    sure: onnx.GraphProto | None = None,
) -> onnx.ModelProto:
    """Make one model of a layout and a detail network of ours.

    Args:
        layout: Network whose large shapes count; the model gets its metadata.
        detail: Network whose small shapes count.
        area: Pixels of the photograph that the detail network sees.
        name: Name of the model.
        outlines: Weights that sharpen outlines.
        sure: Recalibration of the confidence, as ``recalibration_of`` returns it. It reads depth
            and normals before outlines are sharpened, as it was fitted on.

    Returns:
        A model with the input and outputs of ``layout``, but for ``steps``, at the size of the
        detail network's picture.
    """
    outputs = [each.name for each in layout.graph.output if each.name != "steps"]
    one, other = (
        compose.add_prefix(network, prefix)
        for network, prefix in ((layout, _LAYOUT), (detail, _DETAIL))
    )
    graph = GraphWriter()
    size = _pictures(graph)
    first, graph.nodes = graph.nodes, []
    maps = {name: graph.resized(_map(graph, f"layout.{name}"), size) for name in outputs}
    coarse, fine, sky = maps["depth"], _map(graph, "detail.depth"), maps.get("sky")
    features = None if outlines is None else _features(detail)
    if outlines is not None and features is not None and any(map(_picks, outlines)):
        assert sky is not None, "a layout that is picked has a sky"
        near = pick_layout(graph, outlines, features.quarter, coarse, fine, sky)
        coarse = graph.resized(near, size)
    logs = _log_depth(graph, coarse, fine, None if sky is None else _sure_sky(graph, sky), size)
    moved = "" if features is None else _UNMOVED
    _exp(graph, logs, output=f"{moved}depth")
    normals = _normals(graph, maps["normals"], size, output=f"{moved}normals")
    if outlines is not None and features is not None:
        field = Field(features.half, features.quarter, (logs, fine, coarse), sky)
        sharpened = sharpen(graph, outlines, field)
        _exp(graph, sharpened.logs, output="depth")
        taken(graph, normals, sharpened.sources, channels=3, output="normals")
    names = {"sky": "sky", "confidence": "confidence" if sure is None else _SAID}
    for chance in {"confidence", "sky"}.intersection(outputs):
        graph.add("Squeeze", maps[chance], graph.constant([1], np.int64), output=names[chance])
    if sure is not None:
        before = {name: f"{moved}{name}" for name in ("depth", "normals")}
        graph.nodes += [_renamed(node, before) for node in sure.node]
        graph.constants += sure.initializer
    nodes = _needed([*first, *one.graph.node, *other.graph.node, *graph.nodes], outputs)
    every = [*one.graph.initializer, *other.graph.initializer, *graph.constants]
    weights = _shared(nodes, every)
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "layout and detail",
            [_value("image", TensorProto.UINT8, "height", "width", 3)],
            [_output(name) for name in outputs],
            weights,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=8,
    )
    facts = _facts(layout)
    seen = _facts(detail).get(_TRAINED_ON)
    if seen and seen != (own := facts.get(_TRAINED_ON, "")):
        facts[_TRAINED_ON] = f"{own}{_BETWEEN}{seen}{_AFTER}"
    facts |= {"rilievo.name": name, "rilievo.area": str(area), "rilievo.multiple": str(MULTIPLE)}
    facts.pop("rilievo.sha256", None)
    helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    return model


def layout_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take the layout network out of a model that ``fuse`` made, with the model's metadata.

    Raises:
        InputError: If the model has none.
    """
    outputs = [name for name in _LAYOUT_OUTPUTS if _made(model, f"{_LAYOUT}{name}")]
    alone = _network_of(model, _LAYOUT, outputs)
    facts = _facts(model)
    trained_on = facts.get(_TRAINED_ON, "").partition(_BETWEEN)[0]
    helper.set_model_props(alone, facts | ({_TRAINED_ON: trained_on} if trained_on else {}))
    return alone


def detail_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take the detail network out of a model that ``fuse`` made.

    Raises:
        InputError: If the model has none.
    """
    alone = _network_of(model, _DETAIL, ["depth", "normals"])
    trained_on = _facts(model).get(_TRAINED_ON, "").partition(_BETWEEN)[2].removesuffix(_AFTER)
    helper.set_model_props(alone, {_TRAINED_ON: trained_on} if trained_on else {})
    return alone


def recalibration_of(model: onnx.ModelProto) -> onnx.GraphProto | None:
    """Take the recalibration of the confidence out of a model; None if it has none."""
    before = {f"{_UNMOVED}{name}": name for name in ("depth", "normals")}
    nodes = [
        node
        for node in model.graph.node
        if node.name.startswith(_SURE) and _SAID not in node.output
    ]
    read = {name for node in nodes for name in node.input}
    weights = []
    for each in model.graph.initializer:
        if each.name not in read:
            continue
        weights.append(weight := onnx.TensorProto())
        weight.CopyFrom(each)
        if not each.name.startswith(_SURE):  # a constant that is shared with another part
            weight.name = before[each.name] = f"{_SURE}{each.name}"
    nodes = [_renamed(node, before) for node in nodes]
    return helper.make_graph(nodes, _SURE, [], [], weights) if nodes else None


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """Copy of a node with other inputs."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    return copy


def refuse(
    model: onnx.ModelProto,
    *,
    layout: onnx.ModelProto | None = None,
    outlines: Weights | None = None,
) -> onnx.ModelProto:
    """Fuse the networks of a model again, with another layout or with sharper outlines.

    The metadata and the recalibration of the confidence stay.

    Args:
        model: Model that ``fuse`` made, recalibrated or not.
        layout: Layout network in place of the model's own.
        outlines: Weights that sharpen outlines; None for outlines as they are.
    """
    facts = _facts(model)
    again = fuse(
        layout_of(model) if layout is None else layout,
        detail_of(model),
        area=int(facts["rilievo.area"]),
        name=facts["rilievo.name"],
        outlines=outlines,
        sure=recalibration_of(model),
    )
    helper.set_model_props(again, {k: v for k, v in facts.items() if k != "rilievo.sha256"})
    return again


def _network_of(model: onnx.ModelProto, prefix: str, outputs: Sequence[str]) -> onnx.ModelProto:
    """Nodes and weights of a network of which the graph has all names behind a prefix."""
    nodes = []
    for each in model.graph.node:
        if all(name.startswith(prefix) and name != f"{prefix}image" for name in each.output):
            nodes.append(node := onnx.NodeProto())
            node.CopyFrom(each)
            node.name = node.name.rpartition(prefix)[2]
            for names in (node.input, node.output):
                names[:] = [name.removeprefix(prefix) for name in names]
    if not nodes:
        raise InputError("no model of a layout and a detail network")
    weights = []
    for each in model.graph.initializer:
        weights.append(weight := onnx.TensorProto())
        weight.CopyFrom(each)
        weight.name = each.name.removeprefix(prefix)
    graph = helper.make_graph(
        _needed(nodes, outputs),
        prefix.removesuffix("."),
        [_value("image", TensorProto.UINT8, "height", "width", 3)],
        [_output(name) for name in outputs],
        _shared(nodes, weights),
    )
    opset = [helper.make_opsetid("", max(each.version for each in model.opset_import))]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def _made(model: onnx.ModelProto, name: str) -> bool:
    return any(name in node.output for node in model.graph.node)


def _facts(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _needed(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> list[onnx.NodeProto]:
    """Nodes that the outputs depend on, in order; an engine would run the others too."""
    wanted, kept = set(outputs), list[onnx.NodeProto]()
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _shared(
    nodes: Sequence[onnx.NodeProto], weights: Sequence[onnx.TensorProto]
) -> list[onnx.TensorProto]:
    """Weights that nodes read, each once: networks with the same weights share them."""
    read = {each for node in nodes for each in node.input}
    kept, names = dict[bytes, onnx.TensorProto](), dict[str, str]()
    for each in weights:
        nameless = onnx.TensorProto()
        nameless.CopyFrom(each)
        nameless.name = ""
        if each.name in read:
            names[each.name] = kept.setdefault(nameless.SerializeToString(), each).name
    for node in nodes:
        node.input[:] = [names.get(each, each) for each in node.input]
    return list(kept.values())


def _pictures(graph: GraphWriter) -> str:
    """Make both networks' pictures; returns the name of the size of the detail network's."""
    graph.add("Identity", "image", output="detail.image")
    size = graph.part(graph.add("Shape", "image"), 1, 3)
    sides = graph.add("Cast", size, to=TensorProto.FLOAT)
    area = graph.add("ReduceProd", sides, keepdims=1)
    multiple = graph.constant([LAYOUT_MULTIPLE])
    # OpenVINO 2026 turns a constant over an area, below a root, upside down.
    scaled = graph.add("Mul", sides, graph.constant([LAYOUT_AREA**0.5 / LAYOUT_MULTIPLE]))
    counts = graph.add("Round", graph.add("Div", scaled, graph.add("Sqrt", area)))
    small = graph.add("Mul", graph.add("Max", counts, graph.constant([1])), multiple)
    # Means of 2x2 pixels: of twice the size, to which linear resizing shrinks by 2 at most.
    double = graph.add("Cast", graph.add("Add", small, small), to=TensorProto.INT64)
    pixels = graph.add("Cast", "image", to=TensorProto.FLOAT)
    planes = graph.resized(graph.add("Transpose", pixels, perm=[0, 3, 1, 2]), double)
    picture = graph.add("Transpose", graph.means(planes, 2), perm=[0, 2, 3, 1])
    rounded = graph.add("Round", picture)
    graph.add("Cast", rounded, to=TensorProto.UINT8, output="layout.image")
    return size


def _map(graph: GraphWriter, name: str) -> str:
    """An answer of a network with channels; of depth, its logarithm."""
    if name.endswith("normals"):
        return name
    if name.endswith("depth"):
        name = graph.add("Log", name, output=f"{LOGS}{name}")
    return graph.planes(name)


def _sure_sky(graph: GraphWriter, chance: str) -> str:
    """Share of each pixel that counts as sky: none up to a chance of 3 in 4."""
    scaled = graph.add("Mul", chance, graph.constant(4.0))
    above = graph.add("Sub", scaled, graph.constant(3.0))
    return graph.add("Clip", above, graph.constant(0.0), graph.constant(1.0))


def _log_depth(graph: GraphWriter, coarse: str, fine: str, sky: str | None, size: str) -> str:
    """Fit log depth of the layout network to that of the detail network in windows."""
    means = _land_means(graph, sky)
    one, other = means(coarse), means(fine)
    together = graph.add("Sub", means(coarse, fine), graph.add("Mul", one, other))
    spread = graph.add("Sub", means(fine, fine), graph.add("Mul", other, other))
    pull = graph.constant(PULL)
    slope = graph.add("Div", graph.add("Add", together, pull), graph.add("Add", spread, pull))
    slope = graph.add("Clip", slope, graph.constant(FLATTEST), graph.constant(STEEPEST))
    offset = graph.add("Sub", one, graph.add("Mul", slope, other))
    line = graph.add("Mul", graph.resized(slope, size), fine)
    logs = graph.add("Add", line, graph.resized(offset, size))
    if sky is None:
        return logs
    there = graph.add("Mul", sky, graph.add("Sub", coarse, logs))
    return graph.add("Add", logs, there)


def _exp(graph: GraphWriter, logs: str, output: str) -> None:
    depth = graph.add("Squeeze", logs, graph.constant([1], np.int64))
    graph.add("Exp", depth, output=output)


def _features(detail: onnx.ModelProto) -> FeatureNames:
    """Names of the detail network's features in the fused graph."""
    half, quarter = features_of(detail)
    return FeatureNames(tuple(f"{_DETAIL}{name}" for name in half), f"{_DETAIL}{quarter}")


def _land_means(graph: GraphWriter, sky: str | None) -> Callable[..., str]:
    """Make the function that adds the means of products over windows, without the sky."""
    if sky is None:
        return lambda *factors: graph.window_means(_product(graph, factors))
    land = graph.add("Sub", graph.constant(1.0 + LEAST_LAND), sky)
    weight = graph.window_means(land)
    return lambda *factors: graph.add(
        "Div", graph.window_means(_product(graph, [*factors, land])), weight
    )


def _product(graph: GraphWriter, factors: Sequence[str]) -> str:
    return reduce(lambda one, other: graph.add("Mul", one, other), factors)


def _picks(name: str) -> bool:
    return name.startswith(PICK)


def _normals(graph: GraphWriter, coarse: str, size: str, output: str) -> str:
    """Give normals of the detail network the means that those of the layout network have."""
    fine = "detail.normals"
    missing = graph.add("Sub", graph.means(coarse, CELL), graph.means(fine, CELL))
    whole = graph.add("Add", fine, graph.resized(missing, size))
    length = graph.add("ReduceL2", whole, axes=[1], keepdims=1)
    return graph.add("Div", whole, length, output=output)


def _output(name: str) -> onnx.ValueInfoProto:
    channels = [3] if name == "normals" else []
    return _value(name, TensorProto.FLOAT, *channels, "height", "width")


def _value(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["batch", *shape])


def read_network(path: Path, recipe: str) -> onnx.ModelProto:
    """Read a network from an ONNX file, or from the folder of a run of ``recipe``.

    Raises:
        InputError: If it is no network with depth and normals, of the operators that graphs have.
    """
    if path.is_dir():
        from lab.making.run_export import export_run

        with TemporaryDirectory() as folder:
            file = Path(folder) / "network.onnx"
            export_run(path, file, recipe=recipe)
            return onnx.load(str(file))
    try:
        model = onnx.load(str(path))
    except Exception as error:  # of the decoder of protocol buffers, beside OSError
        raise InputError(f"{printable(path)}: no ONNX file ({reason(error)})") from error
    outputs = {each.name for each in model.graph.output}
    if missing := sorted({"depth", "normals"} - outputs):
        raise InputError(
            f"{printable(path)}: no output {' or '.join(missing)}; give a network that rilievo made"
        )
    if (version := max(each.version for each in model.opset_import)) != _OPSET:
        raise InputError(f"{printable(path)}: operators of version {version}, expected {_OPSET}")
    return model


def write_fused(model: onnx.ModelProto, path: Path) -> None:
    """Write a model with the sum of its file."""
    with replacing(path) as part:
        onnx.save(model, str(part))
        append_onnx_checksum(part)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuse two networks into one file; 2 for wrong input."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.making.fused_graph",
        description="One file of a layout and a detail network",
    )
    for name in ("layout", "detail"):
        parser.add_argument(name, type=Path, help="ONNX file, or the folder of a run that ended")
    parser.add_argument("out", type=Path, help="ONNX file to write")
    parser.add_argument("--area", type=int, default=AREA, help=f"pixels that it sees ({AREA})")
    parser.add_argument("--name", default="layout-detail", help="name of the model (layout-detail)")
    options = parser.parse_args(arguments)
    try:
        if options.area < MULTIPLE**2:
            raise OptionError(f"--area is {MULTIPLE**2} pixels or more, got {options.area}")
        networks = [read_network(getattr(options, name), name) for name in ("layout", "detail")]
        write_fused(fuse(*networks, area=options.area, name=options.name), options.out)
    except RilievoError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
