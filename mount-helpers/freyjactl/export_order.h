/* SPDX-License-Identifier: MIT */
/* The order of an export: files by the positions of their contents in the log, so that the log is
 * read from one end to the other.
 *
 * Memory is bounded: the order has at most so many files at a time, those with the lowest
 * positions.  If there are more, the caller adds all files once more for the next pass.
 *
 * Threads: one.  The store must not change meanwhile. */
#ifndef FREYJAFS_MOUNT_HELPERS_FREYJACTL_EXPORT_ORDER_H
#define FREYJAFS_MOUNT_HELPERS_FREYJACTL_EXPORT_ORDER_H

#include "writer/store.h"

struct export_order; /* defined in export_order.c */

/* Makes an order of at most 'most' files a pass.  The caller frees it with export_order_free().
 * -ENOMEM. */
int export_order_new(struct store *s, size_t most, struct export_order **ret) WARN_UNUSED;
void export_order_free(struct export_order *o); /* NULL is a no-op; before store_close() */

/* Adds a file, unless an earlier pass has returned it.  A pass begins by adding all files. */
void export_order_add(struct export_order *o, struct node *n);
/* Returns the next file of the pass, valid until the next pass; NULL: there are no more. */
struct node *export_order_next(struct export_order *o);
/* Begins the next pass.  Returns false if all files have been returned. */
bool export_order_again(struct export_order *o);

#endif
