/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a fuzz target on files, without libFuzzer. */
#include <dirent.h>
#include <errno.h>

#include "fuzz.h"

static int
replay(const char *path)
{
	static uint8_t buf[1 << 20];
	size_t n;
	FILE *f;

	f = fopen(path, "rb");
	if (f == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return (1);
	}
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	SAY("%s\n", path);
	LLVMFuzzerTestOneInput(buf, n);
	return (0);
}

/* Arguments are files, or directories of them. */
int
main(int argc, char **argv)
{
	struct dirent *e;
	char path[4096];
	int bad, i, ran;
	DIR *d;

	bad = ran = 0;
	for (i = 1; i < argc; i++) {
		d = opendir(argv[i]);
		if (d == NULL) {
			bad |= replay(argv[i]);
			ran++;
			continue;
		}
		while ((e = readdir(d)) != NULL) {
			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i],
			    e->d_name);
			bad |= replay(path);
			ran++;
		}
		closedir(d);
	}
	printf("%d inputs\n", ran);
	return (bad != 0 || ran == 0);
}
