"""What several tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of recorded frames that ``RILIEVO_DATA`` names; its tests are skipped without."""
    folder = os.environ.get("RILIEVO_DATA")
    if folder is None:
        pytest.skip("RILIEVO_DATA is not set")
    return Path(folder)


pytest_plugins = ("tiny_networks",)
