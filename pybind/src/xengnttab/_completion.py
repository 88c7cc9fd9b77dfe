# SPDX-License-Identifier: BSD-2-Clause
"""Completion for shells, made from the very parser that reads the arguments."""

from __future__ import annotations

import argparse

# zsh reads bash's completions.
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"

SCRIPT = """\
_xengnttab() {{
    local word path words i
    word=${{COMP_WORDS[COMP_CWORD]}}
    case ${{COMP_WORDS[COMP_CWORD-1]}} in
    --file) COMPREPLY=($(compgen -f -- "$word")); return;;
    {values}) COMPREPLY=(); return;;
    esac
    path=
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$path ${{COMP_WORDS[i]}}" in
        {commands}) path="$path ${{COMP_WORDS[i]}}";;
        esac
    done
    case $path in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -F _xengnttab xengnttab
"""


def commands(parser: argparse.ArgumentParser, path: str = "") -> dict[str, list[str]]:
    """The words that may follow each command, sub-commands included."""
    words: list[str] = []
    below: dict[str, list[str]] = {}
    for action in parser._actions:
        words += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                words.append(name)
                below |= commands(sub, f"{path} {name}")
        elif action.choices is not None:
            words += [str(choice) for choice in action.choices]
    return {path: sorted(words), **below}


def options_with_values(parser: argparse.ArgumentParser) -> set[str]:
    found: set[str] = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                found |= options_with_values(sub)
        elif action.option_strings and action.nargs != 0:
            found |= set(action.option_strings)
    return found


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    known = commands(parser)
    text = SCRIPT.format(
        values="|".join(sorted(options_with_values(parser) - {"--file"})),
        commands="|".join(f'"{path}"' for path in known if path),
        cases="\n".join(
            f'    "{path}") words="{" ".join(words)}";;' for path, words in known.items()
        ),
    )
    return ZSH + text if shell == "zsh" else text
