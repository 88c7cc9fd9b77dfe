# SPDX-License-Identifier: BSD-2-Clause
"""The command xengnttab: share pages, map or copy them, and hold on until told to let go.

With one process in each of two domains any order of sharing, mapping and letting go can be tried.
"""

from __future__ import annotations

import argparse
import json
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from xengnttab import __version__, _completion
from xengnttab._bench import run_bench
from xengnttab._commands import run_arm, run_copy, run_watch
from xengnttab._pages import PAGE_SIZE, Pages
from xengnttab._system import run_probe, run_stat
from xengnttab._terminal import report
from xengnttab.errors import DeviceError, GrantError
from xengnttab.hexdump import hexdump, text
from xengnttab.share import GrantShare
from xengnttab.table import MAX_DOMID, MAX_PORT, MAX_REF, GrantTable

OK, FAILED, USAGE, NO_DEVICE = 0, 1, 2, 3
EPILOG = """\
exit status: 0 done; 1 refused by the kernel or by Xen; 2 wrong usage;
3 no grant device, or not permitted to open it
"""


def number(what: str, smallest: int, largest: int) -> Callable[[str], int]:
    """An argparse type: an integer, decimal or 0x…"""

    def parse(value: str) -> int:
        try:
            parsed = int(value, 0)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{what} '{value}' is no number") from None
        if not smallest <= parsed <= largest:
            raise argparse.ArgumentTypeError(
                f"{what} {parsed} is not between {smallest} and {largest}"
            )
        return parsed

    return parse


def seconds(value: str) -> float:
    try:
        parsed = float(value)
    except ValueError:
        parsed = -1.0
    if not 0 <= parsed < 1e9:
        raise argparse.ArgumentTypeError(f"'{value}' is no number of seconds")
    return parsed


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="xengnttab",
        description="Shares pages of memory with another Xen domain, maps or copies pages of one.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"xengnttab {__version__}")

    fill = argparse.ArgumentParser(add_help=False)
    content = fill.add_mutually_exclusive_group()
    content.add_argument("--write", metavar="TEXT", help="write TEXT to the start of the pages")
    content.add_argument(
        "--file", metavar="FILE", help="write what FILE holds, - for standard input"
    )
    output = fill.add_mutually_exclusive_group()
    output.add_argument("--read", action="store_true", help="print the pages as a hexdump")
    output.add_argument(
        "--text", action="store_true", help="print the text in the pages up to the first zero byte"
    )
    wait = argparse.ArgumentParser(add_help=False)
    wait.add_argument(
        "--hold",
        type=seconds,
        metavar="SECONDS",
        help="let go after this time; 0: at once (default: after Enter, the end of standard input,"
        " or a signal)",
    )

    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    share = commands.add_parser(
        "share",
        parents=[fill, wait],
        help="share pages with a domain",
        description="Makes zeroed pages, grants them to a domain and prints the grant references.\n"
        "--read and --text show what the domain left in them, when the sharing ends.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    share.add_argument(
        "--domid",
        type=number("domain", 0, MAX_DOMID),
        required=True,
        help="the domain that may map the pages",
    )
    share.add_argument(
        "--pages", type=number("count", 1, 1 << 20), default=1, help="how many (default: 1)"
    )
    share.add_argument("--writable", action="store_true", help="the domain may write to them too")
    share.set_defaults(run=run_share)
    _json(share)

    mapped = commands.add_parser(
        "map",
        parents=[fill, wait],
        help="map pages of a domain",
        description="Maps pages that a domain granted to this one, for writing too if there is\n"
        "something to write. --read and --text show them at once.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mapped.add_argument(
        "domid",
        metavar="DOMID",
        type=number("domain", 0, MAX_DOMID),
        help="the domain that granted the pages",
    )
    mapped.add_argument(
        "refs",
        metavar="REF",
        nargs="+",
        type=number("grant reference", 0, MAX_REF),
        help="grant references, as printed by share",
    )
    mapped.add_argument(
        "--writable", action="store_true", help="map for writing even with nothing to write"
    )
    mapped.set_defaults(run=run_map)
    _json(mapped)
    _add_copy(commands, fill)
    _add_notify(commands, fill, wait)
    _add_system(commands)
    return top


Commands = Any  # what add_subparsers() returns has no public type
raw = argparse.RawDescriptionHelpFormatter
domain = number("domain", 0, MAX_DOMID)
reference = number("grant reference", 0, MAX_REF)
byte = number("byte", 0, PAGE_SIZE - 1)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object a line instead of text"
    )


def _add_copy(commands: Commands, fill: argparse.ArgumentParser) -> None:
    copy = commands.add_parser(
        "copy",
        parents=[fill],
        help="copy from pages of a domain, or to them",
        description="Has Xen copy pages that a domain granted, without mapping them: from them,\n"
        "and shows the bytes, or to them if there is something to write.",
        epilog=EPILOG,
        formatter_class=raw,
    )
    copy.add_argument("domid", metavar="DOMID", type=domain, help="the domain that granted")
    copy.add_argument("refs", metavar="REF", nargs="+", type=reference, help="grant references")
    copy.add_argument("--offset", type=byte, default=0, help="where in the first page (default: 0)")
    copy.add_argument(
        "--length", type=number("length", 1, 1 << 30), help="how many bytes (default: to the end)"
    )
    copy.set_defaults(run=copy_command)
    _json(copy)


def _add_notify(
    commands: Commands, fill: argparse.ArgumentParser, wait: argparse.ArgumentParser
) -> None:
    notify = commands.add_parser(
        "notify",
        help="learn of the end of a mapping",
        description="Shows unmap notifications with one process in each of two domains: one\n"
        "watches a page that it shares, the other maps it with a notification armed.\n"
        "However the second one ends, the first one learns of it.",
        epilog=EPILOG,
        formatter_class=raw,
    )
    roles = notify.add_subparsers(dest="role", required=True, metavar="ROLE")
    arm = roles.add_parser(
        "arm", parents=[wait], help="map a page, armed", epilog=EPILOG, formatter_class=raw
    )
    arm.add_argument("domid", metavar="DOMID", type=domain, help="the domain that granted")
    arm.add_argument("ref", metavar="REF", type=reference, help="the grant reference")
    arm.add_argument("--byte", type=byte, help="clear this byte of the page")
    arm.add_argument(
        "--port", type=number("port", 0, MAX_PORT), help="signal this event channel of ours"
    )
    arm.set_defaults(run=arm_command)
    _json(arm)
    watch = roles.add_parser(
        "watch", help="share a page and watch a byte of it", epilog=EPILOG, formatter_class=raw
    )
    watch.add_argument("--domid", type=domain, required=True, help="the domain that maps")
    watch.add_argument("--byte", type=byte, default=0, help="which byte (default: 0)")
    watch.add_argument("--timeout", type=seconds, help="give up after so many seconds, status 1")
    watch.set_defaults(run=watch_command)
    _json(watch)


def _add_system(commands: Commands) -> None:
    probe = commands.add_parser(
        "probe",
        help="what works here",
        description="Tries what the devices and the kernel can do. Status 3 when pages can be\n"
        "neither mapped nor shared.",
        epilog=EPILOG,
        formatter_class=raw,
    )
    probe.set_defaults(run=run_probe)
    stat = commands.add_parser(
        "stat", help="limits and counters of the drivers", epilog=EPILOG, formatter_class=raw
    )
    stat.set_defaults(run=run_stat)
    bench = commands.add_parser(
        "bench",
        help="how long calls take here",
        description="Measures sharing and copying, and mapping too when told of pages that another"
        "\ndomain granted. Figures of different machines cannot be compared.",
        epilog=EPILOG,
        formatter_class=raw,
    )
    bench.add_argument(
        "domid", metavar="DOMID", nargs="?", type=domain, help="a domain that granted pages"
    )
    bench.add_argument(
        "refs", metavar="REF", nargs="*", type=reference, help="their grant references"
    )
    bench.add_argument(
        "--seconds", type=seconds, default=0.5, help="for each figure (default: 0.5)"
    )
    bench.set_defaults(run=bench_command)
    for parser in (probe, stat, bench):
        _json(parser)
    completion = commands.add_parser(
        "completion",
        help="print completions for a shell",
        description="Prints a script that completes this command's arguments:\n"
        '  eval "$(xengnttab completion bash)"',
        formatter_class=raw,
    )
    completion.add_argument("shell", choices=["bash", "zsh"])
    completion.set_defaults(run=completion_command)


def copy_command(args: argparse.Namespace) -> int:
    room = len(args.refs) * PAGE_SIZE - args.offset
    data = content(args, room)
    if data is not None and args.length is not None:
        data = data[: args.length]
    if not args.text:
        args.read = True
    return run_copy(args, data, lambda found: show_bytes(args, found))


def arm_command(args: argparse.Namespace) -> int:
    if args.byte is None and args.port is None:
        raise UsageError("nothing to arm: --byte or --port")
    with signals() as stop:
        args.file = None
        return run_arm(args, lambda: hold(args, stop))


def watch_command(args: argparse.Namespace) -> int:
    with signals() as stop:
        return run_watch(args, stop)


def bench_command(args: argparse.Namespace) -> int:
    if args.domid is not None and not args.refs:
        raise UsageError("no grant reference to map")
    return run_bench(args)


def completion_command(args: argparse.Namespace) -> int:
    print(_completion.script(parser(), args.shell), end="")
    return 0


class UsageError(Exception):
    """Arguments that make no sense together, or content that cannot be had."""


def content(args: argparse.Namespace, size: int) -> bytes | None:
    """What is to be written to pages of this size, or None."""
    if args.write is not None:
        data = str(args.write).encode()
    elif args.file == "-":
        data = sys.stdin.buffer.read()
    elif args.file is not None:
        try:
            data = Path(args.file).read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {args.file}: {error.strerror}") from None
    else:
        return None
    if len(data) > size:
        raise UsageError(f"{len(data)} bytes do not fit into {size // PAGE_SIZE} pages")
    return data


def show(args: argparse.Namespace, pages: Pages) -> None:
    if args.read or args.text:
        show_bytes(args, pages.read())


def show_bytes(args: argparse.Namespace, data: bytes) -> None:
    if args.json:
        key = "text" if args.text else "data"
        print(json.dumps({key: text(data) if args.text else data.hex()}), flush=True)
    else:
        print(text(data) if args.text else "\n".join(hexdump(data)), flush=True)


@contextmanager
def signals() -> Iterator[socket.socket]:
    """A socket that becomes readable when SIGINT or SIGTERM came: neither cuts the clean-up."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        handlers = {
            number: signal.signal(number, lambda *_: None)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield reader
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)


def hold(args: argparse.Namespace, stop: socket.socket) -> None:
    """Waits for what ends the sharing or the mapping."""
    if args.hold == 0:
        return
    with selectors.DefaultSelector() as selector:
        selector.register(stop, selectors.EVENT_READ)
        deadline = None if args.hold is None else time.monotonic() + args.hold
        if deadline is None and args.file != "-":
            # A regular file (PermissionError) or a closed descriptor is as good as its end.
            try:
                selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            except (OSError, ValueError, AttributeError):
                return
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if (left is not None and left <= 0) or selector.select(left):
                return


def prompt(args: argparse.Namespace) -> None:
    if args.hold is None and not args.json and sys.stdin is not None and sys.stdin.isatty():
        print("Enter lets go of them.", file=sys.stderr, flush=True)


def run_share(args: argparse.Namespace) -> None:
    data = content(args, args.pages * PAGE_SIZE)
    with (
        signals() as stop,
        GrantShare() as share,
        share.share(args.domid, args.pages, writable=args.writable) as pages,
    ):
        if data is not None:
            pages.write(data)
        report(
            args,
            f"shared {args.pages} page{'s' * (args.pages > 1)} with domain {args.domid}"
            f" {'for writing' if args.writable else 'read-only'}, grant references"
            f" {' '.join(map(str, pages.refs))}",
            command="share",
            domid=args.domid,
            pages=args.pages,
            writable=args.writable,
            refs=pages.refs,
        )
        prompt(args)
        hold(args, stop)
        show(args, pages)


def run_map(args: argparse.Namespace) -> None:
    data = content(args, len(args.refs) * PAGE_SIZE)
    writable = args.writable or data is not None
    with (
        signals() as stop,
        GrantTable() as table,
        table.map(args.domid, args.refs, writable=writable) as mapping,
    ):
        if data is not None:
            mapping.write(data)
        report(
            args,
            f"mapped {len(args.refs)} page{'s' * (len(args.refs) > 1)} of domain {args.domid}"
            f" {'for writing' if writable else 'read-only'}",
            command="map",
            domid=args.domid,
            refs=args.refs,
            writable=writable,
        )
        show(args, mapping)
        prompt(args)
        hold(args, stop)


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    try:
        return int(args.run(args) or OK)
    except UsageError as error:
        problem, status = str(error), USAGE
    except DeviceError as error:
        problem, status = str(error), NO_DEVICE
    except GrantError as error:
        problem, status = str(error), FAILED
    except ValueError as error:
        # What the package refuses before it asks the kernel.
        problem, status = str(error), USAGE
    except KeyboardInterrupt:
        # Before there was anything to hold.
        return FAILED
    with suppress(OSError):
        print(f"xengnttab: {problem}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
