"""What the campaign takes for lost, or for a false alarm, after a kill."""

from pathlib import Path

import pytest

from lab.torture.jobs import JOBS, Job
from lab.torture.kills import false_alarms, lost_files
from rilievo.io.checksums import CHECKSUMS, write_checksums


def _job(name: str) -> Job:
    return next(job for job in JOBS if job.name == name)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_no_lost_checksum_is_excused(job: Job, tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").touch()
    (tmp_path / "weights.safetensors").touch()
    (tmp_path / f".{CHECKSUMS}.pending").touch()
    before = {CHECKSUMS: b"", "0.json": b"", f"cells/a/{CHECKSUMS}": b""}
    found = lost_files(before, {}, job, tmp_path)
    assert found == [f"{name} was there and is lost" for name in sorted(before)]


def test_a_checkpoint_goes_when_the_checksums_of_its_results_are_there(tmp_path: Path) -> None:
    weights = tmp_path / "cells" / "a" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    before = {"cells/a/checkpoint.pt": b"", "cells/a/log.csv": b""}
    sweep = _job("probe sweep")

    def lost() -> list[str]:
        return [line.split()[0] for line in lost_files(before, {}, sweep, tmp_path)]

    weights.write_bytes(b"trained")
    assert lost() == ["cells/a/checkpoint.pt", "cells/a/log.csv"]
    write_checksums(weights.with_name(CHECKSUMS), [weights.name])
    assert lost() == ["cells/a/log.csv"]
    weights.write_bytes(b"changed")
    assert lost() == ["cells/a/checkpoint.pt", "cells/a/log.csv"]


def test_verify_gives_no_false_alarm_after_a_kill(tmp_path: Path) -> None:
    assert false_alarms(tmp_path / "absent") == []
    assert false_alarms(tmp_path) == []
    (tmp_path / "table.csv").write_text("1,2")
    write_checksums(tmp_path / CHECKSUMS, ["table.csv"])
    assert false_alarms(tmp_path) == []
    # A file that was replaced before its checksum.
    (tmp_path / "table.csv").write_text("3,4")
    [alarm] = false_alarms(tmp_path)
    assert "table.csv: differs from what was written" in alarm
