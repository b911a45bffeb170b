"""The decoder of normals: its frames, its training, and its way into the shipped file."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image

from lab.making.command import main
from lab.making.distil.frames.augment import crop
from lab.making.distil.frames.training_frames import Frame
from lab.making.layout_network import NormalsDecoder
from lab.making.normals_training import (
    WEIGHTS,
    by_shape,
    normals_angle,
    photograph_view,
    seen_view,
)
from lab.making.shipped_layout import shipped_layout, shipped_normals, write_weights
from lab.making.write_default_models import read_normals, rewrite_base
from rilievo.errors import InputError
from rilievo.models.default import embedded
from support.nyu_training_folder import write_nyu
from support.sloping_shards import write_sloping_shards

BASE = Path(embedded.__file__).parent / "base.onnx"
NORMAL = (0.48, 0.36, -0.8)


def sloping_frame() -> Frame:
    """A plane that falls away to the right and upwards, seen by a camera with its own centre."""
    height, width, fx, fy, cx, cy = 48, 64, 60.0, 50.0, 30.0, 25.0
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    normal = np.array(NORMAL)
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


def test_the_decoder_starts_with_the_normals_of_the_layout_network() -> None:
    layout, decoder = shipped_layout(BASE, 0), NormalsDecoder()
    decoder.start_from(layout)
    image = torch.randint(0, 255, (2, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        answer = layout(image)
        torch.testing.assert_close(decoder.eval()(answer.levels), answer.normals)


def test_the_angle_of_a_view_is_that_of_its_cells() -> None:
    layout, decoder = shipped_layout(BASE, 0), NormalsDecoder()
    decoder.start_from(layout)
    view = seen_view(layout, crop(sloping_frame(), (96, 128)))
    assert view.known.sum() == 12 * 16
    with torch.no_grad():
        angle, cells = normals_angle(decoder.eval(), [view, view])
        levels = [level[None].float() for level in view.levels]
        predicted = F.normalize(decoder((levels[0], levels[1], levels[2])), dim=1)[0]
    true = torch.tensor(NORMAL)[:, None, None].float()
    expected = torch.acos((predicted * true).sum(dim=0)).mean()
    assert cells == 2 * 12 * 16
    torch.testing.assert_close(angle / cells, expected, rtol=0, atol=0.01)


def test_the_normals_of_a_photograph_shall_stay() -> None:
    layout, decoder = shipped_layout(BASE, 0), NormalsDecoder()
    decoder.start_from(layout)
    view = photograph_view(layout, skimage.data.astronaut()[:192, :256])
    assert view.known.all()
    angle, cells = normals_angle(decoder.eval(), [view])
    assert angle.item() < 0.02 * cells.item()  # Features are in half precision.


def test_views_of_one_shape_are_a_batch() -> None:
    layout, frame = shipped_layout(BASE, 0), sloping_frame()
    views = [seen_view(layout, crop(frame, shape)) for shape in ((96, 128), (64, 192), (96, 128))]
    assert [[view.known.shape for view in batch] for batch in by_shape(views)] == [
        [(12, 16), (12, 16)],
        [(8, 24)],
    ]


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    write_sloping_shards(tmp_path / "shards")
    given = ["--base", BASE, "--shards", tmp_path / "shards", "--real", tmp_path]
    given += ["--photos", tmp_path, "-o", tmp_path / "run"]
    with pytest.raises(InputError, match=r"no \.jpg files; give a folder of photographs"):
        main(["normals", *map(str, given)])


@pytest.mark.slow
def test_a_run_writes_a_decoder_whose_normals_the_file_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sloping_shards(tmp_path / "shards")
    write_nyu(tmp_path / "nyu", [f"{number:04}" for number in range(62)])
    (tmp_path / "photos").mkdir()
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "photos" / "astronaut.jpg")
    given = ["--base", BASE, "--shards", tmp_path / "shards", "--real", tmp_path / "nyu"]
    given += ["--photos", tmp_path / "photos"]
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
