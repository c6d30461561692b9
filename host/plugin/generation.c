#include "plugin/generation.h"

#include "base/memory.h"
#include "base/tree.h"

#include <stdlib.h>

struct generation *generation_new(struct config *config, struct catalog *catalog, char *folder)
{
    struct generation *generation = memory_zeroed(1, sizeof *generation);
    *generation = (struct generation){.config = config, .catalog = catalog, .folder = folder, .references = 1};
    return generation;
}

struct generation *generation_hold(struct generation *generation)
{
    generation->references++;
    return generation;
}

void generation_release(struct generation *generation)
{
    if (!generation || --generation->references > 0)
        return;
    if (generation->folder)
        tree_remove(generation->folder);
    free(generation->folder);
    catalog_free(generation->catalog);
    config_free(generation->config);
    free(generation);
}
