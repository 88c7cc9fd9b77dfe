# SPDX-License-Identifier: BSD-2-Clause
# Stands in for the base system's file: only variables are asked for.
