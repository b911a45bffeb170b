"""A camera that slides past two walls: frames, true depth and poses, written without the package.

The camera moves to the right by 0.1 m a frame, with f = 80 px. What is 2 m away so moves to the
left by 4 px, what is 4 m away by 2 px.
"""

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (64, 96)
FOCAL, STEP = 80.0, 0.1
NEAR, FAR = 2.0, 4.0


def write_walls(folder: Path, *, frames: int = 12, seed: int = 0) -> Path:
    """A folder with images/, depth/ [mm], intrinsics.txt, poses.txt and rilievo.yaml."""
    random = np.random.default_rng(seed)
    height, width = SIZE
    coarse = random.integers(0, 256, (height // 4, (width + 4 * frames) // 4, 3), dtype=np.uint8)
    texture = np.asarray(Image.fromarray(coarse).resize((width + 4 * frames, height)))
    half = height // 2
    for name in ("images", "depth"):
        (folder / name).mkdir(parents=True)
    depth = np.full(SIZE, int(1000 * FAR), np.uint16)
    depth[half:] = int(1000 * NEAR)
    poses = []
    for k in range(frames):
        image = np.concatenate(
            [texture[:half, 2 * k : 2 * k + width], texture[half:, 4 * k : 4 * k + width]]
        )
        Image.fromarray(image).save(folder / f"images/{k:06d}.png")
        Image.fromarray(depth).save(folder / f"depth/{k:06d}.png")
        poses.append(f"1 0 0 {STEP * k:.6f} 0 1 0 0 0 0 1 0")
    (folder / "poses.txt").write_text("\n".join(poses) + "\n")
    x, y = (width - 1) / 2, (height - 1) / 2
    (folder / "intrinsics.txt").write_text(f"{FOCAL} 0 {x}\n0 {FOCAL} {y}\n0 0 1\n")
    (folder / "rilievo.yaml").write_text(
        'image: "images/{id}.png"\ndepth:\n  file: "depth/{id}.png"\n  scale: 0.001\n'
    )
    return folder
