"""The two walls as a stereo camera sees them, laid out as KITTI odometry, without the package.

The right eye is one step, 0.1 m, to the right of the left one: it sees at any moment what the left
one sees at the next.
"""

from pathlib import Path

from sliding_walls import FOCAL, SIZE, STEP, write_walls


def write_stereo_walls(root: Path, *, frames: int = 8) -> Path:
    """``sequences/00`` with image_2, image_3 and calib.txt, and ``poses/00.txt``."""
    walls, folder = write_walls(root / "walls", frames=frames + 1), root / "sequences/00"
    for eye, first in (("image_2", 0), ("image_3", 1)):
        (folder / eye).mkdir(parents=True)
        for k in range(frames):
            content = (walls / f"images/{first + k:06d}.png").read_bytes()
            (folder / f"{eye}/{k:06d}.png").write_bytes(content)
    x, y = (SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2
    rows = [
        f"{name}: {FOCAL} 0 {x} {offset} 0 {FOCAL} {y} 0 0 0 1 0"
        for name, offset in (("P0", 0.0), ("P1", 0.0), ("P2", 0.0), ("P3", -FOCAL * STEP))
    ]
    (folder / "calib.txt").write_text("\n".join(rows) + "\n")
    (root / "poses").mkdir()
    lines = (walls / "poses.txt").read_text().splitlines()[:frames]
    (root / "poses/00.txt").write_text("\n".join(lines) + "\n")
    return root
