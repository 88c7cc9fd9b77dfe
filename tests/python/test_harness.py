# SPDX-License-Identifier: BSD-2-Clause
"""Package, library and driver together on the harness: each process is a domain.

`xengnttab share` in one and `xengnttab map` in another pass pages through the machine memory that
both have mapped.  What runs is the real library and the FreeBSD driver on a model of Xen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from xengnttab import PAGE_SIZE

from tests.python.machine import PATIENCE, Machine, let_go


def test_a_page_of_text_from_domain_to_domain(machine: Machine, tmp_path: Path) -> None:
    page = "".join(f"line {number:3}\n" for number in range(500))[:PAGE_SIZE]
    (tmp_path / "page").write_text(page)
    sharer, refs = machine.share(0, "1", "--file", str(tmp_path / "page"))
    status, out, err = machine.run(1, "map", "0", *refs, "--text", "--hold", "0")
    assert (status, err) == (0, "mapped 1 page of domain 0 read-only\n")
    assert out == page + "\n"
    assert let_go(sharer) == ""


def test_the_sharer_sees_what_the_mapper_wrote(machine: Machine) -> None:
    sharer, refs = machine.share(0, "1", "--writable", "--write", "question", "--text")
    status, out, err = machine.run(
        1, "map", "0", *refs, "--write", "answer!!", "--text", "--hold", "0", "--json"
    )
    assert (status, err) == (0, "")
    assert json.loads(out.splitlines()[1])["text"] == "answer!!"
    assert json.loads(let_go(sharer))["text"] == "answer!!"


def test_pages_come_in_the_order_of_the_references(machine: Machine, tmp_path: Path) -> None:
    pages = [bytes([number]) * PAGE_SIZE for number in (1, 2, 3)]
    (tmp_path / "pages").write_bytes(b"".join(pages))
    arguments = ("1", "--pages", "3", "--file", str(tmp_path / "pages"))
    sharer, refs = machine.share(0, *arguments)
    assert len(set(refs)) == 3
    status, out, err = machine.run(
        1, "map", "0", *reversed(refs), "--read", "--hold", "0", "--json"
    )
    assert (status, err) == (0, "")
    data = bytes.fromhex(json.loads(out.splitlines()[1])["data"])
    assert data == b"".join(reversed(pages))
    let_go(sharer)


@pytest.mark.parametrize(
    ("granted_to", "arguments"),
    [
        pytest.param("1", ["--write", "x"], id="read-only grant for writing"),
        pytest.param("2", [], id="grant to another domain"),
        pytest.param("1", ["999"], id="a reference nobody granted"),
    ],
)
def test_what_was_not_granted_is_refused(
    machine: Machine, granted_to: str, arguments: list[str]
) -> None:
    sharer, refs = machine.share(0, granted_to)
    status, out, err = machine.run(1, "map", "--hold", "0", "0", *refs, *arguments)
    assert (status, out) == (1, "")
    assert "(EINVAL)" in err and err.count("\n") == 1
    let_go(sharer)


def test_a_refused_map_leaves_no_trace(machine: Machine) -> None:
    """After a request with a bad reference has failed, the same process can map the good one."""
    sharer, (ref,) = machine.share(0, "1", "--write", "still here")
    program = f"""
from xengnttab import GrantTable, MapError
with GrantTable() as table:
    for refs in ([999, {ref}], [{ref}, 999], [999]):
        try:
            table.map(0, refs)
        except MapError as error:
            print(error.name)
    with table.map(0, {ref}) as mapping:
        print(mapping.read(10).decode())
"""
    assert machine.run(1, program=program) == (0, "EINVAL\n" * 3 + "still here\n", "")
    let_go(sharer)


def test_shared_memory_is_one_memory(machine: Machine) -> None:
    """Neither side has a copy: a view on one side shows later stores of the other."""
    sharer = machine.start(
        0,
        program="""
import sys
from xengnttab import GrantShare
with GrantShare() as share, share.share(1, writable=True) as pages, pages.view() as view:
    print(pages.refs[0], flush=True)
    sys.stdin.readline()
    print(bytes(view[:6]).decode(), flush=True)
    view[0:6] = b"second"
    print("stored", flush=True)
    sys.stdin.readline()
""",
    )
    assert sharer.stdin is not None and sharer.stdout is not None
    ref = int(sharer.stdout.readline())
    mapper = machine.start(
        1,
        program=f"""
import sys
from xengnttab import GrantTable
with GrantTable() as table, table.map(0, {ref}, writable=True) as mapping:
    with mapping.view() as view:
        view[0:6] = b"first!"
        print("stored", flush=True)
        sys.stdin.readline()
        print(bytes(view[:6]).decode(), flush=True)
""",
    )
    assert mapper.stdout is not None
    assert mapper.stdout.readline() == "stored\n"
    sharer.stdin.write("\n")
    sharer.stdin.flush()
    assert sharer.stdout.readline() == "first!\n"
    assert sharer.stdout.readline() == "stored\n"
    assert let_go(mapper) == "second\n"
    assert let_go(sharer) == ""


def test_copies_without_mapping(machine: Machine) -> None:
    """Both ways, with a status for what is not granted (or not for writing)."""
    sharer, (ref,) = machine.share(0, "1", "--writable", "--write", "question", "--text")
    reader, (read_only,) = machine.share(2, "1", "--write", "fixed", "--text")
    program = f"""
from xengnttab import CopyError, GrantTable, Place, Segment
with GrantTable() as table:
    assert table.can_copy
    print(table.read(0, {ref}, 8).decode())
    into, out = bytearray(5), bytearray(8)
    statuses = table.copy([
        Segment(Place(2, {read_only}), into),
        Segment(b"answer!!", Place(0, {ref})),
        Segment(b"x", Place(2, {read_only})),
        Segment(Place(0, 999), bytearray(1)),
        Segment(Place(0, {ref}, 4092), out, 4),
    ])
    print([status.name for status in statuses], into.decode(), bytes(out))
    try:
        table.write(2, {read_only}, b"x")
    except CopyError as error:
        print(error.status.name)
    try:
        table.copy([Segment(Place(0, {ref}, 4000), bytearray(200))])
    except CopyError as error:
        print(error.name)
"""
    status, out, err = machine.run(1, program=program)
    assert (status, err) == (0, "")
    names = ["OKAY", "OKAY", "GENERAL_ERROR", "BAD_GNTREF", "OKAY"]
    assert out.splitlines() == [
        "question",
        f"{names} fixed {bytes(8)!r}",
        "GENERAL_ERROR",
        "EINVAL",
    ]
    assert json.loads(let_go(sharer))["text"] == "answer!!"
    assert json.loads(let_go(reader))["text"] == "fixed"


def test_copy_and_notify_by_command(machine: Machine) -> None:
    watcher = machine.start(0, "notify", "watch", "1", "--byte", "9", "--timeout", "60", "--json")
    assert watcher.stdout is not None
    ref = str(json.loads(watcher.stdout.readline())["ref"])
    # In sequence, because each is all of domain 1.
    status, out, err = machine.run(1, "copy", "0", ref, "--length", "16")
    assert (status, err) == (0, "copied 16 bytes from 1 of 1 pages of domain 0\n")
    assert "00000000  00 00 00 00 00 00 00 00  00 01 00" in out
    status, out, err = machine.run(1, "copy", "0", ref, "999", "--json")
    assert (status, err) == (1, "")
    assert json.loads(out)["statuses"] == ["OKAY", "BAD_GNTREF"]
    holder = machine.start(1, "notify", "arm", "0", ref, "--byte", "9", "--json")
    assert holder.stdout is not None
    assert json.loads(holder.stdout.readline())["byte"] == 9
    # No SIGKILL: here the driver is in the process.
    holder.terminate()
    out, err = watcher.communicate(timeout=PATIENCE)
    assert (watcher.returncode, err) == (0, "")
    assert json.loads(out)["event"] == "cleared"


def test_probe_and_bench_by_command(machine: Machine) -> None:
    status, out, err = machine.run(0, "probe", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)["found"]
    assert (found["grant copy"], found["DMA buffers"]) == ("yes", "no (ENOTTY)")
    status, out, err = machine.run(0, "bench", "--seconds", "0.01", "--json")
    assert (status, err) == (0, "")
    names = {figure["name"] for figure in json.loads(out)["figures"]}
    assert names >= {"share, unshare", "copy from own page"}


HOLDER = """
import sys
from xengnttab import GrantTable
table = GrantTable()
mapping = table.map(0, int(sys.argv[1]), writable=True, notify_byte=7)
mapping.write(b"12", 7)
print("armed", flush=True)
sys.stdin.readline()
if sys.argv[2] == "close":
    mapping.close()
    print("closed", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("end", ["close", "exit"])
def test_the_end_of_a_mapping_is_notified(machine: Machine, end: str) -> None:
    """The sharer sees the byte that the mapper armed become zero, and no other change."""
    sharer, (ref,) = machine.share(0, "1", "--writable", "--read")
    holder = machine.start(1, ref, end, program=HOLDER)
    assert holder.stdin is not None and holder.stdout is not None
    assert holder.stdout.readline() == "armed\n"
    holder.stdin.write("\n")
    holder.stdin.flush()
    if end == "close":
        assert holder.stdout.readline() == "closed\n"
    else:
        assert holder.wait(PATIENCE) == 0
    data = bytes.fromhex(json.loads(let_go(sharer))["data"])
    assert data[6:10] == b"\0\0002\0"


def test_numpy_works_on_the_memory_itself(machine: Machine) -> None:
    pytest.importorskip("numpy")
    sharer, (ref,) = machine.share(0, "1", "--writable", "--read")
    program = f"""
import gc
import numpy
from xengnttab import GrantTable
with GrantTable() as table:
    mapping = table.map(0, {ref}, writable=True)
    array = numpy.frombuffer(mapping, dtype="<u4")
    array[:] = numpy.arange(1024)
    try:
        mapping.close()
    except BufferError:
        print("BufferError")
    row = array[10:20]
    del array, mapping
    gc.collect()
    print(row.sum(), row.flags.writeable)
    del row
    gc.collect()
    read_only = table.map(0, {ref})
    print(numpy.asarray(read_only)[4:8].tolist(), numpy.asarray(read_only).flags.writeable)
"""
    status, out, err = machine.run(1, program=program)
    assert (status, err) == (0, "")
    assert out.splitlines() == ["BufferError", "145 True", "[1, 0, 0, 0] False"]
    data = bytes.fromhex(json.loads(let_go(sharer))["data"])
    assert data == b"".join(number.to_bytes(4, "little") for number in range(1024))


def test_library_and_objects_agree(machine: Machine) -> None:
    """Closing, views and errors on the real library; a leak would end in status 99."""
    program = """
import gc
from xengnttab import GrantShare, GrantTable, ShareError, UnmapError
share = GrantShare()
pages = share.share(1, 4)
assert len(set(pages.refs)) == 4 and pages.read() == bytes(4 * 4096)
view = memoryview(pages)
for close in (pages.close, share.close):
    try:
        close()
    except BufferError:
        print("BufferError")
view[:] = bytes([7]) * len(view)
view.release()
pages.close()
forgotten = share.share(1, 2)
del forgotten
gc.collect()
try:
    share.share(1, 1 << 20)
except ShareError as error:
    print(error.name)
share.close()
with GrantTable() as table:
    table.set_max_grants(32752)
    assert table.fileno() > 2
open_at_exit = GrantShare().share(1)
"""
    status, out, err = machine.run(0, program=program)
    assert (status, err) == (0, "")
    assert out.splitlines() == ["BufferError", "BufferError", "ENOSPC"]


def test_signal_lets_go_in_good_order(machine: Machine) -> None:
    sharer, _ = machine.share(0, "1", "--write", "bye", "--text")
    sharer.terminate()
    out, err = sharer.communicate(timeout=PATIENCE)
    assert (sharer.returncode, err) == (0, "")
    assert json.loads(out)["text"] == "bye"


def test_without_the_harness_the_module_is_named() -> None:
    if Path("/dev/xen/gntalloc").exists():
        pytest.skip("this machine has /dev/xen/gntalloc")
    done = subprocess.run(
        [sys.executable, "-m", "xengnttab", "share", "1", "--hold", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "modprobe xen-gntalloc" in done.stderr or "kldload xengnt" in done.stderr
