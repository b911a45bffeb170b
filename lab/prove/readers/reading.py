"""Read exports by one package, in an environment of that package alone.

``python reading.py REQUEST ANSWER``: the request is JSON with ``reader``, a function of this file
without its underscore, and ``paths`` of exports by name. The answer is an NPZ of arrays named
``EXPORT/ARRAY``. Nothing of rilievo is imported, and each package is imported by its own reader.
"""

import json
import os
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def transformers(path: Path) -> Arrays:
    """Depth of a folder for ``AutoModelForDepthEstimation``, with each tensor found by its name."""
    import torch

    AutoModel: Any = import_module("transformers").AutoModelForDepthEstimation

    network, info = AutoModel.from_pretrained(path, output_loading_info=True)
    wrong = {name: sorted(keys) for name, keys in info.items() if keys and name.endswith("_keys")}
    if wrong:
        raise ValueError(f"its tensors are not those of the network: {wrong}")
    pixels = torch.from_numpy(np.load(path / "pixels.npy"))
    with torch.no_grad():
        return {"depth": network.eval()(pixel_values=pixels).predicted_depth.numpy()}


def diffusers(path: Path) -> Arrays:
    """Depth of a Marigold pipeline, from the same noise."""
    import torch
    from PIL import Image

    pipeline: Any = import_module("diffusers").MarigoldDepthPipeline.from_pretrained(str(path))
    pipeline.set_progress_bar_config(disable=True)
    answer = pipeline(
        np.asarray(Image.open(path / "photo.png"), np.float32)[None] / 255,
        num_inference_steps=pipeline.default_denoising_steps,
        ensemble_size=1,
        processing_resolution=pipeline.default_processing_resolution,
        match_input_resolution=False,
        batch_size=1,
        generator=torch.Generator("cpu").manual_seed(0),
        output_type="np",
    )
    return {"depth": answer.prediction[0, ..., 0]}


def monodepth2(path: Path) -> Arrays:
    """Sigmoids of a checkpoint in classes with the names of Monodepth2's program.

    The encoder is torchvision's, as in that program, whose code is not copied here.
    """
    import torch
    import torch.nn.functional as F

    torchvision: Any = import_module("torchvision")
    from torch import nn

    class Conv(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.conv = nn.Conv2d(inputs, outputs, 3)

        def forward(self, x):
            return self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))

    class Block(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.conv = Conv(inputs, outputs)

        def forward(self, x):
            return F.elu(self.conv(x))

    encoder = getattr(torchvision.models, path.name)(weights=None).eval()
    held = torch.load(path / "encoder.pth", weights_only=True)
    names = {name.removeprefix("encoder."): each for name, each in held.items() if "." in name}
    encoder.load_state_dict(names, strict=True)
    pixels = torch.from_numpy(np.load(path / "pixels.npy"))
    with torch.no_grad():
        x = encoder.relu(encoder.bn1(encoder.conv1((pixels - 0.45) / 0.225)))
        features = [x, encoder.layer1(encoder.maxpool(x))]
        for layer in (encoder.layer2, encoder.layer3, encoder.layer4):
            features.append(layer(features[-1]))
        widths = (256, 128, 64, 32, 16)
        skips = [*(each.shape[1] for each in features[3::-1]), 0]
        decoder, inputs = nn.ModuleList(), features[-1].shape[1]
        for width, skip in zip(widths, skips, strict=True):
            decoder += [Block(inputs, width), Block(width + skip, width)]
            inputs = width
        decoder += [Conv(width, 1) for width in (16, 32, 64, 128)]
        whole = nn.Module()
        whole.decoder = decoder
        whole.load_state_dict(torch.load(path / "depth.pth", weights_only=True), strict=True)
        x = features[-1]
        for level in range(5):
            x = F.interpolate(decoder[2 * level](x), scale_factor=2, mode="nearest")
            if level < 4:
                x = torch.cat([x, features[3 - level]], 1)
            x = decoder[2 * level + 1](x)
        return {"sigmoid": torch.sigmoid(decoder[10](x)).numpy()}


def onnxruntime(path: Path) -> Arrays:
    """Outputs of a network on RGB of 0 to 255."""
    onnxruntime: Any = import_module("onnxruntime")

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = np.load(path.with_suffix(".npy"))
    names = [output.name for output in session.get_outputs() if output.name in ("depth", "normals")]
    if session.get_inputs()[0].type == "tensor(float)":
        image = image.astype(np.float32)
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: image}), strict=True))


def onnx(path: Path) -> Arrays:
    """No number, but the checker's word that the graph is valid."""
    onnx: Any = import_module("onnx")

    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    return {}


def openexr(path: Path) -> Arrays:
    """Channels by name."""
    OpenEXR: Any = import_module("OpenEXR")

    if hasattr(OpenEXR, "File"):
        with OpenEXR.File(str(path), separate_channels=True) as image:
            found = {name: np.array(channel.pixels) for name, channel in image.channels().items()}
        return {name: values for name, values in found.items() if values.dtype == np.float32}
    Imath: Any = import_module("Imath")

    image = OpenEXR.InputFile(str(path))
    header = image.header()
    window = header["dataWindow"]
    size = (window.max.y - window.min.y + 1, window.max.x - window.min.x + 1)
    real = Imath.PixelType(Imath.PixelType.FLOAT)
    names = [name for name, channel in header["channels"].items() if channel.type == real]
    return {
        name: np.frombuffer(image.channel(name, real), np.float32).reshape(size) for name in names
    }


def opencv(path: Path) -> Arrays:
    """Depth as stored, and normals of a picture in OpenGL's axes."""
    cv2: Any = import_module("cv2")

    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if path.name.endswith(".normals.png"):
        return {"normals": values[..., 2::-1] / 127.5 - 1}
    return {"depth": values}


def pillow(path: Path) -> Arrays:
    """Depth as stored, and normals of a picture in OpenGL's axes."""
    from PIL import Image

    with Image.open(path) as picture:
        values = np.asarray(picture)
    if path.name.endswith(".normals.png"):
        return {"normals": values[..., :3] / 127.5 - 1}
    return {"depth": values}


def tifffile(path: Path) -> Arrays:
    """Depth."""
    tifffile: Any = import_module("tifffile")

    return {"depth": tifffile.imread(str(path))}


def numpy(path: Path) -> Arrays:
    """Arrays by name, or the array."""
    held = np.load(path)
    if isinstance(held, np.ndarray):
        return {"values": held}
    return {name: held[name] for name in ("depth", "valid")}


def trimesh(path: Path) -> Arrays:
    """Points, or triangles with texture coordinates."""
    trimesh: Any = import_module("trimesh")

    if path.suffix == ".ply":
        cloud = trimesh.load(str(path), process=False)
        return {"points": np.asarray(cloud.vertices), "colours": np.asarray(cloud.colors)[:, :3]}
    if path.suffix == ".stl":
        mesh = trimesh.load(str(path))
        if not mesh.is_watertight:
            raise ValueError("it is not closed")
        return {"corners": np.asarray(mesh.triangles)}
    scene = trimesh.load(str(path), process=False)
    [mesh] = scene.geometry.values()
    # trimesh puts the origin of texture coordinates into the lower left corner.
    uv = np.asarray(mesh.visual.uv) * [1, -1] + [0, 1]
    return {"points": np.asarray(mesh.vertices), "triangles": np.asarray(mesh.faces), "uv": uv}


def open3d(path: Path) -> Arrays:
    """Points with normals and colours."""
    open3d: Any = import_module("open3d")

    cloud = open3d.io.read_point_cloud(str(path))
    colours = np.asarray(cloud.colors) * 255
    return {
        "points": np.asarray(cloud.points),
        "normals": np.asarray(cloud.normals),
        "colours": colours,
    }


def usd(path: Path) -> Arrays:
    """The mesh of the layer."""
    Usd: Any = import_module("pxr.Usd")
    UsdGeom: Any = import_module("pxr.UsdGeom")

    stage = Usd.Stage.Open(str(path))
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Surface/Mesh"))
    places = UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st")
    return {
        "points": np.array(mesh.GetPointsAttr().Get()),
        "triangles": np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3),
        "uv": np.array(places.Get()),
    }


def gsply(path: Path) -> Arrays:
    """Splats, with logarithms of scales and logits of opacities."""
    gsply: Any = import_module("gsply")

    held = gsply.read_spz(str(path)) if path.suffix == ".spz" else gsply.plyread(str(path))
    return {
        "means": held.means,
        "scales": held.scales,
        "quaternions": held.quats,
        "sh0": np.asarray(held.sh0).reshape(len(held.means), 3),
        "opacities": np.asarray(held.opacities).reshape(-1),
    }


def pycolmap(path: Path) -> Arrays:
    """Depth of the points that COLMAP's fusion makes of one photograph, at their pixels."""
    pycolmap: Any = import_module("pycolmap")

    options = pycolmap.StereoFusionOptions()
    options.min_num_pixels = 1
    options.check_num_images = 1
    options.num_threads = 1
    output = path / "fused.ply"
    if "output_type" in pycolmap.stereo_fusion.__doc__:
        output = path / "fused"
        output.mkdir(exist_ok=True)
    fused = pycolmap.stereo_fusion(str(output), str(path), input_type="geometric", options=options)
    numbers = (path / "sparse" / "cameras.txt").read_text().split()
    width, height = map(int, numbers[2:4])
    fx, fy, cx, cy = map(float, numbers[4:])
    x, y, z = np.array([point.xyz for point in fused.points3D.values()]).T
    depth = np.zeros((height, width))
    depth[np.rint(fy * y / z + cy).astype(int), np.rint(fx * x / z + cx).astype(int)] = z
    return {"depth": depth}


def main(request: str, answer: str) -> None:
    """Read each export, and keep the arrays."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    read = globals()[asked["reader"]]
    arrays: dict[str, Any] = {}
    for export, path in asked["paths"].items():
        for name, values in read(Path(path)).items():
            arrays[f"{export}/{name}"] = np.asarray(values)
        arrays[f"{export}/"] = np.zeros(0)
    np.savez(answer, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
