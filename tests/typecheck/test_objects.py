# SPDX-License-Identifier: BSD-2-Clause
"""Every file of the driver compiles, without a warning, into an object for FreeBSD.

Third way of building the same sources (harness, this, module); the only one on a machine without
FreeBSD that sees FreeBSD's own types.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from devtools import environment
from devtools.freebsd_versions import RELEASES
from tests.typecheck.toolchain import KERNEL, VARIANTS, Compiler, driver_sources

PROBE = """
#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/bus.h>
#include <sys/conf.h>
#include <sys/lock.h>
#include <sys/module.h>
#include <sys/mutex.h>
#include <sys/rwlock.h>
#include <vm/vm.h>
#include <vm/pmap.h>
#include <vm/vm_object.h>
#include <vm/vm_page.h>
#include <vm/vm_pager.h>

static int
probe_open(struct cdev *dev __unused, int flags __unused, int type __unused,
    struct thread *td __unused)
{

	return (0);
}

static int
probe_fault(vm_object_t object __unused, vm_ooffset_t offset __unused,
    int prot __unused, vm_page_t *page __unused)
{

	return (VM_PAGER_FAIL);
}

static int
probe_attach(device_t dev __unused)
{

	return (0);
}

struct cdevsw probe_cdevsw = { .d_version = D_VERSION, .d_open = probe_open };
struct cdev_pager_ops probe_pager = { .cdev_pg_fault = probe_fault };
device_method_t probe_methods[] = { DEVMETHOD(device_attach, probe_attach), DEVMETHOD_END };
"""
# A wrong type in each table of callbacks, as a slip of the pen would make it.
SLIPS = {
    "cdevsw": ("int flags __unused", "long flags __unused"),
    "pager": ("vm_ooffset_t offset", "u_int offset"),
    "method": ("probe_attach(device_t dev", "probe_attach(driver_t *dev"),
}


@pytest.fixture(scope="module", params=sorted(RELEASES))
def compiler(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    release = RELEASES[request.param]
    clang = environment.require_clang()
    return Compiler(release, clang.tool("clang"), tmp_path_factory.mktemp(f"fbsd{release.major}"))


def failure(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.args[0]} ended with {done.returncode}\n{done.stderr}"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("source", driver_sources(), ids=lambda p: p.name)
def test_object(compiler: Compiler, source: Path, variant: str) -> None:
    output = compiler.work / f"{source.stem}-{variant}.o"
    done = compiler.compile(source, output, variant)
    assert done.returncode == 0, failure(done)
    assert done.stderr == ""
    with output.open("rb") as stream:
        elf = ELFFile(stream)
        assert elf["e_type"] == "ET_REL"
        assert elf["e_machine"] == "EM_X86_64"
        assert elf["e_ident"]["EI_OSABI"] == "ELFOSABI_FREEBSD"


def test_probe_compiles(compiler: Compiler) -> None:
    """What the next test spoils is right before."""
    source = compiler.work / "probe.c"
    source.write_text(PROBE)
    done = compiler.compile(source, compiler.work / "probe.o")
    assert done.returncode == 0, failure(done)


@pytest.mark.parametrize("slip", SLIPS)
def test_wrong_callback_is_an_error(compiler: Compiler, slip: str) -> None:
    right, wrong = SLIPS[slip]
    assert right in PROBE
    source = compiler.work / f"wrong-{slip}.c"
    source.write_text(PROBE.replace(right, wrong))
    done = compiler.compile(source, compiler.work / "wrong.o")
    assert done.returncode != 0
    assert re.search(r"error: (incompatible|pointer type mismatch)", done.stderr), done.stderr


def test_build_ways_list_the_same_sources() -> None:
    """kernel/Makefile and kernel/meson.build name every file there is."""
    there = {path.name for path in driver_sources()}
    makefile = (KERNEL / "Makefile").read_text()
    in_make = {n for n in re.findall(r"\b\w+\.c\b", makefile) if not n.startswith("_")}
    in_meson = set(re.findall(r"'(\w+\.c)'", (KERNEL / "meson.build").read_text()))
    assert in_make == there
    assert in_meson == there
