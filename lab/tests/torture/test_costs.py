"""The campaign holds every reading against a cost, finds what is dear, and shares its minutes."""

import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from lab.torture import __main__ as campaign
from lab.torture import worker
from lab.torture.costs import COSTS, Cost, cost_of, pixels_of
from lab.torture.forms import dear
from lab.torture.forms.images import png_chunks
from lab.torture.plants import plant
from lab.torture.reader import Reader
from lab.torture.readers import all_readers
from lab.torture.settings import Settings
from lab.torture.worker import BAD, DEAR, FINE, Sandbox, run_case, weighed

READERS = all_readers()


def settings(folder: Path, seconds: float, workers: int = 1) -> Settings:
    return Settings(
        end=time.monotonic() + seconds,
        seed=1,
        inputs=0,
        kills=0,
        cuts=0,
        workers=workers,
        only=(),
        output=folder,
        work=folder,
    )


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("TORTURE_MARKER", str(tmp_path / "executed"))
    monkeypatch.chdir(tmp_path)
    return Sandbox(tmp_path)


def test_every_reader_has_a_cost_and_every_cost_a_reader() -> None:
    used = {id(cost_of(name)) for name in READERS}
    assert used == {id(cost) for cost in COSTS.values()}


def test_a_cost_grows_with_pixels_and_bytes() -> None:
    cost = Cost(file=1.0, megapixel=0.5, megabyte=0.25)
    assert cost.allowed(0, 0) == 1.0
    assert cost.allowed(2_000_000, 4_000_000) == 3.0


def test_pixels_are_those_of_what_would_be_decoded() -> None:
    good = dear._grey((640, 480))
    assert pixels_of({"a.jpg": good, "b.txt": b"text"}) == 640 * 480
    assert pixels_of({"a.jpg": good[:30]}) == 0


def _made_up(seconds: list[float]) -> Reader:
    """A reader that takes so much CPU time at each reading."""

    def read(folder: Path) -> object:
        end = time.process_time() + seconds.pop(0)
        while time.process_time() < end:
            pass
        return folder

    return Reader(
        name="made up",
        write=lambda folder: (folder / "x").write_bytes(b"good") and None,
        victims={"x": "bytes"},
        read=read,
    )


@pytest.mark.parametrize(
    ("seconds", "verdict"), [([0.0], FINE), ([0.4, 0.4], BAD), ([0.4, 0.0], FINE)]
)
def test_a_reading_that_is_dear_twice_is_bad(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, seconds: list[float], verdict: str
) -> None:
    monkeypatch.setattr(worker, "cost_of", lambda name: Cost(file=0.2))
    reader = _made_up(seconds)
    sandbox.begin(reader)
    outcome = weighed(reader, sandbox, {}, 0)
    assert outcome.verdict == verdict
    assert not seconds, "read again only where the first reading was dear"
    assert (outcome.where == DEAR) == (verdict == BAD)


@pytest.mark.slow
def test_a_scan_bomb_is_found_when_scans_are_not_counted(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The campaign's first thousand inputs have 28 JPEG files; five are enough here."""
    reader = READERS["photo: JPEG"]
    sandbox.begin(reader)
    assert not [case for case in range(5) if run_case(reader, sandbox, 31, case).where == DEAR]
    monkeypatch.setattr("rilievo.io.photographs.decode.check_jpeg_scans", lambda file, name: None)
    assert any(run_case(reader, sandbox, 31, case).where == DEAR for case in range(5))


def test_a_defect_is_planted_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from rilievo.io.photographs import decode

    monkeypatch.setattr(decode, "check_jpeg_scans", decode.check_jpeg_scans)
    counted = decode.check_jpeg_scans
    plant("")
    assert decode.check_jpeg_scans is counted
    plant("scans")
    assert decode.check_jpeg_scans is not counted
    with pytest.raises(SystemExit, match="no defect 'typo'"):
        plant("typo")


@pytest.mark.parametrize("mutator", [*dear.JPEG, *dear.PNG, *dear.TIFF, *dear.BOXES])
def test_a_mutator_takes_any_bytes(mutator: dear.Mutator) -> None:
    for seed in range(20):
        for content in (
            b"",
            b"\xff",
            b"II*\0\x08\0\0\0",
            bytes(40),
            b"\x89PNG\r\n\x1a\n" + bytes(9),
        ):
            assert isinstance(mutator(content, Random(seed)), bytes)


def test_dear_files_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    def drawn(mutator: dear.Mutator, name: str) -> list[bytes]:
        reader = READERS[name]
        folder = tmp_path / mutator.__name__
        folder.mkdir()
        reader.write(folder)
        [path] = folder.iterdir()
        return [mutator(path.read_bytes(), Random(seed)) for seed in range(30)]

    scans = drawn(dear.jpeg_scans, "photo: JPEG, progressive, with EXIF")
    assert max(each.count(b"\xff\xda") for each in scans) > 10_000
    interlaced = drawn(dear.png_interlaced, "photo: PNG")
    assert all(png_chunks(each)[0].content[-1] == 1 for each in interlaced)
    assert max(len(png_chunks(each)) for each in drawn(dear.png_pieces, "photo: PNG")) > 1000
    assert any(b"\x44\x01\x04\0" in each for each in drawn(dear.tiff_tiles, "photo: TIFF"))
    assert max(each.count(b"dimg") for each in drawn(dear.boxes, "photo: HEIC")) >= 2000


def test_parts_share_the_minutes(tmp_path: Path) -> None:
    whole = settings(tmp_path, 110.0)
    parts = ("inputs", "kills", "cuts", "pressure")
    assert campaign.share_of(whole, parts).left == pytest.approx(40, abs=2)
    assert campaign.share_of(whole, parts[1:]).left == pytest.approx(110 * 2 / 7, abs=2)
    assert campaign.share_of(whole, parts[3:]).left == pytest.approx(110, abs=2)
    assert campaign.share_of(replace(whole, end=0.0), parts).left == 0


def test_a_part_without_time_says_so_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lab.torture import cuts, kills, pressure

    none = replace(settings(tmp_path, 0.0), kills=10, cuts=10)
    begun = time.process_time()
    findings = [part.run(none) for part in (kills, cuts, pressure)]
    assert not any(each.bad for each in findings)
    assert all(each.untried for each in findings)
    assert time.process_time() - begun < 10
    assert capsys.readouterr().out.count("not tried: ") == 3
