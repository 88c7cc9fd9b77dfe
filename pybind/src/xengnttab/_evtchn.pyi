# SPDX-License-Identifier: BSD-2-Clause
# The module that build_native.py makes for libxenevtchn.
from typing import Any

class _FFI:
    NULL: Any
    errno: int
    def dlopen(self, name: str) -> Any: ...

ffi: _FFI
