"""Predictions scored by exact, named protocols."""

from typing import NoReturn

from rilievo.other_libraries import refuse_of_module


def __getattr__(name: str) -> NoReturn:
    refuse_of_module(__name__, name)
