"""Views of a painted wall in front of the camera, exact in every pixel."""

import torch
from torch import Tensor

from rilievo.training.losses.warped_frames import Views

HEIGHT, WIDTH = 24, 40
FOCAL = 40.0


def paint(x: Tensor, y: Tensor) -> Tensor:
    """Colours ``3 h w`` of places on the wall [m]; long waves, so that pixels are near a line."""
    waves = (torch.sin(x + 2 * y), torch.cos(1.5 * x - y), torch.sin(0.7 * x) * torch.cos(y))
    return torch.stack([0.5 + 0.4 * wave for wave in waves])


def wall_image(depth: float, step: float, refined: int = 1) -> Tensor:
    """Picture of a camera ``step`` right of the middle, with ``refined`` times the pixels."""
    v, u = torch.meshgrid(
        torch.arange(HEIGHT * refined, dtype=torch.float64),
        torch.arange(WIDTH * refined, dtype=torch.float64),
        indexing="ij",
    )
    focal = FOCAL * refined
    x = (u - (WIDTH * refined - 1) / 2) / focal * depth + step
    y = (v - (HEIGHT * refined - 1) / 2) / focal * depth
    return paint(x, y)[None]


def wall_views(depth: float, steps: tuple[float, float], refined: int = 1) -> Views:
    """A target in the middle, and sources at steps [m] to the right; their motion is known."""
    target = wall_image(depth, 0.0, refined)
    sources = tuple(wall_image(depth, step, refined) for step in steps)
    motion = []
    for step in steps:
        T = torch.eye(4, dtype=torch.float64)[None].clone()
        T[0, 0, 3] = -step
        motion.append(T)
    K = torch.tensor(
        [
            [FOCAL * refined, 0, (WIDTH * refined - 1) / 2],
            [0, FOCAL * refined, (HEIGHT * refined - 1) / 2],
            [0, 0, 1],
        ],
        dtype=torch.float64,
    )
    return Views(
        target=target,
        sources=sources,
        target_seen=target,
        sources_seen=sources,
        pyramid=(target,),
        K=K[None],
        source_T_target=tuple(motion),
    )
