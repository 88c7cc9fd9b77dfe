# SPDX-License-Identifier: BSD-2-Clause
"""Works on pages of another domain as numpy arrays, without a copy.

python numpy_mapping.py DOMID REF...      (the pages must be granted for writing)
"""

import sys

import numpy as np
from xengnttab import GrantTable


def double(domid: int, refs: list[int]) -> int:
    """Doubles every 32-bit number of the pages where it is; the sum of all."""
    with GrantTable() as device, device.map(domid, refs, writable=True) as pages:
        numbers = np.frombuffer(pages.view(), dtype="<u4")
        numbers *= 2
        total = int(numbers.sum())
        # The array is a view: pages cannot be closed while it is there (BufferError).
        del numbers
    return total


if __name__ == "__main__":
    print(double(int(sys.argv[1]), [int(ref) for ref in sys.argv[2:]]))
