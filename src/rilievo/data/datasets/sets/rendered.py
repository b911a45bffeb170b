"""Rendered scenes: frames that ``python -m lab.scenes --files`` of a checkout writes."""

from rilievo.data.datasets.base import own_card
from rilievo.data.datasets.folder import Folder


class Rendered(Folder):
    """Frames of randomly generated scenes, with exact ground truth."""

    card = own_card("synthetic")
