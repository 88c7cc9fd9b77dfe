# SPDX-License-Identifier: BSD-2-Clause
"""Results of a parity run, and the formats for people and programs."""
