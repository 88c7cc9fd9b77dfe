# SPDX-License-Identifier: BSD-2-Clause
"""The command xengnttab: share pages, map or copy them, and keep them until told to release them.

With one process in each of two domains you can try any order of sharing, mapping and releasing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from xengnttab import __version__, _completion
from xengnttab._arguments import (
    EPILOG,
    FAILED,
    NO_DEVICE,
    NO_OUTPUT,
    OK,
    USAGE,
    Parser,
    UsageError,
    byte,
    domain,
    holding,
    number,
    peer,
    port,
    reference,
    seconds,
)
from xengnttab._bench import run_bench
from xengnttab._commands import run_arm, run_copy, run_map, run_share, run_watch
from xengnttab._numbers import MAX_PAGES
from xengnttab._system import run_probe, run_stat
from xengnttab._terminal import OutputError, complain, escaped, put
from xengnttab.errors import DeviceError, GrantError

Commands = Any  # what add_subparsers() returns has no public type


def parser() -> Parser:
    """Builds the parser of all commands."""
    top = Parser(
        prog="xengnttab",
        description="Shares memory with another Xen domain, or maps or copies what one shares.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"xengnttab {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_share(commands)
    _add_map(commands)
    _add_copy(commands)
    _add_notify(commands)
    _add_system(commands)
    return top


def _command(
    commands: Commands, name: str, summary: str, description: str = "", **options: Any
) -> argparse.ArgumentParser:
    added: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=description or None, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter, **options,
    )  # fmt: skip
    added.add_argument(
        "--json", action="store_true", help="print JSON, one object per line, instead of text"
    )
    return added


def _content() -> argparse.ArgumentParser:
    """Options for what is written to the pages and how their content is shown."""
    options = argparse.ArgumentParser(add_help=False)
    content = options.add_mutually_exclusive_group()
    content.add_argument("--write", metavar="TEXT", help="write TEXT to the start of the pages")
    content.add_argument(
        "--file", metavar="FILE", help="write the contents of FILE (-: standard input)"
    )
    output = options.add_mutually_exclusive_group()
    output.add_argument("--read", action="store_true", help="print the pages as a hexdump")
    output.add_argument(
        "--text", action="store_true", help="print the text in the pages up to the first zero byte"
    )
    output.add_argument("--raw", action="store_true", help="print the bytes as they are")
    output.add_argument(
        "-o", "--output", metavar="FILE", help="write the bytes to FILE (-: standard output)"
    )
    return options


def _wait() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--hold", type=holding, metavar="SECONDS",
        help="release after this time; 0: at once; forever: wait for a signal only (default:"
        " wait for Enter, the end of standard input, or a signal)",
    )  # fmt: skip
    return options


def _add_share(commands: Commands) -> None:
    share = _command(
        commands, "share", "share pages with a domain",
        "Makes zeroed pages, grants them to a domain and prints the grant references.\n"
        "--read, --text, --raw and --output print the contents of the pages when\n"
        "the sharing ends.",
        parents=[_content(), _wait()],
    )  # fmt: skip
    share.add_argument(
        "domid", metavar="DOMID", type=peer, help="the domain that may map the pages"
    )
    share.add_argument(
        "--pages", type=number("count", 1, MAX_PAGES), default=1,
        help="number of pages (default: 1)",
    )  # fmt: skip
    share.add_argument("--writable", action="store_true", help="the domain may write to them too")
    share.set_defaults(run=run_share)


def _add_map(commands: Commands) -> None:
    mapped = _command(
        commands, "map", "map pages of a domain",
        "Maps pages that a domain granted to this one, with --write or --file also for\n"
        "writing. --read, --text, --raw and --output print their contents at once.",
        parents=[_content(), _wait()],
    )  # fmt: skip
    mapped.add_argument(
        "domid", metavar="DOMID", type=domain, help="the domain that granted the pages"
    )
    mapped.add_argument(
        "refs", metavar="REF", nargs="+", type=reference,
        help="grant references, as printed by share",
    )  # fmt: skip
    mapped.add_argument(
        "--writable", action="store_true", help="map for writing even without --write or --file"
    )
    mapped.set_defaults(run=run_map)


def _add_copy(commands: Commands) -> None:
    copy = _command(
        commands, "copy", "copy from or to pages of a domain",
        "Has Xen copy from pages that a domain granted, and prints the bytes. With\n"
        "--write or --file it copies to the pages instead. Nothing is mapped.",
        parents=[_content()],
    )  # fmt: skip
    copy.add_argument(
        "domid", metavar="DOMID", type=domain, help="the domain that granted the pages"
    )
    copy.add_argument("refs", metavar="REF", nargs="+", type=reference, help="grant references")
    copy.add_argument(
        "--offset", type=byte, default=0, help="where to start in the first page (default: 0)"
    )
    copy.add_argument(
        "--length", type=number("length", 1, 1 << 32),
        help="how many bytes at most (default: to the end)",
    )  # fmt: skip
    copy.set_defaults(run=run_copy)


def _add_notify(commands: Commands) -> None:
    notify = commands.add_parser(
        "notify",
        help="be notified when a mapping ends",
        description="Demonstrates unmap notifications with a process in each of two domains: one\n"
        "shares a page and watches it, the other maps it and arms a notification.\n"
        "The first one is notified, however the second one ends.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    roles = notify.add_subparsers(dest="role", required=True, metavar="ROLE")
    arm = _command(roles, "arm", "map a page and arm a notification", parents=[_wait()])
    arm.add_argument("domid", metavar="DOMID", type=domain, help="the domain that granted the page")
    arm.add_argument("ref", metavar="REF", type=reference, help="the grant reference")
    arm.add_argument(
        "--byte", type=byte, help="clear this byte of the page (default: 0, unless a port is given)"
    )
    event = arm.add_mutually_exclusive_group()
    event.add_argument("--port", type=port, help="signal this local event channel")
    event.add_argument(
        "--remote-port", type=port, help="signal the event channel that watch printed"
    )
    arm.set_defaults(run=run_arm)
    watch = _command(roles, "watch", "share a page and watch a byte of it and an event channel")
    watch.add_argument("domid", metavar="DOMID", type=peer, help="the domain that maps the page")
    watch.add_argument("--byte", type=byte, default=0, help="which byte (default: 0)")
    watch.add_argument(
        "--timeout", type=seconds, help="give up after this time, with exit status 1"
    )
    watch.set_defaults(run=run_watch)


def _add_system(commands: Commands) -> None:
    probe = _command(
        commands, "probe", "show what works here",
        "Tries what the devices and the kernel can do. Exits with status 3 unless pages\n"
        "can be both mapped and shared.",
    )  # fmt: skip
    probe.set_defaults(run=run_probe)
    stat = _command(commands, "stat", "show limits and counters of the drivers")
    stat.set_defaults(run=run_stat)
    bench = _command(
        commands, "bench", "measure how long calls take here",
        "Measures sharing and copying, and also mapping if given pages that another\n"
        "domain granted. Figures of different machines cannot be compared.",
    )  # fmt: skip
    bench.add_argument(
        "domid", metavar="DOMID", nargs="?", type=domain, help="a domain that granted pages"
    )
    bench.add_argument(
        "refs", metavar="REF", nargs="*", type=reference, help="their grant references"
    )
    bench.add_argument(
        "--seconds", type=seconds, default=0.5, help="how long to measure each call (default: 0.5)"
    )
    bench.set_defaults(run=run_bench)
    completion = commands.add_parser(
        "completion",
        help="print completions for a shell",
        description="Prints a script that completes this command's arguments:\n"
        '  eval "$(xengnttab completion bash)"\n'
        '  eval "$(xengnttab completion zsh)"\n'
        "  xengnttab completion fish | source",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completion.add_argument("shell", choices=_completion.SHELLS)
    completion.set_defaults(run=completion_command, json=False)


def completion_command(args: argparse.Namespace) -> int:
    put(_completion.script(parser(), args.shell))
    return OK


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    _open_standard_descriptors()
    name: str | None = None
    try:
        args = parser().parse_args(given)
        return int(args.run(args) or OK)
    except OutputError as error:
        if error.quiet:
            return NO_OUTPUT
        problem, status = str(error), NO_OUTPUT
    except UsageError as error:
        if error.usage and "--json" not in given:
            complain(f"{error.usage}{error.program}: error: {error}")
            return USAGE
        problem, status = str(error), USAGE
    except GrantError as error:
        status = NO_DEVICE if isinstance(error, DeviceError) else FAILED
        problem, name = "; ".join((str(error), *getattr(error, "__notes__", ()))), error.name
    except ValueError as error:
        # The package refused it before it asked the kernel.
        problem, status = str(error), USAGE
    except KeyboardInterrupt:
        # No pages are held: a command that holds pages catches the signal itself.
        return FAILED
    if "--json" in given:
        said = {"type": "error", "error": escaped(problem), "errno": name, "status": status}
        complain(json.dumps(said))
    else:
        complain(f"xengnttab: {problem}")
    return status


def _open_standard_descriptors() -> None:
    """Reopens closed standard streams, so that no device gets one of their numbers."""
    with suppress(OSError):
        while (lowest := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(lowest)


if __name__ == "__main__":
    sys.exit(main())
