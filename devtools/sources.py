# SPDX-License-Identifier: BSD-2-Clause
"""Debian source packages, downloaded by apt and unpacked by dpkg-source into the cache.

The machine's own lists of sources are neither needed nor changed: apt gets private ones, from the
archives that the machine takes its packages from.  No version is fixed, because mirrors drop
superseded ones: the newest that can be downloaded is taken.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from devtools.console import DevError
from devtools.locks import locked
from devtools.paths import cache_dir


def _run(argv: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            argv, cwd=cwd, capture_output=True, text=True, check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except FileNotFoundError:
        raise DevError(f"{argv[0]} is missing: sources come from Debian's archive") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        errors = [line for line in lines if line.startswith(("E:", "dpkg-source: error"))]
        raise DevError(f"{argv[0]}: {(errors or lines)[0]}")
    return done.stdout


class Index:
    """apt with its own lists.  `newer`: also those of Debian's current stable release."""

    def __init__(self, newer: bool = False) -> None:
        self.newer = newer
        self.root = cache_dir() / "sources" / ("index-stable" if newer else "index")

    def apt(self, tool: str, *arguments: str, cwd: Path | None = None) -> str:
        options = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": f"{self.root}/parts",
            "Dir::State::lists": f"{self.root}/lists",
            "Dir::Cache": f"{self.root}/cache",
        }
        if os.geteuid() == 0:
            options["APT::Sandbox::User"] = "root"  # the sandbox's user cannot write here
        told = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return _run([tool, "-q", *told, *arguments], cwd)

    def update(self) -> None:
        for place in ("parts", "lists/partial", "cache/archives/partial"):
            (self.root / place).mkdir(parents=True, exist_ok=True)
        lines = _archives(self.newer)
        (self.root / "parts/sources.list").write_text("".join(f"{line}\n" for line in lines))
        self.apt("apt-get", "update")

    def versions(self, name: str) -> list[str]:
        """The versions in the index, newest first."""
        shown = self.apt("apt-cache", "showsrc", name)
        found = []
        for entry in shown.split("\n\n"):
            fields = dict(re.findall(r"^(Package|Version): (.*)$", entry, re.MULTILINE))
            if fields.get("Package") == name:
                found.append(fields["Version"])
        # dpkg can compare versions; there are only two or three.
        for _ in found:
            for i in range(len(found) - 1):
                order = ["dpkg", "--compare-versions", found[i], "lt", found[i + 1]]
                if subprocess.run(order, check=False).returncode == 0:
                    found[i], found[i + 1] = found[i + 1], found[i]
        return list(dict.fromkeys(found))


def _archives(newer: bool) -> list[str]:
    """deb-src lines of the Debian archives that this machine uses."""
    wanted = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN) $(SIGNED_BY)"
    shown = _run(["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"])
    lines = []
    for line in dict.fromkeys(shown.splitlines()):
        uri, suite, component, origin, *signed = line.split(" ")
        if origin != "Debian":
            continue
        by = f" [signed-by={signed[0]}]" if signed and signed[0].startswith("/") else ""
        lines.append(f"deb-src{by} {uri} {suite} {component}")
        if newer and not re.search(r"[-/](security|updates|backports)", f"{uri}{suite}"):
            lines.append(f"deb-src{by} {uri} stable {component}")
    if not lines:
        raise DevError("apt knows no archive of Debian on this machine")
    return list(dict.fromkeys(lines))


def obtain(name: str, newer: bool = False) -> Path:
    """A package's unpacked source, in a directory of the cache; it is downloaded once."""
    root = cache_dir() / "sources"
    with locked(root / ".lock"):
        if here := sorted(root.glob(f"{name}_*/.complete"), key=lambda p: p.stat().st_mtime):
            return here[-1].parent
        index = Index(newer)
        index.update()
        problem = DevError(f"no source package {name} in Debian's archive")
        for version in index.versions(name):
            slug = re.sub(r"[^\w.+~-]", "%", version)
            try:
                return _unpack(index, name, version, root / f"{name}_{slug}")
            except DevError as error:
                problem = error
        raise problem


def _unpack(index: Index, name: str, version: str, target: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".get-") as scratch:
        where = Path(scratch)
        index.apt("apt-get", "source", "--download-only", f"{name}={version}", cwd=where)
        (description,) = where.glob("*.dsc")
        _run(["dpkg-source", "--no-check", "-x", description.name, "tree"], where)
        shutil.rmtree(target, ignore_errors=True)
        (where / "tree").rename(target)
    (target / ".complete").write_text(version)
    return target
