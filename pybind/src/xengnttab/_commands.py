# SPDX-License-Identifier: BSD-2-Clause
"""The commands copy and notify."""

from __future__ import annotations

import argparse
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from xengnttab._pages import PAGE_SIZE
from xengnttab._terminal import report, table
from xengnttab.copy import CopyStatus, Place, Segment
from xengnttab.share import GrantShare
from xengnttab.table import GrantTable

if TYPE_CHECKING:
    from typing_extensions import Buffer

POLL_SECONDS = 0.01


def segments(
    domid: int, refs: list[int], offset: int, data: bytes | None, room: memoryview
) -> list[Segment]:
    """Parts that fill the pages from an offset in the first one on, one for each page."""
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


def run_copy(args: argparse.Namespace, data: bytes | None, show: Callable[[bytes], None]) -> int:
    """0, or 1 when Xen refused some of the pages."""
    room = len(args.refs) * PAGE_SIZE - args.offset
    length = room if args.length is None else min(args.length, room)
    buffer = bytearray(length if data is None else 0)
    with GrantTable() as grants:
        parts = segments(args.domid, args.refs, args.offset, data, memoryview(buffer))
        statuses = grants.copy(parts)
    refused = [status for status in statuses if status]
    size = sum(part.length or 0 for part, status in zip(parts, statuses, strict=True) if not status)
    way = "from" if data is None else "to"
    rows = [
        (ref, part.length, f"{status.text} ({status.value})")
        for ref, part, status in zip(args.refs, parts, statuses, strict=False)
    ]
    human = f"copied {size} bytes {way} {len(parts) - len(refused)} of {len(parts)} pages"
    human += f" of domain {args.domid}"
    if refused:
        human += "\n" + table(("reference", "bytes", "status"), rows)
    report(
        args, human,
        command="copy", domid=args.domid, refs=args.refs[: len(parts)],
        direction=way, bytes=size, statuses=[CopyStatus(status).name for status in statuses],
    )  # fmt: skip
    if data is None and not refused:
        show(bytes(buffer))
    return 1 if refused else 0


def run_arm(args: argparse.Namespace, hold: Callable[[], None]) -> int:
    """Maps a page with a notification armed, and holds it."""
    with (
        GrantTable() as grants,
        grants.map(
            args.domid, args.ref, writable=args.byte is not None,
            notify_byte=args.byte, notify_port=args.port,
        ) as mapping,
    ):  # fmt: skip
        if args.byte is not None:
            mapping.write(b"\1", args.byte)
        what = [f"byte {args.byte} is cleared"] if args.byte is not None else []
        what += [f"event channel {args.port} is signalled"] if args.port is not None else []
        report(
            args,
            f"holding grant {args.ref} of domain {args.domid}: {' and '.join(what)} at its end",
            command="notify", role="arm", domid=args.domid, ref=args.ref,
            byte=args.byte, port=args.port,
        )  # fmt: skip
        hold()
    return 0


def run_watch(args: argparse.Namespace, stop: socket.socket) -> int:
    """Shares a page and waits for its byte to be cleared; 1 when that does not happen in time."""
    stop.setblocking(False)
    with GrantShare() as share, share.share(args.domid, writable=True) as page, page.view() as view:
        view[args.byte] = 1
        report(
            args,
            f"domain {args.domid} can hold grant {page.refs[0]}, byte {args.byte}",
            command="notify", role="watch", domid=args.domid, ref=page.refs[0], byte=args.byte,
        )  # fmt: skip
        begun = time.monotonic()
        while view[args.byte] != 0:
            if args.timeout is not None and time.monotonic() - begun >= args.timeout:
                report(args, "still held", event="timeout")
                return 1
            try:
                if stop.recv(1):
                    report(args, "interrupted", event="signal")
                    return 1
            except BlockingIOError:
                time.sleep(POLL_SECONDS)
        seconds = round(time.monotonic() - begun, 3)
        report(args, f"let go after {seconds} s", event="cleared", seconds=seconds)
    return 0
