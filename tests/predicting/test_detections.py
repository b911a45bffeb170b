"""Files of detectors: COCO's JSON, tables, YOLO's texts and PNG masks, whole and broken."""

import cmath
import gc
import json
import math
import tracemalloc
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError
from rilievo.measure.regions import Region
from rilievo.predicting.regions import detections, segmentations
from rilievo.predicting.regions.detections import read_detections
from rilievo.predicting.regions.segmentations import polygon_outline, run_length_outline


def packed(counts: list[int]) -> str:
    """Run lengths as a text, written from the description of COCO's format."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            ends = value == (-1 if bits & 16 else 0)
            text += chr((bits if ends else bits | 32) + 48)
            if ends:
                break
    return text


def runs_of(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, of zeros first."""
    counts, last, length = [], 0, 0
    for value in mask.T.ravel().tolist():
        if value != last:
            counts.append(length)
            last, length = value, 0
        length += 1
    return [*counts, length]


RESULTS = [
    {"image_id": 139, "category_id": 3, "bbox": [10, 20, 40, 60], "score": 0.9},
    {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
]
DATASET = {
    "images": [{"id": 1, "file_name": "train/000000000139.jpg"}],
    "annotations": [{"id": 5, "image_id": 1, "category_id": 3, "bbox": [10, 20, 40, 60]}],
    "categories": [{"id": 3, "name": "car"}],
}


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("a.json", json.dumps(RESULTS), "3"),
        ("a.json", json.dumps(DATASET), "car"),
        ("a.json", json.dumps([{"file": "000000000139.jpg", "xyxy": [10, 20, 50, 80]}]), ""),
        (
            "a.json",
            json.dumps([{"name": "car", "box": {"x1": 10, "y1": 20, "x2": 50, "y2": 80}}]),
            "car",
        ),
        (
            "a.json",
            json.dumps([{"label": "cat", "box": dict(xmin=10, ymin=20, xmax=50, ymax=80)}]),
            "cat",
        ),
        (
            "a.csv",
            "filename,x_min,y_min,x_max,y_max,class_name\n000000000139.jpg,10,20,50,80,car\n",
            "car",
        ),
        ("a.csv", "\ufeffimage;x;y;w;h;label\n000000000139.jpg;10;20;40;60;car\n", "car"),
        ("a.csv", "image_id,x_center,y_center,width,height\n139,30,50,40,60\n", ""),
    ],
)
def test_the_keys_say_what_the_numbers_are(
    tmp_path: Path, file: str, content: str, name: str
) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8")
    table = read_detections(tmp_path / file)
    [region] = table.regions_in(Path("somewhere/train/000000000139.jpg"))
    assert (region.text, region.name) == ("box 9.5,19.5,49.5,79.5", name)
    mask = np.zeros((100, 90), bool)
    mask[20:80, 10:50] = True
    np.testing.assert_array_equal(region.mask_in((100, 90)), mask)
    assert table.faults == ()


def test_photographs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    rows = "file,x1,y1,x2,y2\na/1.jpg,1,1,5,5\nb/1.jpg,2,2,6,6\n2.jpg,3,3,7,7\n"
    (tmp_path / "x.csv").write_text(rows)
    table = read_detections(tmp_path / "x.csv")
    firsts = [
        [region.text.split(",")[0] for region in table.regions_in(Path(name))]
        for name in ("p/a/1.jpg", "p/b/1.png", "p/c/1.jpg", "q/2.jpg")
    ]
    assert firsts == [["box 0.5"], ["box 1.5"], [], ["box 2.5"]]


def test_texts_of_yolo_are_shares_of_the_picture(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("person\ncar\n")
    (tmp_path / "street.txt").write_text("1 0.5 0.5 0.2 0.4\n0 0.1 0.1 0.1 0.1 0.93\n")
    (tmp_path / "clip_3.txt").write_text("1 0.5 0.5 1 1\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "link.txt").symlink_to("link.txt")
    (tmp_path / "bytes.txt").write_bytes(b"1 0.5\xff")
    table = read_detections(tmp_path)
    car, person = table.regions_in(Path("street.jpg"))
    assert (car.name, person.name) == ("car", "person")
    mask = np.zeros((100, 200), bool)
    mask[30:70, 80:120] = True
    np.testing.assert_array_equal(car.mask_in((100, 200)), mask)
    assert [len(table.regions_in(Path("clip.mp4"), frame)) for frame in (1, 2, 3)] == [0, 1, 0]
    [fault] = table.faults
    assert "bytes.txt" in fault


def test_frames_of_a_video_are_counted_from_0(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("frame,x1,y1,x2,y2\n0,1,1,5,5\n2,2,2,6,6\n2,3,3,7,7\n")
    table = read_detections(tmp_path / "x.csv")
    assert [len(table.regions_in(Path("clip.mp4"), frame)) for frame in range(4)] == [1, 0, 2, 0]
    assert table.regions_in(Path("photo.jpg")) == ()


def test_one_bad_row_of_ten_thousand_is_told_and_passed_over(tmp_path: Path) -> None:
    rows = [f"{number}.jpg,1,1,5,5" for number in range(10_000)]
    rows[4_000] = "4000.jpg,1,1,x,5"
    (tmp_path / "x.csv").write_text("\n".join(["file,x1,y1,x2,y2", *rows]))
    table = read_detections(tmp_path / "x.csv")
    assert len(table.regions) == 9_999
    [fault] = table.faults
    assert "x.csv: line 4002: " in fault
    assert "'x'" in fault


def test_many_bad_rows_are_counted(tmp_path: Path) -> None:
    good = {"bbox": [1, 2, 3, 4], "image_id": 1}
    bad = [{"bbox": [1, 2, -3, 4]}, 5, None, {"bbox": "abcd"}, {"bbox": {}}, {"box": [1, 2, 3, 4]}]
    bad += [{"bbox": [1e400, 2, 3, 4]}, {"bbox": [1, 2, 3]}, {"frame": "x", "bbox": [1, 2, 3, 4]}]
    (tmp_path / "x.json").write_text(json.dumps([good, *bad]))
    table = read_detections(tmp_path / "x.json")
    assert len(table.regions) == 1
    assert len(table.faults) == 6
    assert table.faults[-1].endswith(f"rilievo skips {len(bad) - 5} further broken rows")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (
            "x.json",
            '{"type": "FeatureCollection", "features": []}',
            "a JSON file of an unknown kind",
        ),
        ("x.json", "[1, 2", "not valid JSON"),
        ("x.json", "[]", "contains no boxes"),
        ("x.json", '[{"bbox": [1, 2, 3]}]', "row 0"),
        ("x.json", "[" * 100_000, "not valid JSON"),
        ("x.csv", "a,b\n1,2\n", "line 2: expected COCO"),
        ("x.csv", "", "is empty"),
        ("x.csv", "\ufeff", "contains no boxes"),
        ("x.csv", "file,x1,y1,x2,y2\n" + "x" * 200_000, "is not a CSV table"),
        ("x.csv", "x" * 200_000, "is not a CSV table"),
        ("x.xml", "<a/>", "expected JSON, CSV, or a folder of YOLO text files"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, file: str, content: str, said: str
) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=said) as refused:
        read_detections(tmp_path / file)
    assert str(refused.value).count("\n") == 0


def mask() -> np.ndarray:
    """A blot with a hole, which is no rectangle."""
    v, u = np.indices((31, 47))
    far = np.hypot(u - 20, v - 14)
    return (far < 11) & (far > 3)


@pytest.mark.parametrize("is_packed", [False, True])
def test_run_lengths_of_coco_are_read(tmp_path: Path, is_packed: bool) -> None:
    counts = runs_of(mask())
    given = {"size": [31, 47], "counts": packed(counts) if is_packed else counts}
    (tmp_path / "m.json").write_text(json.dumps([{"segmentation": given, "category_id": 4}]))
    [region] = read_detections(tmp_path / "m.json", masks=True).regions_in(Path("photo.jpg"))
    assert region.name == "4"
    np.testing.assert_array_equal(region.mask_in((31, 47)), mask())
    with pytest.raises(InputError, match="has 47x31 pixels, but the photograph has 31x47"):
        region.mask_in((47, 31))


def test_run_lengths_of_another_size_are_not_laid_out() -> None:
    size = (10_000, 10_000)
    region = Region(outline=run_length_outline(size, (0, 100_000_000)))
    tracemalloc.start()
    try:
        with pytest.raises(
            InputError, match="has 10000x10000 pixels, but the photograph has 47x31"
        ):
            region.mask_in((31, 47))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_corners_of_a_mask_are_bounded(tmp_path: Path) -> None:
    rows = [{"segmentation": [[1, 2] * count]} for count in (10_000, 50_000)]
    rows += [{"segmentation": [[1, 2] * 4_000] * 3}]
    (tmp_path / "m.json").write_text(json.dumps(rows))
    table = read_detections(tmp_path / "m.json", masks=True)
    assert len(table.regions_in(Path("photo.jpg"))) == 1
    assert [fault.partition("m.json: ")[2] for fault in table.faults] == [
        f"row {row}: segmentation: its polygons have {count} corners, expected at most "
        "10000; use run lengths instead"
        for row, count in ((1, 50_000), (2, 12_000))
    ]


def test_polygons_that_cross_millions_of_rows_are_refused() -> None:
    """Each zigzag of 9,000 corners crosses all rows of a picture of 3,000 rows 9,000 times."""
    zigzag = [value for k in range(4_500) for value in (k / 2, 0.0, k / 2, 3_000.0)]
    with pytest.raises(InputError, match=r"cross 27,000,000 rows of pixels in total, above"):
        polygon_outline([zigzag])((3_000, 4_000))
    comb = zigzag[:600]  # 300 sides of all rows
    assert polygon_outline([comb])((3_000, 4_000)).shape == (3_000, 4_000)


_TRIANGLE = [0, 0, 400, 0, 0, 3_000]
"""Its sides cross 6,000 rows of pixels."""


def test_all_polygons_of_a_mask_share_the_rows_that_they_may_cross() -> None:
    with pytest.raises(InputError, match=r"cross 1,200,000 rows of pixels in total, above"):
        polygon_outline([_TRIANGLE] * 200)((3_000, 40))
    assert polygon_outline([_TRIANGLE] * 100)((3_000, 40))[0].all()


def test_all_polygons_of_a_photograph_share_the_rows_that_they_may_cross(tmp_path: Path) -> None:
    rows = [{"file": "a.jpg", "segmentation": [_TRIANGLE] * 100} for _ in range(5)]
    rows += [{"file": name, "segmentation": [_TRIANGLE]} for name in ("a.jpg", "b.jpg")]
    (tmp_path / "m.json").write_text(json.dumps(rows))
    table = read_detections(tmp_path / "m.json", masks=True)
    assert len(table.regions_in(Path("a.jpg"))) == 4
    assert len(table.regions_in(Path("b.jpg"))) == 1
    assert [fault.partition("m.json: ")[2] for fault in table.faults] == [
        "row 3: segmentation: the sides of all polygons in its photograph cross 2,400,000 rows of "
        "pixels in total, above the limit of 2,000,000; use run lengths instead",
        "row 4: segmentation: the sides of all polygons in its photograph cross 2,400,000 rows of "
        "pixels in total, above the limit of 2,000,000; use run lengths instead",
    ]


def test_masks_of_a_photograph_are_bounded_as_those_of_labels_are(tmp_path: Path) -> None:
    rows = [{"segmentation": [[1, 1, 5, 1, 1, 5]]} for _ in range(1_001)]
    (tmp_path / "m.json").write_text(json.dumps([*rows, {**rows[0], "file": "b.jpg"}]))
    table = read_detections(tmp_path / "m.json", masks=True)
    assert len(table.regions_in(Path("a.jpg"))) == 1_000
    assert len(table.regions_in(Path("b.jpg"))) == 1
    [fault] = table.faults
    assert "row 1000: its photograph already has 1,000 masks" in fault


def test_a_box_is_few_objects_to_the_garbage_collector(tmp_path: Path) -> None:
    """A dozen objects a box made reading files of many boxes take twice the time."""
    (tmp_path / "b.json").write_text(json.dumps([{"xyxy": [1, 2, 3, 4]}] * 1_000))
    gc.collect()
    before = len(gc.get_objects())
    table = read_detections(tmp_path / "b.json")
    assert len(gc.get_objects()) - before < 4 * len(table.regions_in(Path("a.jpg")))


@pytest.mark.parametrize(
    ("module", "limit", "rows", "masks", "words"),
    [
        (
            detections,
            "_MAX_BOX_ROWS",
            [{"xyxy": [1, 2, 3, 4]}] * 4,
            False,
            "has more than 3 rows; ",
        ),
        (
            detections,
            "_MAX_MASK_ROWS",
            [{"segmentation": [_TRIANGLE]}] * 4,
            True,
            "has more than 3 rows; split the file",
        ),
        (
            detections,
            "_MAX_VALUES",
            [{"xyxy": [1, 2, 3, 4]}],
            False,
            "has more than 3 values; split",
        ),
        (
            segmentations,
            "_MAX_RUNS",
            [{"segmentation": {"size": [2, 2], "counts": [1, 1, 1, 1]}}],
            True,
            "have 4 numbers or characters, expected at most 3; use a PNG",
        ),
        (
            segmentations,
            "_MAX_RUNS",
            [{"segmentation": {"size": [2, 2], "counts": "1110"}}],
            True,
            "have 4 numbers or characters, expected at most 3; use a PNG",
        ),
    ],
)
def test_files_that_would_fill_the_memory_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    limit: str,
    rows: list[object],
    masks: bool,
    words: str,
) -> None:
    monkeypatch.setattr(module, limit, 3)
    (tmp_path / "m.json").write_text(json.dumps(rows))
    with pytest.raises(InputError, match=words):
        read_detections(tmp_path / "m.json", masks=masks)
    monkeypatch.setattr(module, limit, 100)
    assert read_detections(tmp_path / "m.json", masks=masks).regions


def test_packed_run_lengths_of_noise_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture = rng.random((1_000, 1_200)) < 0.5
    text = packed(runs_of(picture))
    (tmp_path / "m.json").write_text(
        json.dumps([{"segmentation": {"size": [1_000, 1_200], "counts": text}}])
    )
    [region] = read_detections(tmp_path / "m.json", masks=True).regions_in(Path("photo.jpg"))
    np.testing.assert_array_equal(region.mask_in((1_000, 1_200)), picture)


def test_a_text_of_more_runs_than_pixels_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    given = {"size": [31, 47], "counts": "1" * 2_000_000}
    (tmp_path / "m.json").write_text(json.dumps([{"segmentation": given}]))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="run lengths cover more than the 1,457 pixels of its"):
            read_detections(tmp_path / "m.json", masks=True)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


def test_a_file_of_broken_rows_is_refused_after_some(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps([1] * 200_000))
    with pytest.raises(
        InputError, match=r"row 0: .*; 10,000 more rows are faulty too, so the rest"
    ):
        read_detections(tmp_path / "m.json")


def test_run_lengths_are_of_other_pixels_first() -> None:
    expected = np.zeros((3, 4), bool)
    expected[1:, 1:3] = True
    np.testing.assert_array_equal(run_length_outline((3, 4), (4, 2, 1, 2, 3))((3, 4)), expected)


def test_polygons_of_coco_are_filled(tmp_path: Path) -> None:
    given = [[10, 5, 30, 5, 30, 25, 10, 25], [35, 5, 40, 5, 40, 10]]
    (tmp_path / "m.json").write_text(json.dumps([{"segmentation": given}]))
    [region] = read_detections(tmp_path / "m.json", masks=True).regions_in(Path("photo.jpg"))
    found = region.mask_in((31, 47))
    assert found[5:25, 10:30].all()
    assert not found[:, :9].any()
    assert found[6, 38]
    # Sides within a pixel of the true areas.
    assert found.sum() == pytest.approx(400 + 12.5, abs=60)


def is_inside(polygon: list[float], u: float, v: float) -> bool:
    """Whether a polygon turns an odd number of times around a point: a sum of angles."""
    corners = [complex(*pair) - complex(u, v) for pair in zip(*[iter(polygon)] * 2, strict=True)]
    turns = sum(
        cmath.phase(other / one)
        for one, other in zip(corners, [*corners[1:], corners[0]], strict=True)
    )
    return round(turns / (2 * math.pi)) % 2 == 1


@pytest.mark.parametrize(
    "polygon",
    [
        [1, 1, 5, 1, 5, 4, 1, 4],
        [2, 3, 2, 5, 6, 5, 6, 3],
        [3.2, -4, 19.7, 8.1, 6.3, 22.9, -5.1, 9.4],
        [10, 1.2, 15.6, 17.9, 1.3, 7.1, 18.7, 7.4, 4.1, 17.8],  # a star, whose middle is a hole
        [-9, 4.3, 40, 4.4, 40, 4.9, -9, 4.8],
    ],
)
def test_polygons_hold_the_pixels_whose_centres_lie_inside(polygon: list[float]) -> None:
    found = polygon_outline([polygon])((17, 21))
    expected = [[is_inside(polygon, u + 0.5, v + 0.5) for u in range(21)] for v in range(17)]
    np.testing.assert_array_equal(found, expected)


def test_neighbours_share_no_pixel_and_leave_none() -> None:
    left, right = ([0, 0, 7.3, 0, 2.9, 9, 0, 9], [2.9, 9, 7.3, 0, 12, 0, 12, 9])
    masks = [polygon_outline([each])((9, 12)) for each in (left, right)]
    assert (masks[0] ^ masks[1]).all()
    assert polygon_outline([left, right])((9, 12)).all()
    assert not polygon_outline([[20, 20, 30, 20, 30, 30]])((9, 12)).any()


@pytest.mark.parametrize(
    "given",
    [
        {"size": [31, 47], "counts": [1, 2]},
        {"size": [0, 47], "counts": []},
        {"size": [10**6, 10**6], "counts": [10**12]},
        {"size": [31, 47], "counts": "\u1234"},
        {"size": [31, 47], "counts": [-1, 31 * 47 + 1]},
        {"counts": [1457]},
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 1e9]],
        [],
        None,
        "abc",
    ],
)
def test_a_broken_mask_is_refused(tmp_path: Path, given: object) -> None:
    (tmp_path / "m.json").write_text(json.dumps([{"segmentation": given}]))
    with pytest.raises(InputError, match=r"m\.json: row 0: "):
        read_detections(tmp_path / "m.json", masks=True)


def test_numbers_of_a_png_are_things(tmp_path: Path) -> None:
    labels = np.zeros((31, 47), np.uint8)
    labels[2:9, 3:12], labels[12:20, 30:40] = 3, 7
    Image.fromarray(labels).save(tmp_path / "labels.png")
    three, seven = read_detections(tmp_path / "labels.png", masks=True).regions_in(
        Path("photo.jpg")
    )
    assert (three.name, seven.name) == ("3", "7")
    np.testing.assert_array_equal(seven.mask_in((31, 47)), labels == 7)
    Image.fromarray(mask()).save(tmp_path / "mask.png")
    [one] = read_detections(tmp_path / "mask.png", masks=True).regions_in(Path("photo.jpg"))
    assert one.name == ""
    np.testing.assert_array_equal(one.mask_in((31, 47)), mask())
    Image.fromarray(np.zeros((31, 47), np.uint8)).save(tmp_path / "none.png")
    with pytest.raises(InputError, match="contains 0 objects"):
        read_detections(tmp_path / "none.png", masks=True)


def test_regions_of_photographs_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = tmp_path / "det.csv"
    path.write_text("file,frame,x1,y1,x2,y2\na.jpg,,1,1,9,9\nlost.jpg,,1,1,9,9\nclip,40,1,1,9,9\n")
    table = read_detections(path)
    used = {table.find_key(Path("photos/a.jpg")), table.find_key(Path("photos/b.jpg"))}
    assert used == {("a", None), None}
    assert table.list_unused(used) == "lost, clip frame 40"
    assert table.list_unused({*table.regions}) == ""
