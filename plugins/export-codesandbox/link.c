/* link.h: addresses and fields, as CodeSandbox' own clients make them. */
#include "link.h"

#include "lz_string.h"

#include <exportd/kit/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct exportd_kit_error *error)
{
    *error = (struct exportd_kit_error){
        .code = "out_of_memory", .retryable = 1, .message = "not enough memory for the link"};
    return -1;
}

/* "file=%2Ftests%2Fa.spec.js" */
static char *make_query(const struct exportd_project *project)
{
    char path[EXPORTD_BUNDLE_PATH_MAX + 2];
    char *query = NULL;
    snprintf(path, sizeof path, "/%s", project->test_path);
    char *escaped = exportd_http_escape(path);
    if (escaped && asprintf(&query, "file=%s", escaped) < 0)
        query = NULL;
    free(escaped);
    return query;
}

/* Makes url and embed_url where they are short enough. */
static int make_urls(struct link *link, size_t max_length)
{
    if (asprintf(&link->url, "%s?environment=server&parameters=%s", link->action, link->parameters) < 0) {
        link->url = NULL;
        return -1;
    }
    if (strlen(link->url) > max_length) {
        free(link->url);
        link->url = NULL;
    } else if (strlen(link->url) + strlen("&embed=1") <= max_length &&
               asprintf(&link->embed_url, "%s&embed=1", link->url) < 0) {
        link->embed_url = NULL;
        return -1;
    }
    return 0;
}

int link_make(struct link *link, const struct exportd_project *project, const char *json, const char *web,
              size_t max_length, struct exportd_kit_error *error)
{
    size_t length = strlen(web);
    while (length && web[length - 1] == '/')
        length--;
    if (asprintf(&link->action, "%.*s/api/v1/sandboxes/define", (int)length, web) < 0)
        link->action = NULL;
    link->query = make_query(project);
    link->parameters = lz_string_compress(json);
    if (!link->action || !link->query || !link->parameters || make_urls(link, max_length) < 0)
        return out_of_memory(error);
    return 0;
}

void link_fields(FILE *out, void *context)
{
    const struct link *link = context;
    exportd_page_field(out, "environment", "server");
    exportd_page_field(out, "parameters", link->parameters);
    exportd_page_field(out, "query", link->query);
}

void link_clear(struct link *link)
{
    free(link->parameters);
    free(link->query);
    free(link->url);
    free(link->embed_url);
    free(link->action);
    *link = (struct link){0};
}
