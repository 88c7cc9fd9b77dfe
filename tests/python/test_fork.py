# SPDX-License-Identifier: BSD-2-Clause
"""The package's objects in a forked process, and in a program that it executes."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from xengnttab import GrantShare, GrantTable

from tests.python.fake_library import FakeLibrary
from tests.python.machine import Machine


def in_child(act: Callable[[], str]) -> str:
    """The output of a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writer, act().encode())
            status = 0
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


USES: dict[str, Callable[[GrantTable, GrantShare, object], object]] = {
    "map": lambda table, share, pages: table.map(1, 8),
    "copy": lambda table, share, pages: table.read(1, 8, 1),
    "can_copy": lambda table, share, pages: table.can_copy,
    "set_max_grants": lambda table, share, pages: table.set_max_grants(1),
    "share": lambda table, share, pages: share.share(1),
    "fileno": lambda table, share, pages: table.fileno(),
    "enter": lambda table, share, pages: table.__enter__(),
    "pages.close": lambda table, share, pages: pages.close(),  # type: ignore[attr-defined]
    "pages.read": lambda table, share, pages: pages.read(1),  # type: ignore[attr-defined]
    "pages.write": lambda table, share, pages: pages.write(b"x"),  # type: ignore[attr-defined]
    "pages.address": lambda table, share, pages: pages.address,  # type: ignore[attr-defined]
    "len": lambda table, share, pages: len(pages),  # type: ignore[arg-type]
    "view": lambda table, share, pages: memoryview(pages),  # type: ignore[arg-type]
    "pages.enter": lambda table, share, pages: pages.__enter__(),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("name", USES)
def test_what_was_inherited_is_refused(fake: FakeLibrary, name: str) -> None:
    with GrantTable() as table, GrantShare() as share, share.share(1) as pages:
        before = list(fake.log)

        def act() -> str:
            try:
                USES[name](table, share, pages)
            except RuntimeError as error:
                return f"{error}" if fake.log == before else f"called {fake.log}"
            return "done"

        said = in_child(act)
        assert f"process {os.getpid()}: after a fork only that process may use" in said


def test_a_child_leaves_its_parents_pages_alone(fake: FakeLibrary) -> None:
    """It closes the devices (its copies of the descriptors), and makes and ends its own pages."""
    table = GrantTable()
    mapping = table.map(1, 9)

    def act() -> str:
        before = len(fake.log)
        repr(table), repr(mapping)
        with GrantTable() as own, own.map(1, 8):
            pass
        table.close()
        table.close()
        return " ".join(name for name, *_ in fake.log[before:])

    assert in_child(act) == (
        "xengnttab_open xengnttab_map_grant_refs xengnttab_unmap xengnttab_close xengnttab_close"
    )
    mapping.close()
    table.close()
    assert fake.memory == {}


def test_forgotten_in_the_child(fake: FakeLibrary) -> None:
    holder = [GrantTable().map(1, 8)]

    def act() -> str:
        before = len(fake.log)
        holder.clear()
        return " ".join(name for name, *_ in fake.log[before:])

    # The device of the mapping goes with it, but nothing is unmapped.
    assert in_child(act) == "xengnttab_close"


def test_an_exception_in_the_child_is_not_hidden(fake: FakeLibrary) -> None:
    """`with pages:` around a fork whose child calls sys.exit(): its exit status must survive."""
    with GrantTable() as table:

        def act() -> str:
            try:
                with ExitStack() as stack:
                    stack.push(mapping)
                    raise SystemExit(7)
            except SystemExit as error:
                return f"status {error}"

        with table.map(1, 8) as mapping:
            assert in_child(act) == "status 7"


def test_objects_are_not_pickled(fake: FakeLibrary) -> None:
    with GrantTable() as table, table.map(1, 8) as mapping:
        for thing in (table, mapping):
            with pytest.raises(TypeError):
                pickle.dumps(thing)


FORK = """
import os, sys
from xengnttab import EventChannel, GrantShare, GrantTable
share, channel = GrantShare(), EventChannel(1)
pages = share.share(1)
table = GrantTable()
if os.fork() == 0:
    channels = (channel.notify, channel.pending, channel.wait, channel.unmask)
    for use in (pages.close, lambda: pages.read(1), lambda: table.map(1, 8), *channels):
        try:
            use()
            print("silent")
        except RuntimeError as error:
            print("after a fork only that process" in str(error))
    sys.stdout.flush()
    os._exit(0)
os.wait()
print(pages.read(1))
"""


def test_on_the_real_library(machine: Machine) -> None:
    status, out, err = machine.run(0, program=FORK)
    assert (status, err) == (0, "")
    assert out == "True\n" * 7 + "b'\\x00'\n"


INHERIT = '''
import os, subprocess, sys
from xengnttab import EventChannel, GrantShare, GrantTable
devices = [GrantShare(), GrantTable(), EventChannel(1)]
for device in devices:
    assert not os.get_inheritable(device.fileno()), device
code = """import os, sys
for number in sys.argv[1:]:
    if os.path.lexists(f"/proc/self/fd/{number}"):
        print(os.readlink(f"/proc/self/fd/{number}"))
"""
numbers = [str(device.fileno()) for device in devices]
env = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
print(subprocess.run([sys.executable, "-c", code, *numbers], close_fds=False, env=env,
                     capture_output=True, text=True, check=True).stdout)
'''


def test_no_descriptor_is_inherited(machine: Machine) -> None:
    assert machine.run(0, program=INHERIT) == (0, "\n", "")
