"""``rilievo completion``."""

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Literal

import tyro

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing

_FLAG = re.compile(r"--[a-z][a-z0-9.-]*")


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional]
    """Shell to complete in."""


def main(arguments: Sequence[str]) -> int:
    """Print a script for the shell that completes commands and options."""
    given = parse(
        _Arguments,
        arguments,
        prog="rilievo completion",
        description="A script for your shell that completes commands, options and file names: "
        "write it to ~/.local/share/bash-completion/completions/rilievo (bash) or "
        "~/.config/fish/completions/rilievo.fish, or evaluate it in ~/.zshrc.",
        examples=("rilievo completion bash", "rilievo completion fish"),
    )
    flags = _flags()
    with printing():
        print(_fish(flags) if given.shell == "fish" else _bash(flags, zsh=given.shell == "zsh"))
    return 0


def _flags() -> Mapping[str, list[str]]:
    """Options of every command, read from its help."""
    from rilievo.cli import COMMANDS

    flags = {}
    for name in COMMANDS:
        # Of the kinds of training, the one with the most options.
        words = ["video", "--help"] if name == "train" else ["--help"]
        said = io.StringIO()
        with redirect_stdout(said), suppress(SystemExit):
            import_module(f"rilievo.cli.{name}").main(words)
        # Options are followed by two spaces and their description.
        heads = (line.strip().split("  ")[0] for line in said.getvalue().splitlines())
        found = (flag for head in heads if head[:1] == "-" for flag in _FLAG.findall(head))
        flags[name] = [*dict.fromkeys(found)]
    return flags


def _bash(flags: Mapping[str, list[str]], *, zsh: bool) -> str:
    cases = "\n".join(f'    {name}) flags="{" ".join(found)}" ;;' for name, found in flags.items())
    begin = "autoload -U +X bashcompinit && bashcompinit\n" if zsh else ""
    return f"""{begin}_rilievo() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" flags=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(flags)}" -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}}
complete -o filenames -F _rilievo rilievo"""


def _fish(flags: Mapping[str, list[str]]) -> str:
    from rilievo.cli import COMMANDS

    lines = []
    for name, found in flags.items():
        summary = COMMANDS[name].replace("'", "\\'")
        lines.append(f"complete -c rilievo -n __fish_use_subcommand -f -a {name} -d '{summary}'")
        condition = f"'__fish_seen_subcommand_from {name}'"
        lines += [f"complete -c rilievo -n {condition} -l {flag[2:]}" for flag in found]
    return "\n".join(lines)
