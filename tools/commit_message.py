#!/usr/bin/env python3
"""Check a commit's message: a short subject, and a body where the package changes.

Usage: python tools/commit_message.py FILE

git runs it as its hook ``commit-msg`` with the file that holds the message, in the folder of the
repository. Each refusal is one line on standard error, and the exit status is 1.
"""

import re
import subprocess
import sys
from pathlib import Path

LONGEST = 72
"""Characters of a subject that a log shows whole."""
PACKAGE = "src/"
SCISSORS = re.compile(r"^. -{24} >8 -{24}$", re.MULTILINE)
"""Line of ``git commit --verbose``; what follows it is no part of the message."""
FOLDED = ("fixup! ", "squash! ", "amend! ")
"""Beginnings of commits that ``git rebase --autosquash`` folds into another."""
SIGNATURE = re.compile(r"[\w-]+-by: .*")


def git(*arguments: str, given: str = "") -> str:
    """Run git in the current folder and return what it prints; its own error ends the check."""
    command = ["git", *arguments]
    return subprocess.run(
        command, input=given, stdout=subprocess.PIPE, encoding="utf-8", check=True
    ).stdout


def changed_files() -> list[str]:
    """List the files that the commit changes.

    Where nothing is staged, the last commit gets a new message, and its files are listed.
    """
    staged = git("diff", "--cached", "--name-only")
    return (staged or git("log", "--max-count=1", "--format=", "--name-only")).splitlines()


def refusals(message: str, changed: list[str]) -> list[str]:
    """List what is wrong with a message, a line each.

    Args:
        message: Subject, empty line and body, without comments.
        changed: Files that the commit changes, relative to the repository.
    """
    if message.startswith(FOLDED):
        return []
    first, _, body = message.partition("\n\n")
    subject = " ".join(first.split("\n"))
    found: list[str] = []
    if len(subject) > LONGEST:
        found.append(
            f"the subject has {len(subject)} characters, at most {LONGEST} are allowed: "
            "shorten it, and write the rest below an empty line"
        )
    inside = [name for name in changed if name.startswith(PACKAGE)]
    told = [line for line in body.splitlines() if line and not SIGNATURE.fullmatch(line)]
    if inside and not told:
        others = f" and {len(inside) - 1} more" if len(inside) > 1 else ""
        found.append(
            f"the message has no body, and {inside[0]}{others} changed: write below an empty line "
            "why, and what was measured"
        )
    return found


def main(arguments: list[str]) -> int:
    """Check the message in a file and return the exit status."""
    if len(arguments) != 1:
        print("usage: python tools/commit_message.py FILE", file=sys.stderr)
        return 2
    text = SCISSORS.split(Path(arguments[0]).read_text(encoding="utf-8"))[0]
    message = git("stripspace", "--strip-comments", given=text).strip()
    found = refusals(message, changed_files())
    for line in found:
        print(f"commit message: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
