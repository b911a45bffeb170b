"""Benchmarks beside released programs: planted faults are caught, and bad inputs are one line.

The programs here are tiny ones with the names of the real ones' functions.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lab.prove import checkout, proving
from lab.prove.__main__ import main
from lab.prove.checkout import Checkout, call, check_commit, open_checkout
from lab.prove.programs import Program, program_of, proofs
from lab.prove.proving import Difference, prove
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Crop, Interpolation
from rilievo.evaluation.point_fit import PointFit, fit_points
from rilievo.evaluation.scoring import comparable_depth, placing, regions, resizing, score
from rilievo.evaluation.scoring.regions import PixelWindow
from rilievo.evaluation.scoring.score import ScoreWithSums
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Truth

PYTHON = Path(sys.executable)
NAIVE = "mean = lambda x: np.cumsum(np.asarray(x, np.float32))[-1] / np.float32(x.size)"

ERRORS = """
import numpy as np

def compute_errors(true, predicted):
    factor = np.maximum(true / predicted, predicted / true)
    rmse = np.sqrt(((true - predicted) ** 2).mean())
    rmse_log = np.sqrt(((np.log(true) - np.log(predicted)) ** 2).mean())
    abs_rel = np.mean(np.abs(true - predicted) / true)
    sq_rel = np.mean((true - predicted) ** 2 / true)
    shares = [(factor < 1.25**power).mean() for power in (1, 2, 3)]
    return abs_rel, sq_rel, rmse, rmse_log, *shares
"""

ALIGNMENT = """
import numpy as np

def align_depth_least_square(gt_arr, pred_arr, valid_mask_arr, return_scale_shift, max_resolution):
    y, x, mask = gt_arr, pred_arr, valid_mask_arr
    side = max_resolution
    if side is not None and side < max(x.shape):
        factor = min(side / x.shape[0], side / x.shape[1])
        def taken(n):
            steps = np.arange(int(n * factor)) * np.float32(1 / factor)
            return np.minimum(steps.astype(int), n - 1)
        columns = taken(x.shape[1])
        y, x, mask = y[:, columns], x[:, columns], mask[:, columns]
        if BOTH:
            rows = taken(x.shape[0])
            y, x, mask = y[rows], x[rows], mask[rows]
    A = np.stack([x[mask], np.ones(mask.sum())], axis=1).astype(np.float64)
    scale, shift = np.linalg.lstsq(A, y[mask].astype(np.float64), rcond=None)[0]
    return pred_arr * scale + shift
"""

MAPS = """
def over(function):
    def mean(p, t, mask):
        p, t = p[mask].double(), t[mask].double()
        return function(p, t)
    return mean

def share(power):
    import torch
    return over(lambda p, t: (torch.maximum(p / t, t / p) < 1.25**power).double().mean())

abs_relative_difference = over(lambda p, t: ((p - t).abs() / t).mean())
squared_relative_difference = over(lambda p, t: ((p - t) ** 2 / t).mean())
rmse_linear = over(lambda p, t: ((p - t) ** 2).mean() ** 0.5)
rmse_log = over(lambda p, t: ((p.log() - t.log()) ** 2).mean() ** 0.5)
log10 = over(lambda p, t: (p.log10() - t.log10()).abs().mean())
i_rmse = over(lambda p, t: ((1 / p - 1 / t) ** 2).mean() ** 0.5)
silog_rmse = over(lambda p, t: 100 * (p.log() - t.log()).var(correction=0) ** 0.5)
delta1_acc, delta2_acc, delta3_acc = share(1), share(2), share(3)
"""

BATCH = """
import torch

def evaluate_depth(predicted, true, image_average, scale_invariant):
    predicted, true = predicted[:, 0].double(), true[:, 0].double()
    mask = true > 0
    def average(values):
        if POOLED:
            return values[mask].mean()
        return torch.stack([v[m].mean() for v, m in zip(values, mask)]).mean()
    factor = torch.maximum(predicted / true.clamp(min=1e-9), true / predicted)
    found = {f"d{n}": average((factor < 1.25**n).double()) for n in (1, 2, 3)}
    squares = (predicted - true) ** 2
    roots = torch.stack([s[m].mean() ** 0.5 for s, m in zip(squares, mask)])
    return found | {"rmse": roots.mean()}
"""


MOGE = """
import torch

def pair(p, t):
    return {"rel": ((p - t).abs() / t).mean().item(),
            "delta1": (torch.maximum(p / t, t / p) < 1.25).double().mean().item()}

def compute_metrics(pred, gt, vis=False):
    mask, true = gt["depth_mask"], gt["depth"].double()
    found = {}
    if "depth_metric" in pred:
        found["depth_metric"] = pair(pred["depth_metric"].double()[mask], true[mask])
    if "disparity_affine_invariant" in pred:
        x, y = pred["disparity_affine_invariant"].double()[mask], 1 / true[mask]
        dx = x - x.mean()
        scale = (dx * (y - y.mean())).sum() / (dx * dx).sum()
        fitted = scale * x + y.mean() - scale * x.mean()
        depth = 1 / fitted.clamp_min(1 / true[mask].max())
        found["disparity_affine_invariant"] = pair(depth, true[mask])
    if "intrinsics" in pred:
        fov = [torch.rad2deg(2 * torch.arctan(0.5 / K["intrinsics"][0, 0].double()))
               for K in (pred, gt)]
        found["fov_x"] = {"mae": (fov[0] - fov[1]).abs(), "deviation": fov[0] - fov[1]}
    return found, {}
"""

EDGES = (
    MOGE.replace("def compute_metrics", "def depths")
    + """
import utils3d

def compute_metrics(pred, gt, vis=False):
    found, _ = depths(pred, gt)
    if gt["has_sharp_boundary"]:
        windows = utils3d.torch.sliding_window_2d(torch.arange(20).reshape(4, 5), 3, 1)
        assert windows.shape == (2, 3, 3, 3)
        assert windows[1, 2].flatten().tolist() == [7, 8, 9, 12, 13, 14, 17, 18, 19]
        found["boundary"] = {f"radius{n}_f1": 0.0 for n in (1, 2, 3)}
    return found, {}
"""
)

BOUNDARY = """
import numpy as np

def steps(depth, least):
    across, down = depth[:, 1:] / depth[:, :-1], depth[1:] / depth[:-1]
    return [1 / across > least, across > least, 1 / down > least, down > least]

def SI_boundary_F1(predicted, true):
    scores, limits = [], np.linspace(1.05, 1.25, 10)
    for least in limits:
        both = list(zip(steps(predicted, least), steps(true, least)))
        recall = np.mean([(p & t).sum() / max(t.sum(), 1) for p, t in both])
        precision = np.mean([(p & t).sum() / max(p.sum(), 1) for p, t in both])
        scores.append(2 * recall * precision / max(recall + precision, 1e-12))
    return float(np.sum(scores * limits / limits.sum()))
"""

ANGLES = """
import torch

def compute_normal_error(predicted, true):
    cosine = torch.nn.functional.cosine_similarity(predicted.double(), true.double(), dim=1)
    return torch.rad2deg(torch.arccos(cosine.clip(-1, 1)))[:, None]

def compute_normal_metrics(angles):
    limits = (5, 7.5, 11.25, 22.5, 30)
    found = {f"a{n}": 100 * (angles < limit).double().mean() for n, limit in enumerate(limits, 1)}
    # Of an even number, numpy takes the middle of two.
    median = angles.quantile(0.5)
    return found | {"mean": angles.mean(), "median": median, "rmse": (angles**2).mean() ** 0.5}
"""

READER = """
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

DATASET_PATH = "nowhere"

def colours(path, shape):
    stored = np.asarray(Image.open(path))
    return stored / np.float32(127.5) - 1, stored.any(axis=2)

def numbers(path, shape):
    import OpenEXR
    with OpenEXR.File(str(path)) as file:
        normals = file.channels()["RGB"].pixels
    return normals, (normals**2).sum(axis=2) > 0.25

def part(path, shape):
    content = pickle.loads(path.read_bytes())
    normals = np.zeros((*shape, 3), np.float32)
    rows = slice(content["min_y"], content["max_y"] + 1)
    normals[rows, content["min_x"]:content["max_x"] + 1] = content["normal"]
    known = normals.any(axis=2)
    return normals * np.float32([-1, -1, 1]), known

READERS = {".png": colours, ".exr": numbers, ".pkl": part}

def get_sample(args, sample_path, info):
    photograph = Path(DATASET_PATH, sample_path)
    image = np.asarray(Image.open(photograph))
    stem = photograph.name.replace("_img.png", "")
    (file,) = photograph.parent.glob(f"{stem}_normal.*")
    normals, known = READERS[file.suffix](file, image.shape[:2])
    K = np.load(photograph.with_name(f"{stem}_intrins.npy"))
    return SimpleNamespace(
        img=image / 255, normal=normals, normal_mask=known[..., None], intrins=K
    )
"""

LOOP = """
def eval_depth(p, t):
    import torch
    p, t = p.double(), t.double()
    factor, e = torch.maximum(p / t, t / p), p.log() - t.log()
    found = {f"d{n}": (factor < 1.25**n).double().mean() for n in (1, 2, 3)}
    found["abs_rel"] = ((p - t).abs() / t).mean()
    found["sq_rel"] = ((p - t) ** 2 / t).mean()
    found["rmse"] = ((p - t) ** 2).mean() ** 0.5
    found["rmse_log"] = (e**2).mean() ** 0.5
    found["log10"] = (p.log10() - t.log10()).abs().mean()
    return found | {"silog": ((e**2).mean() - e.mean() ** 2 / 2) ** 0.5}
"""


def git(folder: Path, *words: str) -> str:
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", "-C", str(folder), *names, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def clone(folder: Path, **files: str) -> Path:
    """A checkout with these files; a name has dots where its path has slashes."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def proved(benchmark: str, folder: Path) -> tuple[Difference, ...]:
    return prove(find_benchmark(benchmark), program_of(benchmark), open_checkout(folder), PYTHON)


def wrong(differences: tuple[Difference, ...]) -> set[str]:
    return {difference.metric for difference in differences if not difference.agrees}


def test_a_program_that_does_the_same_agrees_in_every_number(tmp_path: Path) -> None:
    clone(tmp_path, evaluate_depth=ERRORS)
    for benchmark, cases in (("kitti-eigen", 13), ("kitti-monodepth2-improved", 9)):
        differences = proved(benchmark, tmp_path)
        assert len(differences) == 7 * cases
        assert not wrong(differences), differences


@pytest.mark.slow
def test_pixels_with_half_of_their_sources_are_found_by_holes_of_half_the_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone(tmp_path, evaluate_depth=ERRORS)
    honest = resizing.resize_depth

    def valid_where_half_of_the_sources_are(
        predicted: DepthMap, shape: tuple[int, int], interpolation: Interpolation | str
    ) -> DepthMap:
        if predicted.shape == shape:
            return predicted
        filled = np.where(predicted.valid, predicted.values, np.float32(1))
        everywhere = replace(predicted, values=filled, valid=np.ones(filled.shape, bool))
        resized = honest(everywhere, shape, interpolation)
        valid = resizing.resize_confidence((~predicted.valid).astype(np.float32), shape) <= 0.5
        return replace(resized, valid=valid)

    for module in (comparable_depth, placing, score):
        monkeypatch.setattr(module, "resize_depth", valid_where_half_of_the_sources_are)
    differing = {
        difference.case for difference in proved("kitti-eigen", tmp_path) if not difference.agrees
    }
    assert differing == {"half size, holes"}


@pytest.mark.slow
def test_a_crop_that_is_wrong_at_one_size_of_kitti_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    clone(tmp_path, zoedepth__utils__misc=ZOEDEPTH)
    honest = regions.scored_window

    def one_row_lower_at_376(crop: Crop | str, shape: tuple[int, int]) -> PixelWindow:
        window = honest(crop, shape)
        return replace(window, top=window.top + 1) if shape[0] == 376 else window

    monkeypatch.setattr(regions, "scored_window", one_row_lower_at_376)
    differences = proved("kitti-eigen-improved", tmp_path)
    assert {each.case for each in differences if not each.agrees} == {"376x1241"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nyuv2", "kitti", "eth3d", "scannet", "diode"])
def test_marigolds_protocols_agree_and_both_axes_thinned_are_caught(
    name: str, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    honest = "BOTH = False\n" + ALIGNMENT
    clone(tmp_path / "a", src__util__alignment=honest, src__util__metric=MAPS)
    differences = proved(f"marigold-{name}", tmp_path / "a")
    cases = {each.case for each in differences}
    assert cases >= {"100%", "60%", "5%"}
    assert len(differences) == 10 * len(cases), "each metric in each case"
    assert not wrong(differences), [
        difference for difference in differences if not difference.agrees
    ]
    if name == "eth3d":
        faulty = "BOTH = True\n" + ALIGNMENT
        clone(tmp_path / "b", src__util__alignment=faulty, src__util__metric=MAPS)
        assert {"abs_rel", "rmse"} <= wrong(proved("marigold-eth3d", tmp_path / "b"))


ALIKE = [pytest.param(name, marks=pytest.mark.slow) for name in ("nyuv2", "sintel")]
"""Sets whose files are like those of another set."""
READ = {"valid", "x", "y", "z", "K", "image"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scannet", "ibims", "oasis", *ALIKE])
def test_files_of_dsines_sets_are_read_as_its_loaders_do(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("OpenEXR")
    clone(tmp_path, utils__utils=ANGLES, **{f"data__datasets__{name}": READER})
    differences = proved(f"dsine-{name}", tmp_path)
    numbers = {difference.metric for difference in differences if difference.case == "files"}
    assert len(numbers) == 14
    assert numbers >= READ
    assert not wrong(differences), [
        difference for difference in differences if not difference.agrees
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "before", "after", "metrics"),
    [
        ("scannet", "stored.any(axis=2)", "(stored > 0).all(axis=2)", {"valid", "mean"}),
        ("scannet", "np.float32(127.5)", "np.float32(127)", {"x", "y", "z"}),
        ("ibims", "> 0.25", ">= 0.25", {"valid", "mean"}),
        ("oasis", "[-1, -1, 1]", "[-1, 1, 1]", {"y", "mean"}),
        ("oasis", "known = normals.any(axis=2)", "known = normals.all(axis=2)", {"valid"}),
    ],
)
def test_a_plant_in_a_loader_is_found(
    name: str, before: str, after: str, metrics: set[str], tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("OpenEXR")
    assert READER.count(before) == 1
    faulty = READER.replace(before, after)
    clone(tmp_path, utils__utils=ANGLES, **{f"data__datasets__{name}": faulty})
    differences = proved(f"dsine-{name}", tmp_path)
    assert metrics <= wrong(differences)
    assert {each.case for each in differences if not each.agrees} == {"files"}


@pytest.mark.slow
def test_a_mean_over_pixels_in_place_of_one_over_frames_is_caught(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    clone(tmp_path / "a", evals__utils__metrics="POOLED = False\n" + BATCH)
    assert not wrong(proved("probe3d-navi", tmp_path / "a"))
    assert not wrong(proved("probe3d-nyuv2", tmp_path / "a"))
    clone(tmp_path / "b", evals__utils__metrics="POOLED = True\n" + BATCH)
    assert wrong(proved("probe3d-navi", tmp_path / "b")) >= {"delta1"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "module", "text", "numbers"),
    [
        ("moge-metric", "moge__test__metrics", MOGE, 6),
        ("moge-disparity", "moge__test__metrics", MOGE, 6),
        ("moge-fov", "moge__test__metrics", MOGE, 6),
        ("nyuv2-normals", "utils__utils", ANGLES, 24),
        ("kitti-dav2", "metric_depth__util__metric", LOOP, 81),
    ],
)
def test_other_programs_are_called_as_they_are_meant(
    benchmark: str, module: str, text: str, numbers: int, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    clone(tmp_path, **{module: text})
    differences = proved(benchmark, tmp_path)
    assert len(differences) == numbers
    assert not wrong(differences), [
        difference for difference in differences if not difference.agrees
    ]


def test_a_number_that_is_none_does_not_agree() -> None:
    assert not Difference(case="100%", metric="a", ours=0.0, theirs=float("nan")).agrees


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_prints_commits_first_and_ends_with_1_where_numbers_differ(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clone(tmp_path, evaluate_depth=ERRORS)
    arguments = ["kitti-eigen", "--checkout", str(tmp_path)]
    arguments += ["--python", str(PYTHON)]
    assert main(arguments) == 2
    output = capfd.readouterr()
    assert "commit b676244 or bd03a9e expected" in output.err
    assert git(tmp_path, "rev-parse", "HEAD")[:10] in output.err
    assert "--any-commit" in output.err
    assert main([*arguments, "--any-commit"]) == 0
    output = capfd.readouterr().out
    assert output.splitlines()[0].startswith("https://github.com/nianticlabs/monodepth2: commit")
    assert "91 numbers compared, 0 differ" in output
    path = tmp_path / "evaluate_depth.py"
    path.write_text(ERRORS.replace("/ true)", "/ predicted)"))
    assert main([*arguments, "--any-commit"]) == 1
    output = capfd.readouterr().out
    assert "with changed files" in output
    assert "DIFFERS" in output


def test_nothing_of_a_checkout_of_another_commit_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    clone(tmp_path / "a", evaluate_depth=f"open({str(mark)!r}, 'w').close()\n" + ERRORS)
    arguments = ["kitti-eigen", "--checkout", str(tmp_path / "a")]
    assert main([*arguments, "--python", str(PYTHON)]) == 2
    assert not mark.exists()


def test_the_commit_that_was_read_is_taken(tmp_path: Path) -> None:
    commit = "b6762441234567890"
    checkout = Checkout(folder=tmp_path, commit=commit, is_changed=False)
    line = check_commit(checkout, program_of("kitti-eigen"), any_commit=False)
    assert "b676244 or bd03a9e expected, b676244123 found" in line
    changed = Checkout(folder=tmp_path, commit=commit, is_changed=True)
    with pytest.raises(OptionError, match="with changed files"):
        check_commit(changed, program_of("kitti-eigen"), any_commit=False)


def test_folders_that_are_no_checkouts_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder of a checkout"):
        open_checkout(tmp_path / "none")
    with pytest.raises(InputError, match="is no checkout of git"):
        open_checkout(tmp_path)
    git(tmp_path, "init", "-q")
    with pytest.raises(InputError, match="git cannot read it"):
        open_checkout(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def other(): pass", "has no attribute 'compute_errors'"),
        ("import not_installed_at_all", "No module named 'not_installed_at_all'"),
        ("import os; os._exit(3)", "ended with code 3"),
        ("import os; os.kill(os.getpid(), 9)", "ended with code -9"),
        ("raise ValueError('odd\\x1b[31m')", "odd"),
    ],
)
def test_functions_that_fail_are_one_line(text: str, words: str, tmp_path: Path) -> None:
    clone(tmp_path, evaluate_depth=text)
    with pytest.raises(InputError, match="could not be run") as caught:
        proved("kitti-eigen", tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_functions_that_hang_or_a_python_that_is_none_are_one_line(tmp_path: Path) -> None:
    clone(tmp_path, evaluate_depth="import time; time.sleep(60)")
    program, checkout = program_of("kitti-eigen"), open_checkout(tmp_path)
    with pytest.raises(InputError, match=r"more than 0\.5 seconds"):
        call(program, checkout, PYTHON, [], {}, longest=0.5)
    with pytest.raises(OptionError, match="is no Python to run"):
        call(program, checkout, tmp_path / "python", [], {})


@pytest.mark.slow
def test_an_environment_without_numpy_is_one_line(tmp_path: Path) -> None:
    clone(tmp_path / "a", evaluate_depth=ERRORS)
    bare = tmp_path / "bare"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True, capture_output=True
    )
    checkout = open_checkout(tmp_path / "a")
    with pytest.raises(InputError, match="No module named 'numpy'"):
        call(program_of("kitti-eigen"), checkout, bare / "bin" / "python", [], {})


def test_every_benchmark_has_a_program_or_a_reason() -> None:
    known = proofs()
    assert set(known) == set(BENCHMARKS)
    programs = [proof for proof in known.values() if isinstance(proof, Program)]
    assert len(programs) >= 25
    for proof in known.values():
        assert proof if isinstance(proof, str) else proof.functions
    with pytest.raises(OptionError, match="released the pairs of points and no program"):
        program_of("da2k")


def test_options_that_do_not_go_together_are_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["moge-affine"]) == 2
    assert "a clone of https://github.com/microsoft/MoGe at 0744441" in capfd.readouterr().err
    assert main(["moge-afine"]) == 2
    assert "did you mean 'moge-affine'" in capfd.readouterr().err


def test_a_python_is_named_from_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child starts in the checkout, and a link of a virtual environment is not followed."""
    clone(tmp_path / "a", evaluate_depth=ERRORS)
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "python").write_text(f'#!/bin/sh\nexec {PYTHON} "$@"\n')
    (tmp_path / "env" / "python").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    arguments = ["kitti-eigen", "--checkout", "a", "--python", "env/python", "--any-commit"]
    assert main(arguments) == 0


def test_another_commit_that_was_read_is_taken_too(tmp_path: Path) -> None:
    checkout = Checkout(folder=tmp_path, commit="a1f1464000", is_changed=False)
    line = check_commit(checkout, program_of("probe3d-nyuv2"), any_commit=False)
    assert "1fff822 or a1f1464 expected" in line


def test_a_program_that_knows_no_mask_gets_whole_maps(tmp_path: Path) -> None:
    """Truth is missing nowhere: with a mask on one side two equal functions differ."""
    clone(tmp_path, src__depth_pro__eval__boundary_metrics=BOUNDARY)
    differences = proved("surfaces", tmp_path)
    assert [difference.metric for difference in differences] == ["boundary_f1"] * 3
    assert not wrong(differences), differences


def test_a_difference_of_float32_agrees_where_the_program_says_so() -> None:
    program = program_of("moge-affine")
    assert program.tolerance == 1e-5
    assert "float32" in program.why
    difference = Difference(
        case="100%", metric="a", ours=0.1, theirs=0.1 + 5e-6, tolerance=program.tolerance
    )
    assert difference.agrees
    assert not Difference(case="100%", metric="a", ours=0.1, theirs=0.1 + 5e-6).agrees


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", ["moge-metric", "moge-boundary"])
def test_edges_are_asked_of_moge_for_boundaries_alone_and_get_their_windows(
    benchmark: str, tmp_path: Path
) -> None:
    """MoGe's pin of utils3d has lost the function of windows that its edges call."""
    pytest.importorskip("torch")
    (tmp_path / "utils3d").mkdir()
    (tmp_path / "utils3d" / "__init__.py").write_text("from utils3d import torch\n")
    (tmp_path / "utils3d" / "torch.py").write_text("")
    clone(tmp_path, moge__test__metrics=EDGES)
    differences = proved(benchmark, tmp_path)
    assert len(differences) == (9 if benchmark == "moge-boundary" else 6)
    if benchmark == "moge-metric":
        assert not wrong(differences), [
            difference for difference in differences if not difference.agrees
        ]


ZOEDEPTH = """
import numpy as np
import torch

def compute_metrics(gt, pred, interpolate=True, garg_crop=False, eigen_crop=True, dataset="nyu",
                    min_depth_eval=0.1, max_depth_eval=10):
    near, far = min_depth_eval, max_depth_eval
    if gt.shape != pred.shape:
        resize = torch.nn.functional.interpolate
        pred = resize(pred, gt.shape[-2:], mode="bilinear", align_corners=True)
    p, t = pred[0, 0].numpy(), gt[0, 0].numpy()
    p = np.nan_to_num(p, nan=near, posinf=far).clip(near, far)
    height, width = t.shape
    rows, columns = (45, 471), (41, 601)
    if garg_crop:
        rows = [int(share * height) for share in (0.40810811, 0.99189189)]
        columns = [int(share * width) for share in (0.03594771, 0.96405229)]
    inside = np.zeros(t.shape, bool)
    inside[slice(*rows), slice(*columns)] = True
    mask = inside & (t > near) & (t < far)
    p, t = p[mask], t[mask]
    mean = np.mean
    factor, e = np.maximum(p / t, t / p), np.log(p) - np.log(t)
    found = {f"a{n}": mean(factor < 1.25**n) for n in (1, 2, 3)}
    found["abs_rel"], found["sq_rel"] = mean(abs(t - p) / t), mean((t - p) ** 2 / t)
    found["rmse"], found["rmse_log"] = mean((t - p) ** 2) ** 0.5, mean(e**2) ** 0.5
    found["silog"] = 100 * (mean(e**2) - mean(e) ** 2) ** 0.5
    return found | {"log_10": mean(abs(np.log10(t) - np.log10(p)))}
"""

# The file of mono-uncertainty mixes tabs and blanks, so that it cannot be imported.
SPARSIFICATION = """
import numpy as np
import progressbar

uncertainty_metrics = ["abs_rel", "rmse", "a1"]

def compute_eigen_errors_v2(gt, pred, metrics=uncertainty_metrics, mask=None, reduce_mean=False):
    if mask is not None:
        gt, pred = gt[mask], pred[mask]
    ratio = np.maximum(gt / pred, pred / gt)
    each = {"abs_rel": abs(gt - pred) / gt, "rmse": (gt - pred) ** 2, "a1": ratio}
    if reduce_mean:
        each = {"abs_rel": each["abs_rel"].mean(), "rmse": each["rmse"].mean() ** 0.5,
                "a1": (ratio >= 1.25).mean()}
    return [each[name] for name in metrics]

def compute_aucs(gt, pred, uncert, intervals=50):
    found, steps = {}, [t / intervals for t in range(intervals + 1)]

    def curve(name, order):
        limits = [np.percentile(order, 100.0 / intervals * t) for t in range(intervals)]
        means = [compute_eigen_errors_v2(gt, pred, [name], order >= limit, True)[0]
                 for limit in limits]
        return np.trapz(means + [0], x=steps), means[0]

    for name, error in zip(uncertainty_metrics, compute_eigen_errors_v2(gt, pred)):
        area, whole = curve(name, -uncert)
        found[name] = [area - curve(name, -error)[0], whole - area]
    return found

def evaluate(opt):
\tfor m in uncertainty_metrics:
            print(m)
"""

STABILITY = """
import torch
import nothing_that_is_installed

def compute_errors_torch(gt, pred):
    return torch.mean(torch.abs(gt - pred) / gt)

def tae_torch(depth1, depth2, R_2_1, T_2_1, K, mask):
    height, width = depth1.shape
    sides = [torch.arange(side, dtype=depth1.dtype) for side in (height, width)]
    v, u = torch.meshgrid(*sides, indexing="ij")
    rays = torch.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], torch.ones_like(u)])
    points = (rays.reshape(3, -1) * depth1.flatten()).T @ R_2_1.T + torch.tensor(T_2_1)
    x, y, z = points.T
    across = torch.round(x * K[0, 0] / z + K[0, 2]).long()
    down = torch.round(y * K[1, 1] / z + K[1, 2]).long()
    inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    seen = torch.zeros_like(depth1)
    seen[down[inside], across[inside]] = z[inside]
    both = (seen > 0) & (depth2 > 0) & mask
    return compute_errors_torch(depth2[both], seen[both])
"""

TABLE = """
import torch
import nothing_that_is_installed

def delta(tensor1, tensor2, exponent):
    return (torch.maximum(tensor1 / tensor2, tensor2 / tensor1) < 1.25**exponent).double().mean()

def ssi(tensor1, tensor2):
    return tensor2

def d1_ssi(tensor1, tensor2):
    return delta(tensor1, ssi(tensor1, tensor2), 1.0)

def d_auc(tensor1, tensor2):
    return delta(tensor1, tensor2, 1.0)

DICT_METRICS = {
    "d1": partial(delta, exponent=1.0),
    "d2": partial(delta, exponent=2.0),
    "d3": partial(delta, exponent=3.0),
    "arel": lambda gt, pred: ((gt - pred).abs() / gt).mean(),
    "sqrel": lambda gt, pred: ((gt - pred) ** 2 / gt).mean(),
    "rmse": lambda gt, pred: ((gt - pred) ** 2).mean() ** 0.5,
    "rmselog": lambda gt, pred: ((gt.log() - pred.log()) ** 2).mean() ** 0.5,
    "log10": lambda gt, pred: (gt.log10() - pred.log10()).abs().mean(),
    "silog": lambda gt, pred: 100 * torch.std(pred.log() - gt.log()),
}

def eval_depth(gts, preds, masks, max_depth=None):
    found = defaultdict(list)
    for gt, pred, mask in zip(gts, preds, masks):
        for name, function in DICT_METRICS.items():
            found[name].append(function(gt[mask], pred[mask]))
    return {name: torch.stack(values) for name, values in found.items()}
"""

ROUNDED = """
import numpy as np
import torch

def compute_cosine_error(pred_norm, gt_norm, masked=False):
    known = gt_norm.norm(dim=0) > 0
    cosine = torch.cosine_similarity(pred_norm[:, known], gt_norm[:, known], dim=0)
    return np.degrees(np.arccos(cosine.clamp(-1, 1).numpy()))

def share(limit):
    return lambda angles: round(100.0 * np.mean(angles < limit), 4)

def mean_angular_error(angles):
    return round(np.average(angles), 4)

def median_angular_error(angles):
    return round(np.median(angles), 4)

sub5_error, sub7_5_error, sub11_25_error = share(5), share(7.5), share(11.25)
sub22_5_error, sub30_error = share(22.5), share(30)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "module", "text", "numbers"),
    [
        ("nyuv2-eigen", "zoedepth__utils__misc", ZOEDEPTH, 81),
        ("kitti-eigen-improved", "zoedepth__utils__misc", ZOEDEPTH, 117),
        ("kitti-uncertainty", "evaluate", SPARSIFICATION, 24),
        ("video-tae", "benchmark__eval__eval_tae", STABILITY, 3),
        ("depth", "unidepth__utils__evaluation_depth", TABLE, 63),
        ("marigold-nyuv2-normals", "src__util__metric", ROUNDED, 21),
    ],
)
def test_programs_that_were_read_are_called_on_hard_maps_too(
    benchmark: str, module: str, text: str, numbers: int, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    clone(tmp_path, **{module: text})
    differences = proved(benchmark, tmp_path)
    assert not wrong(differences), [
        difference for difference in differences if not difference.agrees
    ]
    assert len(differences) == numbers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "case", "metrics"),
    [
        ("factor < 1.25", "factor <= 1.25", "ties", {"delta1"}),
        ("(t < far)", "(t <= far)", "caps", {"abs_rel", "rmse"}),
        ("align_corners=True", "align_corners=False", "half size", {"abs_rel", "delta1"}),
        ("mean = np.mean", NAIVE, "100%", {"sq_rel"}),
    ],
    ids=["less or equal", "inclusive cap", "half a pixel", "float32 sum"],
)
def test_a_plant_in_the_program_is_found(
    before: str, after: str, case: str, metrics: set[str], tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    assert ZOEDEPTH.count(before) == 1
    clone(tmp_path, zoedepth__utils__misc=ZOEDEPTH.replace(before, after))
    differences = proved("nyuv2-eigen", tmp_path)
    at = {each.metric for each in differences if each.case == case and not each.agrees}
    assert metrics <= at
    if case not in ("100%",):
        plain = {each.metric for each in differences if "%" in each.case and not each.agrees}
        assert not plain, "maps of before did not find it"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "case", "metrics"),
    [
        ("less or equal", "ties", {"delta1"}),
        ("inclusive cap", "caps", {"abs_rel", "rmse"}),
        ("half a pixel", "half size", {"abs_rel", "delta1"}),
        ("float32 sum", "100%", {"sq_rel"}),
    ],
)
def test_a_plant_in_our_own_scores_is_found(
    plant: str, case: str, metrics: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    clone(tmp_path, zoedepth__utils__misc=ZOEDEPTH)
    benchmark = find_benchmark("nyuv2-eigen")
    if plant == "inclusive cap":
        benchmark = replace(benchmark, max_depth=float(np.nextafter(np.float32(10), 11)))
    elif plant == "half a pixel":
        benchmark = replace(benchmark, interpolation=Interpolation.BILINEAR)
    else:
        scored = proving.score

        def planted(
            benchmark: Benchmark, prediction: PredictionRecord, truth: Truth
        ) -> ScoreWithSums:
            found = scored(benchmark, prediction, truth)
            cut = regions.truth_in_view(benchmark, truth)
            mask = regions.depth_mask(benchmark, cut)
            assert cut.depth is not None
            if prediction.depth.values.shape != mask.shape:
                return found
            mask = mask & prediction.depth.valid
            true = cut.depth[mask]
            predicted = np.clip(prediction.depth.values[mask], 1e-3, 10)
            squared = ((predicted - true) ** 2 / true).astype(np.float32)
            ratio = np.maximum(predicted / true, true / predicted)
            values = {
                "less or equal": {"delta1": float(np.mean(ratio <= 1.25))},
                "float32 sum": {"sq_rel": float(np.cumsum(squared)[-1] / squared.size)},
            }
            changed = replace(found.score, values=found.score.values | values[plant])
            return replace(found, score=changed)

        monkeypatch.setattr(proving, "score", planted)
    differences = prove(benchmark, program_of("nyuv2-eigen"), open_checkout(tmp_path), PYTHON)
    assert metrics <= {each.metric for each in differences if each.case == case and not each.agrees}


def test_predictions_of_zero_and_less_are_refused_where_zoedepth_scores_them() -> None:
    benchmark = find_benchmark("nyuv2-eigen")
    for value in (0.0, -1.0):
        values = np.full((480, 640), 2, np.float32)
        values[200, 300] = value
        with pytest.raises(RilievoError):
            DepthMap(values=values, kind=DepthKind.METRIC)
    assert "refuses zero and less" in program_of(benchmark.name).invalid


@pytest.mark.slow
def test_all_runs_what_is_cloned_fetches_nothing_and_names_the_missing_clones(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clone(tmp_path / "monodepth2", evaluate_depth=ERRORS)
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(checkout, "_git", recorded(checkout._git, commands))
    words = ["all", "--clones", str(tmp_path), "--python", str(PYTHON), "--any-commit"]
    assert main(words) == 0
    text = capfd.readouterr().out
    assert "2 proofs ran, 0 failed" in text
    lines = [line for line in text.splitlines() if line.startswith("missing: ")]
    assert len(lines) == 10
    (zoedepth,) = [line for line in lines if "ZoeDepth" in line]
    assert "git clone https://github.com/isl-org/ZoeDepth, at 9d5457a (nyuv2-eigen, " in zoedepth
    assert {command[1] for command in commands} == {"rev-parse", "status"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["monodepth2"]
    assert main(["all"]) == 2
    assert "all takes --clones" in capfd.readouterr().err


def recorded(function: Callable[..., str], commands: list[tuple[str, ...]]) -> Callable[..., str]:
    def run(folder: Path, *words: str) -> str:
        commands.append(("git", *words))
        return function(folder, *words)

    return run


def anchored(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, *, drops: bool
) -> tuple[float, np.ndarray]:
    """Scale and shift by the anchor of the least sum; MoGe's sum drops what has its coordinate."""
    least, best = np.inf, (1.0, np.zeros(3))
    mass = np.tile(weights, 3)
    for anchor in range(x.shape[1]):
        ahead, aside = (x - x[:, anchor, None]).ravel(), (y - y[:, anchor, None]).ravel()
        moves = ahead != 0
        ratios = aside[moves] / ahead[moves]
        order = np.argsort(ratios)
        half = np.cumsum((mass[moves] * abs(ahead[moves]))[order])
        scale = ratios[order][np.searchsorted(half, half[-1] / 2)]
        errors = mass * abs(scale * ahead - aside)
        loss = errors[moves].sum() if drops else errors.sum()
        if loss < least:
            least, best = loss, (float(scale), y[:, anchor] - scale * x[:, anchor])
    return best


def test_moges_local_points_part_where_values_repeat_because_errors_at_the_anchor_drop_out() -> (
    None
):
    parts = []
    for seed in range(8):
        chance = np.random.default_rng(seed)
        y = chance.normal(size=(3, 60)) + np.array([[0], [0], [4.0]])
        for step in (0.0, 0.5):
            x = 0.7 * y + chance.normal(0, 0.1, y.shape) + 0.3
            if step:
                x = np.round(x / step) * step
            weights = np.full(60, 0.25)
            fitted = fit_points(x, y, weights, PointFit.POINT_SCALE_SHIFT)
            scale, shift = anchored(x, y, weights, drops=False)
            assert fitted.scale == pytest.approx(scale)
            assert fitted.shift == pytest.approx(shift)
            theirs, _ = anchored(x, y, weights, drops=True)
            parts.append((bool(step), abs(theirs / scale - 1)))
    assert max(part for repeats, part in parts if not repeats) < 1e-12
    assert sum(part > 1e-3 for repeats, part in parts if repeats) >= 3


BY_RANGE = ("zoedepth", "mono-uncertainty", "monodepth2")
"""Programs whose card has one range of lines for both rules."""


def test_cards_name_the_file_of_the_rule_that_their_proof_has() -> None:
    for name, program in proofs().items():
        if isinstance(program, Program) and program.invalid and name != "depth":
            card = BENCHMARKS[name].reproduces
            path, lines = program.invalid.split()[0].rstrip(",:"), program.invalid.partition(":")[0]
            assert path in card, name
            words = ("NaN", "length zero", "without a ground-truth normal", "F1", "field of view")
            assert any(word in " ".join(card.split()) for word in words), name
            if program.name == "video-depth-anything":
                assert "line" not in lines
                continue
            number = re.search(r"lines? (\d+)", lines)
            assert number is not None, name
            assert program.name in BY_RANGE or f" {number[1]}" in " ".join(card.split()), name
