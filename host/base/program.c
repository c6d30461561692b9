#include "base/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A new path where such a file is there, else NULL. */
static char *existing(const char *folder, const char *between, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s", folder, between, name) < 0)
        return NULL;
    char *real = realpath(path, NULL);
    free(path);
    return real;
}

char *program_file(const char *beside, const char *below, const char *configured)
{
    char folder[4096];
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    char *found = NULL;
    if (length > 0) {
        folder[length] = '\0';
        char *slash = strrchr(folder, '/');
        if (slash)
            *slash = '\0';
        if (beside)
            found = existing(folder, "", beside);
        if (!found && strcmp(folder, EXPORTD_PROGRAM_DIR) != 0)
            found = existing(folder, EXPORTD_TO_PREFIX, below);
    }
    return found ? found : strdup(configured);
}
