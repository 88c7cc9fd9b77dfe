# SPDX-License-Identifier: BSD-2-Clause
"""The agent's programs, each by one cc command: for machines on which meson does not build.

Only the standard library: ./dev on FreeBSD imports this before any package is installed.
"""

from __future__ import annotations

from pathlib import Path

AGENT = Path(__file__).resolve().parent
ROOT = AGENT.parents[1]
LIBRARY = ROOT / "libxengnttab-freebsd"
#: The agent without the part for its system.
SOURCES = (
    *("main.c", "supervisor.c", "worker.c", "proto.c", "names.c", "guard.c"),
    *("ops_event.c", "ops_file.c", "ops_mem.c", "ops_proc.c"),
)
#: The helper domain's program on FreeBSD, which needs headers of Xen but none of its libraries.
PEER = ("peer.c", "runner.c", "xen_freebsd.c", "system_freebsd.c")


def agent_sources(system: str) -> list[Path]:
    return [AGENT / name for name in (*SOURCES, f"os_{system.lower()}.c")]


def library_sources() -> list[Path]:
    """The library's files for FreeBSD, without Xen's tool libraries."""
    other = {"linux.c", "tools_xen.c"}
    return sorted(path for path in (LIBRARY / "src").glob("*.c") if path.name not in other)


def freebsd_programs() -> dict[str, list[str]]:
    """Programs by name, with the arguments of cc except where Xen's headers and the result are."""
    agent = [str(path) for path in agent_sources("FreeBSD")]
    library = [str(path) for path in library_sources()]
    peer = [str(AGENT / "peer" / name) for name in PEER]
    more = ["-DAGENT_LIB", "-I", str(LIBRARY / "include"), str(AGENT / "ops_lib.c"), *library]
    common = ["-std=gnu17", "-O2", "-pthread", "-I", str(ROOT / "kernel/include")]
    return {
        "xengnt-agent": [*common, *agent],
        "xengnt-agent-lib": [*common, *more, *agent],
        "xengnt-peer": [*common, *peer],
    }
