"""Small inputs of the journeys: photographs of scikit-image, frames, clips and a rendered plane."""

import shutil
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.clips import Clip, write_clip
from support.footage import view
from support.sliding_walls import write_walls
from support.viewed_spheres import write_navi

MODEL = '''"""A model of one function: farther towards the top."""

import numpy as np

import rilievo


@rilievo.model(kind="metric")
def depth(image):
    rows = np.linspace(4.0, 1.0, image.shape[0], dtype=np.float32)
    return np.repeat(rows[:, None], image.shape[1], axis=1)
'''

SWEEP = """title = "Two backbones"
seeds = 1
tasks = ["depth"]
probes = ["linear"]
size = [48, 64]

[data]
dataset = "folder"
root = "mine"
split = "all"

[test]
split = "all"

[training]
epochs = 1

[[backbones]]
name = "timm/test_vit"
weights = "random"

[[backbones]]
name = "timm/test_resnet"
weights = "random"
"""


def write_inputs(folder: Path) -> None:
    """Write everything that a journey may name, into an empty folder."""
    coffee = Image.fromarray(skimage.data.coffee()).resize((240, 160))
    cat = Image.fromarray(skimage.data.chelsea()).resize((225, 150))
    coffee.save(folder / "photo.jpg", quality=95)
    shutil.copy(folder / "photo.jpg", folder / "name with 'quotes'.jpg")
    (folder / "broken.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:300])
    (folder / "photos" / "pets").mkdir(parents=True)
    for name in ("photo.jpg", "broken.jpg"):
        shutil.copy(folder / name, folder / "photos" / name)
    cat.save(folder / "photos" / "pets" / "cat.png")
    cutout = cat.convert("RGBA")
    rows, columns = np.mgrid[:150, :225]
    round_mask = (rows - 75) ** 2 + (columns - 112) ** 2 < 70**2
    cutout.putalpha(Image.fromarray((255 * round_mask).astype(np.uint8)))
    cutout.save(folder / "cutout.png")
    grey = np.asarray(cat.convert("L"), np.uint16)
    Image.fromarray(7000 + 4 * grey).save(folder / "thermal16.png")
    coffee.resize((256, 128)).save(folder / "pano.png")
    _write_plane(folder / "plane.png")
    write_navi(folder / "navi" / "duck" / "wild_set", (0, 12, 30, 45, 60))
    write_navi(folder / "navi" / "duck" / "multiview_00_pixel_5", (0,))
    frames = [view(3.0 * k) for k in range(6)]
    (folder / "frames").mkdir()
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / "frames" / f"{k:06d}.png")
    write_clip(folder / "clip.mp4", Clip(pictures=frames, rate=10, time_base=Fraction(1, 10)))
    write_walls(folder / "mine", frames=8)
    _write_colmap(folder / "colmap", 8)
    (folder / "mine.py").write_text(MODEL, encoding="utf-8")
    (folder / "sweep.toml").write_text(SWEEP, encoding="utf-8")


def _write_plane(path: Path) -> None:
    """A floor 1.5 m below a camera that looks 40 degrees down, with a sheet of A4 2 m away.

    The corners of the sheet's near edge are 0.210 m apart.
    """
    height, width, focal = 240, 320, 260.0
    v, u = np.mgrid[:height, :width].astype(float)
    x, y = (u - (width - 1) / 2) / focal, (v - (height - 1) / 2) / focal
    down = np.deg2rad(40)
    # Rays in a frame whose third axis is level and whose second is straight down.
    drop = np.cos(down) * y + np.sin(down)
    ahead = np.cos(down) - np.sin(down) * y
    scale = 1.5 / np.maximum(drop, 1e-6)
    side, far = scale * x, scale * ahead
    boards = (np.floor(side / 0.12) + np.floor(far / 0.9)).astype(int) % 3
    pixels = np.stack([110 + 18 * boards, 84 + 12 * boards, 60 + 8 * boards], axis=2)
    sheet = (abs(side) < 0.105) & (far > 1.8) & (far < 2.097)
    pixels[sheet] = 245
    pixels[drop < 0.05] = (190, 200, 210)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def _write_colmap(folder: Path, frames: int) -> None:
    """A model of COLMAP, as text, of the camera that slides past the walls of ``mine``."""
    folder.mkdir()
    (folder / "cameras.txt").write_text("1 PINHOLE 96 64 80 80 48 32\n")
    lines = [f"{k + 1} 1 0 0 0 {-0.1 * k:.6f} 0 0 1 {k:06d}.png\n\n" for k in range(frames)]
    (folder / "images.txt").write_text("".join(lines))
    (folder / "points3D.txt").write_text("")
