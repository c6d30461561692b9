/*
 * image.h: which image a context is built on.
 */
#ifndef EXPORT_DOCKER_IMAGE_H
#define EXPORT_DOCKER_IMAGE_H

#include "context.h"

/* Writes the reference of the image to out: options->image where it is given and fits the version, else Playwright's
 * own image of that version. Returns 0, or -1 with error filled. */
int image_choose(const char *version, const struct context_options *options, char *out, size_t out_size,
                 struct exportd_kit_error *error);

/* Checks an npm registry's address. Returns 0, or -1 with error filled. */
int image_check_npm_registry(const char *url, struct exportd_kit_error *error);

#endif
