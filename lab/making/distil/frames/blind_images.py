"""Images that show no scene, from which a network learns when nothing can be seen."""

import numpy as np

from rilievo.arrays.shapes import UInt8
from rilievo.errors import MissingExtraError

try:
    import cv2
except ImportError as missing:
    raise MissingExtraError("training", "train") from missing

_BLOCK = 16
_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPRSTUVWXYZ0123456789.,", "S1")


def blinded(
    image: UInt8[np.ndarray, "h w 3"], random: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Return one colour, noise, shuffled blocks of ``image``, a drawing or text, at random."""
    kinds = (_plain, _noisy, _shuffled, _drawn, _written)
    return kinds[int(random.integers(len(kinds)))](image, random)


def _plain(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Black, white or another colour; half of the time with sensor noise."""
    ends = (np.zeros(3), np.full(3, 255.0), random.uniform(0, 255, 3))
    flat = np.broadcast_to(ends[int(random.integers(3))], image.shape)
    if random.random() < 0.5:
        flat = flat + random.normal(0, random.uniform(0.5, 6), image.shape)
    return _pixels(flat)


def _noisy(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Random values, one per pixel or per block of pixels."""
    height, width = image.shape[:2]
    coarse = int(random.choice([1, 1, 2, 4, 8]))
    shape = (-(-height // coarse), -(-width // coarse), int(random.choice([1, 3])))
    small = random.normal(128, random.uniform(20, 90), shape)
    if random.random() < 0.5:
        small = random.uniform(0, 255, shape)
    large = small.repeat(coarse, axis=0).repeat(coarse, axis=1)[:height, :width]
    return _pixels(np.broadcast_to(large, image.shape))


def _shuffled(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    height, width = image.shape[0] // _BLOCK, image.shape[1] // _BLOCK
    blocks = image.reshape(height, _BLOCK, width, _BLOCK, 3).swapaxes(1, 2)
    mixed = random.permutation(blocks.reshape(-1, _BLOCK, _BLOCK, 3))
    mixed = mixed.reshape(height, width, _BLOCK, _BLOCK, 3).swapaxes(1, 2)
    return np.ascontiguousarray(mixed.reshape(image.shape))


def _drawn(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Lines, circles and boxes on a plain background."""
    height, width = image.shape[:2]
    paper, ink = _paper_and_ink(random)
    page = np.full(image.shape, paper, np.uint8)
    for _ in range(int(random.integers(3, 25))):
        first, second = random.integers(0, (width, height), (2, 2)).tolist()
        thick = int(random.integers(1, 4))
        shape = int(random.integers(3))
        if shape == 0:
            cv2.line(page, first, second, ink, thick, cv2.LINE_AA)
        elif shape == 1:
            cv2.rectangle(page, first, second, ink, thick)
        else:
            radius = int(random.integers(3, 2 + max(4, height // 2)))
            cv2.circle(page, first, radius, ink, thick, cv2.LINE_AA)
    return page


def _written(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Lines of text on a plain background, in sizes from a letter's to a sign's."""
    height, width = image.shape[:2]
    paper, ink = _paper_and_ink(random)
    page = np.full(image.shape, paper, np.uint8)
    size = float(random.uniform(0.25, 1.2))
    left = int(random.integers(0, 1 + width // 8))
    for base in range(int(24 * size), height, max(6, int(30 * size))):
        line = b"".join(random.choice(_LETTERS, int(random.integers(4, 60))).tolist())
        words = line.decode().replace(",", "  ")
        cv2.putText(
            page, words, (left, base), int(random.integers(0, 8)), size, ink, 1, cv2.LINE_AA
        )
    return page


def _paper_and_ink(
    random: np.random.Generator,
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    light, dark = random.integers(190, 256, 3).tolist(), random.integers(0, 90, 3).tolist()
    pair = (light, dark) if random.random() < 0.85 else (dark, light)
    return tuple(pair[0]), tuple(pair[1])


def _pixels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
