"""Write the pictures of the tutorials, from the results to which their steps lead.

    python lab/studies/write_tutorial_pictures.py photographs ...

Each function makes the pictures of one page of docs/tutorials. It yields the name of each picture
and the picture.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import skimage.data
from jaxtyping import Bool, Float, UInt8
from picture_grid import grid, of_height
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial import KDTree
from write_fuse_picture import surface_of

import rilievo
from rilievo.data.fuse.surface_rendering import surface_depth
from rilievo.geometry.intrinsics import unproject
from rilievo.geometry.transforms import transform
from rilievo.io.map_pictures import normals_picture
from rilievo.io.outputs.formats.colour_files import depth_picture
from rilievo.io.outputs.formats.turn import draw_view, first_view, make_scene
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.measure import height

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
_WIDTH, _QUALITY = 1200, 85
_FONT = ImageFont.load_default(17)

Pictures = Iterator[tuple[str, Image.Image]]


def _captioned(image: Image.Image, words: str) -> Image.Image:
    """A picture with a line of words below it."""
    sheet = Image.new("RGB", (image.width, image.height + 28), "white")
    sheet.paste(image)
    ImageDraw.Draw(sheet).text((4, image.height + 4), words, fill="black", font=_FONT)
    return sheet


def photographs() -> Pictures:
    """Depth maps for a pipeline: the first photograph, the folder, and the error of the depth."""
    left, _, disparity = skimage.data.stereo_motorcycle()
    prediction = rilievo.predict(left)
    pair = [Image.fromarray(left), prediction.colour()]
    points = {"tyre": (667, 395), "tank": (405, 220), "carton": (560, 65), "board": (240, 60)}
    yield "first", grid([[_with_points(image, points) for image in pair]])

    names = ("astronaut", "chelsea", "coffee", "rocket")
    folder = [getattr(skimage.data, name)() for name in names]
    upper = [of_height(Image.fromarray(photo), 230) for photo in folder]
    lower = [of_height(rilievo.predict(photo).colour(), 230) for photo in folder]
    yield "folder", grid([upper, lower])

    yield "error", _error_picture(prediction, disparity)


def _with_points(
    image: Image.Image, points: Mapping[str, tuple[float, float]], side: float = 6
) -> Image.Image:
    """A picture with named points."""
    marked = image.convert("RGB")
    draw = ImageDraw.Draw(marked)
    for name, (u, v) in points.items():
        draw.ellipse((u - side, v - side, u + side, v + side), fill="white", outline="black")
        left = u + 10 if u < 0.8 * image.width else u - 46
        top = v - 9 if left > u else v - 30
        style = {"font": _FONT, "stroke_width": 2, "stroke_fill": "black"}
        draw.text((left, top), name, fill="white", **style)
    return marked


def _error_picture(
    prediction: rilievo.Prediction, disparity: Float[np.ndarray, "h w"]
) -> Image.Image:
    """True depth, the prediction with its median, and where it is too near or too far."""
    valid = np.isfinite(disparity)
    true = 994.978 * 0.193001 / (np.where(valid, disparity, 30.0) + 31.086)
    predicted = prediction.depth.values
    aligned = predicted * np.median(true[valid]) / np.median(predicted[valid])
    options = SaveOptions(colour_range="2,5")
    maps = [
        replace(prediction.depth, values=true.astype(np.float32), valid=valid),
        replace(prediction.depth, values=aligned),
    ]
    pictures = [
        Image.fromarray(depth_picture(prediction.but(depth_or_none=each), options)) for each in maps
    ]
    pictures.append(Image.fromarray(_signed_colours(aligned / true - 1, valid)))
    words = (
        "ground truth, 2 to 5 m",
        "prediction with the same median",
        "blue: 30% too near, red: 30% too far",
    )
    small = [of_height(each, 266) for each in pictures]
    return grid([[_captioned(*each) for each in zip(small, words, strict=True)]], gap=6)


def _signed_colours(
    error: Float[np.ndarray, "h w"], valid: np.ndarray, limit: float = 0.3
) -> UInt8[np.ndarray, "h w 3"]:
    """Colours from blue (negative) over white to red; grey where nothing is known."""
    share = np.clip(error / limit, -1, 1)[..., None]
    red, blue = np.array([178, 24, 43]), np.array([33, 102, 172])
    ends = np.where(share > 0, red, blue)
    colours = 255 + (ends - 255) * abs(share)
    return np.where(valid[..., None], colours, 128).astype(np.uint8)


def artists() -> Pictures:
    """From a photograph to Blender: the passes, a mesh's edges, and depth with a survey."""
    left, _, disparity = skimage.data.stereo_motorcycle()
    camera = "48.34mm/36mm"
    plate = rilievo.predict(left, camera=camera, known=[(300, 250, 2.37)])
    depth = plate.depth.values
    assert plate.normals is not None
    normals = normals_picture(plate.normals, plate.depth.valid)
    passes = (
        (Image.fromarray(left), "the plate"),
        (_grey(depth), "Z: near is dark"),
        (_grey(1 / depth), "near16: near is white"),
        (Image.fromarray(normals), "normals: green is up"),
    )
    panels = [_captioned(of_height(image, 330), words) for image, words in passes]
    yield "passes", grid([panels[:2], panels[2:]], gap=6)

    portrait = rilievo.predict(skimage.data.astronaut(), camera="85mm/36mm")
    settings = (
        ("not cut (not an output)", SaveOptions(edge=1e6, grazing=0.0, backing=0.0)),
        ("filled: the default", SaveOptions()),
        ("open: --backing 0", SaveOptions(backing=0.0)),
        ("tight: --edge 0.01 too", SaveOptions(backing=0.0, edge=0.01)),
    )
    views = [
        _captioned(of_height(_from_the_side(portrait, options), 294), words)
        for words, options in settings
    ]
    yield "edges", grid([views], gap=6)

    survey = rilievo.predict(left, camera=camera, sparse=_surveyed(disparity))
    valid = np.isfinite(disparity)
    maps = (
        (replace(plate.depth, values=_measured(disparity), valid=valid), "measured, 2 to 5 m"),
        (plate.depth, "from one distance"),
        (survey.depth, "from seven survey points"),
    )
    options = SaveOptions(colour_range="2,5")
    pictures = [
        Image.fromarray(depth_picture(plate.but(depth_or_none=each), options)) for each, _ in maps
    ]
    small = [
        _captioned(of_height(picture, 266), words)
        for picture, (_, words) in zip(pictures, maps, strict=True)
    ]
    yield "trust", grid([small], gap=6)


def _grey(values: Float[np.ndarray, "h w"]) -> Image.Image:
    """Values from the lowest, black, to the highest, white."""
    share = (values - values.min()) / np.ptp(values)
    return Image.fromarray((255 * share).astype(np.uint8)).convert("RGB")


def _from_the_side(prediction: rilievo.Prediction, options: SaveOptions) -> Image.Image:
    """The mesh of a prediction, seen from 20 degrees to the side."""
    assert prediction.camera is not None
    assert prediction.photo is not None
    scene = make_scene(prediction, prediction.depth, prediction.camera, prediction.photo, options)
    return Image.fromarray(draw_view(scene, replace(first_view(scene), yaw=20.0, pitch=4.0)))


def _measured(disparity: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Depth of the motorcycle in metres, of its measured disparity; 0 where there is none."""
    valid = np.isfinite(disparity)
    depth = 994.978 * 0.193001 / (np.where(valid, disparity, 30.0) + 31.086)
    return np.where(valid, depth, 0).astype(np.float32)


def _surveyed(disparity: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """A map of the tutorial's survey points, and 0 elsewhere."""
    points = ((300, 250), (575, 379), (200, 320), (256, 65), (64, 147), (560, 65), (370, 460))
    depth = _measured(disparity)
    survey = np.zeros_like(depth)
    for column, row in points:
        survey[row, column] = depth[row, column]
    return survey


def measuring() -> Pictures:
    """Measure a room: what is known and measured in it, and depth in which a headlamp is lost."""
    yield "room", _room_picture()

    left, _, disparity = skimage.data.stereo_motorcycle()
    known = (205, 245, 205, 398, 0.42)  # the rear wheel
    prediction = rilievo.predict(left, camera=995, known=[known])
    measured = replace(prediction.depth, values=_measured(disparity), valid=np.isfinite(disparity))
    options = SaveOptions(colour_range="2,5")
    pictures = [
        Image.fromarray(left),
        *(
            Image.fromarray(depth_picture(prediction.but(depth_or_none=each), options))
            for each in (prediction.depth, measured)
        ),
    ]
    points = {"headlamp": (540, 150)}
    small = [of_height(_with_points(each, points, side=8), 266) for each in pictures]
    words = ("photograph", "depth of the network, 2 to 5 m", "measured depth, 2 to 5 m")
    yield (
        "motorcycle",
        grid([[_captioned(*each) for each in zip(small, words, strict=True)]], gap=6),
    )


def _room_picture() -> Image.Image:
    """The room with a known width, a known distance, and what is measured by the known width."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "room"
        program = ROOT / "examples" / "room.py"
        subprocess.run([sys.executable, program, folder, "3"], check=True, capture_output=True)
        K = np.loadtxt(folder / "camera.txt")
        photo = folder / "images" / "0001.png"
        prediction = rilievo.predict(photo, camera=K, known=[(272, 344, 352, 344, 0.5)])
        image = Image.open(photo).convert("RGB")
    scale = 2
    image = image.resize((scale * image.width, scale * image.height), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)

    def mark(points: Sequence[tuple[int, int]], words: str, label: tuple[int, int]) -> None:
        places = [(scale * (u + 0.5), scale * (v + 0.5)) for u, v in points]
        colour = "#7fffd4" if words.startswith("known") else "#ffd24a"
        if len(places) > 1:
            draw.line(places, fill="black", width=8)
            draw.line(places, fill=colour, width=4)
        for x, y in places:
            draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=colour, outline="black")
        left, top, right, bottom = draw.textbbox(label, words, font=_FONT)
        draw.rectangle((left - 5, top - 4, right + 5, bottom + 4), fill="black")
        draw.text(label, words, fill=colour, font=_FONT)

    crate, cabinet = ((53, 320), (168, 320)), ((345, 266), (441, 266))
    mark(((272, 344), (352, 344)), "known: 0.50 m", (556, 652))
    mark(((240, 120),), "known later: 4.80 m away", (380, 262))
    mark(crate, f"{prediction.measure(*crate).text}, true 0.80 m", (60, 656))
    mark(cabinet, f"{prediction.measure(*cabinet).text}, true 0.90 m", (640, 560))
    for point, label, true in (((400, 110), (628, 178), 1.46), ((110, 225), (60, 390), 0.60)):
        found = height(prediction, point).text
        mark((point,), f"height {found}, true {true:.2f} m", label)
    return image.crop((0, 80, *image.size))  # without the ceiling


def robotics() -> Pictures:
    """A clip and an RGB-D camera: one frame, the holes of its depth, and two fused surfaces."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "room"
        program = ROOT / "examples" / "room.py"
        subprocess.run([sys.executable, program, folder], check=True, capture_output=True)
        K = np.loadtxt(folder / "camera.txt")
        photo = np.asarray(Image.open(folder / "images" / "0030.png"))
        sensor = np.asarray(Image.open(folder / "depth" / "0030.png")) / 1000
        surfaces = [_fused(folder, folder / "depth"), _fused(folder)]

    prediction = rilievo.predict(photo, camera=K)
    depth = prediction.depth.values
    aligned = depth * np.median(sensor) / np.median(depth)
    error = _signed_colours(aligned / sensor - 1, sensor > 0)
    panels = (
        (Image.fromarray(photo), "frame 0030"),
        (_room_depth(prediction, sensor), "sensor, 2 to 5 m"),
        (_room_depth(prediction, aligned), "network, with the same median"),
        (Image.fromarray(error), "blue: 30% too near, red: 30% too far"),
    )
    small = [_captioned(of_height(image, 222), words) for image, words in panels]
    yield "single", grid([small], gap=6)

    no_cabinet = np.full(sensor.shape, True)
    no_cabinet[95:275, 325:460] = False
    maps = []
    for file, seen in (("holes.png", _outside_holes(sensor.shape)), ("no-cabinet.png", no_cabinet)):
        measured = np.where(seen, sensor, 0).astype(np.float32)
        filled = rilievo.predict(photo, camera=K, sparse=measured).depth.values
        maps += [
            (_room_depth(prediction, measured), file),
            (_room_depth(prediction, filled), f"{file}, filled"),
        ]
    small = [_captioned(of_height(image, 222), words) for image, words in maps]
    yield "holes", grid([small], gap=6)

    words = ("fused from the sensor's depth", "fused from the network's depth")
    yield (
        "surface",
        grid([[_captioned(*each) for each in zip(surfaces, words, strict=True)]], gap=6),
    )


def _outside_holes(shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Pixels outside the 40 round holes of the tutorial."""
    rows, columns = np.indices(shape)
    random = np.random.default_rng(0)
    outside = np.full(shape, True)
    for _ in range(40):
        row, column, radius = random.integers(360), random.integers(480), random.integers(8, 30)
        outside &= (rows - row) ** 2 + (columns - column) ** 2 >= radius**2
    return outside


def _room_depth(prediction: rilievo.Prediction, depth: Float[np.ndarray, "h w"]) -> Image.Image:
    """Depth of the room in colours from 2 m to 5 m; grey where it is 0."""
    values = np.where(depth > 0, depth, np.nan).astype(np.float32)
    shown = replace(prediction.depth, values=values, valid=depth > 0)
    options = SaveOptions(colour_range="2,5")
    return Image.fromarray(depth_picture(prediction.but(depth_or_none=shown), options))


def _fused(room: Path, depth: Path | None = None) -> Image.Image:
    """The surface that 15 frames of the room make, of a depth folder or the network's depth."""
    path = room / "place.ply"
    options = rilievo.FuseOptions(
        camera_file=room / "camera.txt",
        poses=room / "poses.txt",
        depth=depth,
        frames=15,
        overwrite=True,
    )
    rilievo.fuse_clip(room / "images", path, options)
    return _seen_from(path, place=(1.6, -2.2, -0.3), target=(-0.1, -0.5, 3.3))


def _seen_from(
    path: Path, place: tuple[float, float, float], target: tuple[float, float, float]
) -> Image.Image:
    """A mesh whose y axis points down, seen from a place."""
    forward = np.subtract(target, place)
    right = np.cross((0, 1, 0), forward)
    axes = [right, np.cross(forward, right), forward]
    world_T_cam = np.eye(4)
    world_T_cam[:3, :3] = np.transpose([axis / np.linalg.norm(axis) for axis in axes])
    world_T_cam[:3, 3] = place
    size = (420, 560)
    K = np.array([[430, 0, (size[1] - 1) / 2], [0, 430, (size[0] - 1) / 2], [0, 0, 1]])

    mesh, colours = surface_of(path)
    depth = surface_depth(mesh, K, world_T_cam, size)
    points = transform(world_T_cam, unproject(depth, K))[:, depth > 0].T
    picture = np.full((*size, 3), 255, np.uint8)
    picture[depth > 0] = colours[KDTree(mesh.points).query(points)[1]]
    return Image.fromarray(picture[:376])  # Below it, nothing was seen.


def research() -> Pictures:
    """Evaluate, probe and train: made in the folder in which somebody has followed the tutorial."""
    worst = _room_frame("0005")
    models = {"rilievo/small": "rilievo/small", "the same after its training": "video"}
    maps = {words: _predicted(worst, model) for words, model in models.items()}
    yield "worst", grid([_beside_truth(worst, maps)], gap=6)

    unseen = _room_frame("0020")
    cells = {kind: next(Path("sweep/cells").glob(f"*-{kind}-*")) for kind in ("linear", "dpt")}
    maps = {
        "mean of the training depth": np.mean([_room_frame(f"{n:04d}")[1] for n in range(16)], 0),
        "linear probe": _predicted(unseen, cells["linear"]),
        "DPT probe": _predicted(unseen, cells["dpt"]),
        "depth-cnn": _predicted(unseen, "depth-cnn"),
    }
    panels = _beside_truth(unseen, maps)
    yield "probes", grid([panels[:3], panels[3:]], gap=6)


def _room_frame(name: str) -> tuple[Image.Image, Float[np.ndarray, "h w"]]:
    """A photograph of the room and its true depth in metres."""
    photo = Image.open(f"room/images/{name}.png").convert("RGB")
    return photo, np.asarray(Image.open(f"room/depth/{name}.png")) / 1000


def _predicted(
    frame: tuple[Image.Image, Float[np.ndarray, "h w"]], model: str | Path
) -> Float[np.ndarray, "h w"]:
    """Depth in metres; depth up to scale gets the median of the true depth."""
    photo, true = frame
    depth = rilievo.predict(np.asarray(photo), model=str(model)).depth
    if depth.kind == "metric":
        return depth.values
    return depth.values * np.median(true) / np.median(depth.values)


def _beside_truth(
    frame: tuple[Image.Image, Float[np.ndarray, "h w"]], maps: Mapping[str, np.ndarray]
) -> list[Image.Image]:
    """A photograph, its true depth and predicted depths, all from 2 m to 6 m."""
    photo, true = frame
    template = rilievo.predict(np.asarray(photo), model="rilievo/small")
    options = SaveOptions(colour_range="2,6")
    panels = [_captioned(of_height(photo, 266), "photograph")]
    for words, values in {"ground truth, 2 to 6 m": true, **maps}.items():
        depth = replace(
            template.depth, values=values.astype(np.float32), valid=np.ones(values.shape, bool)
        )
        picture = Image.fromarray(depth_picture(template.but(depth_or_none=depth), options))
        panels.append(_captioned(of_height(picture, 266), words))
    return panels


TUTORIALS: dict[str, Callable[[], Pictures]] = {
    each.__name__: each for each in (photographs, artists, measuring, robotics, research)
}


def main() -> None:
    """Write the pictures of the tutorials that are named."""
    for name in sys.argv[1:]:
        if name not in TUTORIALS:
            sys.exit(f"error: no tutorial '{name}': {', '.join(TUTORIALS)}")
        for part, picture in TUTORIALS[name]():
            shown = picture.convert("RGB")
            shown.thumbnail((_WIDTH, _WIDTH), Image.Resampling.LANCZOS)
            shown.save(PICTURES / f"tutorial-{name}-{part}.jpg", quality=_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
