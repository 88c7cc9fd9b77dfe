# SPDX-License-Identifier: BSD-2-Clause
"""Who maps whose grants, according to Xen's answer to debug key ``g``.

Xen prints the entries of each domain's grant table that are in use ("active"), with the domain that
uses them.  Once a process's rows are gone, it has left nothing mapped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BEGIN = "gnttab_usage_print_all [ key 'g' pressed"
END = "gnttab_usage_print_all ] done"

_TABLE = re.compile(r"\(XEN\) +grant-table for remote d(?P<domid>\d+)")
_ENTRY = re.compile(
    r"\(XEN\) +\[(?P<ref>0x[0-9a-f]+)\] +(?P<user>\d+) +0x[0-9a-f]+ +(?P<pin>0x[0-9a-f]+)"
    r" +\d+ +0x[0-9a-f]+ +(?P<flags>0x[0-9a-f]+)"
)


@dataclass(frozen=True, order=True)
class Grant:
    """A mapped entry."""

    granter: int
    ref: int
    user: int


class NoAnswer(ValueError):
    """The log has no complete answer from Xen."""


def _entries(log: str) -> dict[Grant, int]:
    """The entries in use according to the last answer in a log, with their flags."""
    end = log.rfind(END)
    begin = log.rfind(BEGIN, 0, max(end, 0))
    if begin < 0 or end < 0:
        raise NoAnswer("no answer of Xen's to debug key g in the log")
    found = {}
    granter: int | None = None
    for line in log[begin:end].splitlines():
        if table := _TABLE.search(line):
            granter = int(table["domid"])
        elif entry := _ENTRY.search(line):
            if granter is None:
                raise NoAnswer("an entry without a table")
            if int(entry["pin"], 16):
                grant = Grant(granter, int(entry["ref"], 16), int(entry["user"]))
                found[grant] = int(entry["flags"], 16)
    if granter is None:
        raise NoAnswer("no domain's table in Xen's answer")
    return found


def mapped(log: str) -> set[Grant]:
    """The entries in use according to the last answer in a log."""
    return set(_entries(log))


def flags(log: str, granter: int) -> dict[int, int]:
    """The flags of a domain's entries that are in use, by their reference."""
    return {grant.ref: value for grant, value in _entries(log).items() if grant.granter == granter}
