# SPDX-License-Identifier: BSD-2-Clause
"""The Python packing of the cases against the C headers of the project."""

from __future__ import annotations

import subprocess

import pytest
from cases import abi

from devtools.paths import ROOT

PROGRAM = r"""
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <xen/gntdev.h>
#include <xen/gntalloc.h>

static void
show(const char *name, const void *data, size_t len)
{
	const unsigned char *p = data;

	printf("%s ", name);
	while (len-- > 0)
		printf("%02x", *p++);
	printf("\n");
}

#define SHOW(x) show(#x, &x, sizeof(x))
#define WORD(x) printf(#x " %lx\n", (unsigned long)x)

int
main(void)
{
	struct { struct ioctl_gntdev_map_grant_ref m; struct ioctl_gntdev_grant_ref more; } map;
	struct ioctl_gntdev_unmap_grant_ref unmap;
	struct ioctl_gntdev_get_offset_for_vaddr offset;
	struct ioctl_gntdev_unmap_notify notify;
	struct ioctl_gntdev_grant_copy copy;
	struct gntdev_grant_copy_segment segment;
	struct ioctl_gntalloc_alloc_gref alloc;
	struct ioctl_gntalloc_dealloc_gref dealloc;

	memset(&map, 0, sizeof(map));
	map.m.count = 2; map.m.pad = 3;
	map.m.refs[0].domid = 4; map.m.refs[0].ref = 5;
	map.more.domid = 6; map.more.ref = 7;
	SHOW(map);
	memset(&unmap, 0, sizeof(unmap));
	unmap.index = 0x1122334455667788; unmap.count = 9; unmap.pad = 10;
	SHOW(unmap);
	memset(&offset, 0, sizeof(offset));
	offset.vaddr = 0x1122334455667788; offset.offset = 2; offset.count = 3; offset.pad = 4;
	SHOW(offset);
	memset(&notify, 0, sizeof(notify));
	notify.index = 1; notify.action = 2; notify.event_channel_port = 3;
	SHOW(notify);
	memset(&copy, 0, sizeof(copy));
	copy.count = 5; copy.segments = (void *)0x1234;
	SHOW(copy);
	memset(&segment, 0, sizeof(segment));
	segment.source.foreign.ref = 1; segment.source.foreign.offset = 2;
	segment.source.foreign.domid = 3;
	segment.dest.virt = (void *)0x5678;
	segment.len = 4; segment.flags = 1;
	SHOW(segment);
	memset(&alloc, 0, sizeof(alloc));
	alloc.domid = 1; alloc.flags = 2; alloc.count = 3; alloc.index = 0; alloc.gref_ids[0] = 5;
	SHOW(alloc);
	memset(&dealloc, 0, sizeof(dealloc));
	dealloc.index = 1; dealloc.count = 2;
	SHOW(dealloc);
	printf("status %zx\n", offsetof(struct gntdev_grant_copy_segment, status));
	printf("ids %zx\n", offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids));
	WORDS
	return (0);
}
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a C program that includes the headers says."""
    where = tmp_path_factory.mktemp("abi")
    source = where / "abi.c"
    words = " ".join(f"WORD({name});" for name in abi.LINUX_WORDS)
    source.write_text(PROGRAM.replace("WORDS", words))
    subprocess.run(
        ["cc", "-Wall", "-Werror", "-I", ROOT / "kernel/include", source, "-o", where / "abi"],
        check=True,
    )
    out = subprocess.run([where / "abi"], check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in out.splitlines())


BIG = 0x1122334455667788


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("map", abi.pack_map([(4, 5), (6, 7)], pad=3)),
        ("unmap", abi.UNMAP.pack(BIG, 9, 10)),
        ("offset", abi.OFFSET.pack(BIG, 2, 3, 4)),
        ("notify", abi.NOTIFY.pack(1, 2, 3)),
        ("copy", abi.COPY.pack(5, 0x1234)),
        ("segment", abi.Segment(abi.Foreign(1, 3, 2), 0x5678, 4).pack()),
        ("alloc", abi.ALLOC.pack(1, 2, 3, 0, 5)),
        ("dealloc", abi.DEALLOC.pack(1, 2)),
    ],
)
def test_layout(told: dict[str, str], name: str, packed: bytes) -> None:
    assert packed.hex() == told[name]


def test_offsets(told: dict[str, str]) -> None:
    assert int(told["status"], 16) == abi.SEGMENT_STATUS
    assert int(told["ids"], 16) == abi.ALLOC_IDS
    assert len(told["segment"]) == 2 * abi.SEGMENT_SIZE


@pytest.mark.parametrize("name", abi.LINUX_WORDS)
def test_words(told: dict[str, str], name: str) -> None:
    assert int(told[name], 16) == abi.LINUX_WORDS[name]


def test_a_short_map_fills_the_fixed_struct() -> None:
    assert len(abi.pack_map([])) == 24
    assert abi.pack_map([(1, 2)], count=9)[:4] == b"\x09\0\0\0"
