"""Calls of a model at the look-alike of replicate.com, for tests."""

import traceback
from collections.abc import Iterator

import numpy as np
import pytest

from rilievo.errors import RilievoError
from rilievo.models.load_options import LoadOptions
from rilievo.models.replicate_cards import version_card
from rilievo.models.replicate_model import ReplicateModel, RetryPolicy, load
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo
from support.replicate_server import TOKEN, Service, replicate_server

QUICK = RetryPolicy(
    attempts=4, first_wait=0.01, max_wait=3.0, request_timeout=2.0, max_poll_interval=0.01
)


@pytest.fixture(name="service")
def running_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with replicate_server() as running:
        monkeypatch.setenv("REPLICATE_API_TOKEN", TOKEN)
        monkeypatch.setenv("REPLICATE_BASE_URL", running.address)
        yield running


def model(kind: DepthKind = DepthKind.AFFINE, **settings: Setting) -> ReplicateModel:
    card = version_card("replicate:who/depth", kind)
    assert card is not None
    return load(card, LoadOptions(settings={"calls": 9, **settings}), QUICK)


def photo(height: int = 48, width: int = 64, seed: int = 0) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Photo(pixels=pixels, name="kitchen.jpg")


def refusal(service: Service, **settings: Setting) -> str:
    """Error of a photograph, checked not to contain the token."""
    with pytest.raises(RilievoError) as caught:
        model(**settings).predict_raw([photo()])
    shown = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in shown
    assert "\n" not in str(caught.value)
    return str(caught.value)
