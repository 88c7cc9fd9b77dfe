# SPDX-License-Identifier: BSD-2-Clause
"""What FreeBSD's own gntdev answers otherwise than Linux (column freebsd-base), by case.

A case that is named here and goes wrong there shows the K row instead; any other is red.
"""

from __future__ import annotations

#: Case -> K row.
DEFECTS: dict[str, str] = {}

#: Case -> K row, of those that end in a panic: they are not run again.
PANICS: dict[str, str] = {}
