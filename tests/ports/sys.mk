# SPDX-License-Identifier: BSD-2-Clause
# Stands in for the base system's file: no rules are needed.
