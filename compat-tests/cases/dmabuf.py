# SPDX-License-Identifier: BSD-2-Clause
"""The commands of gntdev for DMA buffers, which no driver of this project has."""

from __future__ import annotations

from .framework import Context, case, section

section("gntdev: other commands", 80)

# Linux's command values.
DMABUF = {
    "EXP_FROM_REFS": 0x00144709,
    "EXP_WAIT_RELEASED": 0x0008470A,
    "IMP_TO_REFS": 0x0014470B,
    "IMP_RELEASE": 0x0008470C,
}


@case("other.dmabuf", ["X2"], "the DMABUF commands are ENOTTY", needs=["linux_words"])
def dmabuf(t: Context) -> None:
    """A wrong kernel accepts commands that it does not implement."""
    dev = t.gntdev()
    dev.map_any()
    for name, word in DMABUF.items():
        t.refused("ENOTTY", name, dev.ioctl, word, bytes(24))
        t.refused("ENOTTY", f"{name} of a null pointer", dev.ioctl, word, 0)
    t.accepted("UNMAP afterwards", dev.unmap, 0, 1)
