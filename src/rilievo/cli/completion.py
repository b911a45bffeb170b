"""``rilievo completion``: print a script that completes commands in a shell."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Annotated, Literal

from rilievo.cli.parsing import HelpShown, parse
from rilievo.cli.streams import printing
from rilievo.schema.fields import list_options, option

RunCommand = Callable[[Sequence[str]], int]
"""Runs a command line, and returns its exit code."""


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    shell: Annotated[Literal["bash", "zsh", "fish"], option(positional=True)]
    """Shell to print the script for."""


def main(arguments: Sequence[str], commands: Mapping[str, str], run_command: RunCommand) -> int:
    """Print a script that completes ``commands``, whose flags ``run_command`` reveals."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo completion",
        description="Print a script that completes commands, options and file names in your "
        "shell. For bash, write it to ~/.local/share/bash-completion/completions/rilievo, and for "
        "fish to ~/.config/fish/completions/rilievo.fish. For zsh, add this line to ~/.zshrc: "
        'eval "$(rilievo completion zsh)"',
        examples=(
            "rilievo completion bash",
            "rilievo completion zsh",
            "rilievo completion fish",
        ),
    )
    flags_by_command = {name: _find_long_flags(name, run_command) for name in commands}
    if request.shell == "fish":
        script = _fish_script(flags_by_command, commands)
    else:
        script = _bash_script(flags_by_command, is_zsh=request.shell == "zsh")
    with printing():
        print(script)
    return 0


def _find_long_flags(name: str, run_command: RunCommand) -> list[str]:
    """Find the long flags of a command by running its help; none if it has no help of its own."""
    # ``rilievo train`` has several kinds of training, of which ``video`` has most options.
    words = [name, "video", "--help"] if name == "train" else [name, "--help"]
    try:
        with redirect_stdout(io.StringIO()):
            run_command(words)
    except HelpShown as shown:
        flags = [flag for field in list_options(shown.record) for flag in field.flags]
        return [*(flag for flag in flags if flag.startswith("--")), "--help"]
    return []


def _bash_script(flags_by_command: Mapping[str, list[str]], *, is_zsh: bool) -> str:
    """Completion function for bash, which zsh can run too after a preamble.

    Commands and flags consist of letters and hyphens, so nothing has to be quoted.
    """
    commands = " ".join(flags_by_command)
    cases = "\n".join(
        f'    {command}) flags="{" ".join(flags)}" ;;'
        for command, flags in flags_by_command.items()
    )
    preamble = "autoload -U +X bashcompinit && bashcompinit\n" if is_zsh else ""
    return f"""{preamble}_rilievo() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" flags=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{commands}" -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
  esac
}}
complete -o default -F _rilievo rilievo"""


def _fish_script(flags_by_command: Mapping[str, list[str]], commands: Mapping[str, str]) -> str:
    lines = []
    for name, flags in flags_by_command.items():
        summary = commands[name].replace("'", "\\'")
        lines.append(f"complete -c rilievo -n __fish_use_subcommand -f -a {name} -d '{summary}'")
        condition = f"'__fish_seen_subcommand_from {name}'"
        lines += [f"complete -c rilievo -n {condition} -l {flag[2:]}" for flag in flags]
    return "\n".join(lines)
