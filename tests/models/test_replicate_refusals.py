"""Errors of replicate.com, or of our requests: a clear line each, without secrets."""

import threading
import time
import traceback

import numpy as np
import pytest

from rilievo.errors import InputError, ModelError, OptionError
from rilievo.models import load_model
from rilievo.models.replicate_model import grey_picture
from rilievo.records.prediction_record import Setting
from support.replicate_calls import model, photo, refusal
from support.replicate_server import (
    TOKEN,
    Said,
    Service,
    colour_png,
    grey_png,
    png,
)


def test_a_failed_prediction_is_told_in_the_services_words(service: Service) -> None:
    service.fails_with = f"CUDA out of memory\nTraceback: token {TOKEN}"
    message = refusal(service)
    assert "the prediction ended as 'failed': CUDA out of memory" in message
    assert service.files == {}


def test_a_token_that_the_service_echoes_is_not_shown(service: Service) -> None:
    service.fails_with = f"unknown user {TOKEN}"
    assert "unknown user ***" in refusal(service)
    service.next("POST /v1/predictions", Said(status=422, body={"detail": f"no {TOKEN}, no"}))
    assert "HTTP 422: no ***, no" in refusal(service)


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({"id": "file0"}, "urls"),
        ({"id": "file0", "urls": "https"}, "urls"),
        ({"id": "file0", "urls": {}}, "urls"),
        ({"id": "file0", "urls": {"get": 5}}, "get"),
        ({"id": "file0", "urls": {"get": ""}}, "get"),
    ],
)
def test_a_reply_without_what_is_needed_next_is_told(
    service: Service, body: dict[str, object], missing: str
) -> None:
    service.next("POST /v1/files", Said(status=201, body=body))
    assert f"the reply from replicate.com does not contain '{missing}'" in refusal(service)


def test_a_prediction_that_takes_too_long_is_cancelled(service: Service) -> None:
    service.polls_needed = 10**9
    assert "cancelled, because there was no result after 1 second;" in refusal(service, timeout=1)
    assert service.cancelled == ["prediction0"]
    assert service.files == {}


def test_who_stops_waiting_cancels_the_prediction(service: Service) -> None:
    service.polls_needed = 10**9
    told = model()
    caught: list[BaseException] = []

    def work() -> None:
        try:
            told.predict_raw([photo()])
        except ModelError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not service.count("GET /v1/predictions/"):
        time.sleep(0.005)
    told.interrupt()
    thread.join(5)
    assert not thread.is_alive()
    assert "stopped" in str(caught[0])
    assert service.cancelled == ["prediction0"]
    assert service.files == {}


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (("image/png", b"<html>sorry</html>"), "the result cannot be read as a picture"),
        (("image/png", grey_png([[7] * 64] * 48)[:-30]), "the result cannot be read as a picture"),
        (
            ("image/png", grey_png([[7] * 64] * 64)),
            "64 x 64 pixels, but the photograph has another",
        ),
        (("image/png", colour_png(64, 48)), "the picture in the result is coloured"),
        (("image/png", b""), "the result cannot be read as a picture"),
    ],
)
def test_results_are_checked_before_they_are_believed(
    service: Service, result: tuple[str, bytes], words: str
) -> None:
    service.picture = lambda _: [result]
    assert words in refusal(service)


@pytest.mark.parametrize("output", [None, 3, [], {"depth": 7}, "file:///etc/passwd"])
def test_an_output_without_a_picture_is_refused(service: Service, output: object) -> None:
    service.shape_output = lambda _: output
    assert "model 'replicate:who/depth'" in refusal(service)


def test_an_error_page_in_place_of_json_is_told(service: Service) -> None:
    service.next(
        "POST /v1/predictions", Said(body=b"<html>proxy</html>", type="text/html", status=200)
    )
    assert "with JSON" in refusal(service)


def test_a_service_that_points_elsewhere_is_not_followed(service: Service) -> None:
    service.next(
        "POST /v1/files", Said(status=302, headers={"Location": f"{service.address}/stolen"})
    )
    assert "redirects to another address" in refusal(service)
    assert service.count("GET /stolen") == 0


def test_a_token_that_is_not_accepted_is_told_before_anything_is_sent(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_wrong")
    with pytest.raises(ModelError, match="REPLICATE_API_TOKEN is not accepted") as caught:
        model()
    assert "r8_wrong" not in "".join(traceback.format_exception(caught.value))
    assert service.count("POST") == 0


def test_an_account_without_credit_is_asked_once(service: Service) -> None:
    told = model()
    service.next("POST /v1/predictions", Said(status=402, body={"detail": "pay"}))
    for _ in range(3):
        with pytest.raises(ModelError, match="no credit left"):
            told.predict_raw([photo()])
    assert service.count("POST /v1/predictions") == 1
    assert service.count("POST /v1/files") == 1


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "set REPLICATE_API_TOKEN to your token"),
        ("r8_a\nHost: b", "has spaces or other characters"),
    ],
)
def test_a_token_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, token: str, words: str
) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", token)
    with pytest.raises(ModelError, match=words) as caught:
        model()
    assert not token or token not in str(caught.value)


def test_the_token_is_never_sent_in_the_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", TOKEN)
    monkeypatch.setenv("REPLICATE_BASE_URL", "http://api.replicate.example")
    with pytest.raises(ModelError, match="begins with https://"):
        model()


def test_no_service_is_told(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", TOKEN)
    monkeypatch.setenv("REPLICATE_BASE_URL", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(ModelError, match=r"127\.0\.0\.1 cannot be reached"):
        model()


def test_a_photograph_too_large_to_send_is_told(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rilievo.models.replicate_model.MAX_BYTES", 1000)
    with pytest.raises(
        InputError, match=r"kitchen\.jpg: would be sent as .* make the photograph smaller"
    ):
        model().predict_raw([photo()])
    assert service.count("POST") == 0


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("replicate:who/depth", None, "give kind='affine' if they show depth"),
        ("replicate:who/depth", "metric", "stretched to its own range"),
        ("replicate:who", "affine", "expected replicate:owner/name"),
        ("replicate:who/depth:12", "affine", "64 hex digits"),
        (
            "replicate:cjwbw/midas",
            "affine",
            "its kind of depth is affine_inverse, but you gave affine",
        ),
    ],
)
def test_names_and_kinds_that_cannot_be_are_refused(
    name: str, kind: str | None, words: str
) -> None:
    with pytest.raises((ModelError, OptionError), match=words):
        load_model(name, kind=kind)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"calls": 0}, "calls must be 1 or more"),
        ({"inputs": "[1]"}, "inputs must be a JSON object"),
        ({"inputs": '{"image": 1}'}, "which is the input for the photograph"),
        ({"timeout": 0}, "timeout must be 1 to 86400"),
        ({"image": ""}, "name of an input"),
        ({"steps": 4}, "has no setting 'steps'"),
    ],
)
def test_settings_out_of_range_are_refused(
    service: Service, settings: dict[str, Setting], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        model(**settings)


def test_where_it_runs_is_not_ours_to_choose(service: Service) -> None:
    with pytest.raises(OptionError, match=r"runs at replicate\.com"):
        load_model("replicate:who/depth", kind="affine", device="cuda")


@pytest.mark.slow
@pytest.mark.parametrize(
    "result",
    [
        f"http://{TOKEN}.example/depth.png",
        f"https://{TOKEN}.invalid/depth.png",
        {f"{TOKEN}": f"file://{TOKEN}"},
    ],
)
def test_results_named_after_the_token_do_not_show_it(service: Service, result: object) -> None:
    service.shape_output = lambda _: result
    message = refusal(service, output="0")
    assert TOKEN.lower() not in message.lower()
    assert TOKEN.lower() not in refusal(service).lower()


@pytest.mark.parametrize("id", [TOKEN, "7a" * 31, "../" + "7a" * 32])
def test_a_version_that_is_none_gets_into_no_result(service: Service, id: str) -> None:
    service.next("GET /v1/models", Said(body={"latest_version": {"id": id}}))
    with pytest.raises(
        ModelError, match="an invalid version, or not with the requested one"
    ) as caught:
        model()
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_a_coloured_picture_with_a_grey_frame_is_no_depth() -> None:
    pixels = np.full((48, 64, 3), 90, np.uint8)
    pixels[8:-8, 8:-8, 0] = 200
    with pytest.raises(ModelError, match="the picture in the result is coloured"):
        grey_picture([png(64, 48, 8, 2, filtered(pixels))], (48, 64))
    pixels[..., 0] = 90
    grey = grey_picture([png(64, 48, 8, 2, filtered(pixels))], (48, 64))
    np.testing.assert_allclose(grey, 90 / 255, rtol=1e-6)


@pytest.mark.parametrize(("size", "fits"), [((30, 40), True), ((31, 40), True), ((32, 40), False)])
def test_a_small_result_may_be_rounded_by_a_pixel_and_not_by_two(
    size: tuple[int, int], fits: bool
) -> None:
    result = grey_png([[7] * size[1]] * size[0])
    if fits:
        assert grey_picture([result], (3000, 4000)).shape == size
    else:
        with pytest.raises(ModelError, match=r"another aspect ratio \(4000 x 3000\)"):
            grey_picture([result], (3000, 4000))


def filtered(pixels: np.ndarray) -> bytes:
    """Rows of a PNG, without a filter."""
    return b"".join(b"\0" + row.tobytes() for row in pixels)
