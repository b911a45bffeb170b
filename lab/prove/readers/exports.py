"""Everything that rilievo writes for other programs, beside what rilievo itself says is in it.

Networks are small and made here; nothing is fetched. The run of each family is a real one, of a few
steps on pictures of a room.
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import rilievo
from rilievo.errors import RilievoError
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.models import load_model
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo

Arrays = Mapping[str, np.ndarray]

SEED = 0
PHOTO_WIDTH = 256  # [px]
_SAMPLE = Path(rilievo.__file__).parent / "models" / "near_and_far" / "street.jpg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A file or folder that others open.

    Attributes:
        expected: What rilievo says is in it, by name.
        precision: How far a reader may be from that, by name, where the format has less than 1e-4.
    """

    path: Path
    expected: Arrays
    precision: Mapping[str, float] = field(default_factory=dict)


def write_exports(folder: Path, names: set[str]) -> dict[str, Export]:
    """Write the exports of these kinds; a kind may have several, as one for each family."""
    written: dict[str, Export] = {}
    for name, write in KINDS.items():
        if name in names:
            place = folder / name
            place.mkdir(parents=True)
            print(f"writing {name}", file=sys.stderr, flush=True)
            written |= {f"{name}/{export}": made for export, made in write(place).items()}
    return written


@cache
def sample_prediction() -> Prediction:
    """The sample photograph, with depth, normals, sky and a camera."""
    with Image.open(_SAMPLE) as opened:
        photo = opened.convert("RGB")
    height = round(photo.height * PHOTO_WIDTH / photo.width)
    pixels = np.asarray(photo.resize((PHOTO_WIDTH, height), Image.Resampling.LANCZOS))
    answer = rilievo.predict(pixels, model="rilievo/base", camera=f"{PHOTO_WIDTH}")
    assert isinstance(answer, Prediction)
    return answer


# ---- networks ----------------------------------------------------------------------------------


def _write_transformers(folder: Path) -> dict[str, Export]:
    """One folder for each family that can be trained further, and one with merged adapters."""
    from support.tiny_checkpoints import METRIC, save_checkpoint

    room = _write_room(folder / "room")
    exports = {}
    adapters = () if find_spec("peft") is None else ("depth_anything_lora",)
    for family in (*_FAMILIES, *adapters):
        kind = DepthKind.METRIC if family in METRIC else DepthKind.AFFINE_INVERSE
        start = save_checkpoint(family.removesuffix("_lora"), folder / f"{family}-start")
        run = folder / f"{family}-run"
        _train_further(start, kind, room, run, lora=2 if family.endswith("_lora") else None)
        pixels, depth = _answer_of_run(run, _FAMILIES[family.removesuffix("_lora")])
        export = folder / family
        shutil.copytree(run / "transformers", export)
        np.save(export / "pixels.npy", pixels)
        exports[family] = Export(path=export, expected={"depth": depth})
    return exports


# Families and the side of a photograph for their small networks [px].
_FAMILIES = {
    "depth_anything": 70,
    "depth_anything_metric": 70,
    "dpt": 64,
    "dpt_hybrid": 64,
    "dpt_dinov2": 70,
    "glpn": 64,
    "depth_pro": 128,
    "tipsv2_dpt": 56,
}


def _write_room(folder: Path) -> Path:
    import yaml

    from support.rooms_with_boxes import HEIGHT, WIDTH, rooms_with_boxes

    rooms_with_boxes(folder)
    camera = {"fx": 80.0, "fy": 80.0, "cx": WIDTH / 2, "cy": HEIGHT / 2}
    layout = {"image": "images/{id}.*", "depth": {"file": "depth/{id}.png"}, "camera": camera}
    (folder / "rilievo.yaml").write_text(yaml.safe_dump(layout), encoding="utf-8")
    return folder


def _train_further(
    start: Path, kind: DepthKind | None, room: Path, run: Path, *, lora: int | None = None
) -> None:
    from rilievo.training.probe.probe_config import DataChoice, RunOptions
    from rilievo.training.tuning.tuning_config import TuningConfig, TuningOptions

    options: dict[str, Any] = {} if lora is None else {"lora": lora}
    tuning = TuningOptions(
        start=str(start), kind=kind, average=0.0, replay=0.0, layer_rate=1.0, **options
    )
    config = TuningConfig(
        data=DataChoice(root=str(room)),
        tuning=tuning,
        epochs=2,
        batch_size=4,
        learning_rate=1e-2,
        seed=SEED,
    )
    if rilievo.fine_tune(config, run, RunOptions(device="cpu", shown=False)) is None:
        raise RilievoError(f"{run}: the run was stopped before its end")


def _answer_of_run(run: Path, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as the network takes them, and rilievo's own answer from the run's own weights."""
    import torch

    model: Any = load_model(str(run), device="cpu", engine="torch")
    pixels = np.random.default_rng(SEED).normal(size=(1, 3, side, side)).astype(np.float32)
    with torch.no_grad():
        depth = model.network.body(pixel_values=torch.from_numpy(pixels)).predicted_depth
    return pixels, depth.numpy()


def _write_diffusers(folder: Path) -> dict[str, Export]:
    """A Marigold pipeline that was trained further."""
    from support.tiny_pipelines import as_released, save_pipeline

    run, start = folder / "run", as_released(save_pipeline(folder / "start"))
    _train_further(start, None, _write_room(folder / "room"), run)
    export = folder / "marigold"
    shutil.copytree(run / "diffusers", export)
    photo = np.random.default_rng(SEED).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(photo).save(export / "photo.png")
    model = load_model(str(run), device="cpu")
    [answer] = model.run_network([Photo(pixels=photo, name="photo.png")])
    assert answer.depth is not None, "it is a pipeline of depth"
    return {"marigold": Export(path=export, expected={"depth": answer.depth})}


def _write_monodepth2(folder: Path) -> dict[str, Export]:
    """A checkpoint in the layout of Monodepth2's program, which rilievo reads and trains on."""
    import torch

    from support.official_checkpoints import write_checkpoint

    exports = {}
    for encoder in ("resnet18", "resnet50"):
        place = write_checkpoint(folder / encoder, encoder=encoder, size=(64, 96))
        pixels = np.random.default_rng(SEED).random((1, 3, 64, 96), np.float32)
        np.save(place / "pixels.npy", pixels)
        model: Any = load_model(str(place), device="cpu", engine="torch")
        with torch.no_grad():
            sigmoid = model.network.depth(torch.from_numpy(pixels))[0]
        exports[encoder] = Export(path=place, expected={"sigmoid": sigmoid.numpy()})
    return exports


def _write_onnx(folder: Path) -> dict[str, Export]:
    """The shipped networks and a model of transformers, as self-contained files."""
    from support.tiny_checkpoints import save_checkpoint

    start = save_checkpoint("depth_anything", folder / "depth_anything-start")
    _shrink_weights(start / "model.safetensors")
    sources = {
        "small": ("rilievo/small", rilievo.ExportOptions()),
        "base": ("rilievo/base", rilievo.ExportOptions()),
    }
    for precision in ("fp32", "fp16", "int8"):
        options = rilievo.ExportOptions(kind="affine_inverse", precision=precision)
        sources[f"depth_anything-{precision}"] = (str(start), options)
    exports = {}
    for name, (source, options) in sources.items():
        path = folder / f"{name}.onnx"
        rilievo.export_model(source, path, options)
        exports[name] = _as_network_sees_it(path)
    return exports


def _shrink_weights(path: Path) -> None:
    """Take random weights in which float32's rounding does not grow from layer to layer."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    for weights in tensors.values():
        if weights.ndim > 1:
            weights.mul_(_WELL_CONDITIONED)
    save_file(tensors, path, metadata={"format": "pt"})


_WELL_CONDITIONED = 0.6


def _as_network_sees_it(path: Path) -> Export:
    """Answers at a size that the network takes without resizing."""
    model: Any = load_model(str(path), device="cpu", engine="onnxruntime")
    photo = sample_prediction().photo
    assert photo is not None, "it was made of one"
    height, width = model.preparation.size(photo.shape)
    resized = np.asarray(Image.fromarray(photo.pixels).resize((width, height)))
    np.save(path.with_suffix(".npy"), resized[None])
    [answer] = model.predict_raw([resized])
    expected = {"depth": answer.depth.values[None]}
    if answer.normals is not None:
        expected["normals"] = answer.normals[None]
    return Export(path=path, expected=expected)


# ---- files of a prediction ---------------------------------------------------------------------


def _save(folder: Path, *outputs: str) -> Prediction:
    answer = sample_prediction()
    answer.save(folder / "photo", list(outputs))
    return answer


def _depth(answer: Prediction) -> np.ndarray:
    return np.where(answer.depth.valid, answer.depth.values, np.float32(np.nan))


def _write_exr(folder: Path) -> dict[str, Export]:
    answer = _save(folder, "exr", "exr-layers")
    assert answer.normals is not None
    assert answer.sky is not None
    depth, valid = _depth(answer), answer.depth.valid
    layers = {
        "Z": depth,
        "mask.A": valid.astype(np.float32),
        "sky.A": answer.sky.astype(np.float32),
    }
    for axis, values in zip("XYZ", answer.normals, strict=True):
        layers[f"N.{axis}"] = np.where(valid, values, np.float32(np.nan))
    return {
        "depth": Export(path=folder / "photo.depth.exr", expected={"Z": depth}),
        "layers": Export(path=folder / "photo.layers.exr", expected=layers),
    }


def _write_maps(folder: Path) -> dict[str, Export]:
    """Depth as PFM, TIFF and 16-bit PNG, which OpenCV and others read."""
    answer = _save(folder, "pfm", "tiff", "png16", "normals")
    depth = _depth(answer)
    assert answer.normals is not None
    sixteen = rilievo.read_prediction(folder / "photo.depth16.png").depth
    files = read_sidecar(folder / "photo.json").files
    [scale] = [facts.scale for facts in files if facts.output == "png16"]
    assert scale is not None, "a 16-bit picture states it"
    pictured = (
        np.where(answer.depth.valid, answer.normals, 0) * np.array([1, -1, -1])[:, None, None]
    )
    return {
        "pfm": Export(path=folder / "photo.depth.pfm", expected={"depth": depth}),
        "tiff": Export(path=folder / "photo.depth.tiff", expected={"depth": depth}),
        "png16": Export(
            path=folder / "photo.depth16.png",
            expected={"depth": np.where(sixteen.valid, sixteen.values / scale, 0)},
        ),
        "normals": Export(
            path=folder / "photo.normals.png",
            expected={"normals": np.moveaxis(pictured, 0, 2)},
            precision={"normals": 1 / 127},
        ),
    }


def _write_arrays(folder: Path) -> dict[str, Export]:
    answer = _save(folder, "npy", "npz", "normals-npy")
    assert answer.normals is not None
    depth, valid = _depth(answer), answer.depth.valid
    normals = np.where(valid, answer.normals, np.float32(np.nan))
    return {
        "npy": Export(path=folder / "photo.depth.npy", expected={"values": depth}),
        "normals": Export(
            path=folder / "photo.normals.npy", expected={"values": np.moveaxis(normals, 0, 2)}
        ),
        "npz": Export(path=folder / "photo.npz", expected={"depth": depth, "valid": valid}),
    }


def _write_points(folder: Path) -> dict[str, Export]:
    answer = _save(folder, "ply")
    cloud = answer.points()
    assert cloud.colours is not None
    expected = {
        "points": cloud.points,
        "normals": cloud.normals,
        "colours": cloud.colours.astype(np.float32),
    }
    return {"ply": Export(path=folder / "photo.ply", expected=expected)}


def _write_splats(folder: Path) -> dict[str, Export]:
    """Splats as PLY and as SPZ, whose numbers are bytes: half a step is its precision."""
    from rilievo.io.outputs.formats import splat, spz

    with catching((splat, spz), "prepare_splats") as caught:
        _save(folder, "splat", "spz")
    prepared = caught[-1]
    rows = {
        name: np.concatenate([getattr(chunk, name) for chunk in prepared.chunks])
        for name in _SPLAT_PARTS
    }
    colours = [splat.splat_colours(prepared.cloud, chunk) for chunk in prepared.chunks]
    colours = np.concatenate(colours) / 255
    expected = {
        "means": rows["centres"],
        "scales": np.log(rows["scales"]),
        "quaternions": rows["rotations"],
        "sh0": (colours - 0.5) / splat.CONSTANT_HARMONIC,
        "opacities": np.full(len(colours), np.log(splat.OPACITY / (1 - splat.OPACITY))),
    }
    w, x, y, z = np.where(rows["rotations"][:, :1] < 0, -1, 1).T * rows["rotations"].T
    in_spz = {
        **expected,
        "means": rows["centres"] * _TO_SPZ,
        # The format has no smaller one.
        "scales": np.log(rows["scales"]).clip(min=-10),
        "quaternions": np.stack([w, x, -y, -z], axis=1),
    }
    precision = {
        "means": 2.0**-20,
        "scales": 0.5 / 16 + 1e-5,
        # The fourth number follows from the other three, which are half a step off.
        "quaternions": 0.13,
        "sh0": 0.5 / (0.15 * 255) + 1e-5,
        "opacities": 0.03,
    }
    return {
        "ply": Export(path=folder / "photo.splat.ply", expected=expected),
        "spz": Export(path=folder / "photo.spz", expected=in_spz, precision=precision),
    }


_SPLAT_PARTS = ("centres", "scales", "rotations")
# x right, y up, z backwards.
_TO_SPZ = np.array([1, -1, -1], np.float32)


def _write_stl(folder: Path) -> dict[str, Export]:
    """The relief, whose triangles rilievo's own test measures; a reader has to find it closed."""
    _save(folder, "stl")
    rows = np.frombuffer((folder / "photo.stl").read_bytes()[84:], _STL_ROW)
    return {"stl": Export(path=folder / "photo.stl", expected={"corners": rows["corners"]})}


_STL_ROW = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def _write_colmap(folder: Path) -> dict[str, Export]:
    """A workspace of COLMAP with one photograph, whose maps its fusion turns into points."""
    answer = _save(folder, "colmap", "colmap-normals")
    assert answer.camera is not None
    assert answer.photo is not None
    workspace, name = folder / "workspace", "photo.png"
    for place in ("images", "sparse", "stereo/depth_maps", "stereo/normal_maps"):
        (workspace / place).mkdir(parents=True)
    shutil.copy(folder / "photo.depth.bin", workspace / f"stereo/depth_maps/{name}.geometric.bin")
    shutil.copy(
        folder / "photo.normals.bin", workspace / f"stereo/normal_maps/{name}.geometric.bin"
    )
    Image.fromarray(answer.photo.pixels).save(workspace / "images" / name)
    height, width = answer.shape
    (fx, _, cx), (_, fy, cy) = answer.camera.K[:2]
    texts = {
        "sparse/cameras.txt": f"1 PINHOLE {width} {height} {fx} {fy} {cx} {cy}\n",
        "sparse/images.txt": f"1 1 0 0 0 0 0 0 1 {name}\n\n",
        "sparse/points3D.txt": "",
        "stereo/fusion.cfg": f"{name}\n",
        "stereo/patch-match.cfg": f"{name}\n__auto__, 20\n",
    }
    for place, text in texts.items():
        (workspace / place).write_text(text, encoding="utf-8")
    depth = np.where(answer.depth.valid, answer.depth.values, 0)
    return {"workspace": Export(path=workspace, expected={"depth": depth})}


def _write_glb(folder: Path) -> dict[str, Export]:
    surface = _textured_mesh(folder, "glb")
    expected = {
        "points": surface.points,
        "triangles": surface.triangles,
        "uv": surface.texture_coordinates,
    }
    return {"glb": Export(path=folder / "photo.glb", expected=expected)}


def _write_usdz(folder: Path) -> dict[str, Export]:
    surface = _textured_mesh(folder, "usdz")
    # The origin of texture coordinates is the lower left corner.
    uv = surface.texture_coordinates * [1, -1] + [0, 1]
    expected = {"points": surface.points, "triangles": surface.triangles, "uv": uv}
    # Its text layer has decimal numbers.
    precision = dict.fromkeys(("points", "uv"), 1e-5)
    return {"usdz": Export(path=folder / "photo.usdz", expected=expected, precision=precision)}


def _textured_mesh(folder: Path, output: str) -> Any:
    from rilievo.io.outputs.formats import glb, usdz

    with catching((glb, usdz), "textured_mesh") as caught:
        _save(folder, output)
    return caught[0].mesh


@contextmanager
def catching(modules: Sequence[Any], name: str) -> Iterator[list[Any]]:
    """Catch what a function gives to the writers of files, which rilievo says is in them."""
    caught: list[Any] = []
    originals = [getattr(module, name) for module in modules]

    def catch(*values: Any, **options: Any) -> Any:
        caught.append(originals[0](*values, **options))
        return caught[-1]

    for module in modules:
        setattr(module, name, catch)
    try:
        yield caught
    finally:
        for module, original in zip(modules, originals, strict=True):
            setattr(module, name, original)


KINDS: Mapping[str, Callable[[Path], dict[str, Export]]] = {
    "transformers": _write_transformers,
    "diffusers": _write_diffusers,
    "monodepth2": _write_monodepth2,
    "onnx": _write_onnx,
    "exr": _write_exr,
    "maps": _write_maps,
    "arrays": _write_arrays,
    "points": _write_points,
    "splats": _write_splats,
    "colmap": _write_colmap,
    "glb": _write_glb,
    "stl": _write_stl,
    "usdz": _write_usdz,
}
