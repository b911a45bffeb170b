"""Options of the server, and of which models it offers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rilievo.cli import main
from rilievo.errors import ModelError, OptionError
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.offered_models import offered_models
from rilievo.serving.server.server_options import TOKEN_VARIABLE, AppOptions, ServeOptions
from support.lab_package import installed_lab

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"port": 70000}, "^port must be "),
        ({"max_megapixels": 0}, "^max_megapixels must be "),
        ({"max_megabytes": float("nan")}, "^max_megabytes must be "),
        ({"time_limit": -1.0}, "^time_limit must be "),
        ({"root_path": "depth"}, "root_path"),
        ({"origins": "page.example"}, "origins: 'page.example' is not an origin"),
        ({"origins": "*,https://page.example"}, "'\\*' is not an origin"),
        ({"origins": "null"}, "'null' is not an origin"),
        ({"hosts": "https://depth.example.org"}, "'https://depth.example.org' is not a host name"),
        ({"hosts": "a.example,b.example:8000"}, "hosts: 'b.example:8000' is not a host name"),
        ({"hosts": "*.example.org"}, "is not a host name"),
    ],
)
def test_an_option_out_of_range_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        ServeOptions(**given)


def test_names_and_addresses_are_hosts() -> None:
    options = ServeOptions(hosts="Depth.Example.org, my_service,localhost,::1,10.0.0.1")
    names = ("depth.example.org", "my_service", "localhost", "::1", "10.0.0.1")
    assert options.host_names == names


def test_tokens_come_from_a_file_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert ServeOptions().tokens() == ()
    file = tmp_path / "tokens.txt"
    file.write_text(f"{TOKEN}1\n\n {TOKEN}2 \n")
    monkeypatch.setenv(TOKEN_VARIABLE, f"{TOKEN}3")
    assert ServeOptions(token_file=file).tokens() == (f"{TOKEN}3", f"{TOKEN}1", f"{TOKEN}2")
    for content, words in (("\n", "no token"), ("short", "at least 16"), ("a b" * 9, "space")):
        file.write_text(content)
        with pytest.raises(OptionError, match=words):
            ServeOptions(token_file=file).tokens()


def test_an_empty_file_of_tokens_does_not_let_everybody_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tokens.txt").write_text("\n")
    assert main(["serve", "--token-file", str(tmp_path / "tokens.txt"), "--port", "0"]) == 2
    assert "contains no token" in capsys.readouterr().err


def test_clients_see_names_and_no_paths(tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    file.touch()
    models = offered_models(ServeOptions(model=str(file), offer="rilievo/small"))
    assert [each["name"] for each in models.describe()] == ["mine", "rilievo/small"]
    assert str(tmp_path) not in str(models.describe())
    assert models.server_name("") == models.server_name("mine") == str(file)
    with pytest.raises(Refusal):
        models.server_name(str(file))


@pytest.mark.parametrize(
    ("options", "photograph_model", "video_model", "offered"),
    [
        (ServeOptions(), "rilievo/base", "rilievo/small", ["rilievo/base", "rilievo/small"]),
        (ServeOptions(model="rilievo/base"), "rilievo/base", "rilievo/base", ["rilievo/base"]),
        (ServeOptions(model="rilievo/small"), "rilievo/small", "rilievo/small", ["rilievo/small"]),
        (
            ServeOptions(model="rilievo/base", offer="rilievo/small"),
            "rilievo/base",
            "rilievo/base",
            ["rilievo/base", "rilievo/small"],
        ),
        (
            AppOptions(model="rilievo/base", offer=""),
            "rilievo/base",
            "rilievo/base",
            ["rilievo/base"],
        ),
    ],
)
def test_frames_get_the_model_that_the_server_is_started_with(
    options: ServeOptions | AppOptions,
    photograph_model: str,
    video_model: str,
    offered: Sequence[str],
) -> None:
    models = offered_models(options)
    assert list(models.names) == offered
    assert models.server_name("") == photograph_model
    assert models.server_name(models.video_name("")) == video_model
    assert models.video_name(photograph_model) == photograph_model


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        ("rilievo/smaal", "small"),
        ("replicate:somebody/model", "paid"),
        ("a/mine.onnx,b/mine.onnx", "mine"),
    ],
)
def test_a_model_that_cannot_be_offered_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offer: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.onnx").touch()
    with pytest.raises(ModelError, match=words):
        offered_models(ServeOptions(offer=offer))


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port), "-m", "rilievo/small"]) == 2
    assert f"--port {port}: cannot listen on this port" in capsys.readouterr().err


def test_an_unknown_host_is_told_without_advising_another_port(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import socket

    def create_server(address: tuple[str, int], **options: object) -> None:
        raise socket.gaierror(-2, f"Name not known (while attempting to bind on address {address})")

    monkeypatch.setattr(socket, "create_server", create_server)
    assert main(["serve", "--host", "no.such.host", "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert "--host no.such.host" in said
    assert "port" not in said
    assert "bind" not in said


def test_a_model_is_offered_by_its_place(tmp_path: Path) -> None:
    with installed_lab(tmp_path, "", {}, ()):
        models = offered_models(ServeOptions(model="lab_depth:load"))
        assert (
            models.load(models.server_name("")).card.name
            == models.display_name("")
            == "lab_depth:load"
        )
