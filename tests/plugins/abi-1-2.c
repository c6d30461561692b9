/* A plugin as one built it with the header of ABI 1.2, which could say what has to come first. */
#include "../data/plugin-abi-1.2.h"

static int has_cache(struct exportd_job *job)
{
    exportd_retry_after(job, 1000);
    return exportd_cache(job) != NULL;
}

#define NAME "abi-1-2"
#define NEWER(job) has_cache(job)
#include "abi_frozen.inc"
