/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to the helper domain, and values of sysctls.  Include after
 * <cmocka.h>.
 */
#ifndef _ASK_PEER_H_
#define	_ASK_PEER_H_

#include <stdio.h>
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

/* A helper domain that grants 16 pages by references from ref on. */
static inline void
ask_peer_for_grants(unsigned ref)
{
	char request[64];

	ask_peer("new pages=16 frames=1", "ok");
	for (unsigned i = 0; i < 16; i++) {
		snprintf(request, sizeof(request), "grant %u %u 0x1", ref + i,
		    i);
		ask_peer(request, "ok");
	}
}

static inline uint64_t
sysctl(const char *name)
{
	uint64_t value;

	assert_int_equal(harness_sysctl64(name, &value), 0);
	return (value);
}

#endif /* !_ASK_PEER_H_ */
