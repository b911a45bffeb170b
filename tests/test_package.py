"""Promises of the package as a whole: light, layered, public names that exist."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import rilievo
from rilievo.version import VERSION

HEAVY = (
    *("torch", "transformers", "numba", "cv2", "scipy", "av", "trimesh", "tqdm", "openvino"),
    "jaxtyping",
)


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("name", rilievo.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(rilievo, name) is not None
    assert name in dir(rilievo)


@pytest.mark.slow
def test_functions_are_not_hidden_by_modules_of_their_name() -> None:
    """Importing a submodule must not turn a public function into that module."""
    loaded = "import rilievo.alignment, rilievo.calibration, rilievo.predicting.run, rilievo"
    checks = "assert all(callable(getattr(rilievo, n)) for n in ('align', 'calibrate', 'predict'))"
    loaded_after(f"{loaded}\n{checks}")


def test_the_version_is_that_of_the_change_log() -> None:
    text = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    title = next(line for line in text.splitlines() if line.startswith("## "))
    number, is_released = VERSION.removesuffix(".dev0"), not VERSION.endswith(".dev0")
    assert title == f"## {number}" + ("" if is_released else " (unreleased)")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="predikt"):
        _ = rilievo.predikt  # pyright: ignore[reportAttributeAccessIssue]


def test_shapes_are_those_of_jaxtyping_only_where_it_is_loaded_first() -> None:
    check = "import rilievo.arrays.shapes; assert ({} is rilievo.arrays.shapes.Float32) is {}"
    loaded_after(f"import jaxtyping; {check.format('jaxtyping.Float32', True)}")
    assert "jaxtyping" not in loaded_after(
        "import rilievo.arrays.shapes; rilievo.arrays.shapes.Float32[int, '']"
    )
    loaded_after(
        "import rilievo.arrays.shapes as s; assert s.Float32[int, 'h w'] | None == int | None"
    )


def test_importing_rilievo_loads_nothing() -> None:
    modules = loaded_after("import rilievo")
    assert not modules & {*HEAVY, "numpy", "PIL", "onnxruntime"}


@pytest.mark.parametrize(
    "code",
    [
        "from rilievo.cli import main; main(['--help'])",
        "from rilievo.cli import main; main(['models'])",
        "import rilievo; rilievo.MODELS",
        "import rilievo; rilievo.predict, rilievo.save, rilievo.align, rilievo.calibrate",
    ],
)
def test_the_command_line_and_the_tables_load_no_framework(code: str) -> None:
    assert not loaded_after(code) & set(HEAVY)


@pytest.mark.slow
def test_predicting_a_photograph_loads_only_what_it_needs(tmp_path: Path) -> None:
    """A cold start is mostly imports: these would be a tenth of it each, or more."""
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (64, 48), (90, 120, 30)).save(photo)
    command = ["predict", str(photo), "-o", str(tmp_path / "results")]
    modules = loaded_after(f"from rilievo.cli import main; assert main({command!r}) == 0")
    assert (tmp_path / "results" / "photo.depth.png").is_file()
    assert not modules & {
        *HEAVY,
        "numpy.ma",
        "numpy.random",
        "rilievo.calibration.floor",
    }
