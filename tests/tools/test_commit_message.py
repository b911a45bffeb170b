"""The hook `commit-msg` refuses long subjects, and commits of the package without a body."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOOK = ROOT / "tools/commit_message.py"

Commit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    """Commits in a new repository with the hook, each with a change of the files that it names."""
    # A hook that runs these tests tells git of its own repository by variables.
    outer = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    person = {
        f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments],
            cwd=tmp_path,
            env={**outer, **person, **alone, **options},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    git("init", "--quiet", "--template=")
    hook = tmp_path / ".git/hooks/commit-msg"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HOOK}" "$1"\n', encoding="utf-8")
    hook.chmod(0o755)

    def commit(
        message: str, *files: str, options: tuple[str, ...] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        for name in files:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(message, encoding="utf-8")
            git("add", name)
        words = ["--message", message] if message else []
        return git("commit", *options, *words, **variables)

    return commit


def subject_of(length: int) -> str:
    return "docs: ".ljust(length, "ü")


def test_a_subject_of_72_characters_is_taken_and_one_of_73_is_not(commit: Commit) -> None:
    assert commit(subject_of(72), "README.md").returncode == 0
    refused = commit(subject_of(73), "README.md")
    assert refused.returncode == 1
    assert refused.stderr == (
        "commit message: the subject has 73 characters, at most 72 are allowed: shorten it, and "
        "write the rest below an empty line\n"
    )


def test_a_subject_goes_on_to_the_first_empty_line(commit: Commit) -> None:
    refused = commit(f"{subject_of(60)}\nand twelve more", "README.md")
    assert "the subject has 76 characters" in refused.stderr


def test_a_change_of_the_package_needs_a_body(commit: Commit) -> None:
    refused = commit("io: sync the folder", "src/a.py", "src/b.py", "tests/test_a.py")
    assert refused.returncode == 1
    assert refused.stderr == (
        "commit message: the message has no body, and src/a.py and 1 more changed: write below an "
        "empty line why, and what was measured\n"
    )
    assert commit("io: sync the folder\n\nA cut of power lost 3 of 40 names.").returncode == 0


def test_other_files_need_no_body(commit: Commit) -> None:
    assert commit("tools: check messages", "tools/src/a.py", "tests/test_src.py").returncode == 0


@pytest.mark.parametrize("body", ["Signed-off-by: A <a@b.c>", "Reviewed-by: A\nAcked-by: B"])
def test_signatures_are_no_body(commit: Commit, body: str) -> None:
    assert "no body" in commit(f"io: sync\n\n{body}", "src/a.py").stderr
    assert commit(f"io: sync\n\nA name was lost.\n\n{body}").returncode == 0


def test_comments_and_the_shown_change_are_no_body(commit: Commit, tmp_path: Path) -> None:
    """An editor is given the message with comments, and with `--verbose` the whole change."""
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i "1s/^/io: sync/" "$1"\n', encoding="utf-8")
    editor.chmod(0o755)
    refused = commit("", "src/a.py", options=("--verbose",), GIT_EDITOR=str(editor))
    assert [line.partition(",")[0] for line in refused.stderr.splitlines()] == [
        "commit message: the message has no body"
    ]


def test_new_words_for_the_last_commit_are_checked_with_its_files(commit: Commit) -> None:
    assert commit("io: sync\n\nA name was lost.", "src/a.py").returncode == 0
    assert "no body" in commit("io: sync the folder", options=("--amend",)).stderr
    assert commit("io: sync\n\nTwo names were lost.", options=("--amend",)).returncode == 0


def test_commits_that_a_rebase_folds_into_another_are_taken(commit: Commit) -> None:
    assert commit(f"fixup! {subject_of(72)}", "src/a.py").returncode == 0


def test_a_message_that_is_wrong_twice_is_refused_in_two_lines(commit: Commit) -> None:
    assert len(commit(subject_of(80), "src/a.py").stderr.splitlines()) == 2


def test_pre_commit_runs_it_at_the_stage_of_messages() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    hooks = {hook["id"]: hook for repo in config["repos"] for hook in repo["hooks"]}
    entry = hooks["commit-message"]
    assert entry["entry"] == "python tools/commit_message.py"
    assert entry["stages"] == ["commit-msg"]
    assert config["default_stages"] == ["pre-commit"]
    assert set(config["default_install_hook_types"]) == {"pre-commit", "commit-msg"}
