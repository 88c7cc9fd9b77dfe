# SPDX-License-Identifier: BSD-2-Clause
"""Copies and notifications: what is passed to the library, what is returned, what is refused
before."""

from __future__ import annotations

import errno
import pickle

import pytest
from xengnttab import (
    CopyError,
    CopyStatus,
    GrantShare,
    GrantTable,
    MapError,
    Place,
    Segment,
    ShareError,
)

from tests.python.fake_library import FakeLibrary

NONE = 0xFFFFFFFF


def test_statuses_are_xens() -> None:
    """Numbers of xen/grant_table.h, and one that it does not have yet."""
    assert [status.value for status in CopyStatus] == list(range(0, -14, -1))
    assert not CopyStatus.OKAY
    assert CopyStatus(-3) is CopyStatus.BAD_GNTREF
    assert CopyStatus(-9).text == "bad page"
    later = CopyStatus(-99)
    assert isinstance(later, CopyStatus)
    assert later and later == -99 and later.name == "GNTST_-99"


def test_each_segment_has_its_status(fake: FakeLibrary) -> None:
    fake.statuses = {9: -3}
    inside = bytearray(b"." * 8)
    with GrantTable() as table:
        statuses = table.copy(
            [
                Segment(Place(1, 8, 16), inside, 4),
                Segment(Place(1, 9), bytearray(2)),
                Segment(b"text", Place(1, 10, 4092)),
                Segment(Place(1, 8), Place(2, 11), 100),
            ]
        )
    assert statuses == [CopyStatus.OKAY, CopyStatus.BAD_GNTREF, CopyStatus.OKAY, CopyStatus.OKAY]
    assert inside == b"gggg...."
    assert fake.log[1:6] == [
        ("xengnttab_grant_copy", 4),
        ("segment", (1, 8, 16), b"....", 4),
        ("segment", (1, 9, 0), b"\0\0", 2),
        ("segment", b"text", (1, 10, 4092), 4),
        ("segment", (1, 8, 0), (2, 11, 0), 100),
    ]


def test_buffers_are_free_again_after_the_copy(fake: FakeLibrary) -> None:
    """A bytearray with an exported buffer could not grow."""
    buffer = bytearray(4)
    with GrantTable() as table:
        table.copy([Segment(Place(1, 8), buffer)])
        buffer += b"more"
        fake.failures["xengnttab_grant_copy"] = errno.EFAULT
        with pytest.raises(CopyError):
            table.copy([Segment(Place(1, 8), buffer)])
        buffer += b"more"


@pytest.mark.parametrize(
    ("segment", "error"),
    [
        (Segment(b"a", bytearray(1)), ValueError),
        (Segment(Place(1, 8), Place(1, 9)), ValueError),
        (Segment(Place(1, 8), bytearray(4097)), ValueError),
        (Segment(Place(1, 8), bytearray(4), 5), ValueError),
        (Segment(Place(1, 8), bytearray(4), -1), ValueError),
        (Segment(Place(65536, 8), bytearray(4)), ValueError),
        (Segment(Place(1, -1), bytearray(4)), ValueError),
        (Segment(Place(1, 8, 4097), bytearray(4)), ValueError),
        (Segment(Place(1, 8), b"read-only"), BufferError),
        (Segment(Place(1, 8), "text"), TypeError),  # type: ignore[arg-type]
    ],
)
def test_impossible_segments_do_not_reach_the_kernel(
    fake: FakeLibrary, segment: Segment, error: type[Exception]
) -> None:
    with GrantTable() as table, pytest.raises(error):
        table.copy([segment])
    assert "xengnttab_grant_copy" not in fake.names()


def test_read_and_write_raise_what_a_status_says(fake: FakeLibrary) -> None:
    fake.statuses = {9: -1}
    with GrantTable() as table:
        assert table.read(1, 8, 3) == b"ggg"
        assert len(table.read(1, 8)) == 4096
        table.write(1, 8, b"answer", 16)
        assert fake.log[-1] == ("segment", b"answer", (1, 8, 16), 6)
        with pytest.raises(CopyError) as caught:
            table.read(1, 9)
        with pytest.raises(CopyError):
            table.write(1, 9, b"x")
    assert caught.value.status is CopyStatus.GENERAL_ERROR
    assert caught.value.errno == errno.EIO
    assert "general error (-1)" in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.status) == (str(caught.value), CopyStatus.GENERAL_ERROR)


def test_a_kernel_without_copy_says_so(fake: FakeLibrary) -> None:
    with GrantTable() as table:
        assert table.can_copy
        fake.failures["xengnttab_grant_copy"] = errno.ENOTTY
        assert not table.can_copy
        fake.failures["xengnttab_grant_copy"] = errno.ENOTTY
        with pytest.raises(CopyError, match="no grant copy") as caught:
            table.read(1, 8)
        assert caught.value.status is None
    for use in (lambda: table.can_copy, lambda: table.copy([]), lambda: table.read(1, 8)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_notification_of_a_mapping(fake: FakeLibrary) -> None:
    both = fake.PROT_READ | fake.PROT_WRITE
    with GrantTable() as table:
        table.map(1, 8, writable=True, notify_byte=4095, notify_port=6).close()
        table.map(1, 8, notify_port=0).close()
        table.map(1, [8], writable=True, notify_byte=0).close()
        table.map(1, 8).close()
    name = "xengnttab_map_grant_ref_notify"
    assert [entry for entry in fake.log if "map_grant_ref" in entry[0]] == [
        (name, 1, 8, both, 4095, 6),
        (name, 1, 8, fake.PROT_READ, NONE, 0),
        (name, 1, 8, both, 0, NONE),
        ("xengnttab_map_grant_refs", [1], [8], fake.PROT_READ),
    ]
    assert fake.names().count("xengnttab_unmap") == 4


def test_notification_of_a_sharing(fake: FakeLibrary) -> None:
    with GrantShare() as share:
        with share.share(3, writable=True, notify_byte=8, notify_port=9) as pages:
            assert pages.refs == (100,)
            assert (pages.domid, pages.peer_writable) == (3, True)
        fake.failures["xengntshr_share_page_notify"] = errno.ENOTTY
        with pytest.raises(ShareError, match="with a notification"):
            share.share(3, notify_port=9)
    assert ("xengntshr_share_page_notify", 3, 1, 8, 9) in fake.log


def test_impossible_notifications(fake: FakeLibrary) -> None:
    with GrantTable() as table, GrantShare() as share:
        with pytest.raises(ValueError, match="one page"):
            table.map(1, [8, 9], notify_port=1)
        with pytest.raises(ValueError, match="one page"):
            share.share(1, 2, notify_byte=1)
        with pytest.raises(ValueError, match="byte 4096"):
            table.map(1, 8, notify_byte=4096)
        with pytest.raises(ValueError, match="port"):
            share.share(1, notify_port=NONE)
        fake.failures["xengnttab_map_grant_ref_notify"] = errno.EINVAL
        with pytest.raises(MapError, match="event channel"):
            table.map(1, 8, notify_port=1)
