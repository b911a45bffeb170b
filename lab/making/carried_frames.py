"""Frames of shards and NYU's photographs in a tenth of their bytes, to be carried to a GPU.

``python -m lab.making.carried_frames SHARDS... -o FOLDER`` writes a file ``KIND.frames`` for each
folder of shards, ``--real NYU`` a file ``real.frames``. Images are WebP, log depth is stored in
steps of half a percent, normals at a quarter of the size; ``FrameStore.scan`` reads them.
"""

import argparse
import io
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int8, UInt8
from PIL import Image

from lab.making.distil.frames.shards import read_shard
from lab.making.distil.frames.training_frames import Frame
from lab.making.nyu_frames import NyuFrames
from rilievo.io.files.atomic import replacing

SUFFIX = ".frames"
_STEP = 0.005
_SKY, _EMPTY = 32767, 32766
"""Codes of pixels without depth."""
_COARSE = 4
"""Side of the cells of which one normal is kept [px]."""
_QUALITY = 90
_PHOTOGRAPH = (213, 280)
"""Size of measured photographs [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedFrames:
    """Frames of one file, of one size.

    Attributes:
        image: sRGB.
        log_depth: Natural logarithm of depth [m]; +inf where there is sky, NaN where it is unknown.
        normals: 127 times the unit normal, 0 where it is unknown.
        camera: fx, fy, cx, cy [px].
        is_rendered: Whether sky is known to the pixel.
    """

    image: UInt8[np.ndarray, "n h w 3"]
    log_depth: Float32[np.ndarray, "n h w"]
    normals: Int8[np.ndarray, "n 3 h w"]
    camera: Float32[np.ndarray, "n 4"]
    is_rendered: bool


def write_carried(path: Path, frames: Iterable[Frame], *, is_rendered: bool) -> int:
    """Write frames of one size; returns their number."""
    blobs: list[bytes] = []
    cameras: list[tuple[float, ...]] = []
    size = (0, 0)
    for frame in frames:
        picture = io.BytesIO()
        Image.fromarray(frame.image).save(picture, "WEBP", quality=_QUALITY, method=4)
        codes = np.round(frame.log_depth / _STEP).clip(-32000, 32000).astype(np.int16)
        codes = np.where(frame.sky, _SKY, np.where(frame.valid, codes, _EMPTY)).astype(np.int16)
        changes = np.diff(codes, axis=1, prepend=np.int16(0))
        normals = np.where(frame.normals_valid, frame.normals, 0)[:, ::_COARSE, ::_COARSE]
        blobs += [
            picture.getvalue(),
            zlib.compress(changes.tobytes(), 9),
            zlib.compress(normals.astype(np.int8).tobytes(), 9),
        ]
        cameras.append(frame.camera)
        size = frame.image.shape[:2]
    ends = np.cumsum([len(blob) for blob in blobs])
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            bytes=np.frombuffer(b"".join(blobs), np.uint8),
            ends=ends,
            camera=np.array(cameras, np.float32),
            size=np.array(size),
            is_rendered=np.array(is_rendered),
        )
    return len(cameras)


def read_carried(path: Path) -> CarriedFrames:
    """Read a file that ``write_carried`` wrote."""
    with path.open("rb") as file, np.load(file) as stored:
        data, camera = stored["bytes"].tobytes(), stored["camera"]
        ends, is_rendered = stored["ends"].tolist(), bool(stored["is_rendered"])
        height, width = stored["size"].tolist()
    blobs = [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    coarse = (3, -(-height // _COARSE), -(-width // _COARSE))

    def decoded(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        picture, changes, stored_normals = blobs[3 * number : 3 * number + 3]
        image = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
        steps = np.frombuffer(zlib.decompress(changes), np.int16).reshape(height, width)
        codes = np.cumsum(steps, axis=1, dtype=np.int16)
        log_depth = codes * np.float32(_STEP)
        log_depth = np.where(codes == _SKY, np.float32(np.inf), log_depth)
        log_depth = np.where(codes == _EMPTY, np.float32(np.nan), log_depth)
        normals = np.frombuffer(zlib.decompress(stored_normals), np.int8).reshape(coarse)
        whole = normals.repeat(_COARSE, axis=1).repeat(_COARSE, axis=2)[:, :height, :width]
        return image, log_depth, whole * np.isfinite(log_depth)

    with ThreadPoolExecutor() as pool:
        images, depths, normals = zip(*pool.map(decoded, range(len(camera))), strict=True)
    return CarriedFrames(
        image=np.stack(images),
        log_depth=np.stack(depths),
        normals=np.stack(normals),
        camera=camera,
        is_rendered=is_rendered,
    )


def shard_frames(folder: Path) -> Iterator[Frame]:
    """Frames of the shards of a folder, in order."""
    for path in sorted(folder.glob("shard-*.npz")):
        shard = read_shard(path)
        for number in range(len(shard.image)):
            yield shard.frame(number)


def main() -> None:
    """Write the files that the options name."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.making.carried_frames", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("shards", type=Path, nargs="*", help="folders of shards, each of one kind")
    parser.add_argument("--real", type=Path, help="folder of NYU Depth V2's labelled frames")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the files")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for folder in options.shards:
        path = options.output / f"{folder.name}{SUFFIX}"
        if not path.exists():
            count = write_carried(path, shard_frames(folder), is_rendered=True)
            print(f"{path}: {count} frames, {path.stat().st_size / 1e6:.1f} MB", flush=True)
    if options.real is not None:
        photographs = NyuFrames(options.real, size=_PHOTOGRAPH)
        for name, frames in (("real", photographs.all_frames), ("held", photographs.held_out)):
            path = options.output / f"{name}{SUFFIX}"
            count = write_carried(path, frames, is_rendered=False)
            print(f"{path}: {count} frames, {path.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
