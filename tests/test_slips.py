"""Slips of newcomers: each has one line that says what to do."""

from pathlib import Path

import pytest
from PIL import Image

from rilievo.cli import USAGE_ERROR, main


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("verify", "this command needs RESULTS; 'rilievo verify --help' lists the options"),
        ("compare", "this command needs RUN"),
        ("models fetch", "this command needs NAME"),
        ("predict a.jpg --output=", "--output needs a value: FOLDER"),
        ("predict a.jpg -o=", "--output needs a value: FOLDER"),
        ("measure a.jpg b.jpg --distance 1,2", "'b.jpg'"),
        ("measure a.jpg -5,100 3,4 --known 9,9,2", "-5"),
        ("serve --host 256.1.1.1 --port 0", "use an address of this machine, or 0.0.0.0"),
        (
            "predict a.jpg,b.jpg",
            "a.jpg,b.jpg: no such file; separate several inputs with spaces: a.jpg b.jpg",
        ),
        (
            "predict shot/a_%04d.png",
            "shot/a_%04d.png: cannot list its folder (No such file or directory)",
        ),
        ("predict help", "'rilievo help predict' lists the options"),
        ("predict a.jpg --fov 60 --fov 60", "--fov is given twice: give it once"),
        ("predict a.jpg --fov=--", "--fov needs a value: DEGREES"),
        ("a.jpg", "no command 'a.jpg'; to predict, write: rilievo predict a.jpg"),
        ("mesure a.jpg", "no command 'mesure'; did you mean 'measure'?"),
        ("pred a.jpg", "no command 'pred'; did you mean 'predict'?"),
        ("doctor", "no command 'doctor'; known: predict, measure, "),
        ("viewer", "no command 'viewer'; known: predict, measure, "),
        ("mesh a.jpg", "no command 'mesh'; write rilievo predict photo.jpg"),
        ("infer a.jpg", "no command 'infer'; write rilievo predict photo.jpg"),
    ],
)
def test_a_slip_has_one_line_with_its_cure(
    words: str,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        Image.effect_noise((64, 48), 60).convert("RGB").save(name)
    assert main(words.split()) == USAGE_ERROR
    [text] = capsys.readouterr().err.splitlines()
    assert line in text
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg", "b.jpg"}
