# SPDX-License-Identifier: BSD-2-Clause
"""Run by the interpreter that is to go into an image: collect_python.py DIRECTORY PACKAGE…

Puts the packages, and everything that they and the interpreter import, into DIRECTORY with their
paths below lib/pythonX.Y: sourceless .pyc files, since compiling under emulation would be slow, and
extension modules, each with its original path in NAME.so.origin (a copy has lost its $ORIGIN).
Prints the path of the interpreter and X.Y.
"""

from __future__ import annotations

import importlib
import importlib.util
import modulefinder
import pkgutil
import py_compile
import shutil
import sys
from pathlib import Path

# Large, and imported only by functions that no command-line program calls.
UNWANTED = [
    "_aix_support", "_osx_support", "asyncio", "bdb", "code", "codeop", "ctypes", "curses",
    "distutils", "doctest", "email", "ensurepip", "html", "http", "idlelib", "lib2to3",
    "multiprocessing", "pdb", "pip", "pydoc", "pydoc_data", "setuptools", "sqlite3", "ssl",
    "test", "tkinter", "turtle", "unittest", "urllib.request", "xml", "xmlrpc",
]  # fmt: skip
# Imported by the interpreter before any program, or by name.
ALWAYS = [
    "abc", "codecs", "encodings", "encodings.aliases", "encodings.ascii", "encodings.latin_1",
    "encodings.utf_8", "genericpath", "importlib", "importlib.machinery", "importlib.util", "io",
    "linecache", "os", "posixpath", "runpy", "site", "stat", "traceback", "warnings",
    "zipimport",
]  # fmt: skip


def modules_of(package: str) -> list[str]:
    """A package and its modules, as far as they can be found without running them."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        sys.exit(f"no module named {package} for {sys.executable}: ./dev build installs it")
    names = [package]
    for place in spec.submodule_search_locations or ():
        names += [f"{package}.{found.name}" for found in pkgutil.iter_modules([place])]
    return names


def imported_by_c(names: list[str]) -> list[str]:
    """What an actual import of the modules loads: extension modules import others, too."""
    before = set(sys.modules)
    for name in names:
        if not name.endswith(".__main__"):
            importlib.import_module(name)
    return [
        name
        for name in sys.modules.keys() - before
        if getattr(sys.modules[name], "__spec__", None) is not None
    ]


def main() -> None:
    target, *packages = sys.argv[1:]
    finder = modulefinder.ModuleFinder(excludes=UNWANTED)
    wanted = [name for package in packages for name in modules_of(package)]
    for name in [*ALWAYS, *wanted, *imported_by_c(wanted)]:
        # As if a program contained "import name": parents and their imports are included.
        finder.import_hook(name)
    for name, module in finder.modules.items():
        file: str | None = getattr(module, "__file__", None)
        if file is None:
            continue  # built into the interpreter
        source = Path(file)
        place = Path(target, *name.split("."))
        if source.suffix == ".so":
            place = place.parent / source.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
            Path(f"{place}.origin").write_text(str(source))
            continue
        place = (
            place / "__init__.pyc"
            if getattr(module, "__path__", None)
            else place.with_name(f"{place.name}.pyc")
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        # Without times or paths of this machine: the same sources give the same image.
        py_compile.compile(
            str(source), str(place), f"{name}.py", doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )  # fmt: skip
    # Without this directory the interpreter complains about its exec_prefix.
    dynload = Path(target, "lib-dynload")
    dynload.mkdir(exist_ok=True)
    (dynload / "README").write_text("extension modules lie beside the others\n")
    print(Path(sys.executable).resolve())
    print(f"{sys.version_info.major}.{sys.version_info.minor}")


main()
