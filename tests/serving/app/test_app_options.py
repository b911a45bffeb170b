"""Options of the app, and models that it offers."""

import sys
from typing import Any

import pytest

from rilievo.errors import MissingExtraError, OptionError
from rilievo.models import MODELS
from rilievo.serving.commands.app import serve_app
from rilievo.serving.server.server_options import AppOptions


def test_only_a_page_that_others_cannot_see_offers_everything() -> None:
    own = AppOptions().offered
    assert own[0] == "rilievo/base"
    assert {"rilievo/base", "rilievo/small", "depth-anything-v2/small"} <= {*own}
    assert not [name for name in own if name.startswith("replicate:")]
    assert all(MODELS[name].kind is not None for name in own)
    assert AppOptions(host="::1").offered == own
    assert AppOptions(host="0.0.0.0").offered == ("rilievo/base",)
    assert AppOptions(host="0.0.0.0", offer="a, b").offered == ("rilievo/base", "a", "b")
    assert AppOptions(host="0.0.0.0", offer="all").offered == own


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70_000},
        {"keep_minutes": float("inf")},
        {"root_path": "depth"},
        {"embed_origins": "*"},
        {"embed_origins": "https://a.example/path"},
        {"embed_origins": "https://a.example; script-src *"},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        AppOptions(**wrong)


def test_a_token_of_the_environment_is_not_asked_of_visitors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RILIEVO_SERVE_TOKEN", "0123456789abcdef")
    assert AppOptions().tokens() == ()


def test_without_its_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(MissingExtraError, match=r"rilievo\[app\]"):
        serve_app(AppOptions(port=0), print)
