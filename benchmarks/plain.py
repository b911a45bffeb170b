"""Depth pictures by a plain script: ``python -m benchmarks.plain NETWORK FOLDER PHOTO...``."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

graph, folder, *paths = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
options.add_session_config_entry("session.disable_quant_qdq", "1")
session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
switches = {each.name: np.array(False) for each in session.get_overridable_initializers()}
area = int(session.get_modelmeta().custom_metadata_map["rilievo.area"])
colours = np.linspace((40, 60, 160), (250, 220, 90), 256).astype(np.uint8)


def coloured(photo: Image.Image) -> Image.Image:
    size, scale = photo.size, (area / photo.width / photo.height) ** 0.5 / 32
    seen = 32 * round(photo.width * scale), 32 * round(photo.height * scale)
    photo.draft("RGB", seen)  # a JPEG is decoded at a half, a quarter or an eighth
    small = photo.convert("RGB").resize(seen)
    depth = np.asarray(session.run(["depth"], {"image": np.asarray(small)[None], **switches}))[0, 0]
    near = 1 / np.asarray(Image.fromarray(depth).resize(size, Image.Resampling.BILINEAR))
    low, high = np.quantile(near[::4, ::4], (0.02, 0.98))
    picture = Image.fromarray(np.clip((near - low) * 255 / (high - low), 0, 255).astype(np.uint8))
    picture.putpalette(colours.tobytes())
    return picture


for path in paths if __name__ == "__main__" else ():
    coloured(Image.open(path)).save(Path(folder, Path(path).stem + ".png"), compress_level=1)
