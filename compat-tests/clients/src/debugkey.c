/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xengnt-debugkey KEYS: like `xl debug-keys`, but without xenstored, whose own
 * end must be checked, too.
 */
#include <err.h>
#include <stddef.h>
#include <stdio.h>

#include <xenctrl.h>

int
main(int argc, char **argv)
{
	xc_interface *xch;

	if (argc != 2) {
		fprintf(stderr, "usage: xengnt-debugkey KEYS\n");
		return (2);
	}
	xch = xc_interface_open(NULL, NULL, 0);
	if (xch == NULL)
		err(1, "xc_interface_open");
	if (xc_send_debug_keys(xch, argv[1]) != 0)
		err(1, "xc_send_debug_keys");
	xc_interface_close(xch);
	return (0);
}
