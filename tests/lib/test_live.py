# SPDX-License-Identifier: BSD-2-Clause
"""The library's calls on the driver of the harness, by a C program in two domains (live.c)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PATIENCE = 120


@pytest.mark.parametrize("pages", [2, 16])
def test_two_domains(build: Path, tmp_path: Path, pages: int) -> None:
    preload = build / "tests/harness/libxengnt-harness.so"
    live = build / "tests/lib/live"
    for needed in (preload, live):
        if not needed.exists():
            pytest.skip(f"{needed} is not built")

    def start(domid: int, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [live, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "LD_PRELOAD": str(preload),
                "XENGNT_HARNESS_MACHINE": str(tmp_path / "machine"),
                "XENGNT_HARNESS_DOMID": str(domid),
            },
        )

    def end(process: subprocess.Popen[str], text: str = "") -> None:
        _, messages = process.communicate(text, timeout=PATIENCE)
        checks = [
            line for line in messages.splitlines() if line.startswith(("live", "xengnt-harness"))
        ]
        assert (process.returncode, checks) == (0, []), messages

    sharer = start(0, "share", "1", str(pages))
    try:
        assert sharer.stdout is not None
        refs = [sharer.stdout.readline().strip() for _ in range(pages)]
        if not all(refs):
            pytest.fail(f"the sharer ended: {sharer.communicate()[1]}")
        end(start(1, "map", "0", *refs))
        end(sharer, "\n")
    finally:
        sharer.kill()
        sharer.wait()
