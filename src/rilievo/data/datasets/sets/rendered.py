"""Rendered scenes of ``python -m lab.scenes --files``."""

from rilievo.data.datasets.folder import Folder
from rilievo.data.datasets.loaders import own_card


class Rendered(Folder):
    """Generated scenes with exact truth."""

    card = own_card("synthetic")
