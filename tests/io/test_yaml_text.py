"""YAML of users: what is read, and what would cost more than a second is refused."""

import pytest

from rilievo.io.json_record import parse_yaml

pytest.importorskip("yaml", reason="PyYAML comes with an extra")


def test_a_description_is_read() -> None:
    text = "image: images/{id}.png\ndepth:\n  file: depth/{id}.npy\n  invalid: [0, 65535]\n"
    assert parse_yaml(text) == {
        "image": "images/{id}.png",
        "depth": {"file": "depth/{id}.npy", "invalid": [0, 65535]},
    }


def test_a_long_text_is_refused_before_it_is_parsed() -> None:
    text = "[" + "1, " * 200_000 + "1]"
    with pytest.raises(ValueError, match=r"600,003 characters; expected at most 131,072"):
        parse_yaml(text)
    assert len(parse_yaml("[" + "1, " * 40_000 + "1]")) == 40_001


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1]\nb: &b [*a, *a]\n"
        + "".join(
            f"{chr(99 + k)}: &{chr(99 + k)} [*{chr(98 + k)}, *{chr(98 + k)}]\n" for k in range(20)
        ),
        "a: &a [*a]\n",
        "[" * 100_000,
        "!!python/object/apply:os.system ['true']",
        "a: [1, 2",
    ],
)
def test_bombs_code_and_broken_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_yaml(text)
