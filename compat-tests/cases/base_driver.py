# SPDX-License-Identifier: BSD-2-Clause
"""What FreeBSD's own gntdev, or its commands on our node, answer otherwise than Linux, by case.

Column freebsd-base shows rows of `k_rows.E_ROWS` instead of red; a crash stays a crash.  Column
freebsd-words shows K26 where exactly the named expectations are not met.
"""

from __future__ import annotations

import re

#: Row -> cases whose expectations are not met because of it.
_BY_ROW: dict[str, str] = {
    "E1": """
        ioctl.gntdev-rdonly ioctl.gntdev-wronly close.fresh-file-starts-over dup.shares-maps
        fork.shares-maps passed-descriptor.shares-maps exec.descriptor-survives
        map.argument-cut-short map.count-zero map.array-cut-short map.array-second-page
        map.result-not-writable map.index-multiple-of-page map.bad-domain-undetected
        map.bad-reference-undetected map.many-maps index.fresh-file index.packed index.last-reused
        index.exact-hole-skipped index.larger-hole-used index.first-hole-wins
        index.exact-holes-before-larger index.random-sequence index.hole-at-start
        index.empty-starts-over index.per-file unmap.argument-cut-short unmap.index-free-at-once
        offset.start offset.any-page offset.any-alignment offset.after-unmap-ioctl
        alloc.argument-cut-short advisory.later-index-mmappable
    """,
    "E2": """
        file.gntdev-read file.gntdev-write file.gntalloc-read file.gntalloc-write
        ioctl.set-max-grants unmap.no-such-index unmap.inside-map unmap.other-file
        unmap.count-too-small unmap.count-too-large unmap.twice unmap.twice-while-mapped
        dealloc.while-mapped-no-mmap share.other-file
    """,
    "E3": """
        ioctl.alloc-on-gntdev ioctl.map-on-gntalloc share.rdonly-read
    """,
    "E4": """
        map.count-over-limit map.count-maximum map.count-before-array
    """,
    "E7": """
        mmap.wronly-w mmap.wronly-none mmap.twice mmap.again-after-munmap mmap.again-after-failure
    """,
    "E8": """
        mmap.partial-failure-until-unmap mmap.partial-failure-until-close
    """,
    "E9": """
        close.munmapped-map-waits close.each-mapping-counts
    """,
    "E10": """
        unmap.then-notify unmap.armed-notify-stays notify.port-closed notify.port-unknown-to-evtchn
        notify.port-of-another-file notify.port-of-another-process notify.port-not-yet-connected
        notify.port-never-connected notify.other-end-gone notify.refused-port-keeps-earlier
        notify.unknown-index notify.other-file notify.after-unmap notify.before-mmap
        notify.refused-drops-port notify.clear-read-only notify.clear-after-read-only
        notify.one-per-map notify.last-call-wins notify.replaced-port-is-free
        notify.armed-port-is-held notify.byte-anywhere notify.clear notify.clear-never-armed
        notify.clear-unknown-index notify.port-ignored notify.munmap-then-unmap
        notify.unmap-then-munmap notify.event-only notify.byte-only notify.never-mmapped
        notify.failed-mmap notify.partial-munmap notify.close notify.close-never-mmapped
        notify.close-while-mapped notify.release-in-index-order notify.release-waits-for-others
        notify.dup notify.event-channel-closed-first notify.port-unbound-first notify.child-holds
        notify.child-mapping-holds notify.child-leaves notify.descriptor-passed notify.exec-keeps
        notify.exec-closes dealloc.while-mapped-no-notify share-notify.index-before-action
        share-notify.other-file share-notify.port-unknown-to-evtchn share-notify.armed-port-is-held
        peer-maps.owner-killed exit.mapping exit.mapping-killed exit.mapping-crashed
        exit.event-channel-opened-first exit.never-mmapped exit.after-close exit.after-unmap
        exit.index-order exit.parent-holds vchan.client-killed vchan.client-closes vchan.both-ways
        advisory.event-channel-closed-under-maps advisory.port-reused advisory.storm
    """,
    "E11": """
        unmap.low-bits-ignored unmap.count-too-large unmap.count-zero unmap.hits-reused-index
        offset.read-only-mapping offset.hole-below offset.after-partial-munmap
        offset.after-mprotect-split share.sub-range share.twice share.each-mapping-holds
    """,
    "E12": """
        ioctl.map-on-gntalloc dup.last-close-releases fork.last-close-releases exec.cloexec-closes
        copy.argument-unreadable copy.count-zero copy.from-peer copy.to-peer copy.peer-to-peer
        copy.read-only-descriptor copy.layout copy.local-to-local copy.source-beyond-page
        copy.dest-beyond-page copy.second-side-beyond-page copy.other-flags copy.read-only-array
        copy.no-bytes copy.buffer-crosses-page copy.whole-page-unaligned copy.buffer-not-there
        copy.buffer-protection copy.buffer-is-a-grant copy.statuses copy.split-status copy.batch-1
        copy.batch-15 copy.batch-16 copy.batch-17 copy.batch-32 copy.batch-33 copy.refused-in-batch
        copy.split-over-batches copy.einval-in-the-middle copy.efault-in-the-middle copy.short-array
        copy.array-ends-within copy.array-unaligned copy.after-revocation copy.own-table-full-range
        mm.grant-copy-into-mapping alloc.read-only-refuses-write alloc.read-only-allows-read
        alloc.writable alloc.unknown-flags alloc.other-domain-useless alloc.reference-is-page
        dealloc.while-mapped dealloc.while-mapped-again share.peer-sees-stores share.child-holds
        share.partial-munmap-holds share.mapping-outlives-descriptor
    """,
    "E13": """
        exit.index-order
    """,
    "E14": """
        peer-maps.ends-in-the-end
    """,
    "E15": """
        mmap.index-truncated unmap.index-truncated
    """,
}

#: Case -> rows.
DEFECTS: dict[str, tuple[str, ...]] = {}
for _row, _cases in _BY_ROW.items():
    for _case in _cases.split():
        DEFECTS[_case] = (*DEFECTS.get(_case, ()), _row)

#: What the console says -> row.  A panic may come a case later: a task of the kernel cleans up.
SAID: tuple[tuple[str, str], ...] = (
    (r"with the following non-sleepable locks held", "E5"),
    (r"Memory modified after free", "E13"),
    (r"evtchn_signal on something other than a local port", "E16"),
    (r"\bcleanup_function\b", "E6"),
    # A kernel without DDB does not name the function that trapped: the task itself.
    (r"\bcalltrap < taskqueue_run\b", "E6"),
)


def defects(case: str, detail: str, wrong: bool, crashed: bool) -> tuple[str, ...]:
    """The rows of the base driver that explain a red cell; none if something is left over.

    `detail` is what the column says beside the expectations, `wrong` whether one was not met.
    """
    named = DEFECTS.get(case, ()) if wrong or not detail else ()
    said = []
    for part in filter(None, detail.split("; ")):
        rows = [row for pattern, row in SAID if re.search(pattern, part)]
        if crashed and not rows and re.search(r"no progress for", part):
            rows = [row for row in DEFECTS.get(case, ()) if row == "E4"]
        # What it wrote over belonged to the agent's own process.
        if not rows and re.search(r"the worker died", part):
            rows = [row for row in DEFECTS.get(case, ()) if row == "E13"]
        if not rows and not crashed:
            return ()
        said += rows
    if crashed and not any(row != "E5" for row in said):
        return ()
    if wrong and not named:
        return ()
    return tuple(sorted({*named, *said}, key=lambda row: int(row[1:])))


#: Case -> how the expectations begin that are not met.
WORDS: dict[str, tuple[str, ...]] = {
    # One node takes the commands of both devices, and its file is the same.
    "ioctl.alloc-on-gntdev": ("ALLOC", "DEALLOC"),
    "ioctl.map-on-gntalloc": ("MAP", "UNMAP", "COPY"),
    "share.rdonly-read": ("shared r",),
    # Shared pages have the indices behind 2^40, for the others are gntdev's.
    "alloc.count-enormous": ("index afterwards",),
    "alloc.count-enormous-within-limit": ("index afterwards",),
    "alloc.over-limit": ("index afterwards",),
    "alloc.limit-inclusive": ("index",),
    "alloc.result-not-writable": ("mmap of the pages nobody was told of",),
    "alloc.ids-not-writable": ("page index", "next page index"),
    "alloc.count-zero": ("page index", "next page index"),
    "alloc.index-packed": ("page indices",),
    "alloc.index-never-reused": ("page index of allocation",),
    "alloc.index-per-file": ("first file", "second file"),
    "alloc.many": ("next page index",),
    # What is not there is EINVAL, as it is for Linux's gntdev.
    "dealloc.while-mapped-no-mmap": ("mmap",),
    "share-notify.index-before-action": ("action 4", "port 0"),
    "share.no-such-index": ("empty file", "behind the pages"),
    "share.too-long": ("3 of 2", "2 from the second on"),
    "share.hole": ("all three",),
    "share.other-file": ("through the other file",),
    # The struct is another one, with a pointer at its end.
    "alloc.argument-cut-short": ("20 of 24 bytes", "index afterwards"),
}
