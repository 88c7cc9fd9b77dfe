# SPDX-License-Identifier: BSD-2-Clause
"""What guests' disks cost: served by QEMU on our library and on others, and by the kernels' back
ends."""
