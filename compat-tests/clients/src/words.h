/* SPDX-License-Identifier: BSD-2-Clause */
/* The data of a test channel: both of its ends make and check the same words. */
#ifndef WORDS_H
#define	WORDS_H

#include <stdint.h>

static inline uint64_t
next_word(uint64_t *state)
{

	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state);
}

/* Depends on the order, unlike a plain sum. */
static inline void
add_word(uint64_t *sum, uint64_t word)
{

	*sum = (*sum << 1 | *sum >> 63) + word;
}

#endif /* !WORDS_H */
