# SPDX-License-Identifier: BSD-2-Clause
"""Parses the command's arguments; errors say what is wrong with one."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from xengnttab._numbers import MAX_DOMID, MAX_PORT, MAX_REF, PAGE_SIZE, PEERS
from xengnttab._terminal import complain, put

OK, FAILED, USAGE, NO_DEVICE, NO_OUTPUT = range(5)
EPILOG = """\
exit status: 0 done; 1 refused by the kernel or by Xen; 2 wrong usage, or content that cannot be
read or does not fit; 3 no grant device, or not permitted to open it; 4 output cannot be written
"""


class UsageError(Exception):
    """Arguments that make no sense, alone or together, or content that cannot be read."""

    def __init__(self, message: str, usage: str = "", program: str = "xengnttab") -> None:
        super().__init__(message)
        self.usage = usage
        self.program = program


def number(what: str, smallest: int, largest: int) -> Callable[[str], int]:
    """An argparse type: an integer, decimal or 0x..., in ASCII digits."""

    def parse(value: str) -> int:
        if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", value):
            parsed = int(value, 16)
        elif re.fullmatch(r"-?[0-9]{1,20}", value):
            parsed = int(value, 10)
        else:
            raise argparse.ArgumentTypeError(f"{what} must be a number (got {value!r})")
        if not smallest <= parsed <= largest:
            raise argparse.ArgumentTypeError(
                f"{what} {parsed} is not between {smallest} and {largest}"
            )
        return parsed

    return parse


def seconds(value: str) -> float:
    known = re.fullmatch(r"([0-9]{1,9}(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,2})?", value)
    parsed = float(value) if known else -1.0
    if not 0 <= parsed < 1e9:
        raise argparse.ArgumentTypeError(f"must be a number of seconds (got {value!r})")
    return parsed


def holding(value: str) -> float:
    """Seconds, or `forever`."""
    if value == "forever":
        return math.inf
    try:
        return seconds(value)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(str(error).replace(" (", ", or 'forever' (")) from None


domain = number("domain", 0, MAX_DOMID)
peer = number("domain", 0, PEERS)
reference = number("grant reference", 0, MAX_REF)
byte = number("byte", 0, PAGE_SIZE - 1)
port = number("port", 0, MAX_PORT)


class Parser(argparse.ArgumentParser):
    """argparse's parser, but errors are exceptions and output goes through put() and complain()."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, self.format_usage(), self.prog)

    def _print_message(self, message: str, file: object = None) -> None:
        if file is sys.stdout:
            put(message)
        else:
            complain(message)
