# SPDX-License-Identifier: BSD-2-Clause
"""A stream of bytes from one domain to another: a ring in a shared page, with events, in asyncio.

In domain 0:  python ring.py receive 1           (prints a grant reference and a port, say 8 17)
In domain 1:  python ring.py send 0 8 17 <file

The page has two counters of bytes, produced and consumed, and room for SIZE bytes.  Each side
writes one counter, and signals the other side after it has.  The other domain may write anything
anywhere: its counter is read once and checked before it is used.

The order of loads and stores is that of the processor: right on x86.
"""

import asyncio
import os
import sys
from typing import Self

from xengnttab import EventChannel, GrantShare, GrantTable, Mapping, SharedPages

SIZE = 2048
PRODUCED, CONSUMED = 0, 1
END = b"\0"


class Ring:
    """The ring in a page; a context manager, because the page cannot be closed under its views."""

    def __init__(self, page: Mapping | SharedPages) -> None:
        self.view = page.view()
        self.counters = self.view[:8].cast("I")
        self.data = self.view[8 : 8 + SIZE]

    def used(self) -> int:
        used = (self.counters[PRODUCED] - self.counters[CONSUMED]) & 0xFFFFFFFF
        if used > SIZE:
            raise ValueError(f"the other domain broke the ring: {used} of {SIZE} bytes are used")
        return used

    def put(self, data: bytes) -> int:
        """Adds as many bytes as there is room for; how many."""
        count = min(len(data), SIZE - self.used())
        start = self.counters[PRODUCED]
        for number in range(count):
            self.data[(start + number) % SIZE] = data[number]
        self.counters[PRODUCED] = (start + count) & 0xFFFFFFFF
        return count

    def take(self) -> bytes:
        """All bytes that are there."""
        count = self.used()
        start = self.counters[CONSUMED]
        data = bytes(self.data[(start + number) % SIZE] for number in range(count))
        self.counters[CONSUMED] = (start + count) & 0xFFFFFFFF
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for view in (self.counters, self.data, self.view):
            view.release()


async def receive(domid: int) -> None:
    with (
        GrantShare() as device,
        EventChannel(domid) as channel,
        device.share(domid, writable=True) as page,
        Ring(page) as ring,
    ):
        print(page.refs[0], channel.port, flush=True)
        while True:
            data = ring.take()
            if not data:
                await channel.wait_async()
                continue
            channel.notify()
            os.write(sys.stdout.fileno(), data.removesuffix(END))
            if data.endswith(END):
                return


async def send(domid: int, ref: int, port: int) -> None:
    with (
        GrantTable() as device,
        EventChannel(domid, port) as channel,
        device.map(domid, ref, writable=True) as page,
        Ring(page) as ring,
    ):
        data = sys.stdin.buffer.read() + END
        while data:
            count = ring.put(data)
            if count:
                channel.notify()
                data = data[count:]
            else:
                await channel.wait_async()


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[2:]]
    asyncio.run(receive(*numbers) if sys.argv[1] == "receive" else send(*numbers))
