"""Rendered scenes of ``python -m lab.scenes --files``."""

from rilievo.data.datasets.dataset import own_card
from rilievo.data.datasets.folder import Folder


class Rendered(Folder):
    """Generated scenes with exact truth."""

    card = own_card("synthetic")
