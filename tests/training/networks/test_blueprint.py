"""Settings of a probe that no memory holds are refused before anything is allocated."""

from collections.abc import Callable

import pytest

from rilievo.errors import OptionError
from rilievo.training.networks.blueprint import DepthChoice, Form, ProbeChoice, Readout


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DepthChoice(bins=1), "2 to 65,536 bins, got 1"),
        (lambda: DepthChoice(bins=2**40), "2 to 65,536 bins, got 1099511627776"),
        (lambda: DepthChoice(bins=2**63), "2 to 65,536 bins"),
        (lambda: ProbeChoice(hidden=0), "1 to 65,536 hidden channels, got 0"),
        (lambda: ProbeChoice(hidden=2**40), "1 to 65,536"),
        (lambda: ProbeChoice(kernel=2), "kernel must be 1 or 3, got 2"),
        (
            lambda: DepthChoice(form=Form.SIGMOID, readout=Readout.MOST_PROBABLE),
            "readout most_probable needs form bins, got sigmoid",
        ),
    ],
)
def test_numbers_of_channels_have_a_limit(make: Callable[[], object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make()


def test_the_usual_numbers_are_taken() -> None:
    assert DepthChoice(bins=256).bins == 256
    assert ProbeChoice(hidden=512).hidden == 512
