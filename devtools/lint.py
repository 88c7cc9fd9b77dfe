# SPDX-License-Identifier: BSD-2-Clause
"""The checks of ./dev lint.  Each has a name, runs alone and reports what it found."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from devtools.console import Console
from devtools.environment import environment, tool
from devtools.paths import LOGS, ROOT

SPDX = "SPDX-License-Identifier: BSD-2-Clause"
# Files that cannot carry a comment, or whose format has its own licence line.
NO_SPDX = {
    *("LICENSE", "VERSION", ".gitignore"),
    *("pkg-descr", "pkg-message", "pkg-message.in", "pkg-plist"),
}
NO_SPDX_SUFFIXES = {".abi", ".md", ".json", ".svg", ".pc", ".typed"}
MAN_PAGE = re.compile(r"\.[1-9]$")


@dataclass(frozen=True)
class Check:
    name: str
    run: Callable[[Console, list[Path]], tuple[int, Path]]


def tracked() -> list[Path]:
    """The tree's files: tracked and new ones, but not ignored ones (without git: all but
    build/)."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True,
    )  # fmt: skip
    if listed.returncode == 0:
        paths: Iterable[Path] = (ROOT / name for name in listed.stdout.split("\0") if name)
    else:
        skip = {"build", "report", ".git"}
        paths = (p for p in ROOT.rglob("*") if p.relative_to(ROOT).parts[0] not in skip)
    return sorted(p for p in set(paths) if p.is_file() and not p.is_symlink())


def missing_spdx(files: Iterable[Path]) -> list[Path]:
    """Source files without the licence line as the first line (the second after #!)."""
    bad = []
    for path in files:
        if path.name in NO_SPDX or path.suffix in NO_SPDX_SUFFIXES:
            continue
        with path.open(errors="replace") as source:
            first = source.readline()
            line = source.readline() if first.startswith(("#!", "<!DOCTYPE")) else first
        if first and SPDX not in line:
            bad.append(path)
    return bad


def _spdx(console: Console, files: list[Path]) -> tuple[int, Path]:
    bad = missing_spdx(files)
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "lint-spdx.log"
    log.write_text("".join(f"{p.relative_to(ROOT)}: first line lacks '{SPDX}'\n" for p in bad))
    return (1 if bad else 0), log


# Up to this commit subjects were longer and most commits had no body.  After a release, put its tag
# here.
RULES_SINCE = "cff71f8"
SUBJECT = 72


def wrong_commits(log: str) -> list[str]:
    """Mistakes in commits; each commit is its hash, subject and body, and ends with a zero byte."""
    wrong = []
    for entry in filter(None, (part.strip() for part in log.split("\0"))):
        name, subject, *body = entry.split("\n", 2)
        if len(subject) > SUBJECT:
            wrong.append(f"{name}: subject of {len(subject)} characters: {subject}")
        if not re.match(r"[a-z0-9./_-]+(, [a-z0-9./_-]+)*: \S", subject):
            wrong.append(f"{name}: subject without an area: {subject}")
        if not "".join(body).strip():
            wrong.append(f"{name}: no body that says why: {subject}")
    return wrong


def _commits(console: Console, files: list[Path]) -> tuple[int, Path]:
    git = ["git", "-C", str(ROOT)]
    tag = subprocess.run(
        [*git, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"],
        capture_output=True, text=True,
    )  # fmt: skip
    since = tag.stdout.strip() or RULES_SINCE
    said = subprocess.run(
        [*git, "log", "--no-merges", "--format=%h%n%s%n%b%x00", f"{since}..HEAD"],
        capture_output=True, text=True,
    )  # fmt: skip
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "lint-commits.log"
    # A tarball or a shallow clone has no history to check.
    wrong = wrong_commits(said.stdout) if said.returncode == 0 else []
    log.write_text("".join(f"{line}\n" for line in wrong) or said.stderr)
    return (1 if wrong else 0), log


# Documents that no reader has.  Comments state the fact and may cite a row of docs/abi.md.
ABSENT = re.compile(
    r"\b(REFERENCE (section )?[0-9A-Z]|DESIGN (section )?[0-9]|habit H[0-9]|time-line T[0-9])"
)


def absent_documents(files: Iterable[Path]) -> list[str]:
    """Lines that cite a document that is not in the tree."""
    wrong = []
    for path in files:
        text = path.read_text("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            if match := ABSENT.search(line):
                wrong.append(f"{path}:{number}: cites what is not here: {match[0]}")
    return wrong


_PATH = re.compile(
    r"(?<![\w./-])(?:kernel|tests|compat-tests|devtools|docs|pybind|libxengnttab-freebsd|ports)/"
    r"[\w./*-]*[\w*/]"
)


def absent_files(files: Iterable[Path]) -> list[str]:
    """Files that a document names but that do not exist; SYSTEM and the like are placeholders."""
    wrong = []
    for path in (p for p in files if p.suffix == ".md" and p.name != "CHANGELOG.md"):
        for named in _PATH.findall(path.read_text("utf-8")):
            if re.search(r"[A-Z]{4}", named) is None and not any(
                ROOT.glob(f"{named.rstrip('/')}*")
            ):
                wrong.append(f"{path}: names what is not here: {named}")
    return wrong


def _citations(console: Console, files: list[Path]) -> tuple[int, Path]:
    wrong = absent_documents(files)
    wrong += absent_files(files)
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "lint-citations.log"
    log.write_text("".join(f"{line}\n" for line in wrong))
    return (1 if wrong else 0), log


def _command(name: str, *argv: str | Path) -> Check:
    return Check(name, lambda c, _: c.run(f"lint {name}", argv, env=environment()))


def _over(name: str, wanted: Callable[[Path], bool], *argv: str | Path) -> Check:
    """A command that gets the matching files as arguments."""

    def run(console: Console, files: list[Path]) -> tuple[int, Path]:
        names = [p.relative_to(ROOT) for p in files if wanted(p)]
        return console.run(f"lint {name}", [*argv, *names] if names else ["true"],
                           env=environment())  # fmt: skip

    return Check(name, run)


def checks() -> list[Check]:
    return [
        Check("spdx", _spdx),
        Check("commits", _commits),
        Check("citations", _citations),
        _command("ruff", tool("ruff"), "check", "."),
        _command("ruff-format", tool("ruff"), "format", "--diff", "."),
        _command("mypy", tool("mypy")),
        _over("clang-format", lambda p: p.suffix in (".c", ".h"),
              tool("python3"), "-m", "devtools.cformat"),
        _over("mandoc", lambda p: bool(MAN_PAGE.search(p.name)),
              "mandoc", "-T", "lint", "-W", "warning"),
        _over("codespell", lambda p: True, tool("codespell")),
        _over("shell", lambda p: p.suffix == ".sh" or p.relative_to(ROOT) == Path(".ci/run"),
              "bash", "-n"),
    ]  # fmt: skip
