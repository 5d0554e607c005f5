/* SPDX-License-Identifier: MIT */
/* The lock of the keydir, for all files that change the keydir. */
#include "writer/index/keydir_private.h"

void keydir_write_lock(struct keydir *k) NO_THREAD_SAFETY
{
	if (!k->alone)
		rwlock_write_lock(&k->lock);
}

void keydir_write_unlock(struct keydir *k) NO_THREAD_SAFETY
{
	if (!k->alone)
		rwlock_write_unlock(&k->lock);
}

void keydir_set_alone(struct keydir *k, bool alone)
{
	k->alone = alone;
}
