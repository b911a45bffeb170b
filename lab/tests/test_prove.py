"""Benchmarks beside released programs: planted faults are caught, and bad inputs are one line.

The programs here are tiny ones with the names of the real ones' functions.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from lab.prove.__main__ import main
from lab.prove.checkout import Checkout, call, check_commit, open_checkout
from lab.prove.programs import Program, program_of, proofs
from lab.prove.proving import Difference, prove
from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark

PYTHON = Path(sys.executable)

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
    for benchmark in ("kitti-eigen", "kitti-monodepth2-improved"):
        differences = proved(benchmark, tmp_path)
        assert len(differences) == 21
        assert not wrong(differences), differences


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nyuv2", "kitti", "eth3d", "scannet", "diode"])
def test_marigolds_protocols_agree_and_both_axes_thinned_are_caught(
    name: str, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    honest = "BOTH = False\n" + ALIGNMENT
    clone(tmp_path / "a", src__util__alignment=honest, src__util__metric=MAPS)
    differences = proved(f"marigold-{name}", tmp_path / "a")
    assert len(differences) == 30
    assert not wrong(differences), [
        difference for difference in differences if not difference.agrees
    ]
    if name == "eth3d":
        faulty = "BOTH = True\n" + ALIGNMENT
        clone(tmp_path / "b", src__util__alignment=faulty, src__util__metric=MAPS)
        assert {"abs_rel", "rmse"} <= wrong(proved("marigold-eth3d", tmp_path / "b"))


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
        ("dsine-ibims", "utils__utils", ANGLES, 24),
        ("kitti-dav2", "metric_depth__util__metric", LOOP, 27),
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
    assert not Difference(share=1, metric="a", ours=0.0, theirs=float("nan")).agrees


@pytest.mark.filterwarnings("ignore")
def test_the_command_prints_commits_first_and_ends_with_1_where_numbers_differ(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clone(tmp_path, evaluate_depth=ERRORS)
    arguments = ["kitti-eigen", "--checkout", str(tmp_path)]
    arguments += ["--python", str(PYTHON)]
    assert main(arguments) == 2
    output = capfd.readouterr()
    assert "commit b676244 expected" in output.err
    assert git(tmp_path, "rev-parse", "HEAD")[:10] in output.err
    assert "--any-commit" in output.err
    assert main([*arguments, "--any-commit"]) == 0
    output = capfd.readouterr().out
    assert output.splitlines()[0].startswith("https://github.com/nianticlabs/monodepth2: commit")
    assert "21 numbers compared, 0 differ" in output
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
    assert "b676244 expected, b676244123 found" in line
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
        share=1, metric="a", ours=0.1, theirs=0.1 + 5e-6, tolerance=program.tolerance
    )
    assert difference.agrees
    assert not Difference(share=1, metric="a", ours=0.1, theirs=0.1 + 5e-6).agrees


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
