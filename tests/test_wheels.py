"""Contents of our wheel, and of the wheels of dependencies in the environment of the tests."""

import re
import shutil
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
# Licences that ask something of whoever passes a wheel on, and a library that is out of support.
TELLING = re.compile(
    r"lib(x264|x265|gnutls|nettle|hogweed|gmp|unistring|mp3lame|asound|heif|de265|ssl|crypto)\b"
)
PACKAGES = {"av": "av", "pillow-heif": "pillow_heif", "opencv-python-headless": "cv2"}
FOLDERS = {"av": "av.libs", "pillow-heif": "pillow_heif.libs"}
FOLDERS |= {"opencv-python-headless": "opencv_python_headless.libs"}


def built(folder: Path, version: str, root: Path = ROOT) -> zipfile.ZipFile:
    """Our wheel, "standard" or "editable", as pip builds it."""
    [wheel] = WheelBuilder(str(root)).build(directory=str(folder), versions=[version])
    return zipfile.ZipFile(wheel)


def test_our_wheel_holds_the_package_alone(tmp_path: Path) -> None:
    with built(tmp_path, "standard") as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"rilievo"}
    assert {"rilievo/predicting/run.py", "rilievo/models/default/small.onnx"} <= set(names)
    assert not [name for name in names if "/lab/" in f"/{name}"]


def test_our_wheel_holds_no_file_for_developers_and_none_twice(tmp_path: Path) -> None:
    with built(tmp_path, "standard") as wheel:
        contents = {name: wheel.read(name) for name in wheel.namelist()}
    for_developers = re.compile(r"(^|/)(README\.md|tests?|__pycache__|\.\w+)($|/)")
    assert not [name for name in contents if for_developers.search(name)]
    assert {"rilievo/models/default/base.md", "rilievo/py.typed"} <= contents.keys()
    by_content: dict[bytes, list[str]] = {}
    for name, content in contents.items():
        by_content.setdefault(content, []).append(name)
    assert not [names for content, names in by_content.items() if content and len(names) > 1]


@pytest.mark.parametrize("builder", [WheelBuilder, SdistBuilder])
def test_the_action_that_uploads_a_release_knows_the_metadata(
    builder: type[WheelBuilder | SdistBuilder],
) -> None:
    built_here = builder(str(ROOT))
    metadata = built_here.config.core_metadata_constructor(built_here.metadata)
    assert metadata.startswith("Metadata-Version: 2.4\n")


def test_the_container_gets_all_that_the_wheel_is_built_from(tmp_path: Path) -> None:
    """Only what `.dockerignore` lets through and a line of COPY names is there to build from."""
    let_through = (ROOT / ".dockerignore").read_text("utf-8")
    copied = re.findall(
        r"^COPY (.*) /build", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    for name in " ".join(copied).split():
        assert f"!{name}\n" in let_through
        if (ROOT / name).is_dir():
            cached = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tmp_path / "build" / name, ignore=cached)
        else:
            (tmp_path / "build").mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "build" / name)
    with (
        built(tmp_path, "standard", tmp_path / "build") as inside,
        built(tmp_path, "standard") as ours,
    ):
        assert set(inside.namelist()) == set(ours.namelist())


def test_an_editable_install_finds_the_renderer(tmp_path: Path) -> None:
    with built(tmp_path, "editable") as wheel:
        paths = wheel.read("_rilievo.pth").decode().splitlines()
    assert {Path(path) for path in paths} == {ROOT, ROOT / "src"}


def carried(package: str) -> set[str]:
    """Libraries in the wheel of a package that ask for a word."""
    found = find_spec(PACKAGES[package])
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed")
    folder = Path(found.origin).parents[1] / FOLDERS[package]
    if not folder.is_dir():
        pytest.skip(f"{package} is no wheel of Linux")
    names = (re.match(r"lib[A-Za-z0-9]+", path.name) for path in folder.iterdir())
    return {name[0] for name in names if name is not None and TELLING.match(name[0])}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_library_that_asks_for_a_word_is_named(package: str) -> None:
    text = (ROOT / "docs/wheels.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith(f"| {package} |")]
    libraries = carried(package)
    assert libraries, f"{package} carries nothing of the kind any more: change docs/wheels.md"
    for library in libraries:
        assert any(library in row for row in rows), library


def test_the_notice_names_the_libraries_under_the_gpl() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for word in ("x264", "x265", "GPL", "av", "pillow-heif", "docs/wheels.md"):
        assert word in notice
