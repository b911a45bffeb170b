"""Dependencies report nothing and leave no identifiers where rilievo is imported first."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
import pytest

from rilievo.system.telemetry import VARIABLES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders of Linux and macOS")

has_telemetry = pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 29),
    reason="this ONNX Runtime has no telemetry",
)
PREDICT = (
    "import numpy, rilievo; "
    "pixels = numpy.random.default_rng(0).integers(0, 255, (48, 64, 3), numpy.uint8); "
    "rilievo.load_model('rilievo/small')(pixels)"
)


def left_by(folder: Path, code: str, **variables: str) -> set[str]:
    """Files that a process leaves in its home and in its temporary folder, beside its cache.

    Its environment holds nothing else: packages keep quiet in CI and under pytest.
    """
    home, temporary = folder / "home", folder / "temporary"
    home.mkdir(exist_ok=True)
    temporary.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
        "RILIEVO_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        # Nothing listens there, so that nothing leaves where telemetry is on.
        "https_proxy": "http://127.0.0.1:9",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {
        str(path.relative_to(folder))
        for place in (home, temporary)
        for path in place.rglob("*")
        if path.is_file()
    }


def test_predicting_leaves_no_file_in_the_home_folder(tmp_path: Path) -> None:
    assert left_by(tmp_path, PREDICT) == set()


@has_telemetry
def test_onnx_runtime_leaves_identifiers_if_the_user_wants_its_telemetry(tmp_path: Path) -> None:
    """The test above sees files, then, and what the user has set stays."""
    files = left_by(tmp_path, PREDICT, ORT_DISABLE_TELEMETRY="0")
    assert "temporary/.ses" in files
    assert any("DeveloperTools" in file for file in files)


@pytest.mark.parametrize(
    "code",
    [
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {PREDICT!r}], check=True)",
        "import multiprocessing, rilievo\n"
        "for kind in 'spawn', 'forkserver', 'fork':\n"
        "    pool = multiprocessing.get_context(kind).Pool(1)\n"
        "    pool.apply(exec, ('import onnxruntime',))\n"
        "    pool.terminate()",
    ],
    ids=["a process of its own", "workers"],
)
def test_child_processes_leave_no_file_either(code: str) -> None:
    # Sockets of forkserver lie in the temporary folder, and their paths are short.
    with TemporaryDirectory(prefix="r-") as folder:
        assert left_by(Path(folder), code) == set()


@has_telemetry
def test_onnx_runtime_imported_first_is_reported(tmp_path: Path) -> None:
    warned = (
        "import onnxruntime, warnings\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        f"    {PREDICT}\n"
        "text, = [str(each.message) for each in said if each.category is RuntimeWarning]\n"
        "assert 'import rilievo first' in text, text"
    )
    assert "temporary/.ses" in left_by(tmp_path, warned)


@pytest.mark.parametrize("chosen", ["0", "1"])
def test_onnx_runtime_imported_first_is_fine_if_the_user_chose(chosen: str, tmp_path: Path) -> None:
    left_by(tmp_path, f"import onnxruntime; {PREDICT}", ORT_DISABLE_TELEMETRY=chosen)


@pytest.mark.skipif(find_spec("openvino_telemetry") is None, reason="no openvino_telemetry here")
def test_openvino_leaves_no_file_in_the_home_folder(tmp_path: Path) -> None:
    engine = PREDICT.replace("'rilievo/small'", "'rilievo/small', engine='openvino'")
    assert left_by(tmp_path, engine) == set()
    # Without its telemetry being held back, it would.
    assert "home/intel/stats" in left_by(tmp_path, "import openvino")


def test_variables_of_the_user_are_kept(tmp_path: Path) -> None:
    theirs = dict.fromkeys(VARIABLES, "chosen")
    check = f"import os, rilievo; assert {theirs!r}.items() <= os.environ.items()"
    assert left_by(tmp_path, check, **theirs) == set()
