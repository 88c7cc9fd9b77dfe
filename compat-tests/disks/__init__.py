# SPDX-License-Identifier: BSD-2-Clause
"""What guests' disks cost: QEMU's on our library and on others, and the kernels' back ends."""
