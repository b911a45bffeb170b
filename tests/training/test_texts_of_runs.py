"""Small files of text in folders of runs and checkpoints that are not what they should be."""

import os
from pathlib import Path

import pytest

from rilievo.errors import InputError, ModelError
from rilievo.training.adapters.checkpoint_config import read_config, read_processor
from rilievo.training.adapters.run_models import is_probe_run, read_probe_run
from rilievo.training.sweep.sweep_cell import read_cell

READERS = {
    "cell.json": lambda path: read_cell(path.parent),
    "config.json": lambda path: (read_config(path), read_probe_run(path.parent)),
    "preprocessor_config.json": lambda path: read_processor(path.parent, "dpt"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_before_it_is_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises((InputError, ModelError)):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", READERS)
def test_json_that_is_nested_deeper_than_a_stack_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[" * 100_000)
    with pytest.raises((InputError, ModelError)) as caught:
        READERS[name](tmp_path / name)
    assert str(caught.value).isprintable()


def test_a_folder_whose_configuration_is_a_pipe_is_no_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert not is_probe_run(tmp_path)
