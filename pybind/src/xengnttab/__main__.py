# SPDX-License-Identifier: BSD-2-Clause
import sys

from xengnttab.cli import main

sys.exit(main())
