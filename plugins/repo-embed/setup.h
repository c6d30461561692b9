/*
 * setup.h: what conf.d and the request say, made an embedder and bounds.
 */
#ifndef REPO_EMBED_SETUP_H
#define REPO_EMBED_SETUP_H

#include "corpus.h"
#include "vectors.h"

/* What a worker keeps from job to job. */
struct setup_state {
    struct vectors *vectors; /* or NULL: not loaded yet */
};

/* A string of the request, or a key of conf.d; NULL where it is missing or empty. */
const char *setup_given(const json_t *data, const char *name);
const char *setup_option(struct exportd_job *job, const char *name);

/* Opens the embedder that is asked for; else the best of those that conf.d sets up. Returns 0, or -1 with error
 * filled. embedder_clear() it in either case. */
int setup_embedder(struct exportd_job *job, const json_t *data, struct embedder *embedder,
                   struct exportd_kit_error *error);

/* Sets how the corpus is cut, and its limits. Returns 0, or -1 with error filled ("option_invalid"). */
int setup_bounds(struct exportd_job *job, const json_t *data, struct corpus *corpus, struct exportd_kit_error *error);

#endif
