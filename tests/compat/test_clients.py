# SPDX-License-Identifier: BSD-2-Clause
"""The parts of the clients' runs that need no machine."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clients import channels, disks, grants, guests, programs, qcow2, run, steps
from clients.grants import Grant
from clients.report import SCHEMA, Report, Result, as_json, columns, html, table
from clients.shell import Failed, Guest
from testbed import vm
from testbed.errors import TestbedError

# As Xen 4.17 prints it, console noise included.
ANSWER = """\
(XEN) gnttab_usage_print_all [ key 'g' pressed
(XEN)       -------- active --------       -------- shared --------
(XEN) [ref] localdom mfn      pin          localdom gmfn     flags
(XEN) grant-table for remote d0 (v1)
(XEN)   1 frames (64 max), 1 maptrack frames (1024 max)
(XEN) no active grant table entries
[   12.5] blkfront: something of the kernel's
(XEN) grant-table for remote d1 (v1)
(XEN)   1 frames (64 max), 0 maptrack frames (1024 max)
(XEN) [0x000]      0 0x4bda9 0x00000002          0 0x0fefff 0x19
(XEN) [0x00a]      0 0x1ebe8 0x00000002          0 0x0071e8 0x19
(XEN) [0x00b]      2 0x1ebe9 0x00000001          0 0x0071e9 0x09
(XEN) gnttab_usage_print_all ] done
"""


def test_grants_in_use_are_read_from_xens_answer() -> None:
    assert grants.mapped(ANSWER) == {Grant(1, 0, 0), Grant(1, 10, 0), Grant(1, 11, 2)}


def test_the_last_whole_answer_counts() -> None:
    later = ANSWER.replace("(XEN) [0x00a]      0", "(XEN) something else 0")
    assert Grant(1, 10, 0) not in grants.mapped(ANSWER + later)
    # An answer that is still being printed does not.
    assert Grant(1, 10, 0) in grants.mapped(ANSWER + later.split("[0x000]")[0])


def test_no_answer_is_not_no_grants() -> None:
    with pytest.raises(grants.NoAnswer):
        grants.mapped("(XEN) grant-table for remote d1 (v1)\n")
    with pytest.raises(grants.NoAnswer):
        grants.mapped(f"(XEN) {grants.BEGIN}\n(XEN) {grants.END}\n")


def test_an_empty_qcow2_image() -> None:
    size = 96 << 20
    image = qcow2.empty(size)
    magic, version = struct.unpack_from(">4sI", image)
    bits, virtual = struct.unpack_from(">IQ", image, 20)
    level1, level1_at, table_at, tables = struct.unpack_from(">IQQI", image, 36)
    order, header = struct.unpack_from(">II", image, 96)
    assert (magic, version, 1 << bits, virtual) == (b"QFI\xfb", 3, qcow2.CLUSTER, size)
    assert (order, header, tables) == (4, 104, 1)
    # A level-1 entry covers CLUSTER / 8 clusters.
    assert level1 == 1 and level1 * qcow2.CLUSTER**2 // 8 >= size
    assert len(image) == 4 * qcow2.CLUSTER
    # Each cluster of the file is counted exactly once.
    (block_at,) = struct.unpack_from(">Q", image, table_at)
    counts = struct.unpack_from(f">{qcow2.CLUSTER // 2}H", image, block_at)
    assert counts[:4] == (1, 1, 1, 1) and not any(counts[4:])
    assert {0, table_at, block_at, level1_at} == {n * qcow2.CLUSTER for n in range(4)}
    assert not any(image[level1_at : level1_at + qcow2.CLUSTER])


@pytest.mark.parametrize("size", [0, -512, 1000, 1 << 50])
def test_a_disk_that_cannot_be(size: int) -> None:
    with pytest.raises(ValueError, match="no disk"):
        qcow2.empty(size)


def end(role: str, sent: str, received: str, amount: int = 8) -> dict[str, object]:
    return {
        "role": role, "whole": True, "sent": amount, "received": amount,
        "sent_sum": sent, "received_sum": received, "seconds": 2.0,
    }  # fmt: skip


def test_both_ends_of_a_channel_must_agree() -> None:
    mib = 1 << 20
    good = channels.compare_ends(
        end("server", "a", "b", 4 * mib), end("client", "b", "a", 4 * mib), 4 * mib
    )
    assert good["MiB each way"] == 4
    assert good["MB/s both ways"] == pytest.approx(8 * mib / 2e6)
    for one, other in (
        (end("server", "a", "b"), end("client", "b", "x")),
        (end("server", "a", "x"), end("client", "b", "a")),
        (end("server", "a", "a"), end("client", "a", "a")),
        ({**end("server", "a", "b"), "received": 0}, end("client", "b", "a")),
        ({**end("server", "a", "b"), "whole": False}, end("client", "b", "a")),
    ):
        with pytest.raises(Failed):
            channels.compare_ends(one, other, 8)


def test_a_program_without_a_result_has_failed() -> None:
    assert channels.last_json('open\n{"a": 1}\n') == {"a": 1}
    with pytest.raises(Failed, match="went wrong"):
        channels.last_json("open\nchannel: went wrong\n")


def test_figures_of_the_guest() -> None:
    said = "noise\ndisk: files=3 begin=1.5 fsck=0\n"
    assert guests.numbers(said, "disk") == {"files": 3.0, "begin": 1.5, "fsck": 0.0}
    with pytest.raises(Failed, match="failed: mke2fs"):
        guests.numbers("noise\ndisk: failed: mke2fs\n", "disk")


def test_steps_by_length_and_name() -> None:
    def names(quick: bool, *only: str) -> list[str]:
        return [step.name for step in run.choose(quick, only)]

    everything = names(False)
    # The helper domains come before xenstored, which ends after everything that needs it.
    assert everything.index("library") < everything.index("xenstored")
    assert everything[-3:] == ["kill-xenstored", "unload", "log"]
    assert "qdisk" in everything and "qdisk" not in names(True)
    assert names(True, "qdisk") == ["xenstored", "xenconsoled", "guest", "qdisk", "log"]
    assert names(False, "library") == ["library", "log"]
    with pytest.raises(ValueError, match="nonsense"):
        names(True, "nonsense")


def a_run(target: str, **more: Any) -> guests.Run:
    dom0: Any = SimpleNamespace()
    return guests.Run(target, dom0, {}, "", "", "", 0, True, (), **more)


def named(name: str) -> steps.Step:
    return next(step for step in steps.STEPS if step.name == name)


def test_a_step_without_a_meaning_says_why() -> None:
    pvh, ours, base = map(a_run, ("linux-pvh", "freebsd", "freebsd-base"))
    assert "own grants" in str(named("vchan").without(pvh))
    assert named("vchan").without(a_run("linux-pv")) is None
    assert "FreeBSD" in str(named("library").without(pvh))
    assert named("unload").without(ours) is None
    assert "not loaded" in str(named("unload").without(base))
    assert "release sets" in str(named("guest-freebsd").without(pvh))
    assert (
        named("guest-freebsd").without(a_run("freebsd-alone", freebsd_disks=disks.FREEBSD)) is None
    )


def outcome(target: str, *errors: Exception | None) -> list[tuple[str, str]]:
    """The results of steps of which some raise."""

    def step(name: str, error: Exception | None) -> steps.Step:
        def act(_: guests.Run) -> guests.Figures:
            if error is not None:
                raise error
            return {"n": 1}

        return steps.Step(name, "title", act)

    rows = ("guest", "qdisk", "log")
    chosen = [step(name, error) for name, error in zip(rows, errors, strict=True)]
    done = run.perform(chosen, a_run(target), lambda _: None)
    return [(result.status, result.detail) for result in done]


def test_what_needs_a_failed_step_does_not_run() -> None:
    assert outcome("linux-pv", Failed("no boot"), None, None) == [
        ("fail", "no boot"), ("skip", "needs guest"), ("pass", ""),
    ]  # fmt: skip
    assert outcome("linux-pv", None, Failed("fsck"), None)[1:] == [("fail", "fsck"), ("pass", "")]


def test_a_step_that_failed_takes_its_guest_with_it() -> None:
    """The failed command may still hold the guest's shell."""
    it = a_run("freebsd")
    ran: list[str] = []
    it.tools = {"xl": "/xl"}

    def answer(command: str) -> tuple[int, str]:
        ran.append(command)
        return 0, ""

    it.dom0.run = answer  # type: ignore[method-assign]
    it.guest = Guest(it.dom0, "client", 3, "/log", "/tty")

    def fail(_: guests.Run) -> guests.Figures:
        raise Failed("the guest is silent")

    done = run.perform([steps.Step("qdisk", "title", fail)], it, lambda _: None)
    assert done[0].status == "fail"
    assert it.guest is None
    assert [command.split(" >")[0] for command in ran] == ["/xl destroy client"]


def test_a_dead_machine_ends_the_run() -> None:
    assert [s for s, _ in outcome("freebsd", None, vm.Died("panic"), None)] == [
        "pass", "fail", "skip",
    ]  # fmt: skip


def test_a_new_machine_goes_on_behind_the_death() -> None:
    chosen = run.choose(False, ())
    names = [step.name for step in chosen]

    def left(dead: str) -> list[str]:
        done = [Result(step.name, "") for step in chosen]
        done[names.index(dead)].died = True
        return [step.name for step in run.resume(chosen, done)]

    assert left("vchan-server") == names[names.index("vchan-server") + 1 :]
    first = ["xenstored", "xenconsoled", "guest"]
    assert left("qdisk") == first + names[names.index("qdisk") + 1 :]
    # The guest that killed the machine is not tried again.
    assert left("guest")[:3] == ["xenstored", "xenconsoled", "vchan"]
    assert left("kill-xenstored") == [] == run.resume(chosen, [])


def test_what_the_base_driver_lacks_is_no_failure_of_ours() -> None:
    done = outcome("freebsd-base", None, Failed("no grant copy"), None)
    assert done[1] == ("lacks", "no grant copy")


COUNTERS = {"gntdev.copy_ops": 10, "gntdev.copy_bytes": 1 << 20, "gntdev.maps": 2}


@pytest.mark.parametrize(
    ("change", "written", "message"),
    [
        ({}, 1 << 20, None),
        ({"gntdev.copy_bytes": (1 << 20) - 1}, 1 << 20, "copied by"),
        ({"gntdev.copy_ops": 0}, 0, "copied by"),
        ({"gntdev.maps": 0}, 0, "no ring"),
    ],
)
def test_the_driver_must_have_copied_what_was_written(
    change: dict[str, int], written: int, message: str | None
) -> None:
    it = a_run("freebsd")
    before = dict.fromkeys(COUNTERS, 0)
    it.dom0.counters = lambda: {**COUNTERS, **change}  # type: ignore[method-assign]
    if message is None:
        assert disks._copied(it, before, written) == {"grant copies": 10, "MiB copied": 1.0}
    else:
        with pytest.raises(Failed, match=message):
            disks._copied(it, before, written)


LINUX_DISKS = (*disks.MAIN, *disks.MEDIA, disks.ATTACHED, disks.READ_ONLY, disks.SERVED, disks.ODD)


def test_no_two_disks_share_a_device_or_a_file() -> None:
    for together in (LINUX_DISKS, disks.FREEBSD):
        assert len({disk.vdev for disk in together}) == len(together)
    files = [d.path for d in (*LINUX_DISKS, *disks.FREEBSD)]
    assert len(set(files)) == len(files)
    assert {disk.format for disk in disks.MEDIA} == {"raw", "qcow2"}
    assert disks.ODD.size % 512 != 0


def report(*status: str) -> Report:
    rows = [Result(f"step{n}", "title", s) for n, s in enumerate(status)]
    return Report("linux-pv", {"xen": "4.17"}, {"xl": "1"}, "0" * 64, rows, 12.0)


def test_a_disk_on_qemus_command_line_is_read_only_in_each_layer() -> None:
    """If a layer is writable, QEMU refuses the disk, or the guest can write."""
    words = disks.SERVED.arguments
    assert words[0] == "-blockdev" and words[2] == "-device"
    options = dict(part.split("=", 1) for part in words[1].split(","))
    assert options["read-only"] == options["file.read-only"] == "on"
    assert options["file.filename"] == disks.SERVED.path
    device = words[3].split(",")
    assert device[0] == "xen-disk"
    assert f"drive={options['node-name']}" in device
    assert f"vdev={disks.SERVED.vdev}" in device


def test_a_step_that_did_not_run_is_no_success() -> None:
    assert report("pass", "pass").ok
    assert not report("pass", "skip").ok
    assert not report("pass", "fail").ok
    assert not report().ok


def test_table_and_json() -> None:
    one = report("pass", "fail")
    one.results[0].figures = {"MB/s": 12.34, "files": 3}
    one.results[1].detail = "checksum differs"
    text = table(one)
    assert "MB/s 12.3, files 3" in text
    assert "FAILED" in text and "checksum differs" in text
    assert "1 passed, 1 failed" in text
    data = json.loads(as_json([one]))
    assert data["schema"] == SCHEMA
    assert data["runs"][0]["ok"] is False
    assert [s["status"] for s in data["runs"][0]["steps"]] == ["pass", "fail"]


def test_columns_and_page() -> None:
    one, other = report("pass", "n/a"), report("fail", "lacks")
    other.target = "freebsd-base"
    other.results[1].detail = "<no> copy"
    text = columns([one, other]).splitlines()
    assert text[1].split() == ["linux-pv", "freebsd-base"]
    assert text[2].split() == ["step0", "ok", "FAILED"]
    assert text[3].split() == ["step1", "n/a", "lacks"]
    page = html([one, other])
    assert "&lt;no&gt; copy" in page and "<th>freebsd-base" in page
    assert page.count('class="lacks"') == 1
    # A step that failed in no column, and one that the base driver lacks, are both fine.
    assert one.ok and not other.ok
    other.results[0].status = "lacks"
    assert other.ok


def test_a_programs_needs_are_read(tmp_path: Path) -> None:
    found = programs.read_elf(Path("/bin/ls").resolve())
    assert "libc.so.6" in found.needed
    (tmp_path / "text").write_text("INPUT(-lm)")
    with pytest.raises(TestbedError):
        programs.read_elf(tmp_path / "text")
