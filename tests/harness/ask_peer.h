/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests to the helper domain.  Include after <cmocka.h>. */
#ifndef _ASK_PEER_H_
#define	_ASK_PEER_H_

#include <string.h>

#include "harness.h"

/* The answer must begin with the expected text. */
static inline void
ask_peer(const char *request, const char *expected)
{
	char reply[256];

	assert_int_equal(harness_peer(request, reply, sizeof(reply)), 0);
	if (strncmp(reply, expected, strlen(expected)) != 0)
		fail_msg("%s: %s", request, reply);
}

#endif /* !_ASK_PEER_H_ */
