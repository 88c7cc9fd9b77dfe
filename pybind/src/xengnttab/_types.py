# SPDX-License-Identifier: BSD-2-Clause
"""Types for annotations; typing.get_type_hints() needs them at run time, too."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer
elif sys.version_info >= (3, 12):
    from collections.abc import Buffer
else:
    # Python 3.11 has no type for the buffer protocol.
    Buffer = Any

__all__ = ["Buffer"]
