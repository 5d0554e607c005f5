/* SPDX-License-Identifier: MIT */
#include "fuse/transport/cpu_list.h"

#include <errno.h>
#include <stdbool.h>

static bool take_number(const char **p, int *ret)
{
	const char *begin = *p;

	*ret = 0;
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		*ret = *ret * 10 + (**p - '0');
		if (*ret >= CPU_LIST_MAX)
			return false;
	}
	return *p != begin;
}

int cpu_list_count(const char *text)
{
	int first, last, count = 0, lowest = 0;

	for (;;) {
		if (!take_number(&text, &first))
			return -EINVAL;
		last = first;
		if (*text == '-') {
			text++;
			if (!take_number(&text, &last))
				return -EINVAL;
		}
		if (first < lowest || last < first)
			return -EINVAL;
		count += last - first + 1;
		lowest = last + 1;
		if (*text != ',')
			break;
		text++;
	}
	if (*text == '\n')
		text++;
	return *text == '\0' ? count : -EINVAL;
}
