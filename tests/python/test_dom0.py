# SPDX-License-Identifier: BSD-2-Clause
"""`xengnttab share` and `xengnttab map` in a real Dom0: the Linux kernel's devices on real Xen.

The Dom0 is a PV one and maps its own grants, which is harmless there and nowhere else
(a PVH domain loses the page: K17).
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed import image, vm
from xengnttab import PAGE_SIZE

from devtools.paths import cache_dir
from tests.python.test_packaging import examples

pytestmark = pytest.mark.dom0

# In seconds of the machine's own progress: an interpreter takes a second or two to start there.
PATIENCE = 120.0
# Takes the agent's place in the image.
SHELL = b"""#!/bin/sh
export PYTHONHOME=/
exec 2>&1
echo '! ready'
exec /bin/sh
"""
PAGE = "".join(f"line {number:3} of the page\n" for number in range(500))[: PAGE_SIZE - 1] + "\n"


class Dom0:
    """A shell in Dom0."""

    def __init__(self, machine: vm.LinuxDom0) -> None:
        self.control = machine.control
        self.machine = machine
        while self.control.readline(PATIENCE) != "! ready":
            pass

    def run(self, command: str) -> tuple[int, str]:
        """Exit status and output of a command."""
        # The status on its own line, even if the output does not end with a newline.
        self.control.sendline(f'{{ {command}\n}}; s=$?; echo; echo "! $s"')
        lines = []
        while not (line := self.control.readline(PATIENCE)).startswith("! "):
            lines.append(line)
        return int(line[2:]), "\n".join(lines).removesuffix("\n")


def built(build: Path, name: str) -> Path:
    """A program in the agent's build directory."""
    where = build / "compat-tests/agent"
    path = image.built(where, name)
    if path is None:
        pytest.skip(f"{name} is not built in {where}")
    return path


@pytest.fixture(scope="module")
def dom0(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dom0]:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    files = [
        *image.python_files(Path(sys.executable), ["xengnttab"]),
        *image.program_files(built(build, "xengnt-relay")),
        image.File(SHELL, image.AGENT),
        image.File(PAGE.encode(), "/page", 0o644),
        # All in one domain, so the granting domain is always 0.
        *(
            image.File(text.replace("domid=1", "domid=0").encode(), f"/example{number}.py", 0o644)
            for number, text in enumerate(examples())
        ),
    ]
    with vm.LinuxDom0("pv", files, tmp_path_factory.mktemp("dom0"), cache_dir()) as machine:
        yield Dom0(machine)


def test_a_page_of_text_from_process_to_process(dom0: Dom0) -> None:
    mark = dom0.machine.mark()
    share = "share 0 --writable --file /page --text --json --hold 3600"
    status, _ = dom0.run(f"python3 -m xengnttab {share} >/tmp/share 2>&1 &")
    assert status == 0
    status, line = dom0.run(
        "while ! grep -q refs /tmp/share && kill -0 $!; do sleep 0.2; done; cat /tmp/share"
    )
    assert line.startswith("{"), line
    (ref,) = json.loads(line)["refs"]

    status, out = dom0.run(f"python3 -m xengnttab map 0 {ref} --text --hold 0")
    assert status == 0
    first, _, rest = out.partition("\n")
    assert first == "mapped 1 page of domain 0 read-only"
    assert rest.rstrip("\n") == PAGE.rstrip("\n")

    # and back
    status, out = dom0.run(f"python3 -m xengnttab map 0 {ref} --write 'LINE' --json --hold 0")
    assert status == 0, out
    status, out = dom0.run("kill -TERM $!; wait $!; s=$?; cat /tmp/share; (exit $s)")
    assert status == 0, out
    assert json.loads(out.splitlines()[1])["text"] == "LINE" + PAGE[4:]
    assert dom0.machine.alarms_since(mark) == []


def test_the_examples_of_the_readme(dom0: Dom0) -> None:
    mark = dom0.machine.mark()
    # Standard input keeps it waiting, as Enter does in the example.
    start = (
        "mkfifo /tmp/enter; python3 /example0.py </tmp/enter >/tmp/refs 2>&1 & exec 9>/tmp/enter"
    )
    assert dom0.run(start)[0] == 0
    _, ref = dom0.run(
        "while ! grep -q . /tmp/refs && kill -0 $!; do sleep 0.2; done; cat /tmp/refs"
    )
    assert ref.isdigit(), ref
    for number in (1, 2):
        out = dom0.run(
            f"sed -i 's/\\b8\\b/{ref}/' /example{number}.py; python3 /example{number}.py"
        )
        assert out == (0, "b'hello'")
    status, out_text = dom0.run("echo >&9; exec 9>&-; wait $!")
    assert (status, out_text) == (0, "")
    assert dom0.machine.alarms_since(mark) == []


def test_what_was_not_granted_is_refused(dom0: Dom0) -> None:
    status, out = dom0.run("python3 -m xengnttab map 0 99999 --hold 0")
    assert status == 1
    assert "(EINVAL)" in out


def test_a_missing_device_names_the_module(dom0: Dom0) -> None:
    status, out = dom0.run("mv /dev/xen/gntalloc /tmp; python3 -m xengnttab share 0")
    assert status == 3
    assert "modprobe xen-gntalloc" in out
    assert dom0.run("mv /tmp/gntalloc /dev/xen")[0] == 0
