# SPDX-License-Identifier: BSD-2-Clause
"""A worker of the agent in Python: does through package xengnttab what ops_lib.c does through the C
library.  The agent's operation exec starts it, and it continues the case.

Python has one call where C has several, so lib_map and lib_map_several are the same here.
"""

from __future__ import annotations

import argparse
import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from xengnttab import GrantError, GrantShare, GrantTable, Place, Segment
from xengnttab._pages import Pages

MESSAGE_BYTES = 65536


class Worker:
    def __init__(self) -> None:
        self.handles: dict[int, Any] = {}
        # Memory by address: mapped or shared pages, and buffers.
        self.memory: dict[int, Pages | bytearray] = {}
        self.buffers = 0

    def _at(self, text: str) -> tuple[memoryview, int]:
        address = int(text, 0)
        for start, memory in self.memory.items():
            if start <= address < start + len(memory):
                return memoryview(memory), address - start
        raise KeyError(f"no memory at {text}")

    def _keep(self, pages: Pages) -> str:
        self.memory[pages.address] = pages
        return f"addr=0x{pages.address:x}"

    def open(self, device: str) -> str:
        number = next(n for n in range(8) if n not in self.handles)
        handle = GrantShare() if device == "gntshr" else GrantTable()
        self.handles[number] = handle
        return f"h={number} fd={handle.fileno()}"

    def close(self, handle: str) -> str:
        device = self.handles.pop(int(handle))
        # This closes its pages, too.
        device.close()
        gone = [start for start, kept in self.memory.items() if getattr(kept, "closed", False)]
        for start in gone:
            del self.memory[start]
        return ""

    def map(self, handle: str, prot: str, domid: str, *refs: str) -> str:
        wanted = list(map(int, refs))
        return self._keep(self.handles[int(handle)].map(int(domid), wanted, writable="w" in prot))

    def map_several(self, handle: str, prot: str, *grants: str) -> str:
        numbers = list(map(int, grants))
        return self._keep(
            self.handles[int(handle)].map(numbers[::2], numbers[1::2], writable="w" in prot)
        )

    def map_notify(self, handle: str, prot: str, domid: str, ref: str, byte: str, port: str) -> str:
        return self._keep(
            self.handles[int(handle)].map(
                int(domid), int(ref), writable="w" in prot,
                notify_byte=or_none(byte), notify_port=or_none(port),
            )
        )  # fmt: skip

    def unmap(self, _handle: str, address: str, _count: str) -> str:
        pages = self.memory.pop(int(address, 0))
        assert isinstance(pages, Pages)
        pages.close()
        return ""

    unshare = unmap

    def share(
        self, handle: str, domid: str, count: str, writable: str, byte: str = "-", port: str = "-"
    ) -> str:
        pages = self.handles[int(handle)].share(
            int(domid), int(count), writable=writable != "0",
            notify_byte=or_none(byte), notify_port=or_none(port),
        )  # fmt: skip
        return f"{self._keep(pages)} refs={','.join(map(str, pages.refs))}"

    def copy(self, handle: str, *words: str) -> str:
        def end(text: str, length: int) -> Any:
            if ":" in text:
                return Place(*map(int, text.split(":")))
            view, offset = self._at(text)
            return view[offset : offset + length]

        segments = [
            Segment(end(source, int(length)), end(dest, int(length)), int(length))
            for source, dest, length in zip(words[::3], words[1::3], words[2::3], strict=True)
        ]
        statuses = self.handles[int(handle)].copy(segments)
        return "status=" + ",".join(str(status.value) for status in statuses)

    def max(self, handle: str, count: str) -> str:
        self.handles[int(handle)].set_max_grants(int(count))
        return ""

    def buffer(self, length: str) -> str:
        self.buffers += 1
        address = self.buffers << 20  # used by nothing else: no memory is mapped so low
        self.memory[address] = bytearray(int(length))
        return f"addr=0x{address:x}"

    def read(self, address: str, length: str) -> str:
        view, offset = self._at(address)
        return f"data={bytes(view[offset : offset + int(length)]).hex()}"

    def write(self, address: str, data: str) -> str:
        view, offset = self._at(address)
        value = bytes.fromhex(data)
        view[offset : offset + len(value)] = value
        return ""


def or_none(text: str) -> int | None:
    return None if text == "-" else int(text)


def ask_peer(words: list[str]) -> str:
    """On the harness the helper domain belongs to the process."""
    import ctypes  # not in a Dom0's image, where the supervisor asks a helper domain

    reply = ctypes.create_string_buffer(MESSAGE_BYTES)
    request = " ".join(words).encode()
    ctypes.CDLL(None).xengnt_harness_peer(request, reply, ctypes.c_size_t(len(reply)))
    return reply.value.decode().split("\n", 1)[0]


def perform(worker: Worker, words: list[str]) -> str:
    name, *arguments = words
    if name == "scratch":
        return "ok addr=0"  # requested at the beginning of every case
    if name == "peer":
        return ask_peer(arguments)
    call: Callable[..., str] | None = getattr(worker, name.removeprefix("lib_"), None)
    if not name.startswith("lib_") or call is None:
        return f"err EPROTO unknown operation {name} of the Python worker"
    try:
        return f"ok {call(*arguments)}".rstrip()
    except GrantError as error:
        return f"err {error.name}"
    except (ValueError, BufferError) as error:
        # The package's own refusal, such as the library or the kernel would report.
        print(f"library_worker: {words}: {error}", file=sys.stderr)
        return f"err {errno.errorcode[errno.EINVAL]} {error}"
    except TypeError as error:
        print(f"library_worker: {words}: {error}", file=sys.stderr)
        return "fault SIGSEGV"  # a store into read-only memory


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", type=int, required=True)
    parser.add_argument("--reply", required=True)
    args, _ = parser.parse_known_args()
    os.set_inheritable(args.worker, False)
    control = socket.socket(fileno=args.worker)
    worker = Worker()
    control.send(f"{args.reply} ok".encode())
    while message := control.recv(MESSAGE_BYTES):
        sequence, *words = message.decode().split()
        if words[0] in ("end", "exit"):
            # As for any process, what it holds ends with it.
            sys.exit(0)
        control.send(f"{sequence} {perform(worker, words)}".encode())


if __name__ == "__main__":
    main()
