# SPDX-License-Identifier: BSD-2-Clause
__version__: str
