# SPDX-License-Identifier: BSD-2-Clause
"""What FreeBSD's own gntdev, or its commands on our node, answer otherwise than Linux, by case.

Column freebsd-base shows the rows of `DEFECTS` (see `k_rows.B_ROWS`) instead of red; a crash stays
a crash.  Column freebsd-words shows K26 where exactly the named expectations are not met.
"""

from __future__ import annotations

#: Case -> rows.
DEFECTS: dict[str, tuple[str, ...]] = {}

#: Case -> how the expectations begin that are not met.
WORDS: dict[str, tuple[str, ...]] = {}
