"""Photographs with a teacher's depth as training frames."""

import copy
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lab.making.distil.depth_losses import taught_depth_loss
from lab.making.distil.distil_config import Stage, TrainConfig
from lab.making.distil.distil_run import provenance_of
from lab.making.distil.distil_task import train
from lab.making.distil.frames.distil_frames import LessonFrames
from lab.making.distil.frames.frame_batches import collate
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.distil.frames.shards import KINDS, read_shard
from lab.making.distil.small_export import Provenance, export_small
from lab.making.distil.teacher import teach, write_lessons
from lab.making.distil.teachers import read_teachers
from rilievo.errors import InputError, OutputError
from rilievo.models import load_model
from rilievo.models.base import Inference, Model
from rilievo.models.resampling.resizing import resize
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from rilievo.training.networks.small import SmallNet
from support.light_networks import LIGHT

PROVENANCE = Provenance(name="pupil", trained_on="lessons")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two photographs of other sizes, and a file that is none."""
    random = np.random.default_rng(0)
    paths = [tmp_path / name for name in ("a.png", "b.png", "broken.png")]
    for path, size in zip(paths, ((90, 140, 3), (160, 100, 3)), strict=False):
        Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(path)
    paths[2].write_bytes(b"no picture")
    return paths


def test_a_teachers_depth_and_normals_become_frames(photos: list[Path], tmp_path: Path) -> None:
    teacher = load_model()
    taken, failures = write_lessons(teacher, photos, tmp_path / "shards", (64, 96))
    assert taken == 2
    assert "broken.png" in str(failures[0])
    shard = read_shard(tmp_path / "shards" / "shard-00000.npz")
    said = teacher.predict_raw([np.asarray(shard.image[0])])[0]
    assert said.depth is not None
    assert said.normals is not None
    frame = shard.frame(0)
    np.testing.assert_allclose(frame.log_depth, np.log(said.depth.values), atol=2e-3)
    np.testing.assert_allclose(frame.normals / 127, said.normals, atol=0.005)
    assert np.isnan(frame.camera[0])
    assert len(ShardPool(tmp_path / "shards", outdoors=0.0)) == 2


def test_the_card_of_a_network_names_its_teachers_and_their_licences(
    photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, commercial in (("ours", True), ("theirs", False)):
        teacher = load_model("rilievo/small")
        licence = "MIT" if commercial else "CC-BY-NC-4.0"
        teacher.card = replace(
            teacher.card, name=f"test/{name}", licence=licence, commercial=commercial
        )
        write_lessons(teacher, photos, tmp_path / "shards" / name, (64, 96))
    teachers = read_teachers(tmp_path / "shards")
    assert [each.model for each in teachers] == ["test/ours", "test/theirs"]
    assert teachers[0].weights_sha256 == load_model("rilievo/small").weights_sha256
    provenance = provenance_of(teachers)
    assert "NON-COMMERCIAL LICENCE of a teacher" in "".join(capsys.readouterr())
    path = tmp_path / "pupil.onnx"
    export_small(SmallNet(LIGHT), path, provenance)
    model = load_model(path, device="cpu")
    named = "test/ours (MIT), test/theirs (CC-BY-NC-4.0, NON-COMMERCIAL)"
    assert model.card.teacher == named
    assert model.card.licence == f"its maker's; labelled by {named}"
    assert model.made_by.licence == model.card.licence


def test_a_broken_record_of_a_teacher_is_named(tmp_path: Path) -> None:
    (tmp_path / "teacher.json").write_text("{")
    with pytest.raises(InputError, match=r"teacher\.json: not the record of a teacher"):
        read_teachers(tmp_path)
    assert provenance_of(()).licence == "Apache-2.0"


def test_no_photograph_at_all_is_refused(photos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photograph to learn from"):
        write_lessons(load_model(), photos[2:], tmp_path / "shards", (64, 96))


def test_shards_that_are_there_are_not_overwritten(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "shard-00000.npz").write_bytes(b"hours of rendering")
    with pytest.raises(OutputError, match="holds shards already"):
        write_lessons(load_model(), photos, tmp_path / "shards", (64, 96))
    assert (tmp_path / "shards" / "shard-00000.npz").read_bytes() == b"hours of rendering"


def test_a_folder_without_photographs_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no folder with photographs"):
        teach("rilievo/small", tmp_path / "nowhere", tmp_path / "shards")


class RandomTeacher(Model):
    """Smooth depth by chance, in numbers of one kind."""

    def __init__(self, kind: DepthKind) -> None:
        self.card = replace(load_model().card, kind=kind, normals=False)
        self.weights_sha256, self.settings = "", {}
        self.said: list[np.ndarray] = []

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        answers = []
        for photo in photos:
            coarse = np.random.default_rng(len(self.said)).uniform(1, 5, (4, 5))
            depth = resize(coarse.astype(np.float32), photo.shape)
            self.said.append(depth)
            values = {
                DepthKind.METRIC: depth,
                DepthKind.UP_TO_SCALE: 300 * depth,
                DepthKind.AFFINE: 0.1 * depth - 20,
                DepthKind.AFFINE_INVERSE: 4000 / depth - 77,
            }
            answers.append(Inference(depth=values[self.card.kind]))
        return answers


@pytest.mark.parametrize("kind", KINDS)
def test_lessons_of_every_kind_are_learned_without_what_the_kind_leaves_open(
    kind: DepthKind, photos: list[Path], tmp_path: Path
) -> None:
    teacher = RandomTeacher(kind)
    write_lessons(teacher, photos, tmp_path / "shards", (64, 96))
    shard = read_shard(tmp_path / "shards" / "shard-00000.npz")
    assert [KINDS[each] for each in shard.kind] == [kind, kind]
    batch = collate([shard.frame(0), shard.frame(1)])
    assert not batch.normals_valid.any()
    right = torch.from_numpy(np.log(np.stack(teacher.said)))
    arguments = (batch.log_depth, batch.valid, batch.sign)
    # Half precision is all that keeps it from zero.
    assert taught_depth_loss(right + 3, *arguments) < 0.01
    wrong = right + torch.randn(right.shape, generator=torch.Generator().manual_seed(0))
    assert taught_depth_loss(wrong, *arguments) > 0.3


@pytest.mark.slow
def test_a_run_learns_from_teachers_of_all_kinds_at_once(
    photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, kind in enumerate(KINDS):
        write_lessons(RandomTeacher(kind), photos, tmp_path / kind, (64, 96))
        lesson = tmp_path / kind / "shard-00000.npz"
        (tmp_path / "all").mkdir(exist_ok=True)
        lesson.rename(tmp_path / "all" / f"shard-{number:05d}.npz")
    lesson = tmp_path / "all" / f"shard-{len(KINDS) - 1:05d}.npz"
    # The first is held out: that it be of the last kind.
    shutil.copy(lesson, tmp_path / "all" / "shard-.npz")
    stage = Stage(until=1.0, areas=(64 * 96,))
    config = TrainConfig(steps=2, stages=(stage,), batch_size=6, confidence_steps=2)
    frames = LessonFrames(ShardPool(tmp_path / "all", outdoors=0.0))
    torch.manual_seed(0)
    network = SmallNet(LIGHT)
    before = copy.deepcopy(network.state_dict())
    after = train(config, network, frames, tmp_path / "run", provenance=PROVENANCE).state_dict()
    assert all(torch.isfinite(each).all() for each in after.values())
    assert any(not torch.equal(each, after[name]) for name, each in before.items())
    [row] = (tmp_path / "run" / "validation.csv").read_text().splitlines()[1:]
    assert 0 < float(row.split(",")[4]) < 10
    said = capsys.readouterr().err.splitlines()
    assert any("step 2 of 2" in line and "loss" in line for line in said)
