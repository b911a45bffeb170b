"""NYU's photographs as training frames."""

from pathlib import Path

import numpy as np
import pytest

from lab.making.nyu_frames import CENTRE, FOCAL, NyuFrames, plane_normals
from rilievo.errors import InputError
from support.nyu_training_folder import write_nyu


def oblique_plane(normal: tuple[float, float, float], distance: float) -> np.ndarray:
    """Depth of n·p = -distance at NYU's camera, by the ray's equation."""
    u, v = np.meshgrid(np.arange(640), np.arange(480))
    x, y = (u - CENTRE[0]) / FOCAL[0], (v - CENTRE[1]) / FOCAL[1]
    return (-distance / (normal[0] * x + normal[1] * y + normal[2])).astype(np.float32)


@pytest.mark.parametrize("normal", [(0, 0, -1), (0.6, 0, -0.8), (0.36, -0.48, -0.8)])
def test_planes_get_their_normals_however_oblique(normal: tuple[float, float, float]) -> None:
    fitted, valid = plane_normals(oblique_plane(normal, 2.0))
    assert valid[20:-20, 20:-20].all()
    cosine = np.einsum("chw,c->hw", fitted, np.array(normal))[valid]
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 0.1


def test_eight_bits_of_depth_still_give_the_normal_and_edges_give_none() -> None:
    depth = oblique_plane((0.6, 0, -0.8), 2.0)
    depth = (np.floor(depth * 25.5) + 0.5).astype(np.float32) / np.float32(25.5)
    depth[200:300, 250:350] = 0.6
    fitted, valid = plane_normals(depth)
    cosine = fitted[0] * 0.6 - fitted[2] * 0.8
    assert np.degrees(np.arccos(np.median(cosine[valid]).clip(-1, 1))) < 4
    assert not valid[200:300, 248:252].any()
    assert valid[230:270, 280:320].all()


def test_nyu_frames_lose_their_white_frame_and_the_last_are_held_out(tmp_path: Path) -> None:
    write_nyu(tmp_path, ["0001", "0002", "0003"])
    frames = NyuFrames(tmp_path, held_out=1)
    assert len(frames) == 2
    assert int(frames.held_out[0].image[0, 0, 0]) == pytest.approx(20, abs=1)
    frame = frames.draw(np.random.default_rng(0))
    assert frame.image.shape == (268, 352, 3)
    np.testing.assert_allclose(np.exp(frame.log_depth), 50.5 / 25.5, rtol=1e-5)
    assert (frame.normals[2][frame.normals_valid] == -127).all()
    assert frame.normals_valid.mean() > 0.9


def test_a_folder_that_is_not_nyu_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no train\.txt"):
        NyuFrames(tmp_path)
    write_nyu(tmp_path, ["0001", "0002"])
    with pytest.raises(InputError, match="none is left to train on"):
        NyuFrames(tmp_path, held_out=2)
    (tmp_path / "depth" / "0002.png").unlink()
    with pytest.raises(InputError, match="frame 0002 cannot be read"):
        NyuFrames(tmp_path, held_out=1)
