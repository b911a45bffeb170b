"""Fetching from the hub: once, on record, checked ever after, and one line for what goes wrong."""

import errno
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from rilievo.errors import ModelError, OutputError
from rilievo.models import load_model
from rilievo.models.card import ModelCard
from rilievo.models.hub import hub_files as ours
from rilievo.models.hub.checkpoints import unlisted_card
from rilievo.models.hub.hub_files import (
    DownloadRecord,
    Snapshot,
    download_record_path,
    open_snapshot,
    write_download_record,
)
from rilievo.records.depth_map import DepthKind
from support.hub_server import REPOSITORY, Hub, commit_of, hub
from support.tiny_checkpoints import Checkpoints, checkpoint

__all__ = ["checkpoint", "hub"]

FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights" * 1000,
    "pytorch_model.bin": b"pickle",
    "README.md": b"read me",
}
CARD = unlisted_card(REPOSITORY, DepthKind.METRIC, local=False)


def choose(files: Sequence[str]) -> Sequence[str]:
    return [name for name in files if name in ("config.json", "model.safetensors")]


def fetch(card: ModelCard = CARD, revision: str | None = None) -> Snapshot:
    return open_snapshot(card, revision, choose)


def failure(revision: str | None = None, card: ModelCard = CARD) -> str:
    with pytest.raises(ModelError) as caught:
        fetch(card, revision)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def stocked(hub: Hub) -> Hub:
    hub.files.update(FILES)
    return hub


def test_what_is_needed_is_fetched_and_written_down(stocked: Hub) -> None:
    snapshot = fetch()
    digest = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    assert sorted(each.name for each in snapshot.folder.iterdir()) == sorted(snapshot.files)
    assert snapshot.weights_sha256 == snapshot.files["model.safetensors"] == digest
    assert snapshot.commit == commit_of(1)
    entry = json.loads(download_record_path(f"{REPOSITORY}@main").read_text())
    assert entry == {"commit": commit_of(1), "files": dict(snapshot.files)}


def test_a_later_load_asks_nobody_and_stays_at_its_commit(stocked: Hub) -> None:
    first = fetch()
    stocked.asked.clear()
    stocked.commit, stocked.files["model.safetensors"] = commit_of(2), b"other"
    assert fetch() == first
    assert not stocked.asked


def test_a_revision_is_fetched_and_recorded_by_itself(stocked: Hub) -> None:
    fetch()
    stocked.commit = commit_of(7)
    assert fetch(revision=commit_of(7)).commit == commit_of(7)
    assert download_record_path(f"{REPOSITORY}@main").is_file()
    assert download_record_path(f"{REPOSITORY}@{commit_of(7)}").is_file()


def test_a_file_that_changed_since_is_refused(stocked: Hub) -> None:
    snapshot = fetch()
    weights = (snapshot.folder / "model.safetensors").resolve()
    weights.write_bytes(b"tampered")
    message = failure()
    assert hashlib.sha256(b"tampered").hexdigest()[:12] in message
    assert "remove the file" in message


def test_a_file_that_was_removed_is_fetched_again(stocked: Hub) -> None:
    snapshot = fetch()
    link = snapshot.folder / "model.safetensors"
    link.resolve().unlink()
    link.unlink()
    assert fetch() == snapshot


def test_the_licence_is_said_at_the_first_fetch_alone(
    stocked: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    loud = ModelCard(
        name="some/thing",
        summary="",
        kind=DepthKind.METRIC,
        normals=False,
        licence="CC-BY-NC-4.0",
        commercial=False,
        megabytes=None,
        extra="models",
        speed="",
        loader="",
        source=REPOSITORY,
    )
    fetch(loud)
    fetch(loud)
    said = capsys.readouterr().err
    assert said.count("CC-BY-NC-4.0") == said.count("NON-COMMERCIAL LICENCE") == 1


REMEDY = "run this once while you are online, or use quality='fast', which needs no download"


def test_offline_what_is_there_is_used_and_what_is_not_is_said(
    stocked: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = fetch()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch() == snapshot
    message = failure(revision="other")
    assert "variable HF_HUB_OFFLINE" in message
    assert message.endswith(REMEDY)


def test_what_another_program_fetched_is_used_offline(
    stocked: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    huggingface_hub.snapshot_download(REPOSITORY)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = fetch()
    assert snapshot.commit == commit_of(1)
    assert "model.safetensors" in snapshot.files


def test_without_a_hub_it_is_said(
    stocked: Hub, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed_port}")
    message = failure()
    assert "cannot be reached" in message
    assert message.endswith(REMEDY)


@pytest.mark.parametrize(
    ("repository", "revision", "words"),
    [
        ("someone/other", None, "no such repository"),
        (REPOSITORY, "v9", "no revision 'v9'"),
        (REPOSITORY, "a b", "not the name of a branch, tag or commit"),
    ],
)
def test_what_the_hub_does_not_have_is_said(
    stocked: Hub, repository: str, revision: str | None, words: str
) -> None:
    card = unlisted_card(repository, DepthKind.METRIC, local=False)
    assert words in failure(revision, card)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "everywhere", "words"),
    [
        ("500", True, "HTTP 500"),
        ("401", True, "HTTP 401: set HF_TOKEN"),
        ("404", True, "HTTP 404: check the name of the repository"),
        ("gated", True, "accept the terms"),
        ("gated", False, "accept the terms"),
        ("html", True, "cannot be downloaded"),
        ("slow", True, "did not answer"),
        ("slow", False, "did not answer"),
        ("truncated", False, "interrupted the download"),
    ],
)
def test_a_hub_that_misbehaves_is_one_line_and_nothing_is_recorded(
    stocked: Hub, monkeypatch: pytest.MonkeyPatch, fault: str, everywhere: bool, words: str
) -> None:
    stocked.fault, stocked.fault_everywhere = fault, everywhere
    monkeypatch.setattr("time.sleep", lambda _: None)
    if fault == "slow":
        monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.5)
    message = failure()
    assert words in message
    assert not download_record_path(f"{REPOSITORY}@main").exists()
    stocked.fault = None
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 60)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 60)
    assert fetch().commit == commit_of(1)


def test_a_full_disk_is_said(stocked: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    assert "the disk is full" in failure()


def test_a_record_that_is_none_is_said(stocked: Hub) -> None:
    record = download_record_path(f"{REPOSITORY}@main")
    record.parent.mkdir(parents=True)
    record.write_text("[1, 2]")
    assert "not a valid record of a download" in failure()


def test_no_token_is_in_any_message(stocked: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    stocked.fault, stocked.fault_everywhere = "401", True
    assert "secret" not in failure()


def test_several_files_of_weights_have_one_hash() -> None:
    files = {"a.safetensors": "1" * 64, "b.safetensors": "2" * 64, "config.json": "3" * 64}
    lines = f"{'1' * 64}  a.safetensors\n{'2' * 64}  b.safetensors\n"
    snapshot = Snapshot(folder=Path(), commit=None, files=files)
    assert snapshot.weights_sha256 == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.slow
def test_a_repository_is_loaded_whole_by_its_name(
    hub: Hub, checkpoint: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint("glpn")
    hub.files.update({each.name: each.read_bytes() for each in folder.iterdir()})
    model = load_model(f"{REPOSITORY}@main", kind="metric")
    assert model.card.name == REPOSITORY
    assert model.settings["commit"] == commit_of(1)
    assert model.made_by.licence == f"see https://huggingface.co/{REPOSITORY}"
    assert "licence of the weights" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a/b", "Intel/dpt-large", "depth-anything/V2_s.x-hf"])
def test_names_of_repositories_are_known(name: str) -> None:
    assert ours.is_repository(name)


@pytest.mark.parametrize("name", ["a", "a/b/c", "../b", "a/b c", "/b", "a/"])
def test_other_names_are_not_taken_for_repositories(name: str) -> None:
    assert not ours.is_repository(name)


def test_a_mirrors_password_is_in_no_message(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", constants.ENDPOINT.replace("//", "//me:hush@"))
    hub.fault, hub.fault_everywhere = "401", True
    message = failure()
    assert "http://127.0.0.1" in message
    assert "hush" not in message


def test_a_record_that_cannot_be_written_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path))
    (tmp_path / "hub").write_text("")
    with pytest.raises(OutputError, match="hub"):
        write_download_record("org/name@main", DownloadRecord(commit="1" * 40, files={}))
