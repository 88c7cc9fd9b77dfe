/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the fuzz targets: reading the input, and checking. */
#ifndef _FUZZ_H_
#define	_FUZZ_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t	*at;
	size_t		left;
};

/* After the last byte come zeroes, so any input is complete. */
static inline uint8_t
take8(struct input *in)
{

	if (in->left == 0)
		return (0);
	in->left--;
	return (*in->at++);
}

static inline uint16_t
take16(struct input *in)
{
	uint16_t v;

	v = take8(in);
	return ((uint16_t)(v | take8(in) << 8));
}

static inline uint32_t
take32(struct input *in)
{
	uint32_t v;

	v = take16(in);
	return (v | (uint32_t)take16(in) << 16);
}

static inline void
take_bytes(struct input *in, void *out, size_t n)
{
	uint8_t *p;

	for (p = out; n > 0; n--)
		*p++ = take8(in);
}

/*
 * XENGNT_FUZZ_VERBOSE=1 prints what the input does, an operation on each line.
 */
static inline bool
verbose(void)
{
	static int on = -1;

	if (on < 0)
		on = getenv("XENGNT_FUZZ_VERBOSE") != NULL;
	return (on > 0);
}

#define	SAY(...)	do {						\
	if (verbose())							\
		fprintf(stderr, __VA_ARGS__);				\
} while (0)

/* A broken rule aborts; the fuzzer keeps the input. */
#define	MUST(cond)	do {						\
	if (!(cond)) {							\
		fprintf(stderr, "fuzz: %s:%d: not so: %s\n", __FILE__,	\
		    __LINE__, #cond);					\
		abort();						\
	}								\
} while (0)

#endif /* !_FUZZ_H_ */
