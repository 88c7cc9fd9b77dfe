# SPDX-License-Identifier: BSD-2-Clause
"""The package as a user gets it: source distribution and wheel, installed by pip alone into a clean
virtual environment, where the examples of its README run (on the harness)."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from devtools.environment import environment
from devtools.paths import ROOT

PYBIND = ROOT / "pybind"
PATIENCE = 300


def run(*command: str | Path, cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clean_env(build: Path) -> dict[str, str]:
    """A user's environment: the library by pkg-config, nothing else of this tree."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return {**env, "PKG_CONFIG_PATH": str(build.resolve() / "meson-uninstalled")}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory, clean_env: dict[str, str]) -> Path:
    """Made from a copy of the working tree, so that uncommitted changes count, too."""
    root = tmp_path_factory.mktemp("sdist")
    tree = root / "pybind"
    listed = run(
        "git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=PYBIND, env=clean_env
    )
    for name in listed.splitlines():
        if (PYBIND / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((PYBIND / name).read_bytes())
    identity = ("-c", "user.name=x", "-c", "user.email=x")
    (root / "CHANGELOG.md").write_bytes((ROOT / "CHANGELOG.md").read_bytes())
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "x")):
        run("git", *words, cwd=tree, env=clean_env)
    program = f"import mesonpy; print(mesonpy.build_sdist({str(root)!r}))"
    path = environment()["PATH"]
    run(sys.executable, "-c", program, cwd=tree, env={**clean_env, "PATH": path})
    (found,) = root.glob("*.tar.gz")
    return found


def venv(where: Path, env: dict[str, str]) -> Path:
    run(sys.executable, "-m", "venv", where, cwd=where.parent, env=env)
    return where / "bin"


def pip(bin_: Path, *words: str | Path, env: dict[str, str]) -> None:
    quiet = ("--quiet", "--disable-pip-version-check")
    run(bin_ / "python", "-m", "pip", *words, *quiet, cwd=bin_.parent, env=env)


def test_sdist_has_what_a_build_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"PKG-INFO", "LICENSE", "README.md", "meson.build", "build_native.py"} <= names
    assert {"man/xengnttab.1", "src/xengnttab/py.typed", "src/xengnttab/_area.c"} <= names
    assert "CHANGELOG.md" in names
    assert any(name.startswith("examples/") and name.endswith(".py") for name in names)


def tool(name: str) -> Path:
    return Path(sys.executable).parent / name


def test_metadata(sdist: Path) -> None:
    """What an index shows and installers use."""
    run(tool("twine"), "check", "--strict", sdist, cwd=sdist.parent, env=dict(os.environ))
    with tarfile.open(sdist) as archive:
        (info,) = [name for name in archive.getnames() if name.endswith("PKG-INFO")]
        file = archive.extractfile(info)
        assert file is not None
        fields = email.message_from_bytes(file.read())
    assert fields["License-Expression"] == "BSD-2-Clause"
    assert fields.get_all("License-File") == ["LICENSE"]
    assert fields["Author"] and fields["Maintainer"]
    assert all(" https://" in url for url in fields.get_all("Project-URL", []))
    assert fields.get_all("Project-URL") and fields.get_all("Provides-Extra") == ["completion"]
    classifiers = fields.get_all("Classifier", [])
    for version in ("3.11", "3.12", "3.13"):
        assert f"Programming Language :: Python :: {version}" in classifiers
    assert "Typing :: Typed" in classifiers


def test_a_missing_library_is_named(sdist: Path, tmp_path: Path, clean_env: dict[str, str]) -> None:
    said = setup(sdist, tmp_path, {**clean_env, "PKG_CONFIG_LIBDIR": "/nonexistent",
                                   "PKG_CONFIG_PATH": ""})  # fmt: skip
    assert "libxengnttab is not installed: install libxen-dev (Debian), xen-tools (FreeBSD)" in said


def test_free_threaded_python_is_refused(
    sdist: Path, tmp_path: Path, clean_env: dict[str, str]
) -> None:
    """Tested with a Python that only claims to be free-threaded."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sysconfig\nsysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1\n"
    )
    said = setup(sdist, tmp_path, {**clean_env, "PYTHONPATH": str(tmp_path)})
    assert "does not support free-threaded Python" in said


def setup(sdist: Path, where: Path, env: dict[str, str]) -> str:
    """The message of meson for a build that must fail."""
    with tarfile.open(sdist) as archive:
        archive.extractall(where, filter="data")
    (tree,) = where.glob("xengnttab-*")
    done = subprocess.run(
        [tool("meson"), "setup", where / "build", tree],
        env={**env, "PATH": environment()["PATH"]}, capture_output=True, text=True, check=False,
        timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode != 0
    return " ".join(done.stdout.split())


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (PYBIND / "README.md").read_text(), re.DOTALL)


def check_examples(python: Path, build: Path, where: Path) -> None:
    """Runs the first in domain 1, the others in domain 0, as the README says."""

    def start(domid: int, program: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [python, "-c", program],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=where,
            env={
                **os.environ,
                "LD_PRELOAD": str(build.resolve() / "tests/harness/libxengnt-harness.so"),
                "XENGNT_HARNESS_MACHINE": str(where / "machine"),
                "XENGNT_HARNESS_DOMID": str(domid),
            },
        )  # fmt: skip

    first, *others = examples()
    assert len(others) == 2
    sharer = start(1, first)
    try:
        assert sharer.stdout is not None
        ref = sharer.stdout.readline().strip()
        assert ref, sharer.communicate()[1]
        for program in others:
            # The reference that the other side printed.
            out, err = start(0, re.sub(r"\b8\b", ref, program)).communicate(timeout=PATIENCE)
            assert (out, err) == ("b'hello'\n", "")
        _, err = sharer.communicate("\n", timeout=PATIENCE)
        assert (sharer.returncode, err) == (0, "")
    finally:
        sharer.kill()
        sharer.wait()


def check_installed(bin_: Path, build: Path, where: Path, env: dict[str, str]) -> None:
    assert run(bin_ / "xengnttab", "--version", cwd=where, env=env).startswith("xengnttab ")
    place = run(bin_ / "python", "-c", "import xengnttab; print(xengnttab.__file__)", cwd=where,
                env=env)  # fmt: skip
    assert place.startswith(str(bin_.parent))
    strict = (bin_ / "python", "-W", "error", "-X", "dev")
    assert run(*strict, "-c", "from xengnttab import *", cwd=where, env=env) == ""
    assert run(*strict, "-m", "xengnttab", "--version", cwd=where, env=env)
    check_examples(bin_ / "python", build, where)


@pytest.mark.parametrize("way", ["sdist", "wheel"])
def test_pip_alone(
    way: str, sdist: Path, build: Path, tmp_path: Path, clean_env: dict[str, str]
) -> None:
    if not (build / "tests/harness/libxengnt-harness.so").exists():
        pytest.skip("the harness is not built")
    bin_ = venv(tmp_path / "clean", clean_env)
    what: Sequence[str | Path] = [sdist]
    if way == "wheel":
        # With the tools that are here, which saves downloading the build requirements.
        tools = {**clean_env, "PATH": environment()["PATH"]}
        options = ("--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path)
        pip(Path(sys.executable).parent, "wheel", *options, sdist, env=tools)
        (wheel,) = tmp_path.glob("*.whl")
        # One wheel for every Python from 3.11 on.
        assert re.search(r"-cp311-abi3-linux", wheel.name)
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        assert "xengnttab/py.typed" in names
        assert any(name.endswith("share/man/man1/xengnttab.1") for name in names), names
        what = [wheel]
        run(tool("twine"), "check", "--strict", wheel, cwd=tmp_path, env=dict(os.environ))
        run(tool("abi3audit"), "--strict", wheel, cwd=tmp_path, env=dict(os.environ))
    pip(bin_, "install", *what, env=clean_env)
    check_installed(bin_, build, tmp_path, clean_env)
