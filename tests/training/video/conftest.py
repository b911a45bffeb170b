"""Footage of most tests; its motions are fitted once in a process, for all of their runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.sliding_walls import write_walls

_fits: dict[bytes, Any] = {}


@pytest.fixture(scope="module", autouse=True)
def remembered_fits() -> Iterator[None]:
    # Imported here, after pytest's hook that has the types of rilievo checked.
    from rilievo.data.motion import pair_motion

    fit = pair_motion.fit_pose

    def fit_once(corners: Any) -> Any:
        key = b"".join(array.tobytes() for array in corners)
        if key not in _fits:
            _fits[key] = fit(corners)
        return _fits[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_motion, "fit_pose", fit_once)
        yield


@pytest.fixture(scope="session")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walls(tmp_path_factory.mktemp("walls") / "clip", frames=16)
