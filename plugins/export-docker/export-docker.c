/* export-docker: a repro as a tarball that is a Docker build context. */
#include "context.h"

#include <exportd/kit/archive.h>
#include <exportd/kit/project.h>
#include <exportd/kit/repro.h>
#include <exportd/plugin.h>
#include <stdio.h>
#include <string.h>

#define PROJECT_SHARE 0.3 /* of the progress, before the archive */

struct request {
    struct context_options context;
    struct exportd_project_options project;
    struct exportd_archive_options archive;
};

static int take_step(void *context, size_t done, size_t all)
{
    struct exportd_job *job = context;
    exportd_progress(job, PROJECT_SHARE * (double)done / (double)(all ? all : 1), "taking the files");
    return exportd_cancelled(job);
}

static int write_step(void *context, size_t done, size_t all)
{
    struct exportd_job *job = context;
    exportd_progress(job, PROJECT_SHARE + (1 - PROJECT_SHARE) * (double)done / (double)(all ? all : 1), "writing");
    return exportd_cancelled(job);
}

static const char *given(const json_t *data, const char *name)
{
    const char *value = json_string_value(json_object_get(data, name));
    return value && *value ? value : NULL;
}

/* Reads the request's options, which the host checked by the schema, and conf.d's. Returns 0, or -1. */
static int read_request(struct request *request, struct exportd_job *job, const json_t *data,
                        struct exportd_kit_error *error)
{
    const char *archive = given(data, "archive");
    const char *npm_registry = exportd_option(job, "npm_registry");
    const char *registry = exportd_option(job, "registry");
    json_int_t level = json_integer_value(json_object_get(data, "level"));
    int zstd = archive && strcmp(archive, "tar.zst") == 0;
    if (level < 0 || level > (zstd ? 19 : 9)) {
        error->code = "option_invalid";
        snprintf(error->message, sizeof error->message, "the option level is %lld; expected 1 to %d for %s",
                 (long long)level, zstd ? 19 : 9, zstd ? "tar.zst" : "tar.gz");
        return -1;
    }
    request->archive = (struct exportd_archive_options){
        .format = zstd ? EXPORTD_ARCHIVE_TAR_ZST : EXPORTD_ARCHIVE_TAR_GZ,
        .level = (int)level,
        .step = write_step,
        .context = job,
    };
    request->context = (struct context_options){
        .registry = registry && *registry ? registry : "mcr.microsoft.com",
        .npm_registry = npm_registry && *npm_registry ? npm_registry : NULL,
        .image = given(data, "image"),
        .distro = given(data, "distro"),
        .command = json_object_get(data, "command"),
        .repeat = (int)json_integer_value(json_object_get(data, "repeat")),
        .offline = json_is_true(json_object_get(data, "offline")),
    };
    request->project = (struct exportd_project_options){
        .playwright_version = given(data, "playwright_version"),
        .reserved = context_reserved,
        .screenshots = json_is_true(json_object_get(data, "include_screenshots")),
        .max_files = (size_t)exportd_option_integer(job, "max_files", 0),
        .max_bytes = (uint64_t)exportd_option_integer(job, "max_bytes", 0),
        .step = take_step,
        .context = job,
    };
    return 0;
}

/* Writes the finished project to the workspace and hands it over. name: the artifact's, filled. Returns 0, or -1. */
static int write_artifact(struct request *request, struct exportd_job *job, const struct exportd_project *project,
                          const json_t *repro, char *name, size_t name_size, struct exportd_kit_error *error)
{
    int zstd = request->archive.format == EXPORTD_ARCHIVE_TAR_ZST;
    char path[4096];
    snprintf(name, name_size, "%s.%s", project->name, zstd ? "tar.zst" : "tar.gz");
    int length = snprintf(path, sizeof path, "%s/%s", exportd_workspace(job), name);
    request->archive.top = project->name;
    request->archive.time_s = exportd_repro_time(repro);
    error->code = "artifact_refused";
    error->retryable = 0;
    snprintf(error->message, sizeof error->message, "the host did not take %s (the reason is in its log)", name);
    if (length < 0 || (size_t)length >= sizeof path)
        return -1;
    if (exportd_archive_write(project->bundle, &request->archive, path, error) < 0)
        return -1;
    return exportd_artifact(job, path, name, zstd ? "application/zstd" : "application/gzip");
}

static json_t *describe(const struct exportd_project *project, const struct context *context, const char *name)
{
    json_t *notes = json_array();
    const char *note;
    for (size_t i = 0; (note = exportd_bundle_note(project->bundle, i)); i++)
        json_array_append_new(notes, json_string(note));
    return json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:I, s:I, s:o}", "archive", name, "folder",
                     project->name, "image", context->image, "playwright", "version", project->playwright_version,
                     "from", project->playwright_from, "test", project->test_path, "command",
                     "docker compose run --rm repro", "files", (json_int_t)exportd_bundle_count(project->bundle),
                     "bytes", (json_int_t)exportd_bundle_bytes(project->bundle), "notes", notes);
}

static void log_notes(struct exportd_job *job, const struct exportd_project *project)
{
    const char *note;
    for (size_t i = 0; (note = exportd_bundle_note(project->bundle, i)); i++)
        exportd_log(job, EXPORTD_INFO, "%s", note);
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    const json_t *repro = json_object_get(data, "repro");
    struct exportd_kit_error error = {0};
    struct exportd_project *project = NULL;
    struct request request;
    struct context context;
    char name[80];
    enum exportd_status status = EXPORTD_FAIL;

    if (read_request(&request, job, data, &error) < 0 ||
        !(project = exportd_project_new(repro, &request.project, &error)) ||
        context_prepare(&context, project, &request.context, &error) < 0 ||
        context_add(&context, project, repro, &request.context, &error) < 0 ||
        exportd_bundle_finish(project->bundle, &error) < 0 ||
        write_artifact(&request, job, project, repro, name, sizeof name, &error) < 0) {
        status = exportd_fail(job, error.code, error.retryable, "%s", error.message);
    } else {
        log_notes(job, project);
        *result = describe(project, &context, name);
        exportd_progress(job, 1, "done");
        status = EXPORTD_OK;
    }
    exportd_project_free(project);
    return status;
}

static const struct exportd_task tasks[] = {
    {.task = "docker",
     .summary = "A tarball that is a Docker build context: one command runs the bug's reproduction",
     .schema = EXPORTD_JSON({
         "type" : "object",
         "properties" : {
             "archive" : {
                 "type" : "string",
                 "enum" : [ "tar.gz", "tar.zst" ],
                 "default" : "tar.gz",
                 "description" : "The tarball's form"
             },
             "level" : {
                 "type" : "integer",
                 "minimum" : 1,
                 "maximum" : 19,
                 "description" : "How hard to compress: 1 to 9 for tar.gz (6 unless given), 1 to 19 for tar.zst (3)"
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
                 "description" : "Another image to build on, of the same Playwright version; it needs the user pwuser"
             },
             "include_screenshots" :
                 {"type" : "boolean", "default" : false, "description" : "Put the repro's screenshots in a folder"},
             "repeat" : {
                 "type" : "integer",
                 "minimum" : 1,
                 "maximum" : 1000,
                 "default" : 1,
                 "description" : "How often the test runs, for a bug that comes and goes"
             },
             "offline" : {
                 "type" : "boolean",
                 "default" : false,
                 "description" : "No network while the test runs (the build needs one)"
             },
             "command" : {
                 "type" : "array",
                 "items" : {"type" : "string", "maxLength" : 4096},
                 "description" : "Program and arguments to run instead of the test"
             }
         },
         "additionalProperties" : false
     }),
     .flags = EXPORTD_NEEDS_REPRO,
     .run = run},
    {0},
};

static const struct exportd_option options[] = {
    {"registry", EXPORTD_STRING, "mcr.microsoft.com",
     "Where Playwright's image lies: a registry or a mirror, with its path", 0},
    {"npm_registry", EXPORTD_STRING, NULL, "The npm registry that the image's build uses (unless given: npm's own)",
     0},
    {"max_files", EXPORTD_INTEGER, "20000", "Files in one tarball", 0},
    {"max_bytes", EXPORTD_SIZE, "256M", "The files of one tarball together, before compression", 0},
    {0},
};

EXPORTD_PLUGIN(.name = "export-docker", .version = "1.0.0", .summary = "Reproductions as Docker build contexts",
               .licence = "MIT", .tasks = tasks, .options = options)
