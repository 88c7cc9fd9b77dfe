# SPDX-License-Identifier: BSD-2-Clause
# What build_native.py makes of libxenevtchn's functions.
from typing import Any

class _FFI:
    NULL: Any
    errno: int
    def dlopen(self, name: str) -> Any: ...

ffi: _FFI
