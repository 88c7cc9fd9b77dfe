# SPDX-License-Identifier: BSD-2-Clause
"""Threads that share a device: a call in progress holds it, and what the call made is never
lost."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from xengnttab import (
    GrantShare,
    GrantTable,
    Mapping,
    Place,
    Segment,
    SharedPages,
    UnmapError,
)

from tests.python.fake_library import FakeLibrary
from tests.python.machine import Machine

PATIENCE = 60


class Slow:
    """Makes a function of the fake library wait inside the call, while the other threads run."""

    def __init__(self, fake: FakeLibrary, name: str) -> None:
        self.inside, self.go_on = threading.Event(), threading.Event()
        whole = getattr(fake, name)

        def slow(*args: Any) -> Any:
            self.inside.set()
            assert self.go_on.wait(PATIENCE)
            return whole(*args)

        setattr(fake, name, slow)


def under_way(call: Callable[[], object]) -> Future[object]:
    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


MAKERS: dict[str, tuple[type[GrantTable] | type[GrantShare], str, Callable[[Any], object]]] = {
    "map": (GrantTable, "xengnttab_map_grant_refs", lambda table: table.map(1, [8, 9])),
    "map with notification": (
        GrantTable, "xengnttab_map_grant_ref_notify", lambda table: table.map(1, 8, notify_port=3),
    ),
    "share": (GrantShare, "xengntshr_share_pages", lambda share: share.share(1, 2)),
    "share with notification": (
        GrantShare, "xengntshr_share_page_notify", lambda share: share.share(1, notify_byte=3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_close_during_a_call_that_makes_pages(fake: FakeLibrary, name: str) -> None:
    """The call in progress undoes the pages, and then closes the handle."""
    device_type, function, make = MAKERS[name]
    slow = Slow(fake, function)
    device = device_type()
    call = under_way(lambda: make(device))
    assert slow.inside.wait(PATIENCE)
    device.close()
    assert device.closed
    assert not any(entry.endswith("_close") for entry in fake.names()), "freed under a call"
    slow.go_on.set()
    with pytest.raises(ValueError, match="is closed"):
        call.result(PATIENCE)
    assert fake.memory == {}
    assert fake.names()[-2].endswith(("_unmap", "_unshare"))
    assert fake.names()[-1].endswith("_close")


@pytest.mark.parametrize(
    ("function", "use"),
    [
        ("xengnttab_grant_copy", lambda t: t.copy([Segment(Place(1, 8), bytearray(4))])),
        ("xengnttab_grant_copy", lambda t: t.read(1, 8, 4)),
        ("xengnttab_grant_copy", lambda t: t.write(1, 8, b"abc")),
        ("xengnttab_grant_copy", lambda t: t.can_copy),
        ("xengnttab_set_max_grants", lambda t: t.set_max_grants(9)),
        ("xengnttab_fd", lambda t: t.fileno()),
        ("xengnttab_fd", repr),
    ],
)
def test_close_during_any_other_call(
    fake: FakeLibrary, function: str, use: Callable[[GrantTable], object]
) -> None:
    table = GrantTable()
    slow = Slow(fake, function)
    call = under_way(lambda: use(table))
    assert slow.inside.wait(PATIENCE)
    table.close()
    assert "xengnttab_close" not in fake.names()
    slow.go_on.set()
    call.result(PATIENCE)
    # The future is set after the call has left the device.
    assert fake.names()[-1] == "xengnttab_close"


def test_close_during_the_end_of_a_mapping(fake: FakeLibrary) -> None:
    """Unmapped once, and the handle stays open for that."""
    table = GrantTable()
    mapping = table.map(1, 8)
    slow = Slow(fake, "xengnttab_unmap")
    call = under_way(mapping.close)
    assert slow.inside.wait(PATIENCE)
    table.close()
    assert "xengnttab_close" not in fake.names()
    slow.go_on.set()
    call.result(PATIENCE)
    assert fake.names()[-2:] == ["xengnttab_unmap", "xengnttab_close"]
    assert fake.memory == {}


def test_a_view_made_during_close_is_of_open_pages(fake: FakeLibrary) -> None:
    """Many threads view, close and map; nothing is unmapped under a view, and nothing is left."""
    stop = threading.Event()
    wrong: list[BaseException] = []

    def work(table: GrantTable) -> None:
        while not stop.is_set():
            try:
                with table.map(1, [8], writable=True) as mapping:
                    with mapping.view() as view:
                        view[0:2] = b"ab"
                        assert bytes(view[:2]) == b"ab"
            except (ValueError, BufferError):
                pass
            except BaseException as error:
                wrong.append(error)
                return

    for _ in range(30):
        stop.clear()
        table = GrantTable()
        threads = [threading.Thread(target=work, args=(table,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            try:
                table.close()
                break
            except BufferError:
                assert not table.closed
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        table.close()
        assert fake.names()[-1] == "xengnttab_close"
        assert wrong == []
    assert fake.memory == {}
    assert fake.names().count("xengnttab_close") == fake.names().count("xengnttab_open")


def test_close_goes_on_after_a_refusal(fake: FakeLibrary) -> None:
    """The other pages are unmapped and the device is closed; all refusals are reported."""
    table = GrantTable()
    mappings = [table.map(1, ref) for ref in (8, 9, 10)]
    fake.failures["xengnttab_unmap"] = errno.ENOENT
    with pytest.raises(UnmapError, match="ENOENT"):
        table.close()
    assert table.closed and all(mapping.closed for mapping in mappings)
    assert fake.names().count("xengnttab_unmap") == 3
    assert fake.names()[-1] == "xengnttab_close"

    share = GrantShare()
    share.share(1)
    pages = share.share(1)
    fake.failures = {"xengntshr_unshare": errno.EINVAL, "xengntshr_close": errno.EIO}
    with pytest.raises(UnmapError, match="EINVAL") as caught:
        share.close()
    assert pages.closed
    assert any("EIO" in note for note in caught.value.__notes__)


def test_pages_whose_object_fails_are_undone(
    fake: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Mapping, "__new__", fail)
    monkeypatch.setattr(SharedPages, "__new__", fail)
    with GrantTable() as table, pytest.raises(MemoryError):
        table.map(1, 8)
    with GrantShare() as share, pytest.raises(MemoryError):
        share.share(1)
    assert fake.memory == {}


RACE = """
import sys, threading
from xengnttab import GrantShare, GrantTable
what, ref = sys.argv[1], int(sys.argv[2])
table_make = lambda: GrantTable() if what == "map" else GrantShare()
def use(device):
    return device.map(0, [ref]) if what == "map" else device.share(0)
def loop(device):
    try:
        while True:
            use(device).close()
    except ValueError as error:
        assert "closed" in str(error), error
for turn in range(60):
    device = table_make()
    threads = [threading.Thread(target=loop, args=(device,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(turn % 7):
        try:
            use(device).close()
        except ValueError:
            pass
    device.close()
    for thread in threads:
        thread.join()
print("clean")
"""


@pytest.mark.parametrize("what", ["map", "share"])
def test_close_races_on_the_real_library(machine: Machine, what: str) -> None:
    """No crash; and the harness ends a process that leaves a mapping with status 99."""
    sharer, (ref,) = machine.share(0, "1")
    assert machine.run(1, what, ref, program=RACE) == (0, "clean\n", "")
    sharer.kill()
