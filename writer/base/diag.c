/* SPDX-License-Identifier: MIT */
#include "writer/base/diag.h"

#include <stdarg.h>
#include <stdio.h>

int diag_set(struct diag *d, int err, const char *fmt, ...)
{
	va_list args;

	if (d == NULL)
		return err;
	va_start(args, fmt);
	(void)vsnprintf(d->text, sizeof(d->text), fmt, args);
	va_end(args);
	return err;
}
