"""``--resume`` believes sizes and ends, not names: what a power cut leaves is made anew."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.io.outputs.overwrite_policy import pending_path
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files
from rilievo.predicting.summary import RunSummary
from support.clips import Clip, numbered, write_clip

MakeNetwork = Callable[..., Path]


def run(network: Path, source: Path, output: Path, **options: object) -> RunSummary:
    given = PredictOptions(model=str(network), output=output, **options)  # pyright: ignore
    return predict_files([source], given, show=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(3):
        pixels = random.integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["1.npz", "1.depth.png", "1.ply", "1.json"])
@pytest.mark.parametrize("left", [b"", None, "cut", "longer"])
def test_a_file_without_its_size_is_made_anew(
    tmp_path: Path, make_network: MakeNetwork, photos: Path, name: str, left: bytes | str | None
) -> None:
    network, out = make_network(), tmp_path / "out"
    run(network, photos, out, save="npz,colour,ply")
    whole = contents(out)
    path = out / name
    if left is None and name == "1.json":
        pytest.skip("a JSON that was there is on the disk: no power cut takes it")
    if left is None:
        path.unlink()
    elif left == "cut":
        path.write_bytes(whole[name][: len(whole[name]) // 2])
    elif left == "longer":
        path.write_bytes(whole[name] + b"\0" * (0 if name == "1.json" else 100))
    else:
        path.write_bytes(bytes(left))
    again = run(network, photos, out, save="npz,colour,ply", resume=True)
    anew = 0 if (name, left) == ("1.json", "longer") else 1
    assert (again.done, again.finished_before, again.failed) == (anew, 3 - anew, 0)
    assert contents(out) == whole
    if anew:
        assert any(str(path) in note and "again" in note for note in again.notes)


def damaged(content: bytes, zeros: str) -> bytes:
    """The content with zeros in one place, of the same length."""
    third = len(content) // 3
    if zeros == "middle":
        return content[:third] + bytes(third) + content[2 * third :]
    if zeros == "begin":
        return bytes(max(third, 4096)) + content[max(third, 4096) :]
    return bytes(len(content)) if zeros == "all" else content[:-third] + bytes(third)


@pytest.mark.parametrize("zeros", ["all", "begin", "end"])
@pytest.mark.parametrize("name", ["1.npz", "1.depth16.png", "1.ply"])
def test_zeros_of_the_right_length_are_made_anew(
    tmp_path: Path, make_network: MakeNetwork, photos: Path, name: str, zeros: str
) -> None:
    network, out = make_network(), tmp_path / "out"
    run(network, photos, out, save="npz,png16,ply")
    whole = contents(out)
    (out / name).write_bytes(damaged(whole[name], zeros))
    again = run(network, photos, out, save="npz,png16,ply")
    assert (again.done, again.finished_before, again.failed) == (1, 2, 0)
    assert contents(out) == whole
    assert any(name in note and "zeros" in note for note in again.notes)


def test_zeros_in_the_middle_are_found_by_hashes(
    tmp_path: Path, make_network: MakeNetwork, photos: Path
) -> None:
    network, out = make_network(), tmp_path / "out"
    run(network, photos, out, save="npz,ply")
    whole = contents(out)
    (out / "1.npz").write_bytes(damaged(whole["1.npz"], "middle"))
    assert run(network, photos, out, save="npz,ply", resume=True).finished_before == 3
    again = run(network, photos, out, save="npz,ply", resume="hash")
    assert (again.done, again.finished_before) == (1, 2)
    assert contents(out) == whole


def test_a_damaged_file_is_not_listed_when_another_format_is_added(
    tmp_path: Path, make_network: MakeNetwork, photos: Path
) -> None:
    network, out = make_network(), tmp_path / "out"
    run(network, photos, out, save="npz")
    whole = contents(out)
    (out / "1.npz").write_bytes(bytes(len(whole["1.npz"])))
    assert run(network, photos, out, save="ply").failed == 0
    assert contents(out)["1.npz"] == whole["1.npz"]


@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_zeros_in_place_of_a_json_and_a_file_do_not_block(
    tmp_path: Path, make_network: MakeNetwork, photos: Path, option: str
) -> None:
    network, out = make_network(), tmp_path / "out"
    run(network, photos, out, save="npz,png16")
    whole = contents(out)
    for name in ("2.json", "2.npz"):
        (out / name).write_bytes(bytes(len(whole[name])))
    (out / "2.depth16.png").write_bytes(whole["2.depth16.png"][:100])
    again = run(network, photos, out, save="npz,png16", **{option: True})
    assert again.failed == 0
    assert contents(out) == whole


@pytest.mark.slow
def test_a_clip_of_no_bytes_is_made_anew(tmp_path: Path, make_network: MakeNetwork) -> None:
    network, out = make_network(), tmp_path / "out"
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(4)))
    run(network, clip, out, save="colour,npy,png16")
    whole = contents(out)
    for name in ("clip.depth.mp4", "clip.frames/000002.depth.npy", "clip.depth16.mkv"):
        (out / name).write_bytes(b"")
        assert run(network, clip, out, save="colour,npy,png16", resume=True).done == 1
        assert contents(out) == whole
    (out / "clip.json").write_bytes(b"\0" * 300)
    assert run(network, clip, out, save="colour,npy,png16", resume=True).done == 1
    assert contents(out) == whole


def test_named_frames_of_a_sequence_are_known_as_ours_without_a_json(
    tmp_path: Path, make_network: MakeNetwork, photos: Path
) -> None:
    network, out, options = make_network(), tmp_path / "out", {"sequence": True}
    run(network, photos, out, save="npy,png16,ply", **options)
    whole = contents(out)
    [json] = out.glob("*.json")
    json.write_bytes(b"\0" * 300)
    [frames] = out.glob("*.frames")
    (frames / "2.ply").write_bytes(b"")
    assert run(network, photos, out, save="npy,png16,ply", **options).done == 1
    assert contents(out) == whole
    json.write_bytes(b"\0" * 300)
    (frames / "2.txt").write_text("mine")
    assert "did not write" in run(network, photos, out, save="npy", **options).failures[0]
    assert (frames / "2.txt").read_text() == "mine"


def test_results_without_sizes_are_made_anew(
    tmp_path: Path, make_network: MakeNetwork, photos: Path
) -> None:
    network, out = make_network(), tmp_path / "out"
    run(network, photos, out, save="npz")
    for path in out.glob("*.json"):
        lines = path.read_text().splitlines()
        kept = [line for line in lines if '"bytes"' not in line and '"sha256"' not in line]
        text = "\n".join(kept)
        path.write_text(text.replace('pixels, K",\n', 'pixels, K"\n').replace(",\n  }", "\n  }"))
    assert run(network, photos, out, save="npz", resume=True).done == 3


def test_a_list_that_could_not_be_removed_goes_with_the_next_run(
    tmp_path: Path, make_network: MakeNetwork, photos: Path
) -> None:
    network, out = make_network(), tmp_path / "out"
    run(network, photos, out, save="npz")
    left = pending_path(out / "1")
    left.write_text('{"format": "rilievo/1", "files": ["1.npz"]}')
    assert run(network, photos, out, save="npz", resume=True).finished_before == 3
    assert not left.exists()
