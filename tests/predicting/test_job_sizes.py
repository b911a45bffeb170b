"""The sizes of one input among many: its rows of a table, or its file in a folder of a sensor."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.calibration.sizes import KnownPoint
from rilievo.cli import main
from rilievo.errors import InputError
from rilievo.options.known_sizes import KnownSizes
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.metres.job_sizes import sizes_of_job
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.results import ResultWriter
from rilievo.predicting.photographs.run_record import input_record, run_record
from support.relief import Relief

ROWS = "file,u,v,metres\na.png,1,2,3\nb.png,4,5,6\na.png,7,8,9.5\n"


def job_of(folder: Path, name: str) -> Job:
    source = folder / f"{name}.png"
    source.touch()
    return Job(source=source, medium=Medium.PHOTO, target=folder / "out" / "trip" / name)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "known.csv"
    path.write_text(ROWS)
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    return path


def test_a_job_has_its_own_rows_of_a_table(table: Path) -> None:
    sizes = sizes_of_job(KnownSizes(known=(str(table),)), job_of(table.parent, "a"), table.parent)
    assert sizes.known_sizes == (KnownPoint(u=1, v=2, metres=3), KnownPoint(u=7, v=8, metres=9.5))
    assert sizes.table is None


def test_all_rows_belong_to_each_job_of_a_fixed_camera(table: Path) -> None:
    sizes = KnownSizes(known=(str(table),), same_camera=True)
    assert len(sizes_of_job(sizes, job_of(table.parent, "b"), table.parent).known_sizes) == 3


def test_a_job_without_a_row_is_refused(table: Path) -> None:
    with pytest.raises(InputError, match="no known size for this photograph"):
        sizes_of_job(KnownSizes(known=(str(table),)), job_of(table.parent, "c"), table.parent)


def test_the_record_of_a_row_is_that_of_the_same_size_as_an_option(table: Path) -> None:
    job = job_of(table.parent, "b")
    writers = [
        ResultWriter(model=Relief(), options=PredictOptions(known=known))
        for known in ([str(table)], ["4,5,6"])
    ]
    in_table, as_option = (
        run_record(writer.options_of(job), job.medium, input_record(job)) for writer in writers
    )
    assert in_table == as_option


def test_the_folder_of_a_sensor_has_the_tree_of_the_results(tmp_path: Path) -> None:
    file = tmp_path / "sensor" / "trip" / "a.npy"
    file.parent.mkdir(parents=True)
    file.touch()
    sizes, output = KnownSizes(sparse=tmp_path / "sensor"), tmp_path / "out"
    assert sizes_of_job(sizes, job_of(tmp_path, "a"), output).sparse == file
    with pytest.raises(InputError, match="contains no file"):
        sizes_of_job(sizes, job_of(tmp_path, "b"), output)


@pytest.mark.parametrize("command", ["predict", "measure"])
@pytest.mark.parametrize("option", ["sparse", "known", "valid-mask", "camera", "cam-T-sensor"])
def test_a_missing_file_of_an_option_has_one_exit_code(
    command: str,
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save("photo.png")
    np.save("depth.npy", np.ones((48, 64), np.float32))
    words = [command, "photo.png", f"--{option}", "absent.csv"]
    words += ["9,9", "40,40"] if command == "measure" else ["-o", "out"]
    words += ["--sparse", "depth.npy"] if option == "cam-T-sensor" else []
    assert main(words) == 2
    assert "absent.csv" in capsys.readouterr().err
