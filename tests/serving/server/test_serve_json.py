"""Bodies of JSON: the same answers as bytes and forms, and one line for what is wrong."""

import base64
import json
from collections.abc import Iterator

import pytest

from support.served import Served, picture, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as server:
        yield server


def text_of(image: bytes) -> str:
    return base64.b64encode(image).decode()


@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
@pytest.mark.parametrize(
    ("address", "parameters"),
    [
        ("/v1/predict", {"known": ["40,30,2.5"], "at": ["40,30"], "fov": 60}),
        ("/v1/measure", {"known": "40,30,2.5", "box": "10,10,30,30"}),
    ],
)
def test_json_answers_as_a_form_does(
    server: Served, address: str, parameters: dict[str, object], head: str
) -> None:
    form = server.client.post(address, files={"image": ("a.png", picture())}, data=parameters)
    body = {"image": head + text_of(picture()), **parameters}
    answer = server.client.post(address, json=body)
    assert answer.status_code == 200, answer.text
    said, wanted = answer.json(), form.json()
    assert said["notes"] == wanted["notes"]
    assert said.get("at") == wanted.get("at")
    assert said.get("things") == wanted.get("things")


def test_an_option_of_null_is_not_set_and_schemes_have_any_case(server: Served) -> None:
    plain = {"image": text_of(picture())}
    body = {"image": "DATA:image/png;BASE64," + plain["image"], "fov": None}
    answer, wanted = (server.client.post("/v1/predict", json=sent) for sent in (body, plain))
    assert answer.status_code == 200, answer.text
    assert answer.json()["notes"] == wanted.json()["notes"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"image": "", "fov": ' + "9" * 400 + "}", "fov"),
        ('{"image": "", "fov": true}', "fov"),
        ('{"image": "", "fov": [60, 61]}', "fov"),
        ('{"image": "", "fov": NaN}', "is not valid JSON"),
        ('{"image": "", "at": [[1, 2]]}', "at"),
        ('{"image": "", "fov": 60, "fov": 61}', "fov is given twice"),
        ('{"image": "", "\\ud800": 1}', "surrogate"),
        ('{"image": "?"}', "not standard base64"),
        ('{"image": "' + "A" * 2**20 + '\\ud83d\\ude00"}', "a JSON body of over 1 MiB"),
        ('{"image": "' + "A" * 2**20 + '", "na\u00efve": 1}', "a JSON body of over 1 MiB"),
        ('{"image": "data:image/png,x"}', "must use base64"),
        ('{"image": null}', "image: expected a string"),
        ("[" * 100_000, "is not valid JSON"),
        ("[" + "1," * 30_000 + "1]", "values"),
        ("[]", "object"),
    ],
)
def test_wrong_json_is_one_line(server: Served, body: str, words: str) -> None:
    headers = {"content-type": "application/json"}
    answer = server.client.post("/v1/predict", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["error"]


def test_json_of_another_content_type_is_told(server: Served) -> None:
    body = json.dumps({"image": text_of(picture())})
    answer = server.client.post("/v1/predict", content=body)
    assert answer.status_code == 400
    assert "Content-Type: application/json" in answer.json()["error"]


def test_openapi_has_the_parameters_of_the_form_in_json(server: Served) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]
    for address in ("/v1/predict", "/v1/measure"):
        content = paths[address]["post"]["requestBody"]["content"]
        names = content["application/json"]["schema"]["properties"]
        assert set(names) == set(content["multipart/form-data"]["schema"]["properties"])
