"""The decoder of normals: its frames, its training, and its way into the shipped file."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from lab.making.command import main
from lab.making.distil.frames.augment import crop
from lab.making.distil.frames.training_frames import Frame
from lab.making.layout_network import NormalsDecoder
from lab.making.normals_training import (
    WEIGHTS,
    by_shape,
    normals_angle,
    quarter_turned,
    seen_view,
)
from lab.making.shipped_layout import shipped_layout, shipped_normals, write_weights
from lab.making.write_default_models import read_normals, rewrite_base
from rilievo.errors import InputError
from rilievo.geometry.normals import normals_from_depth
from rilievo.models.default import embedded
from support.nyu_training_folder import write_nyu
from support.sloping_shards import write_sloping_shards

BASE = Path(embedded.__file__).parent / "base.onnx"


def sloping_frame() -> Frame:
    """A plane that falls away to the right and upwards, seen by a camera with its own centre."""
    height, width, fx, fy, cx, cy = 48, 64, 60.0, 50.0, 30.0, 25.0
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    normal = np.array([0.48, 0.36, -0.8])
    rays = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u, float)])
    depth = -2.0 / np.einsum("c,chw->hw", normal, rays)
    return Frame(
        image=np.zeros((height, width, 3), np.uint8),
        log_depth=np.log(depth).astype(np.float32),
        valid=np.ones((height, width), bool),
        sky=np.zeros((height, width), bool),
        normals=np.broadcast_to(np.round(127 * normal), (height, width, 3))
        .transpose(2, 0, 1)
        .astype(np.int8),
        normals_valid=np.ones((height, width), bool),
        camera=(fx, fy, cx, cy),
    )


@pytest.mark.parametrize("turns", range(5))
def test_normals_and_camera_of_a_turned_frame_are_those_of_its_depth(turns: int) -> None:
    frame = quarter_turned(sloping_frame(), turns)
    fx, fy, cx, cy = frame.camera
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    expected, _ = normals_from_depth(np.exp(frame.log_depth), K)
    inner = np.s_[:, 4:-4, 4:-4]
    np.testing.assert_allclose(frame.normals[inner] / 127, expected[inner], atol=0.01)


def test_the_decoder_starts_with_the_normals_of_the_layout_network() -> None:
    layout, decoder = shipped_layout(BASE, 0), NormalsDecoder()
    decoder.start_from(layout)
    image = torch.randint(0, 255, (2, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        answer = layout(image)
        torch.testing.assert_close(decoder.eval()(answer.levels), answer.normals)


def test_landscapes_and_portraits_are_in_batches_of_their_own() -> None:
    layout, frame = shipped_layout(BASE, 0), crop(sloping_frame(), (96, 128))
    views = [seen_view(layout, quarter_turned(frame, turns)) for turns in (0, 1, 2, 3)]
    batches = by_shape(views)
    assert [len(batch) for batch in batches] == [2, 2]
    for batch in batches:
        total, cells = normals_angle(NormalsDecoder().eval(), batch)
        assert 0 < total.item() < cells.item() * np.pi
        assert cells == 2 * 12 * 16


def test_a_run_writes_a_decoder_whose_normals_the_file_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sloping_shards(tmp_path / "shards")
    write_nyu(tmp_path / "nyu", [f"{number:04}" for number in range(62)])
    given = ["--base", BASE, "--shards", tmp_path / "shards", "--real", tmp_path / "nyu"]
    arguments = ["normals", *map(str, given), "--steps", "12", "-o", str(tmp_path / "run")]
    assert main(arguments) == 0
    first, last = capsys.readouterr().out.splitlines()[1:]
    assert first.startswith("step 0: NYU ")
    assert last.startswith("step 12: loss ")
    weights = tmp_path / "run" / WEIGHTS
    decoder, changed = read_normals(weights), tmp_path / "changed.onnx"
    rewrite_base(BASE, normals=weights, out=changed)
    image = np.random.default_rng(0).integers(0, 255, (1, 192, 256, 3), dtype=np.uint8)
    before, after = (_answers(path, image) for path in (BASE, changed))
    np.testing.assert_array_equal(after["depth"], before["depth"])
    np.testing.assert_array_equal(after["sky"], before["sky"])
    assert np.abs(after["normals"] - before["normals"]).max() > 0.05
    stored = shipped_normals(changed)
    assert stored is not None
    for name, value in decoder.state_dict().items():
        if name.endswith("reduce.weight"):
            torch.testing.assert_close(stored.get_parameter(name), value, rtol=0.02, atol=0.01)


def _answers(path: Path, image: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path))
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "other.npz", {"w": torch.zeros(2)})
    with pytest.raises(InputError, match=r"other\.npz: no weights of a decoder of normals"):
        read_normals(tmp_path / "other.npz")
