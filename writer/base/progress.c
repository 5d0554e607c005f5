/* SPDX-License-Identifier: MIT */
#include "writer/base/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "writer/base/thread.h"

#define FIRST_NS UINT64_C(1000000000)
#define NEXT_NS	 UINT64_C(200000000)
#define WIPE	 "\r\033[K"

void progress_begin(struct progress *p, int fd, const char *label)
{
	*p = (struct progress){
		.fd = isatty(fd) ? fd : -1,
		.label = label,
		.now_ns = monotonic_ns,
		.next_ns = monotonic_ns() + FIRST_NS,
	};
}

void progress_show(void *arg, uint64_t done_bytes, uint64_t all_bytes)
{
	struct progress *p = arg;
	uint64_t now_ns;

	if (p->fd < 0)
		return;
	now_ns = p->now_ns();
	if (now_ns < p->next_ns)
		return;
	p->next_ns = now_ns + NEXT_NS;
	p->shown = true;
	(void)dprintf(p->fd, WIPE "%s, %.0f %%", p->label,
		      all_bytes == 0 ? 0 : (double)done_bytes * 100 / (double)all_bytes);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		(void)dprintf(p->fd, WIPE);
	p->shown = false;
}
