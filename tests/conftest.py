"""What several tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of recorded frames that ``RILIEVO_DATA`` names; its tests are skipped without."""
    folder = os.environ.get("RILIEVO_DATA")
    if folder is None:
        pytest.skip("RILIEVO_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests convert and compile out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RILIEVO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


pytest_plugins = ("tiny_networks", "replicate_calls")
