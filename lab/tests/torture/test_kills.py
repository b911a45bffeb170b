"""Files that may be absent after a kill."""

from pathlib import Path

from lab.torture.jobs import JOBS
from lab.torture.kills import has_passed


def test_the_sums_of_an_evaluation_go_while_it_is_written_again(tmp_path: Path) -> None:
    evaluate = next(job for job in JOBS if job.name == "evaluate")
    assert not has_passed("checksums.json", evaluate, tmp_path)
    (tmp_path / "evaluation.json").touch()
    assert has_passed("checksums.json", evaluate, tmp_path)
    assert not has_passed("per_image.csv", evaluate, tmp_path)


def test_sums_of_a_trained_network_stay(tmp_path: Path) -> None:
    probe = next(job for job in JOBS if job.name == "train probe")
    (tmp_path / "weights.safetensors").touch()
    assert has_passed("checkpoint.pt", probe, tmp_path)
    assert not has_passed("checksums.json", probe, tmp_path)
