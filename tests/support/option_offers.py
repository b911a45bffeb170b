"""Table of options at doors, for tests that go over each field and each door that offers it."""

from collections.abc import Sequence
from dataclasses import dataclass

from rilievo.predicting.options import RECORDS
from rilievo.schema.fields import Effect, Interface, OptionField, list_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One option at one door.

    Attributes:
        record: Record that declares it.
        option: The field, with its range, choices and default; ``option.declaration.affects`` says
            what a test of its effect has to see change.
        door: Interface that offers it.
    """

    record: type
    option: OptionField
    door: Interface


def offers(affects: Effect | None = None, door: Interface | None = None) -> Sequence[Offer]:
    """List every option at every door, or those with one effect, or those of one door."""
    return [
        Offer(record=record, option=one, door=candidate)
        for record in RECORDS.values()
        for one in list_options(record)
        for candidate in Interface
        if candidate in one.declaration.available_in
        and affects in (None, one.declaration.affects)
        and door in (None, candidate)
    ]
