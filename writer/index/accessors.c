/* SPDX-License-Identifier: MIT */
/* The functions of the keydir that other files inline, for callers outside writer/index/, and the
 * write lock. */
#undef INDEX_ACCESSOR
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
