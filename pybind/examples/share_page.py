# SPDX-License-Identifier: BSD-2-Clause
"""Shares a page with another domain, which reads it.

In domain 1:  python share_page.py share 0 "good morning"     (prints a grant reference, say 8)
In domain 0:  python share_page.py read 1 8
"""

import sys

from xengnttab import GrantShare, GrantTable


def share(domid: int, text: str) -> None:
    with GrantShare() as device, device.share(domid) as page:
        page.write(text.encode())
        print(page.refs[0], flush=True)
        input()  # until Enter; then the other domain can map the page no more


def read(domid: int, ref: int) -> None:
    with GrantTable() as device, device.map(domid, ref) as page:
        # The other domain may write meanwhile: read once, then look at what was read.
        content = page.read()
    print(content.split(b"\0")[0].decode("utf-8", "replace"))


if __name__ == "__main__":
    role, domid, rest = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if role == "share":
        share(domid, rest)
    else:
        read(domid, int(rest))
