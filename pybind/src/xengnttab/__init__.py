# SPDX-License-Identifier: BSD-2-Clause
"""Xen grant tables: share pages of memory with other domains, map the pages they share.

`GrantShare` makes pages and grants them to a domain; `GrantTable` maps pages that domains granted
to this one, or has Xen copy from and to them.  Both return memory: `memoryview`, numpy and anything
else that uses Python's buffer protocol work on it without a copy.

```python
from xengnttab import GrantShare, GrantTable

with GrantShare() as share, share.share(domid=0) as pages:  # in domain 1
    pages.write(b"hello")
    print(pages.refs)

with GrantTable() as table, table.map(domid=1, refs=[8]) as mapping:  # in domain 0
    print(mapping.read(5))
```

Devices, mappings and sharings are context managers.  They can be closed early with `close()`; any
use after that raises ValueError, as for a closed file.  When the kernel refuses something, a
`GrantError` is raised, an OSError with the errno and what it means here.

`EventChannel` signals events between domains that share memory.

Threads may share all objects.  A forked child may only close the devices; any other use
raises RuntimeError.

A domain must not map its own grants: the page is lost, and the kernel may crash.
"""

from xengnttab._numbers import PAGE_SIZE
from xengnttab._version import __version__
from xengnttab.copy import CopyStatus, Place, Segment
from xengnttab.errors import (
    CopyError,
    DeviceError,
    DeviceMissingError,
    DevicePermissionError,
    EventError,
    GrantError,
    MapError,
    ShareError,
    UnmapError,
)
from xengnttab.event import EventChannel
from xengnttab.share import GrantShare, SharedPages
from xengnttab.table import Grant, GrantTable, Mapping

__all__ = [
    "PAGE_SIZE",
    "CopyError",
    "CopyStatus",
    "DeviceError",
    "DeviceMissingError",
    "DevicePermissionError",
    "EventChannel",
    "EventError",
    "Grant",
    "GrantError",
    "GrantShare",
    "GrantTable",
    "MapError",
    "Mapping",
    "Place",
    "Segment",
    "ShareError",
    "SharedPages",
    "UnmapError",
    "__version__",
]
