# SPDX-License-Identifier: BSD-2-Clause
"""What the test bed makes for a FreeBSD Dom0, as far as it can be checked without FreeBSD."""

from __future__ import annotations

import io
import lzma
import os
import shutil
import struct
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import cases
import differences
import pytest
from agent import recipe
from cases.framework import Case, Check, Status
from report.results import Cell
from targets import TARGETS, Setting, TargetMissing
from targets.dom0 import Dom0Target
from targets.freebsd_dom0 import SETUPS, FreeBSDTarget
from testbed import freebsd_boot, freebsd_sets, freebsd_vm, vm
from testbed.errors import TestbedError
from testbed.image import File

from devtools import xenlibs
from devtools.freebsd_headers import OF_BASE
from devtools.freebsd_versions import RELEASES

PAGE_VADDR, PAGE_PADDR, ENTRY = 0xFFFFFFFF80201000, 0x201000, 0x3AB000


def records(blob: bytes) -> list[tuple[int, bytes]]:
    """Reads the loader's metadata as FreeBSD does: each record is padded to eight bytes."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while True:
        kind, size = struct.unpack_from("<II", blob, at)
        if kind == 0:
            return found
        found.append((kind, blob[at + 8 : at + 8 + size]))
        at += 8 + (size + 7 & ~7)


def number(data: bytes) -> int:
    return int(struct.unpack("<Q", data)[0])


def test_metadata_is_what_a_loader_hands_over() -> None:
    image = bytes(range(256)) * 40
    blob = freebsd_boot.metadata({"a.b": "1", "init_path": "/sbin/init"}, image)
    found = records(blob)
    assert [kind for kind, _ in found] == [1, 2, 3, 4, 0x8007, 0x8006, 0x8008, 0x9006, 1, 2, 3, 4]
    by_kind = dict(found[:8])
    assert by_kind[2] == b"elf kernel\0"
    assert number(by_kind[0x9006]) == 0  # so that the kernel relocates the rest
    environment = number(by_kind[0x8006])
    assert blob[environment:].startswith(b"a.b=1\0init_path=/sbin/init\0\0")
    name, kind, address, size = (data for _, data in found[8:])
    assert (name, kind) == (b"/root.iso\0", b"mfs_root\0")
    assert number(address) % 4096 == 0 and number(size) == len(image)
    assert blob[number(address) :][: len(image)] == image
    assert number(by_kind[0x8008]) == len(blob) and len(blob) % 4096 == 0


def object_file(tmp_path: Path) -> bytes:
    """A relocatable object with code, data, bss and relocations."""
    source = tmp_path / "module.c"
    source.write_text(
        "extern int there(int *); int data = 7, bss[100];\n"
        "int here(void) { return there(&data) + bss[3]; }\n"
    )
    target = tmp_path / "module.ko"
    subprocess.run(["cc", "-c", "-O2", "-o", target, source], check=True)
    return target.read_bytes()


def test_a_preloaded_module_is_laid_out_as_a_loader_does(tmp_path: Path) -> None:
    contents = object_file(tmp_path)
    module = freebsd_boot.preloaded("/boot/module.ko", contents)
    blob = freebsd_boot.metadata({"a": "1"}, b"image" * 1000, [module])
    found = records(blob)
    assert [kind for kind, _ in found[12:]] == [1, 2, 3, 4, 0x8002, 0x8009]
    name, kind, address, size, header, table = (data for _, data in found[12:])
    assert (name, kind, header) == (b"/boot/module.ko\0", b"elf obj module\0", contents[:64])
    at = number(address)
    assert at % 4096 == 0 and number(size) == len(module.image)
    assert blob[at:][: len(module.image)] == module.image
    assert number(dict(found[:8])[0x8008]) == len(blob) >= at + len(module.image)
    headers = [struct.unpack_from("<IIQQQQIIQQ", table, n) for n in range(0, len(table), 64)]
    there = [h for h in headers if h[3]]
    low = min(h[3] for h in there)
    for _, kind, _, address, offset, size, _, _, align, _ in there:
        got = module.image[address - low :][:size]
        assert got == (bytes(size) if kind == 8 else contents[offset : offset + size])
        assert (address - low) % max(align, 1) == 0
    # Code, data, bss, symbols and their names; relocations only of what is there.
    kinds = {h[1] for h in there}
    assert {1, 2, 3, 4, 8} <= kinds
    for h in headers:
        if h[1] == 4:
            assert bool(h[3]) == bool(headers[h[7]][3])


def test_what_is_no_object_is_not_preloaded() -> None:
    with pytest.raises(TestbedError, match="not a 64-bit ELF"):
        freebsd_boot.preloaded("x.ko", b"MZ" * 100)


@pytest.mark.parametrize("bad", [{"a=b": "c"}, {"a": "b\0c"}])
def test_metadata_refuses_what_would_shift_the_environment(bad: dict[str, str]) -> None:
    with pytest.raises(TestbedError, match="environment variable"):
        freebsd_boot.metadata(bad, b"")


def note(kind: int, value: bytes, name: bytes = b"Xen\0") -> bytes:
    head = struct.pack("<III", len(name), len(value), kind)
    return head + name + value + b"\0" * (-len(value) % 4)


def kernel(notes: bytes, paddr: int = PAGE_PADDR, *, section: bool = False) -> bytes:
    """A file with a loadable segment that begins with the hypercall page, and its notes, in a
    segment or, as in FreeBSD 13, in a section only."""
    text = b"\xcc" * 4096
    head = 64 + 2 * 56
    if section:
        table = struct.pack("<IIQQQQ16x16x", 0, 7, 0, 0, head + len(text), len(notes))
        elf = b"\x7fELF\x02\x01\x01" + bytes(9)
        elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, PAGE_VADDR, 64,
                           head + len(text) + len(notes), 0, 64, 56, 1, 64, 1, 0)  # fmt: skip
        load = struct.pack("<IIQQQQQQ", 1, 5, head, PAGE_VADDR, paddr, len(text), len(text), 4096)
        return elf + load + bytes(56) + text + notes + table
    segments = struct.pack(
        "<IIQQQQQQ", 1, 5, head, PAGE_VADDR, paddr, len(text), len(text), 4096
    ) + struct.pack("<IIQQQQQQ", 4, 4, head + len(text), 0, 0, len(notes), len(notes), 4)
    elf = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, PAGE_VADDR, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    return elf + segments + text + notes


NOTES = (
    note(6, b"FreeBSD\0")
    + note(2, struct.pack("<Q", PAGE_VADDR))
    + note(18, struct.pack("<Q", 7), b"GNU\0")
    + note(18, struct.pack("<I", ENTRY))
)


def test_trampoline_enters_where_the_kernel_did() -> None:
    before = kernel(NOTES)
    after = freebsd_boot.trampolined(before)
    assert len(after) == len(before)
    code = 64 + 2 * 56
    assert after[code : code + 10] == bytes.fromhex("0f20e0 83c820 0f22e0 e9")
    jump = struct.unpack_from("<i", after, code + 10)[0]
    assert PAGE_PADDR + 14 + jump == ENTRY
    changed = [i for i in range(len(before)) if before[i] != after[i] and i >= code + 14]
    # Only the entry's note changes, and only if it is Xen's.
    at = len(before) - 4
    assert changed and min(changed) >= at
    assert struct.unpack_from("<I", after, at)[0] == PAGE_PADDR


def test_notes_of_a_section_count_too() -> None:
    after = freebsd_boot.trampolined(kernel(NOTES, section=True))
    code = 64 + 2 * 56
    assert after[code : code + 10] == bytes.fromhex("0f20e0 83c820 0f22e0 e9")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x7fELF\x01" + bytes(64), "64-bit"),
        (kernel(note(6, b"FreeBSD\0")), "no PVH entry"),
        (kernel(note(2, struct.pack("<Q", 5)) + note(18, bytes(4))), "none of its segments"),
    ],
)
def test_trampoline_refuses_other_files(data: bytes, message: str) -> None:
    with pytest.raises(TestbedError, match=message):
        freebsd_boot.trampolined(data)


@pytest.mark.skipif(shutil.which("xorriso") is None, reason="xorriso is not installed")
def test_root_image_holds_files_with_their_modes(tmp_path: Path) -> None:
    image = freebsd_boot.iso_image(
        [File(b"#!", "/sbin/init"), File(b"data", "/boot/a_module_with_a_long_name.ko", 0o444)]
    )
    assert image[32769:32774] == b"CD001"
    path = tmp_path / "root.iso"
    path.write_bytes(image)
    out = tmp_path / "out"
    subprocess.run(
        ["xorriso", "-osirrox", "on", "-indev", str(path), "-extract", "/", str(out)],
        check=True,
        capture_output=True,
    )
    assert (out / "sbin/init").read_bytes() == b"#!"
    assert os.access(out / "sbin/init", os.X_OK)
    assert (out / "boot/a_module_with_a_long_name.ko").stat().st_mode & 0o777 == 0o444
    # The kernel mounts devfs there before init runs.
    assert (out / "dev").is_dir()
    subprocess.run(["chmod", "-R", "u+w", str(out)], check=True)


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(TestbedError, match="two files"):
        freebsd_boot.iso_image([File(b"", "/sbin/init"), File(b"", "sbin//init")])


@pytest.mark.skipif(shutil.which("mformat") is None, reason="mtools is not installed")
def test_disk_boots_xen_with_kernel_and_metadata(tmp_path: Path) -> None:
    xen = tmp_path / "xen.efi"
    xen.write_bytes(b"MZ" * 100)
    disk = tmp_path / "disk.img"
    freebsd_boot.efi_image(disk, xen, "dom0=pvh", b"kernel" * 1000, b"blob")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk.img", "xen.efi"]
    for name, data in (("BOOTX64.EFI", xen.read_bytes()), ("kernel", b"kernel" * 1000)):
        done = subprocess.run(
            ["mtype", "-i", str(disk), f"::/EFI/BOOT/{name}"], capture_output=True, check=True
        )
        assert done.stdout == data
    config = subprocess.run(
        ["mtype", "-i", str(disk), "::/EFI/BOOT/BOOTX64.cfg"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert "options=dom0=pvh\nkernel=kernel\nramdisk=metadata\n" in config


# ---------------------------------------------------------------- the sets


def pack(path: Path, members: dict[str, bytes]) -> None:
    with lzma.open(path, "wb", preset=0) as out, tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    where = tmp_path / "sets"
    where.mkdir()
    pack(
        where / "base.txz",
        {
            "./usr/include/stdio.h": b"",
            "./usr/lib/libc.a": b"a",
            "./usr/lib/crt1.o": b"o",
            "./usr/share/man/cat.1": b"man",
        },
    )
    pack(
        where / "kernel.txz",
        {
            "./boot/kernel/kernel": b"k",
            "./boot/kernel/linux64.ko": b"l",
            "./boot/kernel/zfs.ko": b"",
        },
    )
    pack(
        where / "src.txz",
        {
            "./usr/src/sys/kern/bus_if.m": b"",
            "./usr/src/sys/sys/param.h": b"#define __FreeBSD_version 1502000 /* x */\n",
            "./usr/src/sys/contrib/xen/xen.h": b"",
            "./usr/src/sys/contrib/zlib/zlib.h": b"",
            "./usr/src/bin/cat/cat.c": b"",
        },
    )
    return where


def test_sets_are_unpacked_as_far_as_they_are_needed(sets: Path, tmp_path: Path) -> None:
    release = freebsd_sets.FreeBSD(sets, tmp_path / "cache")
    assert release.version == "15.2"
    assert (release.base / "usr/lib/libc.a").read_bytes() == b"a"
    assert not (release.base / "usr/share").exists()
    assert release.kernel.read_bytes() == b"k"
    assert [path.name for path in release.linux_modules()] == ["linux64.ko"]
    assert (release.source / "sys/contrib/xen/xen.h").exists()
    assert not (release.source / "sys/contrib/zlib").exists()
    assert not (release.source / "bin").exists()


def test_sets_are_known_by_their_contents(sets: Path, tmp_path: Path) -> None:
    first = freebsd_sets.FreeBSD(sets, tmp_path / "cache").kernel
    moved = tmp_path / "elsewhere"
    sets.rename(moved)
    assert freebsd_sets.FreeBSD(moved, tmp_path / "cache").kernel == first
    pack(moved / "kernel.txz", {"boot/kernel/kernel": b"other"})
    assert freebsd_sets.FreeBSD(moved, tmp_path / "cache").kernel != first


def test_damaged_set_leaves_nothing_behind(sets: Path, tmp_path: Path) -> None:
    whole = (sets / "base.txz").read_bytes()
    (sets / "base.txz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TestbedError, match=r"base\.txz: cannot unpack"):
        _ = freebsd_sets.FreeBSD(sets, tmp_path / "cache").base
    assert not list((tmp_path / "cache/freebsd").glob("*base*"))


def test_kernel_set_without_kernel_is_named(sets: Path, tmp_path: Path) -> None:
    pack(sets / "kernel.txz", {"boot/kernel/zfs.ko": b""})
    with pytest.raises(TestbedError, match=r"kernel\.txz has no boot/kernel/kernel"):
        _ = freebsd_sets.FreeBSD(sets, tmp_path / "cache").kernel


def test_missing_sets_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(TargetMissing, match=r"download\.freebsd\.org"):
        TARGETS["freebsd"].make(Setting(tmp_path, tmp_path, tmp_path, tmp_path))


def base_with_wc(sets: Path, *, library: bool) -> None:
    """A base.txz with a program and, in Casper's directory, the library that it needs."""
    (sets / "a.c").write_text("int a;\n")
    common = ["cc", "-shared", "-fPIC", "-nostdlib"]
    subprocess.run([*common, "-Wl,-soname,libcap.so.1", "-o", "libcap.so", "a.c"],
                   cwd=sets, check=True)  # fmt: skip
    subprocess.run([*common, "-Wl,--no-as-needed", "-o", "wc", "a.c", "-L.", "-lcap"],
                   cwd=sets, check=True)  # fmt: skip
    members = {"./usr/lib/libc.a": b"", "./usr/bin/wc": (sets / "wc").read_bytes()}
    if library:
        members["./lib/casper/libcap.so.1"] = (sets / "libcap.so").read_bytes()
    pack(sets / "base.txz", members)


def test_programs_bring_their_libraries(sets: Path, tmp_path: Path) -> None:
    base_with_wc(sets, library=True)
    release = freebsd_sets.FreeBSD(sets, tmp_path / "cache")
    assert [file.dst for file in release.base_files(["wc"])] == [
        "/lib/casper/libcap.so.1", "/libexec/ld-elf.so.1", "/usr/bin/wc",
    ]  # fmt: skip


def test_a_program_whose_library_the_set_lacks_is_named(sets: Path, tmp_path: Path) -> None:
    base_with_wc(sets, library=False)
    release = freebsd_sets.FreeBSD(sets, tmp_path / "cache")
    with pytest.raises(TestbedError, match=r"base\.txz has no libcap\.so\.1, which wc needs"):
        release.base_files(["wc"])
    # Another's program brings its own.
    assert "/lib/casper/libcap.so.1" not in {f.dst for f in release.base_files([], sets / "wc")}


def of_version(sets: Path, number: int) -> None:
    param = f"#define __FreeBSD_version {number}\n".encode()
    pack(
        sets / "src.txz",
        {"usr/src/sys/kern/bus_if.m": b"", "usr/src/sys/sys/param.h": param},
    )


def test_a_version_without_a_wheel_is_built_for_with_its_base(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XENGNT_CACHE", str(tmp_path / "cache"))
    of_version(sets, 1302001)
    for _ in range(2):  # other contents, the same command line
        pack(sets / "base.txz", {name: os.urandom(1) for name in (*OF_BASE, "usr/lib/libc.a")})
        release = freebsd_sets.FreeBSD(sets, tmp_path / "cache")
        command = xenlibs.compiler(release.shared()).split()
        assert "--target=x86_64-unknown-freebsd13.0" in command
        assert "-D__FreeBSD_version=1302001" in command
        assert f"--sysroot={tmp_path}/cache/freebsd-sysroot/13.2" in command
        root = tmp_path / "cache/freebsd-sysroot/13.2"
        assert root.samefile(release.base)
    assert [path.name for path in root.parent.iterdir()] == ["13.2"]


def test_a_base_without_what_links_is_named(sets: Path, tmp_path: Path) -> None:
    of_version(sets, 1302001)
    with pytest.raises(TestbedError, match=r"sets: base\.txz of FreeBSD 13\.2 has no .*Scrt1\.o"):
        freebsd_sets.FreeBSD(sets, tmp_path / "cache").shared()


def test_a_version_with_a_wheel_is_built_for_without_its_base(sets: Path, tmp_path: Path) -> None:
    assert freebsd_sets.FreeBSD(sets, tmp_path / "cache").shared() == RELEASES[15]
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("base-*"))


def test_agent_sources_exist_and_end_with_freebsds() -> None:
    sources = recipe.agent_sources("FreeBSD")
    assert all(path.is_file() for path in sources)
    assert sources[-1].name == "os_freebsd.c"
    assert "os_linux.c" not in {path.name for path in sources}


# ---------------------------------------------------------------- the log


@pytest.mark.parametrize(
    "line",
    [
        "panic: mutex xengnt not owned at gntdev_map.c:12",
        "Fatal trap 12: page fault while in kernel mode",
        "(XEN) Hardware Dom0 crashed: rebooting machine in 5 seconds.",
        "xengnt-init: the program has ended, powering off",
    ],
)
def test_ends_of_a_freebsd_machine(line: str) -> None:
    assert freebsd_vm.FATAL.search(f"earlier\n{line}\nlater")
    assert freebsd_vm.ALARM.search(line)


@pytest.mark.parametrize(
    "line",
    [
        "lock order reversal:",
        "Sleeping thread (tid 100, pid 2) owns a non-sleepable lock",
        "xengnt: 3 pages leaked",
        "device_attach: xengnt0 attach returned 17",
    ],
)
def test_alarms_of_a_freebsd_kernel(line: str) -> None:
    assert freebsd_vm.ALARM.search(line)
    assert not freebsd_vm.FATAL.search(line)


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: WITNESS option enabled, expect reduced performance.",
        "xengnt0: <Xen grant devices with Linux's ABI> on xenpv0",
        "do not panic: it is a test",
    ],
)
def test_what_is_no_alarm(line: str) -> None:
    assert not freebsd_vm.ALARM.search(line)
    assert not vm.FATAL.search(line)


PANIC = """\
witness_warn() at witness_warn+0x2b/frame 0xfffffe004706cbb0
panic: Unaligned free of 0xfffff80003533638 from zone 0xfffff80003025c80(malloc-128)
cpuid = 0
KDB: stack backtrace:
db_trace_self_wrapper() at db_trace_self_wrapper+0x2b/frame 0xfffffe004706cbb0
vpanic() at vpanic+0x136/frame 0xfffffe004706cce0
panic() at panic+0x43/frame 0xfffffe004706cd40
uma_dbg_free() at uma_dbg_free+0x103/frame 0xfffffe004706cd60
--- trap 0x9, rip = 0xffffffff80a08cd0, rsp = 0xfffffe004706cdf0 ---
cleanup_function() at cleanup_function+0x19e/frame 0xfffffe004706ce40
fork_exit() at fork_exit+0x82/frame 0xfffffe004706cf30
--- trap 0, rip = 0, rsp = 0, rbp = 0 ---
Uptime: 6s
"""


PANIC_WITHOUT_DDB = """\
panic: general protection fault
cpuid = 0
KDB: stack backtrace:
#0 0xffffffff805b07ed at kdb_backtrace+0x5d
#1 0xffffffff805635f6 at vpanic+0x136
#2 0xffffffff805634b3 at panic+0x43
#3 0xffffffff808ab048 at trap+0xa88
#4 0xffffffff8087db98 at calltrap+0x8
#5 0xffffffff805c9042 at taskqueue_run+0x252
Uptime: 2s
"""


def test_a_panic_tells_what_led_to_it() -> None:
    assert freebsd_vm.FATAL.search(PANIC)
    assert freebsd_vm.backtrace(PANIC) == ["uma_dbg_free", "cleanup_function", "fork_exit"]
    assert freebsd_vm.backtrace(PANIC_WITHOUT_DDB) == ["trap", "calltrap", "taskqueue_run"]
    assert freebsd_vm.backtrace("nothing\n") == []


def _judged(
    monkeypatch: pytest.MonkeyPatch, name: freebsd_vm.Target, case: str, cell: Cell
) -> tuple[Status, tuple[str, ...], bool]:
    """What a FreeBSD target makes of a cell."""
    defects: dict[str, tuple[str, ...]] = {"unit.known": ("E1",), "unit.hit": ("E13",)}
    known = {
        "freebsd": differences.of("freebsd"),
        "freebsd-base": replace(differences.of("freebsd-base"), defects=defects),
        "freebsd-words": replace(
            differences.of("freebsd-words"), expectations={"K26": {"unit.known": ("index",)}}
        ),
    }
    monkeypatch.setattr(differences, "of", known.__getitem__)
    monkeypatch.setattr(Dom0Target, "run", lambda self, case: cell)
    target = object.__new__(FreeBSDTarget)
    target.name, target._setup = name, SETUPS[name]
    seen = target.run(Case(case, ("M1",), "", "", lambda t: None))
    return seen.status, seen.ks, seen.red


INDEX = Cell(Status.FAIL, (Check("index of it", "5", "0"), Check("mmap", "ok", "ok")))
ERRNO = Cell(Status.FAIL, (Check("index of it", "5", "0"), Check("mmap", "EINVAL", "ok")))
ALARM = Cell(Status.FAIL, (Check("index of it", "5", "0"),), detail="log: lock order reversal")
LOCKS = Cell(Status.FAIL, detail="log: x with the following non-sleepable locks held:")
CRASH = Cell(Status.CRASH, detail="panic: it in main", log="panic")
CLEANUP = Cell(Status.CRASH, detail="panic: it in free < cleanup_function < fork_exit", log="p")
HUNG = Cell(Status.CRASH, detail="no progress for 60 s")
DIED = Cell(Status.FAIL, detail="the worker died (exit 0) during 'bind_unbound 6 0'")


@pytest.mark.parametrize(
    ("name", "case", "cell", "wanted"),
    [
        ("freebsd", "unit.known", INDEX, (Status.FAIL, (), True)),
        ("freebsd-words", "unit.known", INDEX, (Status.DIFF, ("K26",), False)),
        ("freebsd-words", "unit.other", INDEX, (Status.FAIL, (), True)),
        ("freebsd-words", "unit.known", ERRNO, (Status.FAIL, (), True)),
        ("freebsd-words", "unit.known", ALARM, (Status.FAIL, (), True)),
        ("freebsd-words", "unit.known", CRASH, (Status.CRASH, (), True)),
        ("freebsd-base", "unit.known", INDEX, (Status.DIFF, ("E1",), False)),
        ("freebsd-base", "unit.other", INDEX, (Status.FAIL, (), True)),
        ("freebsd-base", "unit.known", ALARM, (Status.FAIL, (), True)),
        ("freebsd-base", "unit.other", LOCKS, (Status.DIFF, ("E5",), False)),
        ("freebsd-base", "unit.known", CRASH, (Status.CRASH, (), True)),
        ("freebsd-base", "unit.other", CLEANUP, (Status.CRASH, ("E6",), False)),
        ("freebsd-base", "unit.known", HUNG, (Status.CRASH, (), True)),
        ("freebsd", "unit.known", CLEANUP, (Status.CRASH, (), True)),
        ("freebsd-base", "unit.hit", DIED, (Status.DIFF, ("E13",), False)),
        ("freebsd-base", "unit.known", DIED, (Status.FAIL, (), True)),
        ("freebsd", "unit.hit", DIED, (Status.FAIL, (), True)),
    ],
)
def test_only_what_is_known_of_the_base_driver_is_not_red(
    monkeypatch: pytest.MonkeyPatch,
    name: freebsd_vm.Target,
    case: str,
    cell: Cell,
    wanted: tuple[Status, tuple[str, ...], bool],
) -> None:
    assert _judged(monkeypatch, name, case, cell) == wanted


def test_what_is_known_of_the_base_driver_names_cases_and_rows() -> None:
    names = {case.id for case in cases.load()}
    assert cases.__file__ is not None
    source = "".join(path.read_text() for path in Path(cases.__file__).parent.glob("*.py"))
    for target in differences.every():
        # An expectation is named by the beginning of its text in the case.
        for begins in (text for row in target.expectations.values() for text in row.values()):
            assert [begin for begin in begins if begin not in source] == []
        said = {case for cases in target.expectations.values() for case in cases}
        assert target.defects.keys() | said <= names
        assert target.expectations.keys() <= target.rows.keys()
    assert differences.of("freebsd-base").defects["unmap.twice"] == ("E2",)
    assert "index" in differences.of("freebsd-words").expectations["K26"]["alloc.limit-inclusive"]
