/* SPDX-License-Identifier: MIT */
/* The io_uring transport of a build without liburing: transport_uring_prepare() fails. */
#include "fuse/transport/transport.h"

#include <errno.h>

const struct transport transport_uring = { 0 }; /* never used */

int transport_uring_prepare(bool required, struct diag *why)
{
	return diag_set(why, -EOPNOTSUPP, "this freyjafs was built without liburing");
}

void transport_uring_discard(void)
{
}
