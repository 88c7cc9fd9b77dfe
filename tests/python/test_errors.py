# SPDX-License-Identifier: BSD-2-Clause
"""Failures of the library become exceptions that name the errno and what was tried."""

from __future__ import annotations

import errno
import pickle

import pytest
from xengnttab import (
    DeviceError,
    DeviceMissingError,
    DevicePermissionError,
    GrantError,
    GrantShare,
    GrantTable,
    MapError,
    ShareError,
    UnmapError,
)

from tests.python.fake_library import FakeLibrary


@pytest.mark.parametrize(
    ("number", "kind", "builtin", "words"),
    [
        (errno.ENOENT, DeviceMissingError, FileNotFoundError, "driver is not loaded"),
        (errno.ENXIO, DeviceMissingError, FileNotFoundError, "driver is not loaded"),
        (errno.EACCES, DevicePermissionError, PermissionError, "only root"),
        (errno.EMFILE, DeviceError, OSError, "EMFILE"),
    ],
)
def test_open(
    fake: FakeLibrary,
    number: int,
    kind: type[GrantError],
    builtin: type[OSError],
    words: str,
) -> None:
    for function, device, factory in (
        ("xengnttab_open", "gntdev", GrantTable),
        ("xengntshr_open", "gntalloc", GrantShare),
    ):
        fake.failures[function] = number
        with pytest.raises(kind, match=words) as caught:
            factory()
        assert isinstance(caught.value, builtin)
        assert caught.value.errno == number
        assert f"cannot open /dev/xen/{device}" in str(caught.value)
        assert errno.errorcode[number] in str(caught.value)


@pytest.mark.parametrize(
    ("platform", "commands"),
    [
        ("linux", ("modprobe xen-gntdev", "modprobe xen-gntalloc")),
        ("freebsd15", ("kldload xengnt", "kldload xengnt")),
    ],
)
def test_missing_device_names_the_module_to_load(
    fake: FakeLibrary,
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    commands: tuple[str, str],
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    fake.failures = {"xengnttab_open": errno.ENOENT, "xengntshr_open": errno.ENOENT}
    with pytest.raises(DeviceMissingError, match=commands[0]):
        GrantTable()
    with pytest.raises(DeviceMissingError, match=commands[1]):
        GrantShare()


def test_map(fake: FakeLibrary) -> None:
    with GrantTable() as table:
        fake.failures["xengnttab_map_grant_refs"] = errno.EINVAL
        with pytest.raises(MapError, match="not granted to this domain for writing") as caught:
            table.map([3, 2], [8, 9], writable=True)
        assert caught.value.errno == errno.EINVAL
        assert str(caught.value).startswith(
            "cannot map grant 8, 9 of domain 2, 3 for writing: Invalid argument (EINVAL)"
        )
        fake.failures["xengnttab_map_grant_refs"] = errno.ENOMEM
        with pytest.raises(MapError, match=r"\(ENOMEM\)$"):
            table.map(1, range(100))


def test_share(fake: FakeLibrary) -> None:
    with GrantShare() as share:
        fake.failures["xengntshr_share_pages"] = errno.ENOSPC
        with pytest.raises(ShareError, match="limit") as caught:
            share.share(3, 2)
        assert caught.value.errno == errno.ENOSPC
        assert "share 2 pages with domain 3" in str(caught.value)


def test_failed_unmap_is_told_once_and_never_touched_again(fake: FakeLibrary) -> None:
    with GrantTable() as table:
        mapping = table.map(1, 8)
        fake.failures["xengnttab_unmap"] = errno.ENOENT
        with pytest.raises(UnmapError, match="ENOENT"):
            mapping.close()
        assert mapping.closed
        mapping.close()
    assert fake.names().count("xengnttab_unmap") == 1


def test_failed_close_is_told(fake: FakeLibrary) -> None:
    table = GrantTable()
    fake.failures["xengnttab_close"] = errno.EIO
    with pytest.raises(DeviceError, match="EIO"):
        table.close()
    assert table.closed


def test_set_max_grants(fake: FakeLibrary) -> None:
    with GrantTable() as table:
        table.set_max_grants(5)
        assert fake.log[-1] == ("xengnttab_set_max_grants", 5)
        fake.failures["xengnttab_set_max_grants"] = errno.EPERM
        with pytest.raises(MapError, match="EPERM"):
            table.set_max_grants(5)


def test_errors_survive_pickling() -> None:
    """As multiprocessing does with an exception of a worker."""
    error = MapError(errno.EINVAL, "map grant 8", "gone")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is MapError
    assert str(copy) == str(error) == "cannot map grant 8: Invalid argument (EINVAL): gone"
    assert copy.errno == errno.EINVAL
