"""Rendered boxes with panelled faces, as lenses of known focal length see them."""

import math

import numpy as np
from PIL import Image, ImageDraw

SIZE = (360, 480)


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation by angles [degrees] about y, then x, then z."""
    a, b, c = (math.radians(each) for each in (yaw, pitch, roll))
    about_y = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


def boxes(focal: float, rotation: np.ndarray, seed: int = 0, count: int = 14) -> np.ndarray:
    """Cuboids with panelled faces, far to near, seen by a camera of that focal length [px]."""
    chance = np.random.default_rng(seed)
    height, width = SIZE
    image = Image.new("L", (4 * width, 4 * height), 128)
    draw = ImageDraw.Draw(image)
    middles = chance.uniform((-4, -3, 6), (4, 3, 14), (count, 3))
    for middle in middles[np.argsort(-middles[:, 2])]:
        half = chance.uniform(0.5, 1.2, 3)
        for axis in range(3):
            side = 1.0 if rotation[:, axis] @ middle < 0 else -1.0
            u, v = [each for each in range(3) if each != axis]
            for step in range(4):
                corners = []
                low, high = -1 + step / 2, -1 + (step + 1) / 2
                for su, sv in ((low, -1), (high, -1), (high, 1), (low, 1)):
                    place = np.zeros(3)
                    place[axis], place[u], place[v] = side, su, sv
                    x, y, z = rotation @ (place * half) + middle
                    corners.append(
                        (4 * (focal * x / z + width / 2), 4 * (focal * y / z + height / 2))
                    )
                draw.polygon(corners, fill=int(chance.integers(20, 235)))
    small = image.resize((width, height), Image.Resampling.BOX)
    noise = chance.normal(0, 2, SIZE)
    return np.clip(np.asarray(small, np.float64) + noise, 0, 255)
