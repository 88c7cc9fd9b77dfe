# SPDX-License-Identifier: BSD-2-Clause
"""The FreeBSD versions that this project supports.  A new one is a line in VERSIONS.

docs/testing.md lists what to run for it; tests/test_dev_freebsd.py finds documents that list the
versions without it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A FreeBSD version, what a compiler is told about it, and where its headers come from."""

    name: str  # as in documents
    version: int  # __FreeBSD_version: the wheel's osreldate.h leaves it to the compiler
    # The wheel with its headers and stubs of its libraries.  Without one both come from its release
    # sets (freebsd_headers.take()).
    wheel: str = ""
    include = ("generic-freebsd", "x86_64-freebsd-none")

    @property
    def major(self) -> int:
        return self.version // 100000

    @property
    def number(self) -> str:
        """The number on the mirrors."""
        return f"{self.major}.{self.version // 1000 % 100}"

    @property
    def triple(self) -> str:
        return f"x86_64-unknown-freebsd{self.major}.0"


VERSIONS = (
    Release("13.2", 1302001),
    Release("14", 1400097, "ziglang==0.15.2"),
    Release("15", 1500068, "ziglang==0.16.0"),
    # 16-CURRENT: Release("16", 1600000), with its wheel once there is one.
)
#: By major number, those whose headers do not need release sets.
RELEASES = {release.major: release for release in VERSIONS if release.wheel}
NEWEST = RELEASES[max(RELEASES)]


def dotted(version: int) -> str:
    """For example ``13.2``, from __FreeBSD_version."""
    return f"{version // 100000}.{version // 1000 % 100}"


def of(version: int) -> Release:
    """The release that programs for an installed version are built with, by its
    __FreeBSD_version."""
    return RELEASES.get(version // 100000) or Release(dotted(version), version)


def spoken(names: list[str]) -> str:
    """For example ``13.2, 14 and 15``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


ALL = spoken([release.name for release in VERSIONS])
WITH_HEADERS = spoken([release.name for release in RELEASES.values()])

if __name__ == "__main__":
    print(NEWEST.major)  # for meson
