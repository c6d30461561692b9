/* export-codesandbox: a repro as a sandbox with a virtual machine on CodeSandbox. */
#include "api.h"
#include "files.h"
#include "link.h"
#include "payload.h"

#include <exportd/kit/page.h>
#include <exportd/kit/project.h>
#include <exportd/kit/repro.h>
#include <exportd/kit/text.h>
#include <exportd/plugin.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAKING_SHARE 0.4 /* of the progress, before CodeSandbox is asked */
#define TITLE_MAX_BYTES 255

/* How a sandbox comes about. */
enum way {
    WAY_API,    /* in the workspace of a key */
    WAY_DEFINE, /* without one: it belongs to nobody */
    WAY_OFFLINE /* when somebody opens a link or a page */
};

struct request {
    enum way way;
    struct exportd_project_options project;
    struct exportd_project_image image;
    struct payload_limits limits;
    struct api_options api;
    enum privacy privacy;
    const char *title;  /* or NULL: the repro's */
    const char *folder; /* or NULL */
    size_t max_link;
    int repeat;
    int opens_itself;
};

/* What a run has made so far. */
struct work {
    struct request request;
    struct exportd_job *job;
    const json_t *repro;
    struct exportd_project *project;
    struct payload payload;
    struct link link;
    char *title;
    char *description; /* or NULL */
    char image[320];
    char page[96]; /* the name of the artifact, or "" */
    char id[API_ID_MAX + 1];
    int found; /* an earlier attempt had made it */
};

static int refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
{
    va_list arguments;
    error->code = code;
    error->retryable = strcmp(code, "out_of_memory") == 0;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

static int take_step(void *context, size_t done, size_t all)
{
    struct exportd_job *job = context;
    exportd_progress(job, TAKING_SHARE * (double)done / (double)(all ? all : 1), "taking the files");
    return exportd_cancelled(job);
}

static int is_cancelled(void *context)
{
    return exportd_cancelled(context);
}

static const char *given(const json_t *data, const char *name)
{
    const char *value = json_string_value(json_object_get(data, name));
    return value && *value ? value : NULL;
}

static const char *set(struct exportd_job *job, const char *name, const char *otherwise)
{
    const char *value = exportd_option(job, name);
    return value && *value ? value : otherwise;
}

/* Who may see the sandbox: what the request says, else conf.d, else whoever has the link. Without a key nothing can
 * be kept back, so that what was not meant to be public is not sent. */
static int read_privacy(struct request *request, struct exportd_job *job, const json_t *data,
                        struct exportd_kit_error *error)
{
    static const char *const names[] = {"public", "unlisted", "private"};
    const char *wanted = given(data, "privacy") ? given(data, "privacy") : set(job, "privacy", NULL);
    char quoted[80];
    request->privacy = request->way == WAY_API ? PRIVACY_UNLISTED : PRIVACY_PUBLIC;
    for (int i = 0; wanted && i < 3; i++) {
        if (strcmp(wanted, names[i]) != 0)
            continue;
        if (i == PRIVACY_PUBLIC || request->way == WAY_API) {
            request->privacy = (enum privacy)i;
            return 0;
        }
        return refuse(error, "key_missing",
                      "the sandbox is to be %s, which takes a key%s; set the secret CSB_API_KEY, or ask for privacy "
                      "public",
                      wanted, request->way == WAY_OFFLINE ? " and not the option offline" : "");
    }
    if (!wanted)
        return 0;
    return refuse(error, "option_invalid",
                  "privacy in [plugin export-codesandbox] is %s; expected public, unlisted or private",
                  exportd_bundle_quote(wanted, quoted, sizeof quoted));
}

static void read_limits(struct request *request, struct exportd_job *job)
{
    request->limits = (struct payload_limits){
        .max_files = (size_t)exportd_option_integer(job, "max_files", 500),
        .max_bytes = (uint64_t)exportd_option_integer(job, "max_bytes", 16 << 20),
        .max_file_bytes = (uint64_t)exportd_option_integer(job, "max_file_bytes", 5 << 20),
    };
    request->max_link = (size_t)exportd_option_integer(job, "max_link", 2000);
}

/* Reads the request's options, which the host checked by the schema, and conf.d's. Returns 0, or -1. */
static int read_request(struct request *request, struct exportd_job *job, const json_t *data,
                        struct exportd_kit_error *error)
{
    const char *key = exportd_secret(job, "CSB_API_KEY");
    *request = (struct request){
        .way = json_is_true(json_object_get(data, "offline")) ? WAY_OFFLINE
               : key && *key                                  ? WAY_API
                                                              : WAY_DEFINE,
        .project = {.playwright_version = given(data, "playwright_version"),
                    .reserved = files_reserved,
                    .screenshots = json_is_true(json_object_get(data, "include_screenshots")),
                    .step = take_step,
                    .context = job},
        .image = {.plugin = "export-codesandbox",
                  .registry = set(job, "registry", "mcr.microsoft.com"),
                  .image = given(data, "image"),
                  .distro = given(data, "distro")},
        .api = {.api = set(job, "api", "https://api.codesandbox.io"),
                .web = set(job, "web", "https://codesandbox.io"),
                .http = {.timeout_ms = exportd_option_integer(job, "request_timeout", 60000),
                         .ca_file = exportd_option(job, "ca_file"),
                         .proxy = exportd_option(job, "proxy"),
                         .cancelled = is_cancelled,
                         .context = job}},
        .title = given(data, "title"),
        .folder = set(job, "folder", NULL),
        .repeat = (int)json_integer_value(json_object_get(data, "repeat")),
        .opens_itself = !json_is_false(json_object_get(data, "opens_itself")),
    };
    if (request->way == WAY_API)
        request->api.key = key;
    read_limits(request, job);
    if (exportd_page_check_address("api in [plugin export-codesandbox]", request->api.api, error) < 0 ||
        exportd_page_check_address("web in [plugin export-codesandbox]", request->api.web, error) < 0)
        return -1;
    return read_privacy(request, job, data, error);
}

/* The title and a line about the bug, as the sandbox shows them. */
static int name_sandbox(struct work *work, struct exportd_kit_error *error)
{
    const char *id = exportd_repro_string(work->repro, "bug.id", "");
    const char *url = exportd_repro_string(work->repro, "bug.url", "");
    char *text = NULL;
    if (work->request.title) {
        json_t *other = json_pack("{s:s}", "title", work->request.title);
        work->title = exportd_project_title(other, TITLE_MAX_BYTES);
        json_decref(other);
    } else {
        work->title = exportd_project_title(work->repro, TITLE_MAX_BYTES);
    }
    if (!work->title)
        return refuse(error, "out_of_memory", "not enough memory for the project");
    if (!*id && !*url)
        return 0;
    if (asprintf(&text, "Reproduction of bug %s%s%s", id, *id && *url ? ", " : "", url) < 0)
        return refuse(error, "out_of_memory", "not enough memory for the project");
    work->description = exportd_text_plain(text);
    free(text);
    return 0;
}

static size_t count_not_text(const struct exportd_project *project)
{
    size_t count = 0;
    for (size_t i = 0; i < exportd_bundle_count(project->bundle); i++) {
        struct exportd_bundle_file file = exportd_bundle_get(project->bundle, i);
        count += !exportd_project_is_text(file.content, file.size_bytes);
    }
    return count;
}

static int make_project(struct work *work, struct exportd_kit_error *error)
{
    const struct request *request = &work->request;
    work->project = exportd_project_new(work->repro, &request->project, error);
    if (!work->project ||
        exportd_project_image_choose(work->project->playwright_version, &request->image, work->image,
                                     sizeof work->image, error) < 0 ||
        name_sandbox(work, error) < 0)
        return -1;
    const struct files_options files = {
        .image = work->image,
        .title = work->title,
        .description = work->description,
        .repeat = request->repeat,
        .left_out = request->way == WAY_API ? 0 : count_not_text(work->project),
    };
    if (files_add(work->project, work->repro, &files, error) < 0)
        return -1;
    return exportd_bundle_finish(work->project->bundle, error);
}

/* The job's id as a tag: hexadecimal, since the id may be any text. */
static void make_tag(const struct exportd_job *job, char tag[40])
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[2 * 12 + 1];
    crypto_hash_sha256(hash, (const unsigned char *)job->id, strlen(job->id));
    sodium_bin2hex(hex, sizeof hex, hash, 12);
    snprintf(tag, 40, "exportd-%s", hex);
}

/* Asks CodeSandbox for a sandbox; one that an earlier attempt of the job made is taken as it is. */
static int make_sandbox(struct work *work, struct exportd_kit_error *error)
{
    const struct request *request = &work->request;
    struct api api = {0};
    char tag[40];
    make_tag(work->job, tag);
    const struct payload_about about = {
        .title = work->title,
        .description = work->description,
        .folder = request->folder,
        .tag = tag,
        .privacy = request->privacy,
    };
    int status =
        payload_make(&work->payload, work->project, request->way == WAY_API ? &about : NULL, &request->limits, error);
    if (status == 0)
        status = api_open(&api, &request->api, error);
    exportd_progress(work->job, TAKING_SHARE, "asking CodeSandbox");
    if (status == 0 && request->way == WAY_API) {
        work->found = api_find(&api, tag, work->id, error);
        status = work->found < 0 ? -1 : work->found == 0 ? api_create(&api, work->payload.text, work->id, error) : 0;
    } else if (status == 0) {
        status = api_define(&api, work->payload.text, work->id, error);
    }
    if (status < 0 && error->retryable && api.retry_after_ms > 0)
        exportd_retry_after(work->job, api.retry_after_ms);
    api_close(&api);
    return status;
}

static int write_page(struct work *work, struct exportd_kit_error *error)
{
    char path[4096];
    const struct exportd_page_section sections[] = {
        {.heading = "What happens there",
         .text =
             "CodeSandbox makes a sandbox of the project, with a virtual machine on Playwright's image of the very "
             "version that the bug was seen with. It installs the dependencies and runs the test by itself. While "
             "the bug is there, the test fails.\n\nWhoever has the sandbox's address can see it."},
        {0},
    };
    const struct exportd_page page = {
        .repro = work->repro,
        .project = work->project,
        .service = "CodeSandbox",
        .action = work->link.action,
        .lead =
            "The reproduction as a project that runs: the test, the code that it shows to be wrong, and a browser.",
        .sections = sections,
        .files = work->payload.files,
        .bytes = work->payload.bytes,
        .left_out = work->payload.left_out,
        .opens_itself = work->request.opens_itself,
        .fields = link_fields,
        .context = &work->link,
    };
    snprintf(work->page, sizeof work->page, "%s-codesandbox.html", work->project->name);
    int length = snprintf(path, sizeof path, "%s/%s", exportd_workspace(work->job), work->page);
    if (length < 0 || (size_t)length >= sizeof path || exportd_page_write(&page, path, error) < 0)
        return -1;
    if (exportd_artifact(work->job, path, work->page, "text/html") == 0)
        return 0;
    return refuse(error, "artifact_refused", "the host did not take the page (the reason is in its log)");
}

static int make_link(struct work *work, struct exportd_kit_error *error)
{
    if (payload_make(&work->payload, work->project, NULL, &work->request.limits, error) < 0 ||
        link_make(&work->link, work->project, work->payload.text, work->request.api.web, work->request.max_link,
                  error) < 0)
        return -1;
    return work->link.url ? 0 : write_page(work, error);
}

static json_t *make_notes(const struct work *work)
{
    json_t *notes = json_array();
    const char *note;
    if (work->found)
        json_array_append_new(notes, json_string("an earlier attempt of this job had made the sandbox"));
    if (work->request.way == WAY_DEFINE)
        json_array_append_new(
            notes,
            json_string("made without a key: the sandbox belongs to nobody, and whoever has its address can see "
                        "it"));
    if (work->request.way == WAY_DEFINE && work->job->attempt > 1)
        json_array_append_new(notes, json_string("an earlier attempt of this job may have made one too, which has no "
                                                 "name here"));
    if (*work->page)
        json_array_append_new(notes, json_string("the project is too large for a link, so that a page opens it"));
    for (size_t i = 0; (note = exportd_bundle_note(work->project->bundle, i)); i++)
        json_array_append_new(notes, json_string(note));
    return notes;
}

/* The addresses of a sandbox that there is: the editor's and the embed's, at the test. */
static int add_urls(const struct work *work, json_t *result)
{
    char path[EXPORTD_BUNDLE_PATH_MAX + 2];
    const char *web = work->request.api.web;
    size_t length = strlen(web);
    while (length && web[length - 1] == '/')
        length--;
    snprintf(path, sizeof path, "/%s", work->project->test_path);
    char *file = exportd_http_escape(path);
    if (!file)
        return -1;
    int status =
        json_object_set_new(result, "url",
                            json_sprintf("%.*s/p/sandbox/%s?file=%s", (int)length, web, work->id, file)) |
        json_object_set_new(result, "embed_url",
                            json_sprintf("%.*s/p/sandbox/%s?embed=1&file=%s", (int)length, web, work->id, file));
    free(file);
    return status;
}

static json_t *describe(const struct work *work)
{
    static const char *const ways[] = {[WAY_API] = "api", [WAY_DEFINE] = "define", [WAY_OFFLINE] = "link"};
    static const char *const privacies[] = {"public", "unlisted", "private"};
    const struct exportd_project *project = work->project;
    json_t *result = json_pack("{s:s, s:s, s:s?, s:s?, s:s?}", "platform", "codesandbox", "way",
                               *work->page ? "page" : ways[work->request.way], "sandbox_id",
                               *work->id ? work->id : NULL, "url", work->link.url, "embed_url", work->link.embed_url);
    if (*work->id && add_urls(work, result) < 0) {
        json_decref(result);
        return NULL;
    }
    if (*work->page)
        json_object_set_new(result, "page", json_string(work->page));
    json_object_update_new(
        result, json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:I, s:I, s:O, s:o}", "privacy",
                          privacies[work->request.privacy], "test", project->test_path, "image", work->image,
                          "playwright", "version", project->playwright_version, "from", project->playwright_from,
                          "files", (json_int_t)work->payload.files, "bytes", (json_int_t)work->payload.bytes,
                          "left_out", work->payload.left_out, "notes", make_notes(work)));
    return result;
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    struct exportd_kit_error error = {0};
    struct work work = {.job = job, .repro = json_object_get(data, "repro")};
    enum exportd_status status;

    if (read_request(&work.request, job, data, &error) < 0 || make_project(&work, &error) < 0 ||
        (work.request.way == WAY_OFFLINE ? make_link(&work, &error) : make_sandbox(&work, &error)) < 0) {
        status = exportd_fail(job, error.code, error.retryable, "%s", error.message);
    } else {
        const char *note;
        for (size_t i = 0; (note = exportd_bundle_note(work.project->bundle, i)); i++)
            exportd_log(job, EXPORTD_INFO, "%s", note);
        *result = describe(&work);
        exportd_progress(job, 1, "done");
        status = EXPORTD_OK;
    }
    link_clear(&work.link);
    payload_clear(&work.payload);
    free(work.title);
    free(work.description);
    exportd_project_free(work.project);
    return status;
}

static const struct exportd_task tasks[] = {
    {.task = "sandbox",
     .option = "platform",
     .value = "codesandbox",
     .summary = "A sandbox with a virtual machine on CodeSandbox, where the reproduction runs",
     .schema = EXPORTD_JSON({
         "type" : "object",
         "properties" : {
             "platform" : {"type" : "string", "const" : "codesandbox"},
             "offline" : {
                 "type" : "boolean",
                 "default" : false,
                 "description" :
                     "Ask CodeSandbox for nothing: a link that holds the project, or a page where it is too large"
             },
             "privacy" : {
                 "type" : "string",
                 "enum" : [ "public", "unlisted", "private" ],
                 "description" :
                     "Who may see the sandbox; all but public takes the secret CSB_API_KEY (unlisted with it)"
             },
             "title" : {
                 "type" : "string",
                 "maxLength" : 255,
                 "description" : "The sandbox's title (the repro's, unless given)"
             },
             "playwright_version" : {
                 "type" : "string",
                 "maxLength" : 64,
                 "description" :
                     "The exact Playwright version, for the image and @playwright/test (the repro's, unless given)"
             },
             "distro" : {
                 "type" : "string",
                 "maxLength" : 40,
                 "description" :
                     "Which of Playwright's images: noble, jammy … (by the version, unless given: noble from 1.46)"
             },
             "image" : {
                 "type" : "string",
                 "maxLength" : 255,
                 "description" : "Another image for the sandbox, of the same Playwright version"
             },
             "include_screenshots" : {
                 "type" : "boolean",
                 "default" : false,
                 "description" : "Put the repro's screenshots in a folder; it takes the secret CSB_API_KEY"
             },
             "repeat" : {
                 "type" : "integer",
                 "minimum" : 1,
                 "maximum" : 1000,
                 "default" : 1,
                 "description" : "How often the test runs when the sandbox opens, for a bug that comes and goes"
             },
             "opens_itself" : {
                 "type" : "boolean",
                 "default" : true,
                 "description" : "A page opens the project as soon as it is read; false: its button alone does"
             }
         },
         "additionalProperties" : false
     }),
     .flags = EXPORTD_NEEDS_REPRO,
     .run = run},
    {0},
};

static const struct exportd_option options[] = {
    {"api", EXPORTD_STRING, "https://api.codesandbox.io", "CodeSandbox' API, to which alone the key goes", 0},
    {"web", EXPORTD_STRING, "https://codesandbox.io", "CodeSandbox: the API without a key, links, addresses", 0},
    {"privacy", EXPORTD_STRING, NULL,
     "Who may see a sandbox unless the request says: public, unlisted, private (unless given: unlisted with a key)",
     0},
    {"folder", EXPORTD_STRING, NULL, "The workspace's folder for sandboxes that are made with a key, such as /bugs",
     0},
    {"registry", EXPORTD_STRING, "mcr.microsoft.com",
     "Where Playwright's image lies: a registry or a mirror, with its path", 0},
    {"max_files", EXPORTD_INTEGER, "500", "Files in one sandbox, and folders; 0: no limit", 0},
    {"max_bytes", EXPORTD_SIZE, "16M", "The files of one sandbox together; 0: no limit", 0},
    {"max_file_bytes", EXPORTD_SIZE, "5M", "One file; 0: no limit", 0},
    {"max_link", EXPORTD_INTEGER, "2000", "Characters of a link that holds a project; a longer one becomes a page",
     0},
    {"request_timeout", EXPORTD_DURATION, "60s", "For one request to CodeSandbox", 0},
    {"proxy", EXPORTD_STRING, NULL, "An HTTP proxy, such as http://proxy.example:3128", 0},
    {"ca_file", EXPORTD_PATH, NULL, "Certificate authorities (PEM) instead of the system's", 0},
    {0},
};

static const char *const secrets[] = {"CSB_API_KEY", NULL};

EXPORTD_PLUGIN(.name = "export-codesandbox", .version = "1.0.0", .summary = "Reproductions as CodeSandbox sandboxes",
               .licence = "MIT", .tasks = tasks, .options = options, .grants = EXPORTD_GRANT_NETWORK,
               .secrets = secrets)
