"""Depth maps in the forms in which datasets, simulators and sensors write them.

A form is a way of writing metres: a unit, a coding, a mark of "no depth". ``RIGHT`` are forms of
datasets with the line that declares them; ``FOREIGN`` are forms that nobody declared, or declared
by half. Scenes have floors, walls, things, noise and holes, as rooms and streets have.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

SIZE = (96, 128)
Write = Callable[[Path, "Scene"], Path]


@dataclass(frozen=True)
class Scene:
    """Depth [m] of a scene, NaN where a sensor sees nothing, and pixels without surface."""

    metres: np.ndarray
    sky: np.ndarray

    @property
    def known(self) -> np.ndarray:
        return np.isfinite(self.metres) & ~self.sky

    def filled(self, hole: float, sky: float) -> np.ndarray:
        values = np.where(np.isfinite(self.metres), self.metres, hole)
        return np.where(self.sky, sky, values)


def scene(seed: int, far: float = 6.0, *, holes: float = 0.02, sky: float = 0.15) -> Scene:
    """A floor that rises to a wall, with boxes and balls before it, and sky above the wall."""
    chance = np.random.default_rng(seed)
    height, width = SIZE
    v, u = np.mgrid[:height, :width]
    floor = 0.35 * far * 40 / np.maximum(v - height * 0.42, 0.1) / 2.2
    wall = far * (0.8 + 0.15 * (u / width) + 0.03 * np.sin(u / 9))
    depth = np.minimum(floor, wall)
    for _ in range(5):
        row, column = chance.integers(30, height - 10), chance.integers(5, width - 25)
        size, z = chance.integers(8, 24), far * chance.uniform(0.2, 0.7)
        inside = (abs(v - row) < size) & (abs(u - column) < size)
        bulge = 1 + 0.05 * ((v - row) ** 2 + (u - column) ** 2) / size**2
        depth = np.where(inside, np.minimum(depth, z * bulge), depth)
    depth = depth * (1 + 0.002 * chance.normal(size=SIZE))
    open_sky = (v < sky * height) & (depth > 0.6 * far)
    missing = np.kron(chance.random((height // 4, width // 4)) < holes, np.ones((4, 4), bool))
    return Scene(metres=np.where(missing, np.nan, depth).astype(np.float64), sky=open_sky)


def png(path: Path, counts: np.ndarray, texts: dict[str, str] | None = None) -> Path:
    info = PngInfo()
    for name, text in (texts or {}).items():
        info.add_text(name, text)
    Image.fromarray(counts).save(path, pnginfo=info)
    return path


def counts(
    unit: float, *, hole: int = 0, sky: int = 0, dtype: type = np.uint16, offset: float = 0.0
) -> Write:
    """Whole numbers of a unit [m], with marks for holes and sky."""

    def write(folder: Path, scene: Scene) -> Path:
        numbers = np.rint((scene.filled(1, 1) - offset) / unit)
        numbers = np.where(np.isfinite(scene.metres), numbers, hole)
        stored = np.where(scene.sky, sky, numbers).astype(dtype)
        if stored.dtype.itemsize <= 2 and stored.dtype.kind == "u":
            return png(folder / "a.png", stored)
        np.save(folder / "a.npy", stored)
        return folder / "a.npy"

    return write


def floats(
    *, hole: float = np.nan, sky: float = np.inf, unit: float = 1.0, dtype: type = np.float32
) -> Write:
    """An npy file of floating-point numbers of a unit [m]."""

    def write(folder: Path, scene: Scene) -> Path:
        values = np.where(np.isfinite(scene.metres), scene.metres / unit, hole)
        np.save(folder / "a.npy", np.where(scene.sky, sky, values).astype(dtype))
        return folder / "a.npy"

    return write


def pfm(*, sky: float) -> Write:
    """A PFM file, from the lowest row up."""

    def write(folder: Path, scene: Scene) -> Path:
        values = scene.filled(0, sky).astype("<f4")[::-1]
        head = f"Pf\n{values.shape[1]} {values.shape[0]}\n-1.0\n".encode()
        (folder / "a.pfm").write_bytes(head + values.tobytes())
        return folder / "a.pfm"

    return write


def blended(background: float) -> Write:
    """A rendered map whose edges towards the background are anti-aliased."""

    def write(folder: Path, scene: Scene) -> Path:
        values = scene.filled(background, background)
        wide = np.kron(values, np.ones((2, 2)))
        wide = (
            wide + np.roll(wide, 1, 0) + np.roll(wide, 1, 1) + np.roll(wide, (1, 1), (0, 1))
        ) / 4
        np.save(folder / "a.npy", wide[::2, ::2].astype(np.float32))
        return folder / "a.npy"

    return write


def packed_low(bits: int, unit: float = 0.001, *, labels: int = 1) -> Write:
    """Depth above the lowest bits, which hold labels of regions."""

    def write(folder: Path, scene: Scene) -> Path:
        numbers = np.rint(np.where(scene.known, scene.metres, 0) / unit).astype(np.uint32)
        v, u = np.mgrid[: SIZE[0], : SIZE[1]]
        region = ((u // 40 + v // 30) % labels).astype(np.uint32)
        return png(folder / "a.png", ((numbers << bits) | region).astype(np.uint16))

    return write


def packed_high(bits: int, unit: float = 0.001) -> Write:
    """Depth in the lowest bits, below a confidence."""

    def write(folder: Path, scene: Scene) -> Path:
        numbers = np.rint(np.where(scene.known, scene.metres, 0) / unit).astype(np.uint32)
        v, u = np.mgrid[: SIZE[0], : SIZE[1]]
        sure = ((u // 17 + v // 13) % 2 ** (16 - bits)).astype(np.uint32)
        return png(folder / "a.png", (numbers | (sure << bits)).astype(np.uint16))

    return write


def rotated(folder: Path, scene: Scene) -> Path:
    """SUN RGB-D's millimetres, turned by three bits."""
    numbers = np.rint(np.where(scene.known, scene.metres, 0) * 1000).astype(np.uint16)
    return png(folder / "a.png", (numbers << 3) | (numbers >> 13))


def coloured(weights: tuple[int, ...], unit: float) -> Write:
    """One number in channels of 8 bits."""

    def write(folder: Path, scene: Scene) -> Path:
        numbers = np.rint(np.where(scene.known, scene.metres, 0) / unit).astype(np.int64)
        channels = [(numbers // weight) % 256 if weight else 0 * numbers for weight in weights]
        return png(folder / "a.png", np.stack(channels, axis=-1).astype(np.uint8))

    return write


def ranged(
    names: Callable[[float, float], dict[str, str]], *, low: float, high: float, bits: int = 16
) -> Write:
    """Numbers between two depths that the file's texts state."""

    def write(folder: Path, scene: Scene) -> Path:
        most = 2**bits - 1
        share = (np.where(scene.known, scene.metres, high) - low) / (high - low)
        numbers = np.rint(np.clip(share, 0, 1) * most)
        return png(
            folder / "a.png",
            numbers.astype(np.uint16 if bits == 16 else np.uint8),
            names(low, high),
        )

    return write


def beside(keys: Callable[[float, float], dict[str, object]]) -> Write:
    """Numbers between two depths that a JSON of the same name states."""
    write = ranged(lambda low, high: {}, low=0.4, high=9.0)

    def write_both(folder: Path, scene: Scene) -> Path:
        (folder / "a.json").write_text(json.dumps(keys(0.4, 9.0)))
        return write(folder, scene)

    return write_both


def as_json(**keys: str) -> Callable[[float, float], dict[str, str]]:
    """A text that is JSON: its keyword, and the names of the lower and the upper end."""
    return lambda low, high: {keys["name"]: json.dumps({keys["low"]: low, keys["high"]: high})}


@dataclass(frozen=True)
class Form:
    """A way of writing depth, and the line that declares it, if any.

    Attributes:
        holes: Share of pixels that a sensor does not see.
        layout: Keys of ``depth:`` in ``rilievo.yaml``.
        far: Depth of the wall [m].
        cure: Key that makes it right; a refusal or a warning names it.
        rounding: Largest rounding of the form [m].
    """

    write: Write
    layout: str = ""
    far: float = 6.0
    sky: float = 0.15
    cure: str = ""
    rounding: float = 0.01
    holes: float = 0.02


RIGHT = {
    "KITTI, 256 a metre": Form(counts(1 / 256), "scale: 0.00390625", far=60, sky=0.3),
    "KITTI-360, 256 a metre": Form(counts(1 / 256), "scale: 0.00390625", far=75, sky=0.4),
    "NYUv2, millimetres": Form(counts(0.001), sky=0),
    "NYUv2, floating point": Form(floats(hole=0, sky=0), sky=0),
    "SUN RGB-D, turned by three bits": Form(rotated, "bits: [3, 16]", sky=0),
    "TUM RGB-D, 5000 a metre": Form(counts(1 / 5000), "scale: 0.0002", sky=0),
    "7-Scenes, 65535 is lost": Form(counts(0.001, hole=65535), "invalid: [0, 65535]", sky=0),
    "ScanNet, millimetres": Form(counts(0.001), far=4, sky=0),
    "Replica, 6553.5 a metre": Form(counts(1 / 6553.5), "scale: 0.00015259", sky=0),
    "Hypersim, half floats": Form(floats(dtype=np.float16), sky=0.05, rounding=0.05),
    "TartanAir, npy": Form(floats(hole=0, sky=0), far=40, sky=0.05),
    "Middlebury, PFM with infinity": Form(pfm(sky=np.inf), sky=0.05),
    "ETH3D, floating point": Form(floats(hole=np.inf), far=25),
    "DIODE, npy": Form(floats(hole=0, sky=0), far=35, sky=0.2),
    "Virtual KITTI 2, centimetres with sky": Form(
        counts(0.01, sky=65535), "scale: 0.01\n  invalid: [0, 65535]", far=80, sky=0.3
    ),
    "Virtual KITTI 2, with the key sky": Form(
        counts(0.01, sky=65535), "scale: 0.01\n  sky: [65535]", far=80, sky=0.3
    ),
    "SYNTHIA, red in centimetres": Form(
        lambda folder, scene: png(
            folder / "a.png",
            np.stack(
                [np.rint(np.where(scene.known, scene.metres, 0) * 4), *2 * [np.zeros(SIZE)]], -1
            ).astype(np.uint8),
        ),
        "scale: 0.25\n  channels: r",
        far=55,
        rounding=0.15,
    ),
    "CARLA, 24 bits": Form(
        coloured((1, 256, 65536), 1000 / (2**24 - 1)),
        "scale: 5.9604648e-05\n  channels: [1, 256, 65536]",
        far=60,
    ),
    "Matterport3D, 4000 a metre": Form(counts(1 / 4000), "scale: 0.00025", sky=0),
    "ARKitScenes, millimetres": Form(counts(0.001), far=3.5, sky=0),
    "RealSense, z16": Form(counts(0.001), far=5, sky=0),
    "L515, a quarter of a millimetre": Form(counts(0.00025), "scale: 0.00025", far=5, sky=0),
    "Blender, 1e10 that is declared": Form(
        floats(hole=1e10, sky=1e10), "invalid: [10000000000.0]", sky=0.3
    ),
    "AirSim, 65504 that is declared": Form(pfm(sky=65504), "invalid: 65504", far=50, sky=0.3),
    "Booster, npy": Form(floats(hole=0, sky=0), far=3, sky=0),
    "iBims-1, 50 m over 65535": Form(counts(50 / 65535), "scale: 0.00076295", far=9, sky=0),
    "Habitat, floating point": Form(floats(hole=0, sky=0), far=7, sky=0),
    "Kinect v1, 13 bits above 3": Form(packed_low(3, labels=5), "bits: [3, 13]", sky=0, far=4),
    "ARCore, 13 bits below a confidence": Form(packed_high(13), "bits: [0, 13]", far=5, sky=0),
    "an offset": Form(counts(0.001, offset=0.5), "scale: 0.001\n  offset: 0.5", far=5, sky=0),
    "a range in its text": Form(
        ranged(lambda low, high: {"min": f"{low}", "max": f"{high}"}, low=0.5, high=8.0),
        sky=0,
        holes=0,
    ),
    "double precision": Form(floats(dtype=np.float64), far=12, sky=0.1),
    "millimetres of 32 bits": Form(counts(0.001, dtype=np.int32), "scale: 0.001", sky=0),
    "8 bits of 40 mm": Form(counts(0.04, dtype=np.uint8), "scale: 0.04", sky=0, rounding=0.025),
}


def _turned_right(numbers: np.ndarray, bits: int) -> np.ndarray:
    whole = numbers.astype(np.uint16)
    return (whole >> bits) | (whole << (16 - bits))


_RANGE = {"low": 0.4, "high": 9.0}
FOREIGN = {
    **{
        f"a background of {value:g} m": Form(floats(hole=0, sky=value), cure="invalid", sky=0.2)
        for value in (1e10, 1e5, 65504.0, 65535.0, 3.4e38, 655.35, 1000.0, 100.0, 80.0, 20.0)
    },
    **{
        f"holes of {value:g} m": Form(floats(hole=value, sky=0), cure="invalid", sky=0)
        for value in (1e10, 1e4, 999.0, 255.0)
    },
    "a small background of 1e10 m": Form(floats(hole=0, sky=1e10), cure="invalid", sky=0.02),
    "a street before 1e10 m": Form(floats(hole=0, sky=1e10), cure="invalid", far=70, sky=0.3),
    "a street before 655.35 m": Form(floats(hole=0, sky=655.35), cure="invalid", far=70, sky=0.3),
    "an anti-aliased background of 1e10 m": Form(blended(1e10), cure="invalid", sky=0.3),
    "an anti-aliased background of 65504 m": Form(blended(65504), cure="invalid", sky=0.3),
    "PFM before 65504 m": Form(pfm(sky=65504), cure="invalid", far=50, sky=0.3),
    "half floats before their largest": Form(
        floats(hole=0, sky=65504, dtype=np.float16), cure="invalid", sky=0.2, rounding=0.05
    ),
    "millimetres, holes of 65535": Form(counts(0.001, hole=65535), cure="invalid", sky=0),
    "millimetres, holes of 10000": Form(counts(0.001, hole=10000), cure="invalid", sky=0),
    "millimetres, holes of 32767": Form(counts(0.001, hole=32767), cure="invalid", sky=0),
    "millimetres, holes of 8191": Form(counts(0.001, hole=8191), cure="invalid", sky=0, far=4),
    "millimetres, holes of 1": Form(counts(0.001, hole=1), cure="invalid", sky=0),
    "millimetres, sky of 65535": Form(counts(0.001, sky=65535), cure="invalid", sky=0.2),
    "millimetres of 16 bits with a sign, holes of 32767": Form(
        counts(0.001, hole=32767, dtype=np.int32), cure="invalid", sky=0
    ),
    "centimetres, sky of 65535, half declared": Form(
        counts(0.01, sky=65535), "scale: 0.01", cure="invalid", far=80, sky=0.3
    ),
    "SUN RGB-D, not declared": Form(rotated, cure="bits", sky=0),
    "3 bits of zero below": Form(packed_low(3), cure="bits", sky=0),
    "3 bits of labels below": Form(packed_low(3, labels=6), cure="bits", sky=0),
    "4 bits of labels below": Form(packed_low(4, labels=9), cure="bits", sky=0, far=4),
    "4 bits of labels below, in the unit that is declared": Form(
        packed_low(4, labels=9), "scale: 0.001", cure="bits", sky=0, far=4
    ),
    "3 bits of confidence above": Form(packed_high(13), cure="bits", sky=0, far=5),
    "4 bits of confidence above": Form(packed_high(12), cure="bits", sky=0, far=3.5),
    "1 bit of validity above": Form(packed_high(15), cure="bits", sky=0, far=6),
    **{
        f"channels of weights {weights}": Form(
            coloured(weights, unit), cure="channels", sky=0, far=far
        )
        for weights, unit, far in (
            ((1, 256, 65536), 1000 / (2**24 - 1), 60),
            ((65536, 256, 1), 1000 / (2**24 - 1), 60),
            ((1, 256, 0), 0.001, 6),
            ((256, 1, 0), 0.001, 6),
            ((0, 256, 1), 0.001, 6),
            ((1, 256), 0.001, 6),
            ((256, 1), 0.001, 6),
        )
    },
    "channels declared in the wrong order": Form(
        coloured((1, 256, 65536), 1000 / (2**24 - 1)),
        "scale: 5.9604648e-05\n  channels: [65536, 256, 1]",
        cure="channels",
        sky=0,
        far=60,
    ),
    "two bytes in the other order": Form(
        lambda folder, scene: png(
            folder / "a.png",
            np.rint(np.where(scene.known, scene.metres, 0) * 1000).astype(np.uint16).byteswap(),
        ),
        cure="byte",
        sky=0,
    ),
    "turned by three bits to the right": Form(
        lambda folder, scene: png(
            folder / "a.png",
            _turned_right(np.rint(np.where(scene.known, scene.metres, 0) * 1000), 3),
        ),
        cure="bits",
        sky=0,
    ),
    "a highest bit that all numbers have": Form(
        lambda folder, scene: png(
            folder / "a.png",
            np.rint(np.where(scene.known, scene.metres, 0) * 1000).astype(np.uint16) | 0x8000,
        ),
        cure="bits",
        sky=0,
    ),
    "2 bits of labels below": Form(packed_low(2, labels=3), cure="bits", sky=0),
    **{
        f"a JSON beside it with {case}": Form(beside(keys), cure="scale", sky=0, holes=0)
        for case, keys in {
            "min": lambda low, high: {"min": low, "max": high},
            "near": lambda low, high: {"near": low, "far": high},
            "depthRange": lambda low, high: {"depthRange": {"min": low, "max": high}},
            "range_m": lambda low, high: {"depth": {"range_m": [low, high]}},
        }.items()
    },
    **{
        f"a range in the text {case}": Form(ranged(names, **_RANGE), cure="scale", sky=0, holes=0)
        for case, names in {
            "Min, Max": lambda low, high: {"Min": f"{low}", "Max": f"{high}"},
            "depth-min": lambda low, high: {"depth-min": f"{low}", "depth-max": f"{high}"},
            "DepthMin": lambda low, high: {"DepthMin": f"{low}", "DepthMax": f"{high}"},
            "Depth Min": lambda low, high: {"Depth Min": f"{low} m", "Depth Max": f"{high} m"},
            "zMin": lambda low, high: {"zMin": f"{low}", "zMax": f"{high}"},
            "in mm": lambda low, high: {"min": f"{1000 * low} mm", "max": f"{1000 * high} mm"},
            "unit mm": lambda low, high: {
                "min": f"{1000 * low}",
                "max": f"{1000 * high}",
                "Unit": "mm",
            },
            "JSON": as_json(name="depth", low="min", high="max"),
            "JSON in Comment": as_json(name="Comment", low="min_depth", high="max_depth"),
            "JSON, nested": lambda low, high: {
                "Description": json.dumps({"depth": {"range": [low, high], "unit": "m"}})
            },
            "range": lambda low, high: {"range": f"{low} {high}"},
            "depth_range": lambda low, high: {"depth_range": f"[{low}, {high}]"},
            "words": lambda low, high: {"Description": f"min={low}, max={high}"},
            "near, far": lambda low, high: {"near": f"{low}", "far": f"{high}"},
            "Near, Far": lambda low, high: {"Near": f"{low}", "Far": f"{high}"},
            "zNear": lambda low, high: {"zNear": f"{low}", "zFar": f"{high}"},
            "JSON near": as_json(name="metadata", low="near", high="far"),
            "near_plane": lambda low, high: {"near_plane": f"{low}", "far_plane": f"{high}"},
            "sentence": lambda low, high: {
                "Comment": f"depth goes from {low} to {high} metres over 16 bits"
            },
            "max alone": lambda low, high: {"max_depth": f"{high}"},
        }.items()
    },
    "a range of 8 bits": Form(
        ranged(lambda low, high: {"min": f"{low}", "max": f"{high}"}, bits=8, **_RANGE),
        cure="scale",
        sky=0,
        holes=0,
        rounding=0.02,
    ),
    "near and far of 8 bits": Form(
        ranged(lambda low, high: {"near": f"{low}", "far": f"{high}"}, bits=8, **_RANGE),
        cure="scale",
        sky=0,
        holes=0,
    ),
    "8 bits that state nothing": Form(counts(0.04, dtype=np.uint8), cure="scale", sky=0),
}
