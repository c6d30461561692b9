/*
 * base/tree.h: removing folders that strangers filled.
 */
#ifndef EXPORTD_BASE_TREE_H
#define EXPORTD_BASE_TREE_H

/*
 * Removes path and all below it, never following a link, whatever someone else does to the tree meanwhile. Blocking;
 * any thread. Returns 0, also where there is nothing; else the errno of the first thing that would not go.
 */
int tree_remove(const char *path);

#endif
