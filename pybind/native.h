/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A logger that drops everything: in Python an exception says what the library
 * would write to stderr.  Layout of struct xentoollog_logger of xentoollog.h,
 * which need not be installed.
 */
#include <stdarg.h>

struct quiet_logger {
	void (*vmessage)(struct xentoollog_logger *, int, int, const char *,
	    const char *, va_list);
	void (*progress)(struct xentoollog_logger *, const char *, const char *,
	    int, unsigned long, unsigned long);
	void (*destroy)(struct xentoollog_logger *);
};

static void
quiet_vmessage(struct xentoollog_logger *logger, int level, int error,
    const char *context, const char *format, va_list ap)
{
	(void)logger;
	(void)level;
	(void)error;
	(void)context;
	(void)format;
	(void)ap;
}

static void
quiet_progress(struct xentoollog_logger *logger, const char *context,
    const char *doing, int percent, unsigned long done, unsigned long total)
{
	(void)logger;
	(void)context;
	(void)doing;
	(void)percent;
	(void)done;
	(void)total;
}

static void
quiet_destroy(struct xentoollog_logger *logger)
{
	(void)logger;
}

static struct quiet_logger quiet = {
	quiet_vmessage,
	quiet_progress,
	quiet_destroy,
};

static struct xentoollog_logger *
quiet_logger(void)
{
	return ((struct xentoollog_logger *)&quiet);
}
