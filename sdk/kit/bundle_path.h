/*
 * bundle_path.h: the rules of one path, inside the kit.
 */
#ifndef EXPORTD_KIT_BUNDLE_PATH_H
#define EXPORTD_KIT_BUNDLE_PATH_H

#include <exportd/kit/bundle.h>
#include <locale.h>

/* The path as a file system that ignores case sees it: a new string (free it), or NULL when out of memory. locale:
 * one whose characters are Unicode's, or 0, and only ASCII folds. */
char *exportd_path_fold(const char *path, locale_t locale);

#endif
