/*
 * base/tree.h: removing and measuring folders that strangers filled.
 */
#ifndef EXPORTD_BASE_TREE_H
#define EXPORTD_BASE_TREE_H

#include <stdint.h>

/*
 * Removes path and all below it, never following a link, whatever someone else does to the tree meanwhile. Blocking;
 * any thread. Returns 0, also where there is nothing; else the errno of the first thing that would not go.
 */
int tree_remove(const char *path);

/*
 * What path takes of the disk, with a block for each name below it, so that many empty files count too. Stops where
 * that is more than most, or where folders lie so deep that nobody would. Never follows a link. Blocking; any thread.
 */
int64_t tree_measure(const char *path, int64_t most);

/*
 * Tells an ext4 that the folders in this one have nothing to do with each other, so that each gets a place of its own
 * on the disk (chattr +T; its name says where). Without, all are made where the last ones were removed, and an ext4
 * without a journal hands out no inode that was freed in the last minutes: it looks at each of them for every new
 * file. Does nothing on other file systems.
 */
void tree_spread(const char *path);

#endif
