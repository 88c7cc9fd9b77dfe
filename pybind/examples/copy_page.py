# SPDX-License-Identifier: BSD-2-Clause
"""Copies pages of another domain to a file, without mapping them.

python copy_page.py DOMID FILE REF...
"""

import sys

from xengnttab import PAGE_SIZE, GrantTable, Place, Segment


def copy(domid: int, refs: list[int]) -> bytearray:
    """The pages, one after the other; those that Xen refuses stay zero."""
    content = bytearray(PAGE_SIZE * len(refs))
    with GrantTable() as device, memoryview(content) as room:
        statuses = device.copy(
            Segment(Place(domid, ref), room[number * PAGE_SIZE :], PAGE_SIZE)
            for number, ref in enumerate(refs)
        )
    for ref, status in zip(refs, statuses, strict=True):
        if status:
            print(f"grant {ref}: {status.text}", file=sys.stderr)
    return content


if __name__ == "__main__":
    content = copy(int(sys.argv[1]), [int(ref) for ref in sys.argv[3:]])
    with open(sys.argv[2], "wb") as file:
        file.write(content)
