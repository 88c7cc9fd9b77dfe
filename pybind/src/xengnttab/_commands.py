# SPDX-License-Identifier: BSD-2-Clause
"""The commands share, map, copy and notify."""

from __future__ import annotations

import argparse
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from xengnttab._arguments import FAILED, OK, UsageError
from xengnttab._numbers import PAGE_SIZE
from xengnttab._pages import Pages
from xengnttab._terminal import (
    complain,
    escaped,
    on_terminal,
    put,
    put_bytes,
    put_json,
    report,
    table,
    to_file,
)
from xengnttab._types import Buffer
from xengnttab._wait import Ended, asked, foreground, hold, signals, stdin
from xengnttab.copy import CopyStatus, Place, Segment
from xengnttab.errors import DeviceError
from xengnttab.event import EventChannel
from xengnttab.hexdump import hexdump, text
from xengnttab.share import GrantShare
from xengnttab.table import GrantTable

# How often the byte is checked.  No event comes if only the byte is armed, or if FreeBSD's
# evtchn(4) loses a wake-up.
POLL_SECONDS = 0.05


def content(args: argparse.Namespace, room: int, most: int | None = None) -> bytes | None:
    """The bytes to write, at most `most`, or None; UsageError if there are more than `room`."""
    # One byte more than fits shows that the content is too long: FILE may be endless.
    limit = room + 1 if most is None else min(most, room + 1)
    if args.write is not None:
        data = os.fsencode(args.write)[:limit]
    elif args.file is not None:
        what = "standard input" if args.file == "-" else args.file
        try:
            if args.file != "-":
                with open(args.file, "rb") as file:
                    data = file.read(limit)
            elif sys.stdin is None:
                raise UsageError("cannot read standard input: it is closed")
            else:
                data = sys.stdin.buffer.read(limit)
        except OSError as error:
            raise UsageError(f"cannot read {what}: {error.strerror}") from None
    else:
        return None
    if len(data) > room:
        raise UsageError(f"the content does not fit: there is room for {room} bytes")
    return data


class Show:
    """Where and how the bytes of pages are shown."""

    def __init__(self, args: argparse.Namespace, file: BinaryIO | None) -> None:
        self.args = args
        self.file = file
        self.raw = args.raw or args.output == "-"
        self.wanted = args.read or args.text or self.raw or file is not None

    @property
    def on_stdout(self) -> bool:
        """Whether the content goes to standard output, so that nothing else may go there."""
        return self.wanted and self.file is None

    def __call__(self, data: bytes) -> None:
        if self.file is not None:
            to_file(self.file, data)
        elif self.raw:
            put_bytes(data)
        elif self.args.json:
            key = "text" if self.args.text else "data"
            put_json("content", {key: text(data) if self.args.text else data.hex()})
        elif self.args.text:
            found = text(data)
            put((escaped(found) if on_terminal(sys.stdout) else found) + "\n")
        elif self.wanted:
            put("\n".join(hexdump(data)) + "\n")


@contextmanager
def showing(args: argparse.Namespace) -> Iterator[Show]:
    """Opens the file of --output first, so that an error shows before anything is done."""
    if args.json and (args.raw or args.output == "-"):
        raise UsageError("--json and raw bytes cannot share standard output")
    with ExitStack() as stack:
        file: BinaryIO | None = None
        if args.output is not None and args.output != "-":
            try:
                file = stack.enter_context(open(args.output, "wb"))
            except OSError as error:
                raise UsageError(f"cannot write {args.output}: {error.strerror}") from None
        yield Show(args, file)


def wait(args: argparse.Namespace, stop: socket.socket, *, input_used: bool = False) -> None:
    """Keeps the pages until told to release them."""
    source = stdin()
    if input_used:
        # Standard input was the content: its end must not end the wait.
        hold(float("inf") if args.hold is None else args.hold, stop, None)
        return
    at_terminal = on_terminal(sys.stdin) and source is not None and foreground(source)
    if args.hold is None and not args.json and at_terminal:
        complain("Press Enter to release them.")
    if hold(args.hold, stop, source) is Ended.AT_ONCE and not args.json:
        complain(
            "xengnttab: released at once: standard input is closed or at its end"
            " (--hold forever waits for a signal)"
        )


def run_share(args: argparse.Namespace) -> int:
    data = content(args, args.pages * PAGE_SIZE)
    with (
        signals() as stop,
        showing(args) as show,
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
            aside=show.raw,
            command="share",
            domid=args.domid,
            pages=args.pages,
            writable=args.writable,
            refs=pages.refs,
        )
        wait(args, stop, input_used=args.file == "-")
        _show_pages(show, pages)
    return OK


def run_map(args: argparse.Namespace) -> int:
    data = content(args, len(args.refs) * PAGE_SIZE)
    writable = args.writable or data is not None
    with (
        signals() as stop,
        showing(args) as show,
        GrantTable() as grants,
        grants.map(args.domid, args.refs, writable=writable) as mapping,
    ):
        if data is not None:
            mapping.write(data)
        report(
            args,
            f"mapped {len(args.refs)} page{'s' * (len(args.refs) > 1)} of domain {args.domid}"
            f" {'for writing' if writable else 'read-only'}",
            aside=show.on_stdout,
            command="map",
            domid=args.domid,
            refs=args.refs,
            writable=writable,
        )
        _show_pages(show, mapping)
        wait(args, stop, input_used=args.file == "-")
    return OK


def _show_pages(show: Show, pages: Pages) -> None:
    if show.wanted:
        show(pages.read())


def segments(
    domid: int, refs: list[int], offset: int, data: bytes | None, room: memoryview
) -> list[Segment]:
    """One part for each page, starting at an offset in the first page."""
    parts: list[Segment] = []
    at = 0
    size = len(room) if data is None else len(data)
    for ref in refs:
        length = min(PAGE_SIZE - offset, size - at)
        if length <= 0 and parts:
            break
        place = Place(domid, ref, offset)
        local: Buffer = room[at : at + length] if data is None else data[at : at + length]
        source, dest = (place, local) if data is None else (local, place)
        parts.append(Segment(source, dest, length))
        at, offset = at + length, 0
    return parts


def run_copy(args: argparse.Namespace) -> int:
    """0, or 1 when Xen refused some of the pages."""
    room = len(args.refs) * PAGE_SIZE - args.offset
    data = content(args, room, args.length)
    with showing(args) as show:
        show.wanted = data is None
        length = room if args.length is None else min(args.length, room)
        buffer = bytearray(length if data is None else 0)
        with GrantTable() as grants:
            parts = segments(args.domid, args.refs, args.offset, data, memoryview(buffer))
            statuses = grants.copy(parts)
        refused = _tell_copy(args, show, parts, statuses)
        if data is None and not refused:
            show(bytes(buffer))
    return FAILED if refused else OK


def _tell_copy(
    args: argparse.Namespace, show: Show, parts: list[Segment], statuses: list[CopyStatus]
) -> bool:
    """Reports the result of a copy; true if Xen refused a part of it."""
    refused = [status for status in statuses if status]
    size = sum(part.length or 0 for part, status in zip(parts, statuses, strict=True) if not status)
    way = "from" if show.wanted else "to"
    rows = [
        (ref, part.length, f"{status.text} ({status.value})")
        for ref, part, status in zip(args.refs, parts, statuses, strict=False)
    ]
    human = f"copied {size} bytes {way} {len(parts) - len(refused)} of {len(parts)} pages"
    human += f" of domain {args.domid}"
    if refused:
        human += "\n" + table(("reference", "bytes", "status"), rows)
    report(
        args, human, aside=show.on_stdout,
        command="copy", domid=args.domid, refs=args.refs[: len(parts)],
        direction=way, bytes=size, statuses=[CopyStatus(status).name for status in statuses],
    )  # fmt: skip
    return bool(refused)


def run_arm(args: argparse.Namespace) -> int:
    """Maps a page with a notification armed, and holds it."""
    byte, port = args.byte, args.port
    if byte is None and port is None and args.remote_port is None:
        byte = 0
    with signals() as stop, GrantTable() as grants, ExitStack() as stack:
        if args.remote_port is not None:
            # Opened before the mapping, so that it is still open when the mapping ends.
            channel = stack.enter_context(EventChannel(args.domid, args.remote_port))
            port = channel.port
        mapping = stack.enter_context(
            grants.map(
                args.domid, args.ref, writable=byte is not None, notify_byte=byte, notify_port=port
            )
        )
        if byte is not None:
            mapping.write(b"\1", byte)
        what = [f"byte {byte} is cleared"] if byte is not None else []
        what += [f"event channel {port} is signalled"] if port is not None else []
        report(
            args,
            f"holding grant {args.ref} of domain {args.domid}: {' and '.join(what)}"
            " when the mapping ends",
            command="notify", role="arm", domid=args.domid, ref=args.ref, byte=byte, port=port,
        )  # fmt: skip
        wait(args, stop)
    return OK


def run_watch(args: argparse.Namespace) -> int:
    """Shares a page and waits for its byte to be cleared, or for an event; 1 when time is up."""
    with (
        signals() as stop,
        ExitStack() as stack,
        GrantShare() as share,
        share.share(args.domid, writable=True) as page,
        page.view() as view,
    ):
        channel = _channel(stack, args.domid)
        port = None if channel is None else channel.port
        view[args.byte] = 1
        human = f"sharing grant {page.refs[0]} with domain {args.domid}, watching byte {args.byte}"
        report(
            args, human + (f" and event channel {port}" if port is not None else ""),
            command="notify", role="watch", domid=args.domid, ref=page.refs[0], byte=args.byte,
            port=port,
        )  # fmt: skip
        begun = time.monotonic()
        poll = select.poll()
        for source in (stop, channel):
            if source is not None:
                poll.register(source, select.POLLIN)
        while True:
            event = channel is not None and channel.pending()
            seconds = round(time.monotonic() - begun, 3)
            if view[args.byte] == 0:
                report(args, f"released after {seconds} s", kind="event",
                       event="cleared", seconds=seconds)  # fmt: skip
                return OK
            if event:
                report(args, f"event after {seconds} s", kind="event",
                       event="signalled", seconds=seconds)  # fmt: skip
                return OK
            if asked(stop):
                report(args, "interrupted", kind="event", event="signal")
                return FAILED
            if args.timeout is not None and seconds >= args.timeout:
                report(args, "still held", kind="event", event="timeout")
                return FAILED
            poll.poll(POLL_SECONDS * 1000)


def _channel(stack: ExitStack, domid: int) -> EventChannel | None:
    """A channel for the peer to signal; None where there are no event channels."""
    try:
        return stack.enter_context(EventChannel(domid))
    except DeviceError:
        return None
