# SPDX-License-Identifier: BSD-2-Clause
"""Life of mapped and shared pages as Python objects: buffers, context managers, use after close.

Run on a stand-in for the library; what the kernel does is the matter of other tests.
"""

from __future__ import annotations

import gc
import io

import pytest
from xengnttab import PAGE_SIZE, Grant, GrantShare, GrantTable, Mapping, SharedPages
from xengnttab._area import Area

from tests.python.fake_library import FakeLibrary


def test_map_asks_for_each_domain(fake: FakeLibrary) -> None:
    with GrantTable() as table:
        assert table.fileno() == fake.table_fd
        with table.map([1, 2], [8, 9]) as mapping:
            assert isinstance(mapping, Mapping)
            assert mapping.grants == (Grant(1, 8), Grant(2, 9))
            assert len(mapping) == 2 * PAGE_SIZE
        table.map(3, 10, writable=True)
    assert fake.log == [
        ("xengnttab_open",),
        ("xengnttab_map_grant_refs", [1, 2], [8, 9], fake.PROT_READ),
        ("xengnttab_unmap", 2),
        ("xengnttab_map_grant_refs", [3], [10], fake.PROT_READ | fake.PROT_WRITE),
        ("xengnttab_unmap", 1),
        ("xengnttab_close",),
    ]


def test_share_tells_the_references(fake: FakeLibrary) -> None:
    with GrantShare() as share:
        assert share.fileno() == fake.share_fd
        with share.share(7, 3, writable=True) as pages:
            assert isinstance(pages, SharedPages)
            assert pages.refs == (100, 101, 102)
            assert (pages.domid, pages.peer_writable) == (7, True)
            assert len(pages) == 3 * PAGE_SIZE
            assert not pages.readonly
        with share.share(7) as pages:
            assert not pages.peer_writable
            assert not pages.readonly
    assert fake.log == [
        ("xengntshr_open",),
        ("xengntshr_share_pages", 7, 3, 1),
        ("xengntshr_unshare", 3),
        ("xengntshr_share_pages", 7, 1, 0),
        ("xengntshr_unshare", 1),
        ("xengntshr_close",),
    ]


def test_views_show_the_memory_itself(fake: FakeLibrary) -> None:
    with GrantShare() as share, share.share(0) as pages:
        (memory,) = fake.memory.values()
        with memoryview(pages) as view:
            assert (view.nbytes, view.format, view.readonly) == (PAGE_SIZE, "B", False)
            view[1:4] = b"abc"
            assert memory[:5] == b"\0abc\0"
            memory[0:1] = b"x"
            assert view[0] == ord("x")
            with pages.view() as second:
                assert pages.views == 2
                assert bytes(second[:4]) == b"xabc"
        assert pages.views == 0


def test_read_only_pages_have_read_only_views(fake: FakeLibrary) -> None:
    with GrantTable() as table, table.map(1, 8) as mapping:
        assert mapping.readonly
        with mapping.view() as view:
            assert view.readonly
            with pytest.raises(TypeError):
                view[0] = 1
        with pytest.raises(TypeError):
            mapping.write(b"x")
        # writing into the buffer is refused
        with pytest.raises((BufferError, TypeError)):
            io.BytesIO(b"x").readinto(mapping)


def test_read_and_write_copy(fake: FakeLibrary) -> None:
    with GrantTable() as table, table.map(1, [8, 9], writable=True) as mapping:
        assert mapping.write(b"hello", offset=PAGE_SIZE - 2) == 5
        assert mapping.read(7, PAGE_SIZE - 3) == b"\0hello\0"
        assert mapping.read() == mapping.read(2 * PAGE_SIZE)
        assert mapping.read(offset=2 * PAGE_SIZE) == b""
        assert mapping.write(memoryview(b"abcd").cast("H"), 0) == 4
        assert mapping.read(4) == b"abcd"
        for size, offset in ((1, 2 * PAGE_SIZE), (0, -1), (2 * PAGE_SIZE + 1, 0)):
            with pytest.raises(ValueError, match="do not fit into"):
                mapping.read(size, offset)
        before = mapping.read()
        with pytest.raises(ValueError, match="do not fit into"):
            mapping.write(b"toolong", 2 * PAGE_SIZE - 6)
        assert mapping.read() == before


def test_close_is_refused_while_views_show_the_pages(fake: FakeLibrary) -> None:
    with GrantTable() as table:
        mapping = table.map(1, 8)
        view = memoryview(mapping)
        part = view[10:20]
        view.release()
        with pytest.raises(BufferError, match="1 exported view"):
            mapping.close()
        assert not mapping.closed
        assert bytes(part) == bytes(10)
        assert "xengnttab_unmap" not in fake.names()
        part.release()
        mapping.close()
        assert mapping.closed
        assert fake.names()[-1] == "xengnttab_unmap"


def test_device_closes_all_its_pages_or_nothing(fake: FakeLibrary) -> None:
    table = GrantTable()
    first, second = table.map(1, 8), table.map(1, 9)
    view = memoryview(second)
    with pytest.raises(BufferError):
        table.close()
    assert not (table.closed or first.closed or second.closed)
    view.release()
    table.close()
    assert table.closed and first.closed and second.closed
    assert fake.names()[-3:] == ["xengnttab_unmap", "xengnttab_unmap", "xengnttab_close"]
    assert not fake.memory


def test_use_after_close_is_a_value_error(fake: FakeLibrary) -> None:
    table = GrantTable()
    mapping = table.map(1, 8)
    mapping.close()
    for use in (
        lambda: memoryview(mapping),
        lambda: len(mapping),
        lambda: mapping.read(1),
        lambda: mapping.write(b"x"),
        lambda: mapping.address,
        lambda: mapping.__enter__(),
    ):
        with pytest.raises(ValueError, match="closed"):
            use()
    table.close()
    for of_table in (lambda: table.fileno(), lambda: table.map(1, 8), lambda: table.__enter__()):
        with pytest.raises(ValueError, match="GrantTable is closed"):
            of_table()
    assert "closed" in repr(mapping) and "closed" in repr(table)


def test_closing_twice_does_it_once(fake: FakeLibrary) -> None:
    table = GrantTable()
    mapping = table.map(1, 8)
    for thing in (mapping, mapping, table, table):
        thing.close()
    assert fake.names().count("xengnttab_unmap") == 1
    assert fake.names().count("xengnttab_close") == 1


def test_forgotten_pages_are_unmapped_before_their_device_closes(fake: FakeLibrary) -> None:
    mapping: Mapping | None = GrantTable().map(1, 8)
    gc.collect()
    # the mapping alone keeps its device open
    assert "xengnttab_close" not in fake.names()
    view: memoryview | None = memoryview(mapping)  # type: ignore[arg-type]
    mapping = None
    gc.collect()
    # and a view alone keeps its mapping
    assert "xengnttab_unmap" not in fake.names()
    assert bytes(view[:4]) == bytes(4)  # type: ignore[index]
    view = None
    gc.collect()
    assert fake.names()[-2:] == ["xengnttab_unmap", "xengnttab_close"]


def test_a_child_leaves_its_parents_pages_alone(fake: FakeLibrary) -> None:
    """After fork only close is allowed on what was inherited (xengnttab.h)."""
    table = GrantTable()
    table.map(1, 8)
    mapping = table.map(1, 9)
    table._process = -1  # as if another process had made it
    mapping.close()
    table.close()
    assert fake.names()[-1] == "xengnttab_close"
    assert fake.names().count("xengnttab_unmap") == 1  # the forgotten one, before the "fork"


@pytest.mark.parametrize(
    ("domid", "refs", "message"),
    [
        (1, [], "no grant reference"),
        ([1, 2], [8], "2 domains for 1"),
        (-1, [8], "domain -1"),
        (0x10000, [8], "domain 65536"),
        (1, [-1], "grant reference -1"),
        (1, [1 << 32], "grant reference 4294967296"),
    ],
)
def test_nonsense_never_reaches_the_library(
    fake: FakeLibrary, domid: int | list[int], refs: list[int], message: str
) -> None:
    with GrantTable() as table, pytest.raises(ValueError, match=message):
        table.map(domid, refs)
    with GrantShare() as share:
        for bad in (-1, 0x10000):
            with pytest.raises(ValueError, match="domain"):
                share.share(bad)
        with pytest.raises(ValueError, match="number of pages"):
            share.share(0, 0)
    assert fake.names() == [
        "xengnttab_open",
        "xengnttab_close",
        "xengntshr_open",
        "xengntshr_close",
    ]


def test_area_needs_memory() -> None:
    for address, length in ((0, 1), (1, 0), (1, -1)):
        with pytest.raises(ValueError, match="an area needs"):
            Area(address, length, True)
    with pytest.raises(OverflowError):
        Area(1 << 64, 1, True)
