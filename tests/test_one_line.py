"""Messages stay on one line, whatever a file contains."""

import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.errors import InputError, MissingExtraError
from rilievo.errors.messages import one_line


def test_line_ends_and_escapes_of_a_terminal_are_spelt_out() -> None:
    error = InputError("K.txt: has no key 'a\n\x1b[2Jb\u2028\ud800'; known: file")
    assert str(error) == "K.txt: has no key 'a\\n\\x1b[2Jb\\u2028\\ud800'; known: file"


def test_an_endless_word_keeps_its_ends_and_what_stands_around_it() -> None:
    line = one_line(f"K.txt: '{'x' * 50_000}' is no number; expected four")
    assert line.startswith("K.txt: 'xxx")
    assert line.endswith("xxx' is no number; expected four")
    assert "..." in line
    assert len(line) < 300


def test_endlessly_many_words_keep_their_ends() -> None:
    line = one_line(f"K.txt: '{'1 ' * 50_000}' is no number; expected four")
    assert line.startswith("K.txt: '1 1")
    assert line.endswith("1 1 ' is no number; expected four")
    assert len(line) <= 1000


def test_a_path_as_long_as_a_name_may_be_stays_whole() -> None:
    text = f"/folder/{'n' * 255}: no such file"
    assert one_line(text) == text


@settings(deadline=None)
@given(st.text(max_size=1500))
def test_the_result_can_be_shown_and_stays_as_it_is_the_next_time(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert one_line(line) == line


def test_an_error_comes_whole_out_of_another_process() -> None:
    for error in (InputError("x.jpg: is\nempty"), MissingExtraError("EXR", "exr")):
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is type(error)
        assert str(back) == str(error)
