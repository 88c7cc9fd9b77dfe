# SPDX-License-Identifier: BSD-2-Clause
"""The parts of the disk benchmark that need no machine, and its session on a fake one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from clients.guests import Run
from clients.shell import Failed
from disks import plan, profile, report, run, session
from disks.machines import System
from disks.plan import BLKBACK, OURS, THEIRS, WORKS, Broken, Cost, Machine, Place, Round
from disks.store import Store, from_json, machine_json, restored

MAIN = Place("raw", 512, "seq64k", "write")


def terse(group: plan.Group, ms: int = 100) -> list[str]:
    """What `cut` leaves of fio's lines for a group."""
    return [
        f"{disk.vdev}:{work.name};0;{work.amount >> 10};{ms};{work.amount >> 10};{2 * ms}"
        for work in group.works
        for disk in group.disks
    ]


def machine(dom0: str, ms: dict[str, int], units: tuple[float, ...] = (40.0, 50.0)) -> Machine:
    """A machine whose back ends take the given ms for each work, in rounds with these units."""
    made = []
    for number, unit in enumerate(units):
        found = []
        for group in plan.groups(dom0):
            for figure in plan.figures(group, terse(group)):
                found.append(replace(figure, ms=ms[figure.backend]))
        made.append(Round(number, unit, tuple(found)))
    return Machine(dom0, {"kernel": "15.1"}, made, [], {})


# ---------------------------------------------------------------- the plan


def test_every_backend_has_every_medium() -> None:
    for dom0 in ("freebsd", "linux"):
        found = {(d.backend.name, d.format, d.mib) for g in plan.groups(dom0) for d in g.disks}
        for mib in (64, 512, 4096):
            assert {b for b, f, m in found if (f, m) == ("raw", mib)} == {OURS, THEIRS, BLKBACK}
            assert {b for b, f, m in found if (f, m) == ("qcow2", mib)} == {OURS, THEIRS}
        names = [d.vdev for g in plan.groups(dom0) for d in g.disks]
        assert len(set(names)) == len(names) and "xvda" not in names
        # The guest's driver has only these numbers without the extended scheme.
        assert max(names) <= "xvdp"


def test_only_narrows_what_a_word_belongs_to() -> None:
    (group,) = plan.groups("freebsd", ["raw", "512", "seq64k", "ours", "theirs"])
    assert [d.backend.name for d in group.disks] == [OURS, THEIRS]
    assert [w.name for w in group.works] == ["seq64k"]
    assert plan.groups("linux", ["freebsd"]) == []
    # The kernel's back end has no qcow2.
    assert plan.groups("freebsd", ["qcow2", "blkback"]) == []
    with pytest.raises(ValueError, match=r"no 'floppy'.*seq64k"):
        plan.check_only(["raw", "floppy"])


def test_the_disks_take_turns_and_patterns_never_repeat() -> None:
    group = plan.groups("freebsd", ["512", "raw"])[0]
    orders, patterns = [], []
    for number in range(3):
        text = plan.job_file(group, number)
        names = re.findall(r"^\[(xvd\w):seq64k\]", text, re.MULTILINE)
        orders.append(names)
        patterns += re.findall(r"verify_pattern=(0x\w+)%o", text)
    assert sorted(order[0] for order in orders) == sorted(orders[0])
    assert len(set(patterns)) == len(patterns) == 3 * 3 * len(WORKS)


def test_other_media_take_part_now_and_then() -> None:
    every = plan.groups("freebsd")
    assert plan.due(every, 0) == plan.due(every, 250) == every
    (main,) = plan.due(every, 1)
    assert main.name == "raw 512 MiB"
    qcow2 = plan.groups("freebsd", ["qcow2"])
    assert plan.due(qcow2, 1) == qcow2
    # Each of the two comes first once.
    firsts = {
        re.findall(r"^\[(xvd\w):", plan.job_file(qcow2[0], number), re.MULTILINE)[0]
        for number in range(4)
        if qcow2[0] in plan.due(every, number)
    }
    assert len(firsts) == 2


def test_a_job_writes_past_caches_and_reads_back() -> None:
    text = plan.job_file(plan.groups("linux", ["512", "raw", "fsync", "rand16"])[0], 0)
    for wanted in ("direct=1", "do_verify=1", "verify_fatal=1", "iodepth=16", "fsync=1"):
        assert f"\n{wanted}\n" in text


# ---------------------------------------------------------------- fio's lines


def test_a_request_costs_its_share_of_the_time() -> None:
    group = plan.groups("freebsd", ["512", "raw", "seq64k"])[0]
    found = plan.figures(group, ["unit: ns=4000", *terse(group, 64)])
    write, read = (next(f for f in found if f.way == way) for way in ("write", "read"))
    assert write.us_each == pytest.approx(128 * 1000 / 24)  # 1.5 MiB are 24 requests
    assert read.us_each == pytest.approx(64 * 1000 / 24)
    assert {f.backend for f in found} == {OURS, THEIRS, BLKBACK}


def test_reading_back_after_fsync_is_no_figure() -> None:
    group = plan.groups("freebsd", ["512", "raw", "fsync"])[0]
    assert {f.way for f in plan.figures(group, terse(group))} == {"write"}


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda line: line.replace(";0;", ";84;", 1), "fio says error 84"),
        (lambda line: re.sub(r";0;\d+", ";0;4", line), "written, 4 read back"),
        (lambda line: "", "no figure of qdisk, our library and driver"),
        (lambda line: line + ";x", "not a line of fio's"),
    ],
)
def test_data_that_differs_is_no_figure(spoil: Callable[[str], str], problem: str) -> None:
    group = plan.groups("freebsd", ["512", "raw", "seq64k"])[0]
    lines = terse(group)
    with pytest.raises(Broken, match=problem):
        plan.figures(group, [spoil(lines[0]), *lines[1:]])


# ---------------------------------------------------------------- ratios and aims


def test_ratios_are_of_the_same_round() -> None:
    found = machine("freebsd", {OURS: 100, THEIRS: 200, BLKBACK: 50})
    assert found.ratio(MAIN, THEIRS, OURS) == pytest.approx(2.0)
    assert found.ratio(MAIN, BLKBACK, OURS) == pytest.approx(0.5)
    assert found.ratio(MAIN, "nobody", OURS) is None


def test_a_slower_boot_is_gauged() -> None:
    freebsd = machine("freebsd", {OURS: 300, THEIRS: 1, BLKBACK: 1}, (120.0, 120.0))
    linux = machine("linux", {OURS: 1, THEIRS: 100, BLKBACK: 1}, (40.0, 40.0))
    assert report.across(freebsd, linux, MAIN, THEIRS) == pytest.approx(1.0)


def test_aims_are_told_met_or_missed() -> None:
    freebsd = machine("freebsd", {OURS: 100, THEIRS: 140, BLKBACK: 95})
    linux = machine("linux", {OURS: 100, THEIRS: 80, BLKBACK: 50})
    found = report.aims([freebsd, linux])
    assert {a.met for a in found if "base driver" in a.what} == {False}
    assert {a.met for a in found if "blkback" in a.what} == {True}
    assert {a.met for a in found if not a.paired} == {False}
    assert len([a for a in found if "base driver" in a.what]) == 4
    assert report.aims([linux]) == []


# ---------------------------------------------------------------- the report and the file


def test_the_report_can_be_read_again(tmp_path: Path) -> None:
    found = machine("freebsd", {OURS: 100, THEIRS: 140, BLKBACK: 95})
    found.costs.append(Cost(OURS, "raw", 512, "seq64k", 1 << 20, 32, 0.5, 512, 32))
    found.profiles["ours rand1"] = [plan.Call("read", 1.0, 20.0)]
    found.kernel |= dict.fromkeys(plan.KERNEL, 50_000.0) | {"event": 625_000.0}
    page = report.write([found, machine("linux", {OURS: 1, THEIRS: 2, BLKBACK: 3})], tmp_path)
    text = page.read_text()
    rest = f"<td>{100_000 / 48 - 20:.0f}</td>"  # 48 requests in 100 ms, 20 µs of each in QEMU
    for wanted in (
        "tapback",
        "16.00",
        "a trip to Xen",
        "met",
        rest,
        "<td>625.00</td><td>12.50</td>",
    ):
        assert wanted in text
    assert (tmp_path / "disks.svg").read_text().startswith("<?xml")
    again = from_json((tmp_path / "disks.json").read_text())
    assert machine_json(again[0]) == machine_json(found)
    old = json.loads((tmp_path / "disks.json").read_text())
    del old["machines"][0]["kernel"]
    assert from_json(json.dumps(old))[0].kernel == {}
    with pytest.raises(ValueError, match="schema 9"):
        from_json('{"schema": 9}')


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    whole = machine("freebsd", {OURS: 100, THEIRS: 140, BLKBACK: 95})
    store = Store(tmp_path / "deep/progress.jsonl", "a")
    assert store.begin() == []
    store.add("freebsd", "round", machine_json(whole)["rounds"][0])
    with store.path.open("a") as file:
        file.write('{"dom0": "freebsd", "wh')  # killed while it was writing
    found = restored("freebsd", store.begin())
    assert found.rounds == whole.rounds[:1]
    assert restored("linux", store.begin()).rounds == []
    # Figures of another plan do not count.
    assert Store(store.path, "b").begin() == []
    assert Store(store.path, "a").begin() == []


# ---------------------------------------------------------------- the profile


def test_the_clock_is_taken_off_a_profile() -> None:
    said = "\n".join([
        "profile: clock 0 1 40000",
        "profile: user 0 300 15000000",  # 12,000,000 of it are 300 looks at the clock
        "profile: 54 0x20004708 100 9000000",
        "profile: 54 0x20004709 100 5000000",
        "profile: 545 0x0 100 90000000",
    ])  # fmt: skip
    found = profile.calls(said, 100)
    assert [(c.name, c.each, c.us) for c in found] == [
        ("grant copy", 1.0, 50.0),
        ("QEMU itself", 3.0, 30.0),
        ("ioctl G9, 0 bytes", 1.0, 10.0),
    ]
    with pytest.raises(Broken, match="empty"):
        profile.calls("ktrace: no", 100)


def test_the_kernels_costs_are_all_there() -> None:
    lines = [f"kernel: {name} {number * 1000}" for number, name in enumerate(plan.KERNEL, 1)]
    found = session.kernel_costs("\n".join(["noise", *lines]))
    assert list(found) == list(plan.KERNEL) and found["poll"] == 3000.0
    with pytest.raises(Broken, match="lack event, read, write"):
        session.kernel_costs("\n".join(lines[:4]))


# ---------------------------------------------------------------- a session that is played


class Dom0:
    """Answers a session's questions and records their order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.copies = 0
        self.spent = 0

    def must(self, command: str, what: str = "") -> str:
        self.asked.append(command)
        if "xengnt-cputime" in command:
            self.spent += 10**9
            return f"cputime: ns={self.spent} of=4000000000\n"
        return {"args": "qemu -machine xenpv -m 256", "cat /var/run/second.pid": "77"}.get(
            command, ""
        )

    def run(self, command: str) -> tuple[int, str]:
        return 0, self.must(command)

    def until(self, condition: str, what: str) -> None:
        self.asked.append(f"until {condition}")

    def counters(self) -> dict[str, int]:
        return {"gntdev.copy_ops": self.copies, "gntdev.copy_calls": self.copies // 16}

    def loaded(self, pid: int) -> set[str]:
        return {f"/{pid}/libxengnttab.so.1"}


class Guest:
    name, domid, log, terminal = "client", 3, "/log", "/dev/pts/1"

    def __init__(self, dom0: Dom0, answer: str = "") -> None:
        self.dom0 = dom0
        self.answer = answer

    def asked(self, command: str) -> tuple[int, str]:
        return 5, "command"

    def wait(self, number: int, what: str) -> tuple[int, str]:
        self.dom0.copies += 64
        return 0, self.answer

    def must(self, command: str) -> str:
        self.dom0.asked.append(f"guest {command}")
        return self.answer


def booted(dom0: Dom0, guest: Guest, only: tuple[str, ...]) -> session.Session:
    system = SimpleNamespace(
        name="freebsd", theirs="/theirs", looks_once=True, arguments=lambda pid: "args",
        second_qemu=lambda domid, kind: f"second {domid} {kind} &",
        physical=lambda disk: ("losetup", {"physical-device": "7:0"}),
    )  # fmt: skip
    played: Any = SimpleNamespace(dom0=dom0, tool=lambda name: name, running_guest=lambda: guest)
    return session.Session(
        cast(System, system), cast(Run, played), plan.groups("freebsd", only), print, {OURS: 11}
    )


def test_only_the_qemu_that_is_meant_takes_a_disk() -> None:
    dom0 = Dom0()
    played = booted(dom0, Guest(dom0), ("512", "raw"))
    played.second()
    assert played.qemus == {OURS: 11, THEIRS: 77}
    assert any("second 3 xenpv & echo $!" in line for line in dom0.asked)
    dom0.asked.clear()
    played.attach(THEIRS)
    states = "/backend/qdisk/3/51792/state"
    steps = ("kill -STOP 11", f"{states} 1", f"until [ $(xenstore read /local/domain/0{states}",
             "kill -CONT 11", "guest ")  # fmt: skip
    order = [next(n for n, line in enumerate(dom0.asked) if step in line) for step in steps]
    assert order == sorted(order)
    dom0.asked.clear()
    played.attach(BLKBACK)
    assert not any("kill" in line for line in dom0.asked)
    offered = next(line for line in dom0.asked if "losetup && " in line).split(" && ")
    # The kernel reads a back end's state only once.
    assert "physical-device 7:0" in offered[2] and "backend/vbd/3/51808/state 1" in offered[2]
    assert "backend" not in offered[-1]


def test_a_qemu_on_the_wrong_library_is_noticed() -> None:
    dom0 = Dom0()
    with pytest.raises(Failed, match=r"our library and driver has loaded.*/11/"):
        booted(dom0, Guest(dom0), ("512", "raw")).check()


def test_a_round_has_a_unit_beside_each_group() -> None:
    dom0 = Dom0()
    guest = Guest(dom0)
    played = booted(dom0, guest, ("512", "raw", "seq64k"))
    lines = terse(played.groups[0])
    guest.answer = "\n".join(["unit: ns=40000", *lines, "unit: ns=60000"])
    found = played.round(4)
    assert found.number == 4 and len(found.figures) == 6
    assert found.unit == 50.0
    guest.answer = "\n".join(lines)
    with pytest.raises(Broken, match="0 units"):
        played.round(5)


def test_what_dom0_takes_anyway_is_no_cost() -> None:
    dom0 = Dom0()
    guest = Guest(dom0)
    played = booted(dom0, guest, ("512", "raw", "seq64k", "ours"))
    assert played.idle() == pytest.approx(1 / 4)
    disk, work = played.groups[0].disks[0], WORKS["seq64k"]
    stat = "requests: {} 0 0 0 {} 0 0"
    guest.answer = "\n".join([stat.format(0, 0), *terse(played.groups[0]), stat.format(32, 64)])
    found = played.cost(disk, work, 0.05)
    assert any("cputime /dev/pts/1 /log '@ 5 end' command" in line for line in dom0.asked)
    assert found.requests == 96 and found.copies == 64 and found.calls == 4
    assert found.seconds == pytest.approx(2.0 - 0.05 * 4)


def test_copies_of_a_disk_that_is_not_ours_are_an_error() -> None:
    dom0 = Dom0()
    guest = Guest(dom0)
    played = booted(dom0, guest, ("512", "raw", "seq64k", "theirs"))
    stat = "requests: {} 0 0 0 0 0 0"
    guest.answer = "\n".join([stat.format(0), *terse(played.groups[0]), stat.format(9)])
    with pytest.raises(Broken, match="our driver counts 64"):
        played.cost(played.groups[0].disks[0], WORKS["seq64k"], 0.0)
    with pytest.raises(Broken, match="not told its requests"):
        session.requests(stat.format(1))


@pytest.mark.parametrize(("vdev", "number"), [("xvdb", 51728), ("xvdp", 51952)])
def test_device_numbers(vdev: str, number: int) -> None:
    assert plan.devid(vdev) == number


def test_a_disk_in_xenstore() -> None:
    raw, qcow2 = (plan.groups("freebsd", ["512", form])[0].disks for form in ("raw", "qcow2"))
    made = plan.nodes(3, raw[0], {"physical-device": "7:0"})
    assert made.values[f"{made.front}/backend"] == made.back
    assert made.values[f"{made.back}/frontend"] == made.front
    assert made.values[f"{made.back}/params"] == f"aio:{raw[0].path}"
    assert f"{made.back}/physical-device" not in made.values
    assert (
        plan.nodes(3, qcow2[0], {})
        .values[f"/local/domain/0/backend/qdisk/3/{plan.devid(qcow2[0].vdev)}/params"]
        .startswith("qcow2:")
    )
    kernels = plan.nodes(3, raw[2], {"physical-device": "7:0"})
    assert kernels.back.startswith("/local/domain/0/backend/vbd/3/")
    assert kernels.values[f"{kernels.back}/physical-device"] == "7:0"
    with pytest.raises(ValueError, match="no number for xvdq"):
        plan.devid("xvdq")


# ---------------------------------------------------------------- the command


def test_what_is_left_is_told() -> None:
    assert run.left(10, 30.0, 9, 0) == "about 6 min left"
    assert run.left(1, 10.0, 0, 0) == "less than a minute left"
    assert run.left(10, 30.0, 9, 1) == "about 17 min left"


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, problem in (
        (["--only", "floppy", "--freebsd", "x"], "no 'floppy'"),
        (["--rounds", "0", "--freebsd", "x"], "--rounds"),
        (["--only", "qcow2,blkback", "--freebsd", "x"], "nothing to measure"),
        ([], "--freebsd DIR is missing"),
    ):
        with pytest.raises(SystemExit) as left:
            run.main(argv)
        assert left.value.code == 2
        assert problem in capsys.readouterr().err
    assert run.main(["--freebsd", "/nowhere"]) == 1
    assert "lacks base.txz" in capsys.readouterr().err


def test_an_earlier_run_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = machine("linux", {OURS: 100, THEIRS: 200, BLKBACK: 50})
    (tmp_path / "old.json").write_text(report.as_json([found]))
    other = machine("freebsd", {OURS: 100, THEIRS: 200, BLKBACK: 50})
    (tmp_path / "other.json").write_text(report.as_json([other]))
    argv = ["--report", str(tmp_path / "r")]
    for name in ("old", "other"):
        argv += ["--show", str(tmp_path / f"{name}.json")]
    assert run.main([*argv, "--json", str(tmp_path / "again/x.json")]) == 0
    said = capsys.readouterr().out
    assert "Linux as PVH Dom0" in said and "FreeBSD as PVH Dom0" in said
    assert json.loads((tmp_path / "again/x.json").read_text())["machines"][0]["dom0"] == "linux"


def test_runs_are_put_side_by_side(tmp_path: Path) -> None:
    argv = ["--report", str(tmp_path / "r"), "--markdown", str(tmp_path / "both.md")]
    linux = machine("linux", {OURS: 100, THEIRS: 50, BLKBACK: 25})
    for number, theirs in enumerate((200, 300)):
        freebsd = machine("freebsd", {OURS: 100, THEIRS: theirs, BLKBACK: 50})
        freebsd.costs.append(Cost(OURS, "raw", 512, "seq64k", 1 << 20, 32, 0.5 + number))
        freebsd.profiles["ours rand1"] = [plan.Call("read", 1.0, 20.0 + number)]
        freebsd.kernel |= dict.fromkeys(plan.KERNEL, 50_000.0) | {"event": 625_000.0}
        (tmp_path / f"{number}.json").write_text(report.as_json([freebsd, linux]))
        argv += ["--show", str(tmp_path / f"{number}.json")]
    assert run.main(argv) == 0
    text = (tmp_path / "both.md").read_text()
    first, *others = text.split("\n**")
    # 24 requests; a figure for each run, one ratio where they agree.
    assert "15.7, 15.7 | 7.9, 5.2 | 31.5, 31.5 | 2.00, 3.00 | 0.50 |" in first
    tables = {title: rest for title, _, rest in (other.partition("**") for other in others)}
    # FreeBSD's qdisk takes twice as long as Linux's, and so does its blkback.
    main = tables["Linux as PVH Dom0: raw, 512 MiB"]
    assert "| sequential, 64 KiB, write | MB/s |" in main and "| 0.50 | 0.50 |" in main
    assert (
        "| qcow2, 64 MiB, sequential, 64 KiB, read | MB/s |"
        in tables["FreeBSD as PVH Dom0: other media"]
    )
    assert "15625, 46875 (512, 1536)" in tables["Dom0's processor: µs for a request (s for a GiB)"]
    assert "| read | 20, 21 |" in tables["a request in QEMU's process, µs"]
    assert (
        "625.0, 625.0 | 12.50, 12.50 |" in tables["what Dom0's kernel takes, no guest being there"]
    )
    assert "| 1.5 | 2.00, 3.00 | met |" in tables["aims"]
