"""Questions of strangers are answered on one page, which the navigation has."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUESTIONS = [
    line.split(" | ")
    for line in Path(__file__).with_name("document_questions.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]
NAVIGATION = runpy.run_path(str(ROOT / "tools/words.py"))["navigation"]()


def plain(text: str) -> str:
    return " ".join(text.replace("`", "").replace("*", "").replace("×", "x").lower().split())


def lacks(page: str, answer: str) -> list[str]:
    """Pieces of an answer that a page does not have."""
    text = plain((ROOT / "docs" / page).read_text("utf-8"))
    return [piece for piece in answer.split(" & ") if plain(piece) not in text]


def test_there_are_enough_questions_and_none_twice() -> None:
    assert len({question for question, _, _ in QUESTIONS}) == len(QUESTIONS) >= 30


@pytest.mark.parametrize(("question", "page", "answer"), QUESTIONS)
def test_the_question_is_answered_on_its_page(question: str, page: str, answer: str) -> None:
    assert page in NAVIGATION
    assert lacks(page, answer) == []


def test_an_answer_that_a_page_does_not_have_is_missed() -> None:
    assert lacks("faq.md", "metres.md & of the moon") == ["of the moon"]
