"""``rilievo completion``: scripts by which a shell completes commands."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Annotated, Literal

from rilievo.cli.parsing import HelpShown, parse
from rilievo.cli.streams import printing
from rilievo.schema.fields import option, options_of

Run = Callable[[Sequence[str]], int]


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    shell: Annotated[Literal["bash", "zsh", "fish"], option(positional=True)]
    """Shell to complete in."""


def main(arguments: Sequence[str], commands: Mapping[str, str], run: Run) -> int:
    """Print a script for a shell's completion.

    Args:
        arguments: Words after the command.
        commands: Summaries of all commands by name.
        run: Function that runs a command line.
    """
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo completion",
        description="A script for your shell that completes commands, options and file names: "
        "write it to ~/.local/share/bash-completion/completions/rilievo (bash) or "
        "~/.config/fish/completions/rilievo.fish, or evaluate it in ~/.zshrc.",
        examples=("rilievo completion bash", "rilievo completion fish"),
    )
    flags = {name: _long_flags(name, run) for name in commands}
    if request.shell == "fish":
        script = _fish_script(flags, commands)
    else:
        script = _bash_script(flags, is_zsh=request.shell == "zsh")
    with printing():
        print(script)
    return 0


def _long_flags(name: str, run: Run) -> list[str]:
    """Long flags of a command; none if it shows no help of its own."""
    # Of the kinds of training, this one has the most options.
    words = [name, "video", "--help"] if name == "train" else [name, "--help"]
    try:
        with redirect_stdout(io.StringIO()):
            run(words)
    except HelpShown as shown:
        flags = [flag for field in options_of(shown.record) for flag in field.flags]
        return [*(flag for flag in flags if flag.startswith("--")), "--help"]
    return []


def _bash_script(flags: Mapping[str, list[str]], *, is_zsh: bool) -> str:
    cases = "\n".join(f'    {name}) flags="{" ".join(names)}" ;;' for name, names in flags.items())
    preamble = "autoload -U +X bashcompinit && bashcompinit\n" if is_zsh else ""
    return f"""{preamble}_rilievo() {{
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
  esac
}}
complete -o default -F _rilievo rilievo"""


def _fish_script(flags: Mapping[str, list[str]], commands: Mapping[str, str]) -> str:
    lines = []
    for name, options in flags.items():
        summary = commands[name].replace("'", "\\'")
        lines.append(f"complete -c rilievo -n __fish_use_subcommand -f -a {name} -d '{summary}'")
        condition = f"'__fish_seen_subcommand_from {name}'"
        lines += [f"complete -c rilievo -n {condition} -l {flag[2:]}" for flag in options]
    return "\n".join(lines)
