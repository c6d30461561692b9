/* export-pdf: a repro as a report that one would hand to a customer. Route report/pdf. */
#include "document.h"
#include "options.h"
#include "report.h"

#include <ctype.h>
#include <exportd/kit/repro.h>
#include <exportd/kit/text.h>
#include <exportd/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TITLE_MAX_BYTES 600

/* What init() makes once and every job uses. */
struct state {
    struct fonts *fonts;
    hb_buffer_t *buffer;
    struct report_options options;
};

static void destroy(void *data)
{
    struct state *state = data;
    if (!state)
        return;
    hb_buffer_destroy(state->buffer);
    fonts_close(state->fonts);
    free(state);
}

static enum exportd_status init(struct exportd_job *self, void **out)
{
    const char *paths[SLOT_MORE] = {NULL};
    char message[1024];
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return exportd_fail(self, "out_of_memory", 1, "not enough memory to start");
    if (options_of_plugin(self, &state->options, message, sizeof message) < 0) {
        destroy(state);
        return exportd_fail(self, "option_invalid", 0, "[plugin export-pdf]: %s", message);
    }
    for (int slot = 0; slot < SLOT_MORE; slot++)
        if (fonts_option((enum font_slot)slot))
            paths[slot] = exportd_option(self, fonts_option((enum font_slot)slot));
    state->fonts = fonts_open(paths, exportd_option(self, "fonts_more"), message, sizeof message);
    if (!state->fonts) {
        destroy(state);
        return exportd_fail(self, "font_unusable", 0, "%s", message);
    }
    state->buffer = hb_buffer_create();
    *out = state;
    return EXPORTD_OK;
}

static void add_to_id(uint64_t id[2], const char *text)
{
    for (; text && *text; text++) {
        id[0] = (id[0] ^ (unsigned char)*text) * 1099511628211u;
        id[1] = (id[1] ^ (unsigned char)*text) * 0x880355F21E6D1965u;
    }
}

/* Stands for the input in the PDF's ID: two FNV-1a sums over the repro and the options. What else the request holds
 * (the job, the attempt) makes no other report of it. */
static void identify(const struct report *report, uint64_t id[2])
{
    const struct report_options *options = report->options;
    char *repro = json_dumps(report->repro, JSON_COMPACT | JSON_SORT_KEYS);
    char numbers[160];
    id[0] = 14695981039346656037u;
    id[1] = 1099511628211u;
    snprintf(numbers, sizeof numbers, "%.0f %u %u %ld %ld %ld ", options->page_width, options->colour,
             options->sections, options->max_runs, options->max_steps, options->max_code_lines);
    add_to_id(id, numbers);
    add_to_id(id, report->title);
    add_to_id(id, options->prepared_for);
    add_to_id(id, options->organisation);
    add_to_id(id, repro);
    free(repro);
}

static int draw(struct report *report, struct exportd_job *job)
{
    static const struct {
        unsigned int section;
        void (*draw)(struct report *report);
        const char *stage;
    } sections[] = {
        {SECTION_SUMMARY, report_summary, "summary"},
        {SECTION_DESCRIPTION, report_description, "description"},
        {SECTION_STEPS, report_steps, "steps"},
        {SECTION_RUNS, report_runs, "runs"},
        {SECTION_SCREENSHOTS, report_screenshots, "screenshots"},
        {SECTION_TEST, report_test, "test"},
        {SECTION_PROJECT, report_project, "project"},
    };
    report_cover(report);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        if (exportd_cancelled(job))
            return -1;
        if (report->options->sections & sections[i].section)
            sections[i].draw(report);
    }
    report_missing(report);
    report_margins(report);
    return report->document->state == DOCUMENT_CANCELLED ? -1 : 0;
}

/* "bug-20184.pdf", or "report.pdf" where the bug has no id that a file can be named for. */
static void name_artifact(const json_t *repro, char *name, size_t name_size)
{
    const char *id = exportd_repro_string(repro, "bug.id", "");
    char safe[48];
    size_t length = 0;
    for (; *id && length + 1 < sizeof safe; id++)
        if (isalnum((unsigned char)*id) || *id == '-' || *id == '_')
            safe[length++] = *id;
    safe[length] = '\0';
    if (length)
        snprintf(name, name_size, "bug-%s.pdf", safe);
    else
        snprintf(name, name_size, "report.pdf");
}

static json_t *describe(const struct document *document)
{
    const struct missing *missing = &document->typesetter->missing;
    json_t *missing_glyphs = json_array();
    json_t *fonts = json_array();
    char text[16];
    for (size_t i = 0; i < missing->count; i++) {
        snprintf(text, sizeof text, "U+%04X", missing->code_points[i]);
        json_array_append_new(missing_glyphs, json_string(text));
    }
    for (int slot = 0; slot < FONT_SLOT_COUNT; slot++)
        if (document->embeds[slot])
            json_array_append_new(fonts, json_string(document->typesetter->fonts->faces[slot].ttf->name));
    return json_pack("{s:I, s:b, s:o, s:o}", "pages", (json_int_t)document->page_count, "truncated",
                     document->state == DOCUMENT_FULL, "missing_glyphs", missing_glyphs, "fonts", fonts);
}

static enum exportd_status save(struct report *report, struct exportd_job *job, json_t **result)
{
    char message[256];
    char name[64];
    char path[4096];
    struct document_info info = {.title = report->title,
                                 .author = report->options->organisation,
                                 .subject = "Bug reproduction report",
                                 .keywords = exportd_repro_string(report->repro, "bug.id", NULL),
                                 .time_s = exportd_repro_time(report->repro)};
    identify(report, info.id);
    name_artifact(report->repro, name, sizeof name);
    if ((size_t)snprintf(path, sizeof path, "%s/%s", exportd_workspace(job), name) >= sizeof path)
        return exportd_fail(job, "workspace_invalid", 0, "the workspace's path is too long");
    exportd_progress(job, 0.95, "writing");
    if (document_save(report->document, &info, path, message, sizeof message) < 0)
        return exportd_fail(job, "pdf_failed", 1, "%s", message);
    if (exportd_artifact(job, path, name, "application/pdf") < 0)
        return exportd_fail(job, "artifact_refused", 0, "the host did not take %s (the reason is in its log)", name);
    *result = describe(report->document);
    exportd_progress(job, 1, "done");
    return EXPORTD_OK;
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    const struct state *state = job->state;
    struct report_options options = state->options;
    struct typesetter typesetter = {.fonts = state->fonts, .buffer = state->buffer};
    struct report report = {.repro = json_object_get(data, "repro"), .options = &options};
    enum exportd_status status = EXPORTD_FAIL;
    char message[512];
    char *title = NULL;

    if (exportd_repro_check(report.repro, message, sizeof message) < 0)
        return exportd_fail(job, "repro_invalid", 0, "%s", message);
    if (options_of_request(data, &options, message, sizeof message) < 0)
        return exportd_fail(job, "option_invalid", 0, "%s", message);
    title = options.title ? report_plain(data, "title", TITLE_MAX_BYTES)
                          : report_plain(report.repro, "title", TITLE_MAX_BYTES);
    report.title = title;
    report.document =
        title ? document_new(job, &typesetter, options.page_width, options.page_height, options.colour) : NULL;
    if (!report.document)
        status = exportd_fail(job, "out_of_memory", 1, "not enough memory for a PDF");
    else if (draw(&report, job) < 0)
        status = exportd_fail(job, "cancelled", 0, "the job was cancelled");
    else
        status = save(&report, job, result);
    document_free(report.document);
    free(title);
    return status;
}

/* clang-format off */
static const struct exportd_task tasks[] = {
    {.task = "report",
     .option = "format",
     .value = "pdf",
     .summary = "A PDF report of a bug reproduction, to hand to a customer",
     .schema = EXPORTD_JSON({
         "type": "object",
         "properties": {
             "format": {"type": "string", "const": "pdf"},
             "page": {"type": "string", "enum": ["A4", "Letter"], "description": "Page size"},
             "sections": {
                 "type": "array",
                 "items": {
                     "type": "string",
                     "enum": ["summary", "description", "steps", "runs", "screenshots", "test", "project"]
                 },
                 "description": "The sections to include (all, unless given)"
             },
             "screenshots": {"type": "boolean", "default": true, "description": "Include the screenshots"},
             "max_runs": {
                 "type": "integer", "minimum": 0, "maximum": 10000, "default": 50,
                 "description": "Rows in the table of runs; 0 leaves the table out"
             },
             "max_steps": {
                 "type": "integer", "minimum": 1, "maximum": 10000, "default": 500,
                 "description": "Rows in the table of steps"
             },
             "max_code_lines": {
                 "type": "integer", "minimum": 1, "maximum": 20000, "default": 2000,
                 "description": "Lines of the test's code"
             },
             "title": {
                 "type": "string", "minLength": 1, "maxLength": 500,
                 "description": "Stands in for the repro's title"
             },
             "prepared_for": {
                 "type": "string", "maxLength": 120,
                 "description": "Whom the report is for, named on its first page"
             },
             "colour": {
                 "type": "string", "minLength": 6, "maxLength": 7,
                 "description": "Accent colour, as #2F5D8A"
             }
         },
         "additionalProperties": false
     }),
     .flags = EXPORTD_NEEDS_REPRO,
     .run = run},
    {0},
};
/* clang-format on */

static const struct exportd_option options[] = {
    {"page", EXPORTD_STRING, "A4", "Page size where the request names none: A4 or Letter", 0},
    {"colour", EXPORTD_STRING, "#2F5D8A", "Accent colour where the request names none", 0},
    {"organisation", EXPORTD_STRING, NULL, "Whose report it is: the PDF's author, and the foot of each page", 0},
    {"font", EXPORTD_PATH, NULL, "TrueType font of the text (unless given: Open Sans, else DejaVu Sans)", 0},
    {"font_bold", EXPORTD_PATH, NULL,
     "Its bold (unless given: Open Sans Semibold; with a font of yours: made from it)", 0},
    {"font_italic", EXPORTD_PATH, NULL, "Its italic (unless given: Open Sans Italic; else slanted)", 0},
    {"font_bold_italic", EXPORTD_PATH, NULL,
     "Its bold italic (unless given: Open Sans Semibold Italic; else slanted)", 0},
    {"font_mono", EXPORTD_PATH, NULL, "TrueType font of code (unless given: DejaVu Sans Mono)", 0},
    {"font_fallback", EXPORTD_PATH, NULL,
     "TrueType font for Chinese, Japanese, Korean (unless given: Droid Sans Fallback)", 0},
    {"font_symbols", EXPORTD_PATH, NULL,
     "TrueType font for symbols and emoji (unless given: Symbola, where installed)", 0},
    {"fonts_more", EXPORTD_STRING, NULL,
     "TrueType fonts for further scripts, separated by commas (unless given: Nanum and Noto, where installed)", 0},
    {0},
};

EXPORTD_PLUGIN(.name = "export-pdf", .version = "1.0.0", .summary = "Reports as PDF", .licence = "MIT",
               .tasks = tasks, .options = options, .init = init, .destroy = destroy)
