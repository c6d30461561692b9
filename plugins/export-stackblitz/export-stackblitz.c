/* export-stackblitz: a repro as a page that opens it as a project on StackBlitz with one click. */
#include "form.h"
#include "readme.h"

#include <exportd/kit/page.h>
#include <exportd/kit/project.h>
#include <exportd/plugin.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TAKING_SHARE 0.5 /* of the progress, before the page */

struct request {
    struct exportd_project_options project;
    struct exportd_project_image image;
    const char *web;
    const char *start;
    int opens_itself;
    size_t max_files;
    uint64_t max_bytes;
};

/* What a run has made so far. */
struct work {
    struct request request;
    struct exportd_project *project;
    char image[320];
    struct ways ways;
    struct form form;
    char name[96]; /* of the page */
};

static const char *const reserved[] = {".stackblitzrc", NULL};

static int take_step(void *context, size_t done, size_t all)
{
    struct exportd_job *job = context;
    exportd_progress(job, TAKING_SHARE * (double)done / (double)(all ? all : 1), "taking the files");
    return exportd_cancelled(job);
}

static const char *given(const json_t *data, const char *name, const char *otherwise)
{
    const char *value = json_string_value(json_object_get(data, name));
    return value && *value ? value : otherwise;
}

static const char *set(struct exportd_job *job, const char *name, const char *otherwise)
{
    const char *value = exportd_option(job, name);
    return value && *value ? value : otherwise;
}

/* Reads the request's options, which the host checked by the schema, and conf.d's. Returns 0, or -1. */
static int read_request(struct request *request, struct exportd_job *job, const json_t *data,
                        struct exportd_kit_error *error)
{
    *request = (struct request){
        .project =
            {
                .playwright_version = given(data, "playwright_version", NULL),
                .reserved = reserved,
                .step = take_step,
                .context = job,
            },
        .image = {.plugin = "export-stackblitz", .registry = set(job, "registry", "mcr.microsoft.com")},
        .web = set(job, "web", "https://stackblitz.com"),
        .start = given(data, "start_command", "npx playwright test --list"),
        .opens_itself = !json_is_false(json_object_get(data, "opens_itself")),
        .max_files = (size_t)exportd_option_integer(job, "max_files", 1000),
        .max_bytes = (uint64_t)exportd_option_integer(job, "max_bytes", 8 << 20),
    };
    return exportd_page_check_address("web in [plugin export-stackblitz]", request->web, error);
}

static int refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
{
    va_list arguments;
    error->code = code;
    error->retryable = 0;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

/* What is sent, and no more, is held against the limits: files that are left out may be as large as they are. */
static int check_limits(const struct work *work, struct exportd_kit_error *error)
{
    const struct form *form = &work->form;
    if (work->request.max_files && form->files > work->request.max_files)
        return refuse(error, "repro_too_large",
                      "the project has %zu files, and max_files in [plugin export-stackblitz] is %zu; take out those "
                      "that the test does not need",
                      form->files, work->request.max_files);
    if (work->request.max_bytes && form->bytes > work->request.max_bytes)
        return refuse(error, "repro_too_large",
                      "the project's files are %llu bytes, and max_bytes in [plugin export-stackblitz] is %llu; take "
                      "out those that the test does not need",
                      (unsigned long long)form->bytes, (unsigned long long)work->request.max_bytes);
    return 0;
}

static int make_project(struct work *work, const json_t *repro, struct exportd_kit_error *error)
{
    const struct request *request = &work->request;
    work->project = exportd_project_new(repro, &request->project, error);
    if (!work->project ||
        exportd_project_image_choose(work->project->playwright_version, &request->image, work->image,
                                     sizeof work->image, error) < 0 ||
        ways_prepare(&work->ways, work->project, repro, work->image, request->start, error) < 0 ||
        readme_add(work->project, repro, &work->ways, error) < 0 ||
        exportd_bundle_finish(work->project->bundle, error) < 0 ||
        form_prepare(&work->form, work->project, repro, request->web, error) < 0)
        return -1;
    return check_limits(work, error);
}

/* Writes the page to the workspace and hands it over. Returns 0, or -1. */
static int write_page(struct work *work, struct exportd_job *job, const json_t *repro,
                      struct exportd_kit_error *error)
{
    struct exportd_page_section sections[5];
    char path[4096];
    readme_sections(&work->ways, sections);
    const struct exportd_page page = {
        .repro = repro,
        .project = work->project,
        .service = "StackBlitz",
        .action = work->form.action,
        .lead = "The reproduction as a project in your browser: read the test and the code that it shows to be "
                "wrong, and change them.",
        .sections = sections,
        .files = work->form.files,
        .bytes = work->form.bytes,
        .left_out = work->form.left_out,
        .opens_itself = work->request.opens_itself,
        .fields = form_fields,
        .context = &work->form,
    };
    snprintf(work->name, sizeof work->name, "%s-stackblitz.html", work->project->name);
    int length = snprintf(path, sizeof path, "%s/%s", exportd_workspace(job), work->name);
    if (length < 0 || (size_t)length >= sizeof path || exportd_page_write(&page, path, error) < 0)
        return -1;
    if (exportd_artifact(job, path, work->name, "text/html") == 0)
        return 0;
    return refuse(error, "artifact_refused", "the host did not take the page (the reason is in its log)");
}

static json_t *describe(const struct work *work)
{
    const struct exportd_project *project = work->project;
    json_t *notes = json_array();
    const char *note;
    json_array_append_new(notes, json_string("on StackBlitz the test can be listed but not run, since Playwright "
                                             "can't start a browser in a WebContainer"));
    for (size_t i = 0; (note = exportd_bundle_note(project->bundle, i)); i++)
        json_array_append_new(notes, json_string(note));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:I, s:I, s:O, s:o}", "platform", "stackblitz", "page",
                     work->name, "opens", work->form.action, "start_command", work->ways.start, "test",
                     project->test_path, "playwright", "version", project->playwright_version, "from",
                     project->playwright_from, "files", (json_int_t)work->form.files, "bytes",
                     (json_int_t)work->form.bytes, "left_out", work->form.left_out, "notes", notes);
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    const json_t *repro = json_object_get(data, "repro");
    struct exportd_kit_error error = {0};
    struct work work = {0};
    enum exportd_status status;

    if (read_request(&work.request, job, data, &error) < 0 || make_project(&work, repro, &error) < 0 ||
        write_page(&work, job, repro, &error) < 0) {
        status = exportd_fail(job, error.code, error.retryable, "%s", error.message);
    } else {
        const char *note;
        for (size_t i = 0; (note = exportd_bundle_note(work.project->bundle, i)); i++)
            exportd_log(job, EXPORTD_INFO, "%s", note);
        *result = describe(&work);
        exportd_progress(job, 1, "done");
        status = EXPORTD_OK;
    }
    form_clear(&work.form);
    ways_clear(&work.ways);
    exportd_project_free(work.project);
    return status;
}

static const struct exportd_task tasks[] = {
    {.task = "sandbox",
     .option = "platform",
     .value = "stackblitz",
     .summary = "A page that opens the reproduction as a project on StackBlitz with one click",
     .schema = EXPORTD_JSON({
         "type" : "object",
         "properties" : {
             "platform" : {"type" : "string", "const" : "stackblitz"},
             "playwright_version" : {
                 "type" : "string",
                 "maxLength" : 64,
                 "description" : "The exact Playwright version, for @playwright/test (the repro's, unless given)"
             },
             "start_command" : {
                 "type" : "string",
                 "minLength" : 1,
                 "maxLength" : 1000,
                 "default" : "npx playwright test --list",
                 "description" : "What StackBlitz runs once the dependencies are installed"
             },
             "opens_itself" : {
                 "type" : "boolean",
                 "default" : true,
                 "description" : "The page opens the project as soon as it is read; false: the button alone does"
             }
         },
         "additionalProperties" : false
     }),
     .flags = EXPORTD_NEEDS_REPRO,
     .run = run},
    {0},
};

static const struct exportd_option options[] = {
    {"web", EXPORTD_STRING, "https://stackblitz.com", "StackBlitz, or your own StackBlitz server", 0},
    {"registry", EXPORTD_STRING, "mcr.microsoft.com",
     "Where Playwright's image lies, for the Docker command beside the project: a registry or a mirror", 0},
    {"max_files", EXPORTD_INTEGER, "1000", "Files in one project; 0: no limit", 0},
    {"max_bytes", EXPORTD_SIZE, "8M", "The files of one project together; 0: no limit", 0},
    {0},
};

EXPORTD_PLUGIN(.name = "export-stackblitz", .version = "1.0.0", .summary = "Reproductions as StackBlitz projects",
               .licence = "MIT", .tasks = tasks, .options = options)
