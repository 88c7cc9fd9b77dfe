# SPDX-License-Identifier: BSD-2-Clause
"""The parts of the testbed that need no machine."""

from __future__ import annotations

import gzip
import lzma
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from testbed import __main__ as by_hand
from testbed import image, packages, vm, xenelf
from testbed.errors import TestbedError
from testbed.nudge import Nudge, wakes


def selection(tmp_path: Path) -> packages.Selection:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"busybox")
    module = tmp_path / "xen_gntdev.ko"
    module.write_bytes(b"module")
    return packages.Selection(
        busybox, "4.17", busybox, "6.1.0-1-amd64", "6.1", (module,), busybox
    )  # fmt: skip


def unpack(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Names, modes and contents of a newc archive, read independently of the writer."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length - 1].decode()
        body = (at + 110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        assert name not in found
        found[name] = (mode, archive[body : body + size])
        at = (body + size + 3) // 4 * 4


def test_image_holds_the_files_and_their_directories(tmp_path: Path) -> None:
    files = [image.File(b"agent", image.AGENT), image.File(b"x", "/usr/share/some/data", 0o640)]
    path = image.build(tmp_path, selection(tmp_path), files)
    found = unpack(path.read_bytes())
    assert found["bin/xengnt-agent"] == (0o100755, b"agent")
    assert found["usr/share/some/data"] == (0o100640, b"x")
    assert found["usr/share/some"][0] == 0o040755
    assert found["dev/console"][0] == 0o020600
    assert found["lib/xengnt/modules"][1] == b"xen_gntdev.ko\n"
    names = list(found)
    assert names.index("usr/share") < names.index("usr/share/some/data")


def test_same_contents_same_image(tmp_path: Path) -> None:
    chosen = selection(tmp_path)
    first = image.build(tmp_path, chosen, [image.File(b"a", "/a")])
    assert image.build(tmp_path, chosen, [image.File(b"a", "/a")]) == first
    assert image.build(tmp_path, chosen, [image.File(b"b", "/a")]) != first


def test_a_library_of_two_programs_is_there_once(tmp_path: Path) -> None:
    twice = [image.File(b"l", "/lib/l.so"), image.File(b"l", "/lib/l.so")]
    image.build(tmp_path, selection(tmp_path), twice)
    with pytest.raises(TestbedError, match=r"two different files are named /lib/l.so"):
        image.build(tmp_path, selection(tmp_path), [*twice, image.File(b"m", "/lib/l.so")])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"cannot add .*nowhere"):
        image.build(tmp_path, selection(tmp_path), [image.File(tmp_path / "nowhere", "/a")])


def test_a_dynamic_program_brings_loader_and_libc() -> None:
    destinations = [f.dst for f in image.program_files(Path("/bin/ls"))]
    assert destinations[0] == "/bin/ls"
    assert any("ld-linux" in dst for dst in destinations)
    assert "/lib/x86_64-linux-gnu/libc.so.6" in destinations


def bzimage(payload: bytes) -> bytes:
    head = bytearray(1024)
    head[0x1F1] = 1
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 16, len(payload))
    return bytes(head) + b"\0" * 16 + payload


def test_kernel_is_unwrapped() -> None:
    elf = b"\x7fELF" + bytes(range(256))
    packed = lzma.compress(elf, format=lzma.FORMAT_XZ) + struct.pack("<I", len(elf))
    assert packages.unwrap_kernel(bzimage(packed)) == elf
    assert packages.unwrap_kernel(bzimage(b"something else")) is None
    assert packages.unwrap_kernel(b"\0" * 4096) is None


def test_modules_are_loaded_after_what_they_need(tmp_path: Path) -> None:
    base = tmp_path / "usr/lib/modules/6.12.1/kernel/drivers/xen"
    base.mkdir(parents=True)
    needs = {"xenfs": b"xen-privcmd"}
    for name in packages.MODULES:
        data = b"\0depends=" + needs.get(name, b"") + b"\0"
        (base / f"{name}.ko.xz").write_bytes(lzma.compress(data))
    out = tmp_path / "out"
    out.mkdir()
    release, order = packages.load_order(tmp_path, out)
    names = [path.name for path in order]
    assert release == "6.12.1"
    assert len(names) == len(packages.MODULES)
    assert names.index("xen_privcmd.ko") < names.index("xenfs.ko")
    assert order[0].read_bytes().startswith(b"\0depends=")
    (base / "xen-gntdev.ko.xz").unlink()
    with pytest.raises(TestbedError, match="no module xen_gntdev"):
        packages.load_order(tmp_path, out)


SELECTED = packages.Selection(
    Path("xen"), "4.17", Path("kernel"), "6.1", "6.1-2", (Path("a.ko"),), Path("busybox")
)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., packages.Selection]:
    monkeypatch.setattr(packages, "_own", packages.Own())

    def chosen(xen: Path | None = None, kernel: Path | None = None) -> packages.Selection:
        packages.use(packages.Own(xen, kernel))
        return packages._with_own(SELECTED, tmp_path / "cache", lambda text: None)

    return chosen


def test_nothing_of_ones_own_changes_nothing(own: Callable[..., packages.Selection]) -> None:
    assert own() == SELECTED


def test_a_hypervisor_of_ones_own(own: Callable[..., packages.Selection], tmp_path: Path) -> None:
    image = b"\x7fELF" + bytes(100)
    (tmp_path / "mine.gz").write_bytes(gzip.compress(image))
    found = own(tmp_path / "mine.gz")
    assert found.xen.read_bytes() == image and found.xen_version == "own: mine.gz"
    # What is made from the user's file is not written beside it.
    assert found.xen.is_relative_to(tmp_path / "cache")
    assert (found.kernel, found.modules) == (SELECTED.kernel, SELECTED.modules)
    (tmp_path / "text").write_text("no image")
    with pytest.raises(TestbedError, match="text: not an ELF image of Xen"):
        own(tmp_path / "text")
    with pytest.raises(TestbedError, match=r"no hypervisor at .*gone"):
        own(tmp_path / "gone")


def test_a_kernel_of_ones_own(own: Callable[..., packages.Selection], tmp_path: Path) -> None:
    elf = b"\x7fELF" + bytes(range(256))
    packed = lzma.compress(elf, format=lzma.FORMAT_XZ) + struct.pack("<I", len(elf))
    (tmp_path / "bzImage").write_bytes(bzimage(packed))
    found = own(kernel=tmp_path / "bzImage")
    assert found.kernel.read_bytes() == elf
    assert (found.modules, found.kernel_version, found.xen) == ((), "own: bzImage", SELECTED.xen)
    (tmp_path / "text").write_text("no kernel" * 200)
    with pytest.raises(TestbedError, match="text: not a Linux kernel"):
        own(kernel=tmp_path / "text")


def test_an_installed_kernel_brings_its_modules(
    own: Callable[..., packages.Selection], tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    base = tree / "lib/modules/6.99/kernel"
    base.mkdir(parents=True)
    (tree / "boot").mkdir()
    with pytest.raises(TestbedError, match="no kernel image"):
        own(kernel=tree)
    (tree / "boot/vmlinuz-6.99").write_bytes(b"\x7fELF" + bytes(600))
    for name in packages.MODULES:
        (base / f"{name}.ko").write_bytes(b"\0depends=\0")
    found = own(kernel=tree)
    assert found.kernel_release == "6.99"
    assert len(found.modules) == len(packages.MODULES)
    assert all(path.is_file() for path in found.modules)


def test_xen_starts_at_the_added_code() -> None:
    code = b"\x90" * 100
    head = bytearray(84)
    head[:6] = b"\x7fELF\x01\x01"
    struct.pack_into("<II", head, 24, 0x200000, 52)
    struct.pack_into("<HH", head, 42, 32, 1)
    struct.pack_into("<6I", head, 52, 1, 84, 0x200000, 0x200000, len(code), 0x1000)
    out = xenelf.with_acpi_marked(bytes(head) + code)
    (entry,) = struct.unpack_from("<I", out, 24)
    offset = 84 + entry - 0x200000
    assert entry >= 0x200000 + len(code)
    assert out[84 : 84 + len(code)] == code
    stub = out[offset:]
    assert stub[-5] == 0xE9  # and it ends by jumping to the old entry point
    assert entry + len(stub) + struct.unpack("<i", stub[-4:])[0] == 0x200000
    (filesz,) = struct.unpack_from("<I", out, 52 + 16)
    assert entry + len(stub) <= 0x200000 + filesz
    with pytest.raises(TestbedError):
        xenelf.with_acpi_marked(b"no ELF file at all")


@pytest.mark.parametrize(
    "line",
    [
        "[    9.1] Kernel panic - not syncing: Fatal exception",
        "(XEN) Panic on CPU 0:",
        "(XEN) Hardware Dom0 crashed: rebooting machine in 5 seconds.",
        "(XEN) Domain 0 (vcpu#0) crashed on cpu#0:",
        "xengnt-init: no /bin/xengnt-agent in the image, powering off",
    ],
)
def test_fatal_lines(line: str) -> None:
    assert vm.FATAL.search(line)
    assert vm.ALARM.search(line)


@pytest.mark.parametrize(
    "line",
    [
        "[    9.1] WARNING: CPU: 0 PID: 95 at mm/page_alloc.c:5543 __alloc_pages+0x233/0x310",
        "[    9.1] BUG: Bad page map in process agent  pte:8000000 pmd:0000",
        "[    9.1] Oops: 0002 [#1] PREEMPT SMP",
        "(XEN) domain_crash called from arch/x86/mm/p2m.c:673",
        "[    9.1] refcount_t: underflow; use-after-free.",
    ],
)
def test_alarm_lines(line: str) -> None:
    assert vm.ALARM.search(line)
    assert not vm.FATAL.search(line)


@pytest.mark.parametrize(
    "line",
    [
        "(XEN) WARNING: PVH is an experimental mode with limited functionality",
        "xen:xen_gntalloc: gntalloc_mmap: Mapping must be shared",
        "hrtimer: interrupt took 11310184 ns",
        "(XEN) Freed 656kB init memory",
    ],
)
def test_harmless_lines(line: str) -> None:
    assert not vm.ALARM.search(line)


def test_a_stopped_process_uses_up_its_time() -> None:
    """Sleeping counts: a machine that waits for nothing must be detected."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            clock = vm._Clock(process.pid)
            begin = clock.read()
            time.sleep(0.5)
            assert clock.read() - begin > 0.2
        finally:
            process.kill()


def test_waiting_for_a_processor_does_not_count() -> None:
    cpu = min(os.sched_getaffinity(0))
    spin = "while True: pass"
    processes = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(4)]
    try:
        for process in processes:
            os.sched_setaffinity(process.pid, {cpu})
        clock = vm._Clock(processes[0].pid)
        clock.read()
        begin, wall = clock.read(), time.monotonic()
        for _ in range(10):
            time.sleep(0.2)
            clock.read()
        # A quarter of the processor is its share; otherwise it waits.
        assert clock.read() - begin < 0.6 * (time.monotonic() - wall)
    finally:
        for process in processes:
            process.kill()
            process.wait()


class _Clockwork:
    """A fake count of a machine's main loop."""

    def __init__(self) -> None:
        self.count = 0
        self.moves = True
        self.looked = threading.Semaphore(0)

    def __call__(self) -> int:
        if self.moves:
            self.count += 1
        self.looked.release()
        return self.count


def test_a_machine_is_nudged_only_while_it_stands_still(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "console.in")
    machine = os.open(tmp_path / "console.in", os.O_RDWR | os.O_NONBLOCK)
    used = _Clockwork()
    nudge = Nudge(tmp_path / "console.in", used, seconds=0.01)
    for _ in range(5):
        used.looked.acquire()
    assert nudge.count == 0
    used.moves = False
    ready, _, _ = select.select([machine], [], [], 60)
    assert ready
    assert os.read(machine, 1) == b"\x11"  # XON
    for _ in range(70_000 // 8):  # a machine that never reads: the FIFO fills, nobody waits
        if nudge.count > 20:
            break
        used.looked.acquire()
    nudge.close()
    assert nudge.count > 20
    os.close(machine)


def test_only_the_main_thread_counts_as_the_main_loop() -> None:
    """A spinning processor is a thread of QEMU, too."""
    spin = (
        "import sys, threading\n"
        "def spin():\n    while True: pass\n"
        "threading.Thread(target=spin, daemon=True).start()\n"
        "while sys.stdin.readline(): print(flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", spin], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:

            def answer() -> None:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                process.stdout.readline()

            answer()
            before = -1
            while before != (before := wakes(process.pid)):  # until it waits for us
                time.sleep(0.2)
            answer()
            assert wakes(process.pid) > before
        finally:
            process.kill()
    assert wakes(process.pid) == -1


@pytest.mark.parametrize(
    ("version", "said"), [("", False), ("7.2.22", False), ("10.0.13", True), ("11.1.3", True)]
)
def test_an_emulator_that_cannot_boot_pvh_is_named(version: str, said: bool) -> None:
    text = vm.remark(version)
    assert (f"QEMU {version}" in text) == said
    assert bool(text) == said


def test_an_early_death_names_the_emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "qemu-system-x86_64"
    program.write_text("#!/bin/sh\necho 'QEMU emulator version 10.0.13 (Debian)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    class Short(vm.Machine):
        def prepare(self) -> Callable[[int], list[str]]:
            return lambda _: [str(program)]

    with Short("short", tmp_path, None) as machine:
        assert machine.facts["emulator"] == "10.0.13"
        with pytest.raises(vm.Died, match="QEMU 10\\.0\\.13"):
            machine.control.readline(60.0)
    with Short("short", tmp_path, None) as machine:
        machine.answered = True
        with pytest.raises(vm.Died) as caught:
            machine.control.readline(60.0)
    assert "10.0.13" not in str(caught.value)


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="no such kind of Dom0: hvm"):
        vm.LinuxDom0("hvm", [], tmp_path, tmp_path)  # type: ignore[arg-type]


def test_a_freebsd_target_needs_release_sets() -> None:
    """./dev boot passes its options on, and they are checked before the boot."""
    done = subprocess.run(
        [sys.executable, "-m", "testbed", "boot", "--target", "freebsd-base", "--shell"],
        cwd=Path(by_hand.__file__).parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "./dev boot: error: freebsd-base needs FreeBSD's release sets" in done.stderr


def test_a_freebsd_is_booted_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["testbed", "boot", "--freebsd", str(tmp_path), "--shell"])
    assert by_hand.main() == 1
    assert f"{tmp_path} lacks base.txz, kernel.txz, src.txz" in capsys.readouterr().err
    made: dict[str, Any] = {}

    class Release:
        def __init__(self, sets: Path, *_: object) -> None: ...

        def base_files(self, names: Sequence[str]) -> list[image.File]:
            return [image.File(b"", f"/bin/{name}") for name in names if name in ("sh", "mount")]

    def machine(target: str, *_: object, **named: object) -> None:
        made.update(named, target=target)
        raise TestbedError("seen")

    monkeypatch.setattr(by_hand, "FreeBSD", Release)
    monkeypatch.setattr("testbed.freebsd_vm.FreeBSDDom0", machine)
    sys.argv += ["--target", "freebsd-alone", "--env", "boot_verbose=YES"]
    assert by_hand.main() == 1
    *programs, shell = made["files"]
    assert [file.dst for file in programs] == ["/bin/mount", "/bin/sh"]
    assert made["environment"]["xengnt.run"].endswith(f" /bin/sh {shell.dst}")
    assert b"! ready" in shell.contents() and made["environment"]["boot_verbose"] == "YES"
    assert made["target"] == "freebsd-alone"
