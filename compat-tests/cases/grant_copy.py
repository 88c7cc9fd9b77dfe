# SPDX-License-Identifier: BSD-2-Clause
"""GRANT_COPY: the status of each segment, and which segment ends the call.

Each segment starts with a status that nobody returns, so that a status that was not written shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.client import PAGE, Outcome

from . import abi
from .abi import DEST_GREF, SOURCE_GREF, Foreign, Segment
from .framework import Context, Loop, case, section

section("gntdev GRANT_COPY", 70)

UNTOUCHED = 0x5A5A
BATCH = 16
PATTERN = bytes(range(1, 251)) * 17
# Far beyond any grant table, and a domain that does not exist.
NO_REF = 4_000_000
NO_DOMAIN = 0x7000


def raw(segment: Segment, flags: int | None = None) -> bytes:
    """A segment's bytes with an unwritten status, and other flags if given."""
    data = bytearray(segment.pack())
    if flags is not None:
        data[18:20] = flags.to_bytes(2, "little")
    data[abi.SEGMENT_STATUS : abi.SEGMENT_STATUS + 2] = UNTOUCHED.to_bytes(2, "little")
    return bytes(data)


class Copies:
    """A descriptor, two pages of memory, and requests whose every byte the case controls."""

    def __init__(self, t: Context) -> None:
        self.t = t
        self.dev = t.gntdev()
        self.worker = t.worker
        self.buffer = t.worker.alloc(2 * PAGE)
        self.argument = t.worker.alloc(2 * PAGE)

    def page(self, page: int = 0, flags: int = abi.GTF_PERMIT) -> int:
        """A reference to a page of the helper domain that holds the pattern."""
        self.t.peer.write(page, 0, PATTERN[:320])
        return self.t.peer.grant(page, flags)

    def foreign(self, ref: int, offset: int = 0) -> Foreign:
        return Foreign(ref, self.t.peer.domid, offset)

    def request(
        self, segments: Sequence[bytes], count: int | None = None, array: int | None = None
    ) -> str:
        """Returns ``ok`` or the errno; without an address for the array it follows the struct."""
        at = self.argument + abi.COPY.size
        if array is None:
            array = at
            self.worker.poke(at, b"".join(segments))
        self.worker.poke(self.argument, abi.COPY.pack(self.count(segments, count), array))
        self.array = array
        try:
            self.worker.ioctl(self.dev.fd, abi.GRANT_COPY, self.argument)
        except Outcome as outcome:
            return outcome.word
        return "ok"

    @staticmethod
    def count(segments: Sequence[bytes], count: int | None) -> int:
        return len(segments) if count is None else count

    def statuses(self, count: int) -> list[int | str]:
        """Statuses of the last request; ``untouched`` where none was written."""
        back = self.worker.peek(self.array, count * abi.SEGMENT_SIZE)
        found: list[int | str] = []
        for at in range(abi.SEGMENT_STATUS, len(back), abi.SEGMENT_SIZE):
            status = int.from_bytes(back[at : at + 2], "little", signed=True)
            found.append("untouched" if status == UNTOUCHED else status)
        return found

    def run(self, *segments: Segment) -> list[int | str]:
        """Makes a request that must succeed; returns its statuses."""
        self.t.expect(self.request([raw(segment) for segment in segments]), "ok", "GRANT_COPY")
        return self.statuses(len(segments))


@case("copy.argument-unreadable", ["C1"], "an argument that cannot be read is EFAULT")
def argument_unreadable(t: Context) -> None:
    """A wrong kernel reads past what the caller owns, or takes part of a struct."""
    dev = t.gntdev()
    t.refused("EFAULT", "no memory there", dev.ioctl, abi.GRANT_COPY, 8)
    short = t.page_end(abi.COPY.pack(0, 0)[:-1])
    t.refused("EFAULT", "15 of 16 bytes", dev.ioctl, abi.GRANT_COPY, short)


@case("copy.count-zero", ["C3"], "no segments is a success, and the pointer is not read")
def count_zero(t: Context) -> None:
    """A wrong kernel fails QEMU's probe, and QEMU does without grant copy."""
    dev = t.gntdev()
    t.accepted("GRANT_COPY", dev.ioctl, abi.GRANT_COPY, abi.COPY.pack(0, 0))
    t.accepted("a wild pointer", dev.ioctl, abi.GRANT_COPY, abi.COPY.pack(0, 8))


@case("copy.from-peer", ["C15"], "bytes come from the granted page, and no others")
def from_peer(t: Context) -> None:
    """A wrong kernel mixes up offsets, or copies whole pages."""
    c = Copies(t)
    ref = c.page()
    t.expect(c.run(Segment(c.foreign(ref, 100), c.buffer + 50, 200)), [0], "status")
    seen = c.worker.peek(c.buffer + 49, 202)
    t.expect(seen, b"\0" + PATTERN[100:300] + b"\0", "buffer, a byte around it")
    t.expect(t.peer.state(ref), "not mapped", "entry")


@case("copy.to-peer", ["C15"], "bytes go to the granted page, and no others")
def to_peer(t: Context) -> None:
    """A wrong kernel writes beyond the segment into another domain."""
    c = Copies(t)
    ref = t.peer.grant(0)
    c.worker.poke(c.buffer, PATTERN[:64])
    t.expect(c.run(Segment(c.buffer + 3, c.foreign(ref, 1001), 20)), [0], "status")
    t.expect(t.peer.read(0, 1000, 22), b"\0" + PATTERN[3:23] + b"\0", "page, a byte around it")


@case("copy.peer-to-peer", ["C11"], "both sides may be granted")
def peer_to_peer(t: Context) -> None:
    """A wrong kernel refuses it, or takes the second reference for an address."""
    c = Copies(t)
    source, dest = c.page(0), t.peer.grant(1)
    t.expect(c.run(Segment(c.foreign(source, 7), c.foreign(dest, 500), 30)), [0], "status")
    t.expect(t.peer.read(1, 500, 31), PATTERN[7:37] + b"\0", "page")


@case("copy.own-grants", ["C17"], "a grant of one's own works by number and as DOMID_SELF")
def own_grants(t: Context) -> None:
    """A wrong kernel refuses what every loop-back test needs."""
    _, refs = t.gntalloc().alloc(2)
    c = Copies(t)
    c.worker.poke(c.buffer, b"to myself")
    for domid in (t.own, abi.DOMID_SELF):
        into = Segment(c.buffer, Foreign(refs[0], domid), 9)
        out = Segment(Foreign(refs[0], domid), c.buffer + 100, 9)
        t.expect(c.run(into, out), [0, 0], f"statuses as domain 0x{domid:x}")
        t.expect(c.worker.peek(c.buffer + 100, 9), b"to myself", "what came back")
        c.worker.fill(c.buffer + 100, 9, 0)


@case("copy.read-only-descriptor", ["O3"], "a read-only descriptor is enough")
def read_only_descriptor(t: Context) -> None:
    """A wrong kernel checks how the file was opened."""
    c = Copies(t)
    c.dev = t.gntdev("rdonly")
    ref = t.peer.grant(0)
    t.expect(c.run(Segment(c.buffer, c.foreign(ref), 8)), [0], "status")


@case("copy.layout", ["C9"], "the status is at offset 20, and nothing else is written")
def layout(t: Context) -> None:
    """A wrong kernel writes whole segments back."""
    c = Copies(t)
    before = bytearray(raw(Segment(c.foreign(NO_REF), c.buffer, 16)))
    before[22:24] = b"\xee\xee"
    t.expect(c.request([bytes(before)]), "ok", "GRANT_COPY")
    after = c.worker.peek(c.array, abi.SEGMENT_SIZE)
    before[abi.SEGMENT_STATUS : abi.SEGMENT_STATUS + 2] = b"\xfd\xff"
    t.expect(after == bytes(before), True, "only the status of the segment has changed")


@case("copy.local-to-local", ["C5"], "a segment without a granted side is EINVAL")
def local_to_local(t: Context) -> None:
    """A wrong kernel copies the caller's memory, or writes a status first."""
    c = Copies(t)
    t.expect(c.request([raw(Segment(c.buffer, c.buffer + 64, 8))]), "EINVAL", "GRANT_COPY")
    t.expect(c.statuses(1), ["untouched"], "status")
    empty = raw(Segment(c.buffer, c.buffer + 64, 0))
    t.expect(c.request([empty]), "EINVAL", "of no bytes")


def _beyond(name: str, row: str, side: str) -> None:
    @case(f"copy.{name}-beyond-page", [row], f"a {side} that leaves its granted page is EINVAL")
    def beyond(t: Context) -> None:
        """A wrong kernel leaves the check to Xen, or reads the next frame."""
        c = Copies(t)
        ref = t.peer.grant(0)

        def one(offset: int, length: int) -> Segment:
            granted = c.foreign(ref, offset)
            if name == "source":
                return Segment(granted, c.buffer, length)
            return Segment(c.buffer, granted, length)

        for offset, length in ((4000, 97), (1, PAGE), (PAGE, 1), (0xFFFF, 0xFFFF)):
            t.expect(c.request([raw(one(offset, length))]), "EINVAL", f"{length} bytes at {offset}")
            t.expect(c.statuses(1), ["untouched"], "status")
        t.expect(c.run(one(4000, 96)), [0], "up to the end")
        t.expect(c.run(one(PAGE, 0)), [0], "no bytes at the end")


_beyond("source", "C6", "source")
_beyond("dest", "C7", "destination")


@case("copy.second-side-beyond-page", ["C7", "C11"], "with two granted sides both are checked")
def second_beyond(t: Context) -> None:
    """A wrong kernel checks only the first side."""
    c = Copies(t)
    a, b = t.peer.grants(2)
    segment = Segment(c.foreign(a), c.foreign(b, 4095), 2)
    t.expect(c.request([raw(segment)]), "EINVAL", "GRANT_COPY")


@case("copy.other-flags", ["C8"], "flags without a meaning are ignored")
def other_flags(t: Context) -> None:
    """A wrong kernel refuses them, or hands them to Xen."""
    c = Copies(t)
    ref = c.page()
    segment = raw(Segment(c.foreign(ref), c.buffer, 8), 0xFFFC | SOURCE_GREF)
    t.expect(c.request([segment]), "ok", "GRANT_COPY")
    t.expect(c.statuses(1), [0], "status")
    t.expect(c.worker.peek(c.buffer, 8), PATTERN[:8], "buffer")
    c.worker.poke(c.buffer, b"12345678")
    segment = raw(Segment(c.buffer, c.foreign(ref), 8), 0x80FC | DEST_GREF)
    t.expect(c.request([segment]), "ok", "GRANT_COPY")
    t.expect(t.peer.read(0, 0, 8), b"12345678", "page")


@case("copy.read-only-array", ["C9", "C19"], "an array that cannot be written is EFAULT")
def read_only_array(t: Context) -> None:
    """A wrong kernel copies and cannot report the result."""
    c = Copies(t)
    ref = c.page()
    array = t.read_only(raw(Segment(c.foreign(ref), c.buffer, 8)))
    t.expect(c.request([b""], array=array), "EFAULT", "GRANT_COPY")
    t.expect(c.worker.peek(c.buffer, 8), bytes(8), "buffer")


@case("copy.no-bytes", ["C10"], "a segment of no bytes succeeds whatever it names")
def no_bytes(t: Context) -> None:
    """A wrong kernel asks Xen, which refuses the reference."""
    c = Copies(t)
    bad = Segment(c.foreign(NO_REF), 8, 0)
    t.expect(c.run(bad, bad), [0, 0], "statuses")


@case("copy.buffer-crosses-page", ["C12"], "a local buffer may cross a page")
def crosses(t: Context) -> None:
    """A wrong kernel copies into whatever frame follows."""
    c = Copies(t)
    ref = c.page()
    at = c.buffer + PAGE - 5
    t.expect(c.run(Segment(c.foreign(ref, 10), at, 12)), [0], "status")
    t.expect(c.worker.peek(at - 1, 14), b"\0" + PATTERN[10:22] + b"\0", "buffer")
    out = t.peer.grant(1)
    t.expect(c.run(Segment(at, c.foreign(out, 99), 12)), [0], "status of the way back")
    t.expect(t.peer.read(1, 98, 14), b"\0" + PATTERN[10:22] + b"\0", "page")


@case("copy.whole-page-unaligned", ["C12"], "a whole page goes to an unaligned buffer")
def whole_page(t: Context) -> None:
    """A wrong kernel makes one operation of it, or loses the second part's offset."""
    c = Copies(t)
    ref = t.peer.grant(0)
    c.worker.poke(c.buffer, PATTERN[:PAGE])
    t.expect(c.run(Segment(c.buffer, c.foreign(ref), PAGE)), [0], "status of filling the page")
    t.expect(t.peer.read(0, PAGE - 16, 16), PATTERN[PAGE - 16 : PAGE], "the page's end")
    c.worker.fill(c.buffer, 2 * PAGE, 0)
    t.expect(c.run(Segment(c.foreign(ref), c.buffer + 123, PAGE)), [0], "status")
    t.expect(c.worker.peek(c.buffer + 122, PAGE + 2), b"\0" + PATTERN[:PAGE] + b"\0", "buffer")


@case("copy.buffer-not-there", ["C13"], "a local page that is not there is EFAULT")
def not_there(t: Context) -> None:
    """A wrong kernel copies into a page that may be given to somebody else."""
    c = Copies(t)
    ref = c.page()
    hole = c.worker.alloc(3 * PAGE)
    c.worker.munmap(hole + PAGE, PAGE)
    for what, address, length in (("all of it", hole + PAGE, 8), ("its end", hole + PAGE - 4, 8)):
        into = Segment(c.foreign(ref), address, length)
        t.expect(c.request([raw(into)]), "EFAULT", f"into: {what}")
        t.expect(c.statuses(1), [0], "its status")
        t.expect(c.request([raw(Segment(address, c.foreign(ref), length))]), "EFAULT", f"{what}")
    t.expect(c.worker.peek(hole + PAGE - 4, 4), bytes(4), "the part that is there")


@case("copy.buffer-protection", ["C13"], "a read-only page is a source but no destination")
def protection(t: Context) -> None:
    """A wrong kernel writes through the protection."""
    c = Copies(t)
    ref = c.page()
    c.worker.poke(c.buffer, b"keep me!")
    c.worker.mprotect(c.buffer, PAGE, "r")
    t.expect(c.request([raw(Segment(c.foreign(ref), c.buffer, 8))]), "EFAULT", "into it")
    t.expect(c.worker.peek(c.buffer, 8), b"keep me!", "its bytes")
    t.expect(c.run(Segment(c.buffer, c.foreign(ref, 64), 8)), [0], "out of it")
    t.expect(t.peer.read(0, 64, 8), b"keep me!", "page")
    c.worker.mprotect(c.buffer, PAGE, "none")
    t.expect(c.request([raw(Segment(c.buffer, c.foreign(ref), 8))]), "EFAULT", "no access")


@case("copy.buffer-is-a-grant", ["C14"], "a mapped grant cannot be a local buffer: status -9")
def buffer_is_grant(t: Context) -> None:
    """A wrong kernel hands Xen a frame that is not its own, or fails the whole request."""
    c = Copies(t)
    dev, index, address, refs = t.mapped(2, dev=c.dev)
    t.expect(c.run(Segment(c.foreign(refs[1]), address, 8)), [-9], "into it")
    t.expect(c.run(Segment(address, c.foreign(refs[1]), 8)), [-9], "out of it")
    t.worker.munmap(address, 2 * PAGE)
    t.accepted("UNMAP afterwards", dev.unmap, index, 2)
    t.expect(t.peer.state(refs[0]), "not mapped", "entry")


@case("copy.statuses", ["C15", "C18", "2.15"], "what Xen refuses is reported segment by segment")
def statuses(t: Context) -> None:
    """A wrong kernel fails the request, or lets one refusal spoil the rest."""
    c = Copies(t)
    good, revoked, reader = c.page(0), t.peer.grant(1), t.peer.grant(2, abi.GTF_PERMIT | 4)
    other = t.peer.grant(3, domid=7)
    t.peer.set_flags(revoked, 0)
    wanted: list[tuple[Segment, int]] = [
        (Segment(c.foreign(good), c.buffer, 8), 0),
        (Segment(c.foreign(NO_REF), c.buffer + 8, 8), -3),
        (Segment(c.foreign(revoked), c.buffer + 16, 8), -1),
        (Segment(c.foreign(other), c.buffer + 24, 8), -1),
        (Segment(c.buffer, c.foreign(reader), 8), -1),
        (Segment(c.foreign(reader), c.buffer + 32, 8), 0),
        (Segment(Foreign(good, NO_DOMAIN), c.buffer + 40, 8), -2),
        (Segment(c.foreign(good, 8), c.buffer + 48, 8), 0),
    ]
    seen = c.run(*[segment for segment, _ in wanted])
    t.expect(seen, [status for _, status in wanted], "statuses")
    t.expect(c.worker.peek(c.buffer, 16), PATTERN[:8] + bytes(8), "first two")
    t.expect(c.worker.peek(c.buffer + 48, 8), PATTERN[8:16], "last")


@case("copy.split-status", ["C15"], "a failure of either part of a split segment is its status")
def split_status(t: Context) -> None:
    """A wrong kernel lets the second part's success cover the first part's failure."""
    c = Copies(t)
    ref = c.page()
    # A page of our own between two mapped grants, which Xen refuses as local buffers.
    dev = t.gntdev()
    mixed = c.worker.alloc(3 * PAGE)
    for at in (mixed, mixed + 2 * PAGE):
        index = dev.map([t.peer.grant(1)])
        dev.mmap(1, index, "rw", "shared+fixed", at)
    for what, address in (("first", mixed + PAGE - 4), ("second", mixed + 2 * PAGE - 4)):
        seen = c.run(Segment(c.foreign(ref), address, 8))
        t.expect(seen, [-9], f"the {what} part is refused")


def _batch(count: int) -> None:
    @case(f"copy.batch-{count}", ["C15"], f"{count} segments are copied in order")
    def batch(t: Context) -> None:
        """A wrong kernel loses the first or the last of a batch of 16."""
        c = Copies(t)
        ref = c.page()
        # The last ones overlap the first: later segments win.
        seen = c.run(
            *[Segment(c.foreign(ref, 8 * n), c.buffer + 12 * n, 8) for n in range(count - 1)],
            Segment(c.foreign(ref, 300), c.buffer, 8),
        )
        t.expect(seen, [0] * count, "statuses")
        wanted = bytearray(12 * count)
        for n in range(count - 1):
            wanted[12 * n : 12 * n + 8] = PATTERN[8 * n : 8 * n + 8]
        wanted[:8] = PATTERN[300:308]
        t.expect(c.worker.peek(c.buffer, 12 * count), bytes(wanted), "buffer")


for _count in (1, 15, 16, 17, 32, 33):
    _batch(_count)


@case("copy.refused-in-batch", ["C15"], "a refused segment does not stop the later ones")
def refused_in_batch(t: Context) -> None:
    """A wrong kernel stops at the first refusal, or after its batch."""
    c = Copies(t)
    ref = c.page()
    bad = {3, 15, 16, 31}
    segments = [
        Segment(c.foreign(NO_REF if n in bad else ref, 8 * n), c.buffer + 8 * n, 8)
        for n in range(34)
    ]
    t.expect(c.run(*segments), [-3 if n in bad else 0 for n in range(34)], "statuses")
    wanted = b"".join(bytes(8) if n in bad else PATTERN[8 * n : 8 * n + 8] for n in range(34))
    t.expect(c.worker.peek(c.buffer, len(wanted)), wanted, "buffer")


@case("copy.split-over-batches", ["C12", "C15"], "a segment's two parts may fall into two batches")
def split_over_batches(t: Context) -> None:
    """A wrong kernel counts segments instead of operations."""
    c = Copies(t)
    ref = c.page()
    # One operation, then seven pairs; the eighth pair is operations 16 and 17.
    segments = [Segment(c.foreign(ref), c.buffer, 4)]
    segments += [Segment(c.foreign(ref, 8 * n), c.buffer + PAGE - 4, 8) for n in range(1, 9)]
    t.expect(c.run(*segments), [0] * 9, "statuses")
    t.expect(c.worker.peek(c.buffer + PAGE - 4, 8), PATTERN[64:72], "buffer")
    segments[8] = Segment(c.foreign(NO_REF), c.buffer + PAGE - 4, 8)
    t.expect(c.run(*segments), [0] * 8 + [-3], "statuses, the last refused")


def _error_in_the_middle(name: str, row: str, status: int | str, word: str, title: str) -> None:
    @case(f"copy.{name}-in-the-middle", [row, "2.7"], title)
    def middle(t: Context) -> None:
        """A wrong kernel issues the collected operations, or loses those already issued."""
        c = Copies(t)
        ref = c.page()
        good = [raw(Segment(c.foreign(ref, 8 * n), c.buffer + 8 * n, 8)) for n in range(BATCH + 4)]
        if name == "einval":
            good[18] = raw(Segment(c.buffer, c.buffer, 8))
        else:
            good[18] = raw(Segment(c.foreign(ref), 8, 8))
        t.expect(c.request(good), word, "GRANT_COPY")
        # Sixteen were issued; two more have status 0 without having been issued.
        t.expect(c.statuses(20), [0] * 18 + [status, "untouched"], "statuses")
        t.expect(c.worker.peek(c.buffer, 160), PATTERN[:128] + bytes(32), "buffer")


_error_in_the_middle(
    "einval", "C5", "untouched", "EINVAL", "after a bad segment only whole batches have been copied"
)
_error_in_the_middle(
    "efault", "C13", 0, "EFAULT", "after a bad buffer only whole batches have been copied"
)


@case("copy.short-array", ["C4", "C20"], "a count beyond the array is EFAULT where memory ends")
def short_array(t: Context) -> None:
    """A wrong kernel allocates for the count, or copies none of the readable part."""
    c = Copies(t)
    ref = c.page()
    segments = [raw(Segment(c.foreign(ref, 8 * n), c.buffer + 8 * n, 8)) for n in range(BATCH + 1)]
    for count in (BATCH + 2, 0xFFFFFFFF):
        c.worker.fill(c.buffer, 256, 0)
        array = t.page_end(b"".join(segments))
        t.expect(c.request([], count, array), "EFAULT", f"{count} segments")
        t.expect(c.statuses(BATCH + 1), [0] * (BATCH + 1), "statuses")
        t.expect(c.worker.peek(c.buffer, 136), PATTERN[:128] + bytes(8), "buffer")


@case("copy.array-ends-within", ["C4"], "a segment that is only half readable is EFAULT")
def array_ends_within(t: Context) -> None:
    """A wrong kernel uses stale bytes of its own for the rest."""
    c = Copies(t)
    ref = c.page()
    first = raw(Segment(c.foreign(ref), c.buffer, 8))
    array = t.page_end(first + first[:20])
    t.expect(c.request([], 2, array), "EFAULT", "GRANT_COPY")
    t.expect(c.worker.peek(c.buffer, 8), bytes(8), "buffer")


@case("copy.array-unaligned", ["C4"], "the array may have any alignment")
def array_unaligned(t: Context) -> None:
    """A wrong kernel refuses it, or writes the status to the wrong place."""
    c = Copies(t)
    ref = c.page()
    array = c.argument + PAGE - 21
    c.worker.poke(array, raw(Segment(c.foreign(ref), c.buffer, 8)))
    t.expect(c.request([b""], array=array), "ok", "GRANT_COPY")
    t.expect(c.statuses(1), [0], "status, which crosses a page")
    t.expect(c.worker.peek(c.buffer, 8), PATTERN[:8], "buffer")


@case("copy.after-revocation", ["C18"], "a copy looks at the grant as it is then")
def after_revocation(t: Context) -> None:
    """A wrong kernel caches the state of a reference."""
    c = Copies(t)
    ref = c.page()
    segment = Segment(c.foreign(ref), c.buffer, 8)
    t.expect(c.run(segment), [0], "status")
    t.peer.set_flags(ref, 0)
    t.expect(c.run(segment), [-1], "status once revoked")
    t.peer.set_flags(ref, abi.GTF_PERMIT)
    t.expect(c.run(segment), [0], "status once granted again")


@case("copy.own-table-full-range", ["C17", "C18"], "own references: free is -1, beyond is -3")
def own_statuses(t: Context) -> None:
    """A wrong kernel judges its own references by the pages that it has handed out."""
    index, refs = (dev := t.gntalloc()).alloc(1)
    loop = Loop(t)
    t.expect(loop.status_from(refs[0]), 0, "status")
    t.expect(loop.status_from(NO_REF), -3, "status beyond the table")
    dev.dealloc(index, 1)
    t.expect(loop.granted(refs[0]), "ended", "after DEALLOC")
