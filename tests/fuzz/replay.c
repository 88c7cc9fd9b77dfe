/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a fuzz target on a committed corpus, without libFuzzer. */
#include <errno.h>

#include "fuzz.h"

/* The value of hexadecimal digits; -1 for anything else. */
static int
bytes(const char *hex, uint8_t *buf, size_t room)
{
	size_t i, length;

	length = strlen(hex);
	if (length % 2 != 0 || length / 2 > room ||
	    strspn(hex, "0123456789abcdef") != length)
		return (-1);
	for (i = 0; i < length / 2; i++)
		sscanf(hex + 2 * i, "%2hhx", &buf[i]);
	return ((int)(length / 2));
}

/* The argument is a file with a line for each input: name, bytes in hex. */
int
main(int argc, char **argv)
{
	static uint8_t buf[1024];
	static char line[4096], name[64], hex[2 * sizeof(buf) + 1];
	int n, ran;
	FILE *f;

	if (argc != 2) {
		fprintf(stderr, "usage: %s corpus/NAME.txt\n", argv[0]);
		return (2);
	}
	f = fopen(argv[1], "r");
	if (f == NULL) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return (2);
	}
	for (ran = 0; fgets(line, sizeof(line), f) != NULL; ran++) {
		if (line[0] == '#') {
			ran--;
			continue;
		}
		if (sscanf(line, "%63s %2048s", name, hex) != 2 ||
		    (n = bytes(hex, buf, sizeof(buf))) < 0) {
			fprintf(stderr, "%s: not a name and bytes in hex: %s",
			    argv[1], line);
			return (1);
		}
		SAY("%s\n", name);
		LLVMFuzzerTestOneInput(buf, n);
	}
	fclose(f);
	printf("%d inputs\n", ran);
	return (ran == 0);
}
