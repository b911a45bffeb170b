"""Models at replicate.com: sent, waited for, checked before they are believed, secrets kept."""

import io

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import ModelError
from rilievo.models import load_model
from rilievo.records.depth_map import DepthKind
from support.replicate_calls import QUICK, model, photo, refusal
from support.replicate_server import (
    TOKEN,
    VERSION,
    Said,
    Service,
    colour_png,
    grey_png,
)


def test_a_grey_picture_comes_back_as_depth_of_the_kind_that_was_said(service: Service) -> None:
    [prediction] = model().predict_raw([photo()])
    assert prediction.depth.kind is DepthKind.AFFINE
    expected = np.broadcast_to(np.arange(64) * 4 / 255, (48, 64))
    np.testing.assert_allclose(prediction.depth.values, expected, atol=1e-6)
    assert prediction.made_by.settings["version"] == VERSION
    assert prediction.made_by.weights_sha256 == "unknown"
    assert TOKEN not in repr(prediction.made_by)


def test_the_pixels_are_sent_alone_and_deleted_afterwards(service: Service) -> None:
    sent: list[bytes] = []
    ramp = service.picture
    service.picture = lambda content: (sent.append(content), ramp(content))[1]
    model().predict_raw([photo(seed=3)])
    with Image.open(io.BytesIO(sent[0])) as image:
        np.testing.assert_array_equal(np.asarray(image), photo(seed=3).pixels)
        assert not image.info
        assert not image.getexif()
    assert service.files == {}
    assert b"kitchen" not in b"".join(request.body for request in service.requests)


def test_the_token_goes_to_the_service_and_not_to_where_results_are(service: Service) -> None:
    model().predict_raw([photo()])
    results = [each for each in service.requests if each.path.startswith("/results/")]
    others = [each for each in service.requests if not each.path.startswith("/results/")]
    assert results
    assert not any("Authorization" in each.headers for each in results)
    assert all(each.headers["Authorization"] == f"Bearer {TOKEN}" for each in others)
    assert not any(TOKEN in each.path or TOKEN.encode() in each.body for each in service.requests)


def test_inputs_and_the_name_of_the_image_are_as_the_user_sets_them(service: Service) -> None:
    asked = model(image="img", inputs='{"num_infer": 5}')
    asked.predict_raw([photo()])
    [create] = [each for each in service.requests if each.path == "/v1/predictions"]
    inputs = create.json()["input"]
    assert set(inputs) == {"img", "num_infer"}
    assert inputs["num_infer"] == 5
    assert create.json()["version"] == VERSION
    assert asked.settings["inputs"] == '{"num_infer": 5}'


def test_the_grey_one_of_a_grey_and_a_coloured_picture_is_taken(service: Service) -> None:
    service.picture = lambda _: [
        ("image/png", colour_png(64, 48)),
        ("image/png", grey_png([[257 * u for u in range(64)]] * 48, bits=16)),
    ]
    service.shape_output = lambda found: found
    [prediction] = model().predict_raw([photo()])
    expected = np.broadcast_to(np.arange(64) * 257 / 65535, (48, 64))
    np.testing.assert_allclose(prediction.depth.values, expected, atol=1e-6)


def test_a_named_result_is_taken_by_its_name_and_a_listed_one_by_its_place(
    service: Service,
) -> None:
    service.picture = lambda _: [
        ("image/png", grey_png([[0] * 64] * 48)),
        ("image/png", grey_png([[255] * 64] * 48)),
    ]
    service.shape_output = lambda found: found
    [prediction] = model(output="1").predict_raw([photo()])
    assert prediction.depth.values.min() == 1
    assert "2 of 2 pictures in the result are grey" in refusal(service)
    service.shape_output = lambda found: {"near": found[0], "far": found[1]}
    [prediction] = model(output="far").predict_raw([photo()])
    assert prediction.depth.values.min() == 1
    assert "its pictures are: near, far" in refusal(service, output="nearest")


def test_a_smaller_picture_of_the_same_shape_is_brought_to_the_photographs_size(
    service: Service,
) -> None:
    service.picture = lambda _: [("image/png", grey_png([[9] * 40] * 30))]
    [prediction] = model().predict_raw([photo()])
    assert prediction.shape == (48, 64)


def test_a_busy_service_is_asked_again_after_the_time_that_it_names(service: Service) -> None:
    told = model()
    service.next(
        "POST /v1/predictions",
        Said(status=429, body={"detail": "throttled"}, headers={"Retry-After": "1"}),
    )
    told.predict_raw([photo()])
    times = [each.time for each in service.requests if each.path == "/v1/predictions"]
    assert len(times) == 2
    assert times[1] - times[0] >= 1
    assert len(service.predictions) == 1


def test_a_wait_that_is_too_long_is_said_and_not_waited(service: Service) -> None:
    told = model()
    service.next("POST /v1/files", Said(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(ModelError, match="asks to wait 3600 seconds"):
        told.predict_raw([photo()])


def test_waits_grow_and_are_scattered(service: Service) -> None:
    told = model()
    service.next("GET /v1/predictions/", *[Said(status=500)] * 3)
    told.predict_raw([photo()])
    assert service.count("GET /v1/predictions/") == 4
    assert len(service.predictions) == 1


def test_errors_of_the_service_are_said_after_some_attempts(service: Service) -> None:
    service.next("POST /v1/predictions", *[Said(status=500, body={"detail": "oh dear"})] * 9)
    assert "answered with HTTP 500: oh dear" in refusal(service)
    assert service.count("POST /v1/predictions") == QUICK.attempts
    assert service.files == {}


def test_a_call_that_may_have_been_paid_is_not_sent_again(service: Service) -> None:
    service.next("POST /v1/predictions", Said(status=504))
    assert "HTTP 504" in refusal(service)
    service.next("POST /v1/predictions", Said(status=201, delay=3.5))
    assert "may have been accepted and charged" in refusal(service)
    assert service.count("POST /v1/predictions") == 2


def test_a_call_in_doubt_counts_as_one_that_was_agreed_to(service: Service) -> None:
    told = model(calls=1)
    service.next("POST /v1/predictions", Said(status=201, delay=3.5))
    with pytest.raises(ModelError, match="charged"):
        told.predict_raw([photo()])
    with pytest.raises(ModelError, match="none of the calls that you agreed to is left"):
        told.predict_raw([photo()])


@pytest.mark.parametrize(("status", "attempts"), [(422, 1), (503, QUICK.attempts)])
def test_a_call_that_was_refused_does_not_count(
    service: Service, status: int, attempts: int
) -> None:
    told = model(calls=1)
    service.next("POST /v1/predictions", *[Said(status=status)] * attempts)
    with pytest.raises(ModelError, match=f"HTTP {status}"):
        told.predict_raw([photo()])
    assert told.predict_raw([photo()])[0].depth.values.shape == (48, 64)


def test_reads_that_hang_or_break_off_are_asked_again(service: Service) -> None:
    told = model()
    service.next("GET /v1/predictions/", Said(body={}, delay=3.5), Said(body=b"{", claimed=99))
    service.next("GET /results/", Said(body=b"\x89PNG", type="image/png", claimed=5000))
    told.predict_raw([photo()])
    assert service.count("GET /results/") == 2
    assert len(service.predictions) == 1


def test_more_photographs_than_agreed_to_are_not_sent(service: Service) -> None:
    with pytest.raises(
        ModelError, match="3 paid calls, but only 2 of the calls that you agreed to are left"
    ):
        model(calls=2).predict_raw([photo()] * 3)
    assert service.count("POST") == 0
    told = model(calls=2)
    told.predict_raw([photo()] * 2)
    with pytest.raises(
        ModelError, match="1 paid call, but none of the calls that you agreed to is left"
    ):
        told.predict_raw([photo()])


def test_the_known_models_run_the_version_of_their_table(service: Service) -> None:
    told = load_model("replicate:adirik/marigold")
    assert told.card.kind is DepthKind.AFFINE
    version = str(told.settings["version"])
    assert version.startswith("1a363593bc48")
    assert service.count(f"GET /v1/models/adirik/marigold/versions/{version}") == 1
    other = load_model(f"replicate:adirik/marigold:{'ab' * 32}")
    assert other.settings["version"] == "ab" * 32


def test_replicates_own_client_gets_through_the_same_server(service: Service) -> None:
    """Replicate's client checks that the test server behaves as the service does."""
    from replicate.client import Client

    client = Client(api_token=TOKEN, base_url=service.address)
    sent = client.files.create(io.BytesIO(b"photo"))
    prediction = client.predictions.create(VERSION, {"image": sent.urls["get"]})
    while prediction.status not in ("succeeded", "failed"):
        prediction = client.predictions.get(prediction.id)
    assert str(prediction.output).endswith("/results/prediction0/0.png")
    client.files.delete(sent.id)
    theirs = [(each.method, each.path) for each in service.requests]
    before = len(service.requests)
    model().predict_raw([photo()])
    ours = [(each.method, each.path) for each in service.requests[before:]]
    for place in ("/v1/files", "/v1/predictions"):
        assert ("POST", place) in theirs
        assert ("POST", place) in ours
    bodies = [each.json() for each in service.requests if each.path == "/v1/predictions"]
    assert bodies[0].keys() == bodies[1].keys()
    types = [each.headers["Content-Type"] for each in service.requests if each.path == "/v1/files"]
    assert all(each.startswith("multipart/form-data; boundary=") for each in types)
