# SPDX-License-Identifier: BSD-2-Clause
"""The cases of the parity suite: a module for each subject, and what they share."""

from __future__ import annotations

import importlib
import pkgutil

from .framework import Case, registered


def load() -> list[Case]:
    """The cases of every module of this directory, section by section."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return registered()
