"""Signs of a run that learns nothing: said once, with what to try, and not of one that learns."""

import pytest

from rilievo.training.engine.progress import listed
from rilievo.training.video.video_task import FIRST_STEP, PATIENCE, SIGNS, SignWatch, Warned

LEARNS = {
    "step": 0,
    "epoch": 1.0,
    "learning_rate": 1e-4,
    "loss": 0.1,
    "photometric": 0.1,
    "smoothness": 0.01,
    "extra": 0.0,
    "warp_error": 0.09,
    "identity_error": 0.12,
    "masked": 0.4,
    "mean_depth": 1.5,
    "depth_spread": 0.4,
    "saturated": 0.0,
    "translation": 0.03,
    "rotation": 0.5,
    "images_per_second": 5.0,
    "seconds": 10.0,
}
FAILING = {
    "flat": {"depth_spread": 0.001},
    "saturated": {"saturated": 0.97},
    "masked": {"masked": 0.999},
    "still": {"translation": 1e-5},
    "unexplained": {"warp_error": 0.13},
}


def warnings(row: dict[str, float], said: tuple[str, ...] = ()) -> list[tuple[int, Warned]]:
    """Steps and warnings of 200 such rows."""
    watch, found = SignWatch(), []
    for step in range(25, 5025, 25):
        new = watch.look(row | {"step": step}, (*said, *(each.kind for _, each in found)))
        found += [(step, each) for each in new]
    return found


def test_a_run_that_learns_is_left_alone() -> None:
    assert warnings(LEARNS) == []


@pytest.mark.parametrize("kind", list(FAILING))
def test_each_sign_is_said_once_with_what_to_try(kind: str) -> None:
    found = warnings(LEARNS | FAILING[kind])
    assert [each.kind for _, each in found] == [kind]
    assert "try" in found[0][1].text or "look at" in found[0][1].text
    assert "{" not in found[0][1].text


def test_every_sign_is_tried_here() -> None:
    assert {sign.kind for sign in SIGNS} == set(FAILING)


def test_a_network_fresh_from_chance_is_given_time() -> None:
    found = warnings(LEARNS | {"depth_spread": 0.001})
    assert found[0][0] == FIRST_STEP + 25 * (PATIENCE - 1)


def test_a_sign_that_comes_and_goes_is_not_said() -> None:
    watch, found = SignWatch(), []
    for k in range(200):
        spread = 0.4 if k % PATIENCE == 0 else 0.001
        found += watch.look(LEARNS | {"step": 25 * (k + 1), "depth_spread": spread})
    assert found == []


def test_a_run_that_goes_on_does_not_repeat_what_was_said_before() -> None:
    assert warnings(LEARNS | {"masked": 1.0}, said=("masked",)) == []


def test_the_first_and_the_last_of_many_notes_are_said() -> None:
    notes = tuple(map(str, range(20)))
    said = listed(notes)
    assert (said[:4], said[5:]) == (notes[:4], notes[-4:])
    assert said[4] == "... and 12 more, in record.json at the end"
    assert listed(notes[:8]) == notes[:8]
