# SPDX-License-Identifier: BSD-2-Clause
"""Results of a parity run and the forms in which people and programs read them."""
