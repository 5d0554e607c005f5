/* SPDX-License-Identifier: MIT */
#include "mount-helpers/common/mounted.h"

#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOUNT_TYPE "fuse.freyjafs"

bool mounted_store(const char *path, char ret_datadir[PATH_MAX])
{
	char *resolved = realpath(path, NULL);
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	bool found = false;

	while (resolved != NULL && mounts != NULL && (m = getmntent(mounts)) != NULL) {
		if (strcmp(m->mnt_type, MOUNT_TYPE) != 0 || strcmp(m->mnt_dir, resolved) != 0)
			continue;
		(void)snprintf(ret_datadir, PATH_MAX, "%s",
			       m->mnt_fsname); /* the last mount there is the topmost */
		found = true;
	}
	if (mounts != NULL)
		(void)endmntent(mounts);
	free(resolved);
	return found;
}
