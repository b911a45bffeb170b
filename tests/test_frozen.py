"""Records: signature, defaults, checks and inheritance are those of the same dataclass."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, replace
from inspect import signature
from typing import Any

import pytest

from rilievo.frozen import frozen


def make_kinds(record: Callable[..., Any]) -> tuple[Any, Any]:
    """A record with defaults and a check, and one that inherits from it."""

    @record
    class Size:
        """Size of a picture."""

        height: int
        width: int = 3
        names: list[str] = field(default_factory=list)

        def __post_init__(self) -> None:
            if self.height < 0:
                raise ValueError("height")

    @record
    class Volume(Size):
        """Size with a depth."""

        depth: float = 1.5

    return Size, Volume


PLAIN = make_kinds(dataclass(frozen=True, kw_only=True, slots=True))


@pytest.mark.parametrize("place", [0, 1])
def test_a_record_has_the_signature_of_a_dataclass_before_its_first_use(place: int) -> None:
    assert signature(make_kinds(frozen)[place]) == signature(PLAIN[place])


@pytest.mark.parametrize("place", [0, 1])
def test_a_record_is_made_copied_and_refused_as_a_dataclass_is(place: int) -> None:
    own, plain = make_kinds(frozen)[place], PLAIN[place]
    first, second = own(height=2), own(height=2)
    assert repr(first).rpartition(".")[2] == repr(plain(height=2)).rpartition(".")[2]
    assert first == second
    assert first.names is not second.names
    assert replace(first, width=7) == own(height=2, width=7)
    with pytest.raises(FrozenInstanceError):
        first.width = 4
    for arguments in ({}, {"height": 1, "length": 2}, {"height": -1}):
        with pytest.raises((TypeError, ValueError)) as expected:
            plain(**arguments)
        with pytest.raises(expected.type) as refused:
            own(**arguments)
        assert str(refused.value).rpartition(".")[2] == str(expected.value).rpartition(".")[2]


def test_init_of_a_record_that_has_its_own_is_kept() -> None:
    @frozen
    class Square:
        side: int

        def __init__(self, area: int) -> None:
            object.__setattr__(self, "side", round(area**0.5))

    assert Square(9).side == 3
