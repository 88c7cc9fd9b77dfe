# SPDX-License-Identifier: BSD-2-Clause
"""Numbers and lengths: any integer type, checked before memory is allocated, read as documented."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from xengnttab import PAGE_SIZE, CopyError, GrantShare, GrantTable, Place, Segment
from xengnttab.cli import main

from tests.python.fake_library import FakeLibrary


def test_integers_of_other_types(fake: FakeLibrary) -> None:
    numpy = pytest.importorskip("numpy")
    u16, u32, i64 = numpy.uint16, numpy.uint32, numpy.int64
    with GrantTable() as table, GrantShare() as share:
        mapping = table.map(u16(1), u32(8))
        assert (mapping.domids, mapping.refs) == ((1,), (8,))
        assert all(type(ref) is int for ref in mapping.refs)
        mapping = table.map(numpy.array([1, 2], u16), numpy.array([8, 0xFFFFFFFF], u32))
        assert mapping.domids == (1, 2) and mapping.refs == (8, 0xFFFFFFFF)
        assert table.map(u16(3), numpy.arange(3)).domids == (3, 3, 3)
        armed = table.map(1, 8, writable=True, notify_byte=u16(5), notify_port=u32(6))
        assert armed.refs == (8,)
        assert ("xengnttab_map_grant_ref_notify", 1, 8, 3, 5, 6) in fake.log
        pages = share.share(u16(7), i64(2))
        assert pages.write(b"ab", u16(4095)) == 2
        assert pages.read(u32(2), i64(4095)) == b"ab"
        table.copy([Segment(Place(u16(1), u32(9), i64(3)), bytearray(4), u16(2))])
        assert ("segment", (1, 9, 3), bytes(2), 2) in fake.log
        assert table.read(u16(1), u32(9), i64(3), u16(2)) == b"ggg"
        table.set_max_grants(u32(5))
        assert ("xengnttab_set_max_grants", 5) in fake.log


@pytest.mark.parametrize(
    "use",
    [
        lambda table, share: table.map(1.0, 8),
        lambda table, share: table.map(1, 8.0),
        lambda table, share: table.map(1, "8"),
        lambda table, share: table.map("1", [8]),
        lambda table, share: table.map(1, [8, None]),
        lambda table, share: table.map(1, None),
        lambda table, share: table.map(1, 8, notify_port="3"),
        lambda table, share: share.share(None),
        lambda table, share: share.share(1, 2.0),
        lambda table, share: table.read(1, 8, "5"),
        lambda table, share: table.copy([Segment(Place(1, 8, 0.5), bytearray(1))]),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_integer(
    fake: FakeLibrary, use: Callable[[GrantTable, GrantShare], object]
) -> None:
    with GrantTable() as table, GrantShare() as share:
        before = len(fake.log)
        with pytest.raises(TypeError):
            use(table, share)
        assert len(fake.log) == before
        with pytest.raises(TypeError, match="grant reference must be an integer, not str '8'"):
            table.map(1, "8")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "use",
    [
        lambda table, share: table.read(1, 8, 1 << 40),
        lambda table, share: table.read(1, 8, -1),
        lambda table, share: table.read(1, 8, PAGE_SIZE + 1),
        lambda table, share: table.copy([Segment(Place(1, 8), bytearray(1), 1 << 40)]),
        lambda table, share: share.share(1, 0x7FFFFFFF),
        lambda table, share: share.share(1, 1 << 62),
        lambda table, share: share.share(1, (1 << 20) + 1),
    ],
)
def test_lengths_before_memory(
    fake: FakeLibrary, use: Callable[[GrantTable, GrantShare], object]
) -> None:
    with GrantTable() as table, GrantShare() as share:
        before = len(fake.log)
        tracemalloc.start()
        try:
            with pytest.raises(ValueError):
                use(table, share)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
        assert len(fake.log) == before


@pytest.mark.parametrize("domid", [0x7FF0, 0x7FF1, 0x7FF4, 0x7FFF, 0xFFFF])
def test_domains_that_cannot_be(
    fake: FakeLibrary, capsys: pytest.CaptureFixture[str], domid: int
) -> None:
    """Xen reserves these numbers: nobody could map what is shared with them."""
    with GrantShare() as share, pytest.raises(ValueError, match="is not between 0 and 32751"):
        share.share(domid)
    for arguments in (["share", str(domid)], ["notify", "watch", str(domid)]):
        assert main(arguments) == 2
        assert f"domain {domid} is not between 0 and 32751" in capsys.readouterr().err
    assert "xengntshr_share_pages" not in fake.names()


@pytest.mark.parametrize(
    ("text", "number"),
    [("8", 8), ("010", 10), ("0", 0), ("0x10", 16), ("0XfF", 255), ("4294967295", 0xFFFFFFFF)],
)
def test_numbers_of_the_command(fake: FakeLibrary, text: str, number: int) -> None:
    assert main(["map", "1", text, "--hold", "0"]) == 0
    assert ("xengnttab_map_grant_refs", [1], [number], 1) in fake.log


@pytest.mark.parametrize(
    "text",
    ["1_0", "٨", "８", "+8", " 8", "8 ", "0b1", "0o7", "0x", "0x_1", "1e1", "", "9" * 5000,
     "0x" + "f" * 17, "4294967296", "-1", "８x", "8\n"],
)  # fmt: skip
def test_what_the_command_does_not_take_for_a_number(
    fake: FakeLibrary, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert main(["map", "--hold", "0", "--", "1", text]) == 2
    assert "grant reference" in capsys.readouterr().err
    assert main(["share", "1", f"--hold={text.replace('8', '1_0')}x"]) == 2
    assert "number of seconds, or 'forever'" in capsys.readouterr().err
    assert fake.log == []


@pytest.mark.parametrize("text", ["0", "0.", ".0", "0e5", "0.0e-3"])
def test_times_of_the_command(fake: FakeLibrary, text: str) -> None:
    assert main(["share", "1", "--hold", text]) == 0


def test_content_and_room(
    fake: FakeLibrary, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Copies as many bytes as there are, or as --length says, or none if they do not fit."""
    nine = tmp_path / "nine"
    nine.write_bytes(b"123456789")

    def copied(*arguments: str) -> list[tuple[int, int]]:
        fake.log.clear()
        assert main(["copy", "1", "8", *arguments]) == 0
        return [(dest[2], size) for name, *rest in fake.log if name == "segment"
                for _, dest, size in [rest]]  # fmt: skip

    assert copied("--offset", "10", "--write", "x" * 4086) == [(10, 4086)]
    assert copied("--file", str(nine), "--length", "10") == [(0, 9)]
    assert copied("--file", str(nine), "--length", "4") == [(0, 4)]
    assert copied("--file", "/dev/zero", "--length", "16") == [(0, 16)]
    assert copied("--offset", "4090", "--file", str(nine), "--length", "6") == [(4090, 6)]
    capsys.readouterr()
    for arguments, room in (
        (["--offset", "10", "--write", "x" * 4090], 4086),
        (["--offset", "4095", "--write", "hi"], 1),
        (["--offset", "4090", "--file", str(nine)], 6),
        (["--file", "/dev/zero"], 4096),
        (["--file", "/dev/zero", "--length", "4097"], 4096),
    ):
        assert main(["copy", "1", "8", *arguments]) == 2
        assert f"does not fit: there is room for {room} byte" in capsys.readouterr().err


def test_offset_beyond_the_page_is_the_kernels(fake: FakeLibrary) -> None:
    with GrantTable() as table:
        fake.failures["xengnttab_grant_copy"] = 22
        with pytest.raises(CopyError):
            table.read(1, 8, 10, PAGE_SIZE)
