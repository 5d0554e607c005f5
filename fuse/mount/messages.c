/* SPDX-License-Identifier: MIT */
#include "fuse/mount/messages.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <fuse_log.h>

#define LINE_BYTES 2048

static atomic_bool to_syslog;
static struct diag *capture; /* set and reset only while one thread uses libfuse */

static void emit(int priority, const char *fmt, va_list args) PRINTF_LIKE(2, 0);

static void emit(int priority, const char *fmt, va_list args)
{
	char line[LINE_BYTES];

	(void)vsnprintf(line, sizeof(line), fmt, args);
	line[strcspn(line, "\n")] = '\0';
	if (to_syslog)
		syslog(priority, "%s", line);
	else
		fprintf(stderr, "freyjafs: %s\n", line);
}

void log_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	emit(LOG_ERR, fmt, args);
	va_end(args);
}

void log_notice(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	emit(LOG_NOTICE, fmt, args);
	va_end(args);
}

static void from_libfuse(enum fuse_log_level level, const char *fmt, va_list args)
	PRINTF_LIKE(2, 0);

static void from_libfuse(enum fuse_log_level level, const char *fmt, va_list args)
{
	if (level >= FUSE_LOG_DEBUG) {
		if (!to_syslog)
			(void)vfprintf(stderr, fmt, args);
	} else if (capture != NULL) {
		(void)vsnprintf(capture->text, sizeof(capture->text), fmt, args);
		capture->text[strcspn(capture->text, "\n")] = '\0';
	} else {
		emit(level <= FUSE_LOG_ERR ? LOG_ERR : LOG_NOTICE, fmt, args);
	}
}

void log_init(void)
{
	fuse_set_log_func(from_libfuse);
}

void log_to_syslog(void)
{
	openlog("freyjafs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	to_syslog = true;
}

void log_capture_libfuse(struct diag *into)
{
	capture = into;
}
