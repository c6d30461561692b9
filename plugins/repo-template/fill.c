/* fill.h: placeholders in names and contents. */
#include "fill.h"

#include <exportd/kit/template.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PLACEHOLDER_BYTES_MAX 300
#define UNKNOWN_MAX 100
#define FILLED_BYTES_MAX ((size_t)256 << 20) /* of one file */
#define NAMED_BYTES 620                      /* of the unknown ones, in an error */

size_t fill_name_length(const char *text)
{
    if (!isascii((unsigned char)*text) || (!isalpha((unsigned char)*text) && *text != '_'))
        return 0;
    size_t length = 1;
    while (isascii((unsigned char)text[length]) &&
           (isalnum((unsigned char)text[length]) || text[length] == '_' || text[length] == '-'))
        length++;
    return length;
}

/* Words of a name however it is written: "myApp-2 HTTPServer" has my, App, 2, HTTP, Server. Calls part for each. */
struct joined {
    char *text;
    size_t length;
    const char *form; /* "camel" … */
    size_t words;
};

static void add_word(struct joined *joined, const char *word, size_t length)
{
    bool camel = strcmp(joined->form, "camel") == 0, pascal = strcmp(joined->form, "pascal") == 0;
    if (joined->words > 0 && !camel && !pascal)
        joined->text[joined->length++] = strcmp(joined->form, "snake") == 0 ? '_' : '-';
    for (size_t i = 0; i < length; i++) {
        int byte = (unsigned char)word[i];
        bool large = i == 0 && (pascal || (camel && joined->words > 0));
        joined->text[joined->length++] = (char)(byte >= 0x80 ? byte : large ? toupper(byte) : tolower(byte));
    }
    joined->words++;
}

static bool is_word(unsigned char byte)
{
    return byte >= 0x80 || isalnum(byte);
}

static char *join_words(const char *value, const char *form)
{
    struct joined joined = {.form = form, .text = malloc(strlen(value) * 2 + 1)};
    const unsigned char *at = (const unsigned char *)value;
    if (!joined.text)
        return NULL;
    while (*at) {
        const unsigned char *start = at;
        if (!is_word(*at)) {
            at++;
            continue;
        }
        /* It ends before a capital that follows a small letter, or that a small letter follows. */
        for (at++; is_word(*at); at++)
            if (*at < 0x80 && isupper(*at) &&
                ((at[-1] < 0x80 && !isupper(at[-1])) || (at[1] < 0x80 && islower(at[1]))))
                break;
        add_word(&joined, (const char *)start, (size_t)(at - start));
    }
    joined.text[joined.length] = '\0';
    return joined.text;
}

static char *apply_camel(const char *value, const char *argument, void *context)
{
    (void)argument;
    (void)context;
    return join_words(value, "camel");
}

static char *apply_pascal(const char *value, const char *argument, void *context)
{
    (void)argument;
    (void)context;
    return join_words(value, "pascal");
}

static char *apply_snake(const char *value, const char *argument, void *context)
{
    (void)argument;
    (void)context;
    return join_words(value, "snake");
}

static char *apply_kebab(const char *value, const char *argument, void *context)
{
    (void)argument;
    (void)context;
    return join_words(value, "kebab");
}

static char *apply_path(const char *value, const char *argument, void *context)
{
    (void)argument;
    (void)context;
    char *text = strdup(value);
    for (char *at = text; at && *at; at++)
        *at = *at == '.' ? '/' : *at;
    return text;
}

static const struct exportd_template_filter filters[] = {
    {"camel", apply_camel, 0}, {"pascal", apply_pascal, 0}, {"snake", apply_snake, 0},
    {"kebab", apply_kebab, 0}, {"path", apply_path, 0},     {NULL, NULL, 0},
};

/* What comes out. */
struct sink {
    char *bytes;
    size_t length, room;
};

static int put(struct sink *sink, const char *bytes, size_t length, struct exportd_kit_error *error)
{
    if (sink->length + length > FILLED_BYTES_MAX)
        return exportd_kit_fail(error, "template_too_large", 0, "a file grows beyond %zu MB with these values",
                                FILLED_BYTES_MAX >> 20);
    if (!sink->bytes || sink->length + length + 1 > sink->room) {
        size_t room = (sink->length + length + 1) * 2;
        char *grown = realloc(sink->bytes, room);
        if (!grown)
            return exportd_kit_no_memory(error);
        sink->bytes = grown;
        sink->room = room;
    }
    if (length > 0)
        memcpy(sink->bytes + sink->length, bytes, length);
    sink->length += length;
    sink->bytes[sink->length] = '\0';
    return 0;
}

/* The length of a placeholder that begins here, {{ name | filter … }}, or 0. name: its name's length and place. */
static size_t placeholder(const char *at, const char *end, const char **name, size_t *name_length)
{
    const char *from = at + 2;
    if (end - at < 5 || at[0] != '{' || at[1] != '{')
        return 0;
    while (from < end && *from == ' ')
        from++;
    *name = from;
    *name_length = fill_name_length(from);
    const char *behind = from + *name_length;
    while (behind < end && *behind == ' ')
        behind++;
    if (*name_length == 0 || behind >= end || (*behind != '|' && *behind != '}'))
        return 0;
    for (const char *close = behind; close + 1 < end && close - at < PLACEHOLDER_BYTES_MAX; close++) {
        if (*close == '\n' || *close == '{')
            return 0;
        if (close[0] == '}' && close[1] == '}')
            return (close + 2 < end && close[2] == '}') ? 0 : (size_t)(close + 2 - at);
    }
    return 0;
}

/* Where a text was read to, for the lines of what is unknown in it. */
struct reading {
    const char *file, *at;
    size_t line;
};

static void note_unknown(json_t *unknown, const char *name, size_t name_length, struct reading *reading,
                         const char *at)
{
    if (json_array_size(unknown) >= UNKNOWN_MAX)
        return;
    for (; reading->at < at; reading->at++)
        reading->line += *reading->at == '\n';
    json_array_append_new(unknown,
                          json_sprintf("%.*s (%s:%zu)", (int)name_length, name, reading->file, reading->line));
}

/* One that is known. A space before or after a filter's name is no part of it. */
static int render(const char *name, size_t name_length, const char *rest, size_t rest_length,
                  const struct values *values, const char *file, struct sink *sink, struct exportd_kit_error *error)
{
    char text[PLACEHOLDER_BYTES_MAX + 16];
    size_t length = (size_t)snprintf(text, sizeof text, "{{value");
    char key[PLACEHOLDER_BYTES_MAX];
    snprintf(key, sizeof key, "%.*s", (int)name_length, name);
    for (size_t i = 0; i < rest_length; i++)
        if (rest[i] != ' ' || memchr(rest, ':', rest_length) != NULL)
            text[length++] = rest[i];
    memcpy(text + length, "}}", 3);
    const struct exportd_template_options options = {.name = file, .filters = filters};
    json_t *one = json_pack("{s:O}", "value", json_object_get(values->known, key));
    char *filled = one ? exportd_template_fill(text, &options, one, error) : NULL;
    json_decref(one);
    if (!filled)
        return one ? -1 : exportd_kit_no_memory(error);
    int failed = put(sink, filled, strlen(filled), error);
    free(filled);
    return failed;
}

int fill_text(const char *text, size_t length, const struct values *values, const char *name, char **filled,
              size_t *size, json_t *unknown, struct exportd_kit_error *error)
{
    struct sink sink = {0};
    struct reading reading = {.file = name, .at = text, .line = 1};
    const char *end = text + length, *plain = text;
    int failed = put(&sink, "", 0, error);
    for (const char *at = text; !failed && (at = memmem(at, (size_t)(end - at), "{{", 2));) {
        const char *key;
        size_t key_length, whole = placeholder(at, end, &key, &key_length);
        bool foreign = at > text && (at[-1] == '$' || at[-1] == '{');
        bool escaped = at > text && at[-1] == '\\';
        char copy[PLACEHOLDER_BYTES_MAX];
        snprintf(copy, sizeof copy, "%.*s", (int)(whole ? key_length : 0), whole ? key : "");
        if (!whole || foreign) {
            while (at < end && *at == '{')
                at++;
            continue;
        }
        bool known = json_object_get(values->known, copy) != NULL;
        if (!known && !escaped) {
            if (!values->keep_unknown)
                note_unknown(unknown, key, key_length, &reading, at);
            at += whole;
            continue;
        }
        failed = put(&sink, plain, (size_t)(at - plain) - (escaped ? 1 : 0), error);
        const char *rest = key + key_length;
        if (!failed && escaped)
            failed = put(&sink, at, whole, error);
        else if (!failed)
            failed = render(key, key_length, rest, (size_t)(at + whole - 2 - rest), values, name, &sink, error);
        at += whole;
        plain = at;
    }
    failed = failed ? failed : put(&sink, plain, (size_t)(end - plain), error);
    if (failed) {
        free(sink.bytes);
        return -1;
    }
    *filled = sink.bytes;
    if (size)
        *size = sink.length;
    return 0;
}

struct filling {
    struct exportd_job *job;
    const struct exportd_checkout *checkout;
    const struct values *values;
    struct exportd_bundle *bundle;
    json_t *unknown;
    bool changed;
    size_t files;
    uint64_t max_file;
    struct exportd_kit_error *error;
};

static bool is_text(const char *bytes, size_t size)
{
    json_t *string = memchr(bytes, '\0', size) ? NULL : json_stringn(bytes, size);
    json_decref(string);
    return string != NULL;
}

/* Fills a file's path: a new string in *path. */
static int fill_path(struct filling *filling, const char *from, char **path)
{
    struct exportd_kit_error why;
    char safe[EXPORTD_BUNDLE_PATH_MAX + 1], before[220], after[220];
    if (fill_text(from, strlen(from), filling->values, "a file's name", path, NULL, filling->unknown,
                  filling->error) != 0)
        return -1;
    if (exportd_bundle_safe_path(*path, safe, &why) >= 0)
        return 0;
    exportd_kit_fail(filling->error, "path_unsafe", 0,
                     "the file %s becomes %s with these values, and may not be called so: it would leave the "
                     "repository, or lie where git keeps its own; choose other values",
                     exportd_bundle_quote(from, before, sizeof before),
                     exportd_bundle_quote(*path, after, sizeof after));
    free(*path);
    *path = NULL;
    return -1;
}

static int fill_file(void *context, const struct exportd_checkout_file *file)
{
    struct filling *filling = context;
    struct exportd_kit_error *error = filling->error;
    char *path = NULL, *content, *filled = NULL;
    size_t size;
    if (values_excludes(filling->values, file->path)) {
        filling->changed = true;
        return 0;
    }
    if (filling->files++ % 64 == 0 && exportd_cancelled(filling->job))
        return exportd_kit_fail(error, "cancelled", 0, "the job was cancelled");
    if (file->size_bytes > filling->max_file) {
        char quoted[220];
        return exportd_kit_fail(
            error, "template_too_large", 0, "%s has %.1f MB; raise max_bytes in [plugin repo-template]",
            exportd_bundle_quote(file->path, quoted, sizeof quoted), (double)file->size_bytes / 1e6);
    }
    if (fill_path(filling, file->path, &path) != 0 || !path)
        return -1;
    content = exportd_checkout_read(filling->checkout, file->path, (size_t)filling->max_file, &size, error);
    bool raw = content && (values_keeps_raw(filling->values, file->path) || !is_text(content, size));
    int failed = content ? 0 : -1;
    if (!failed && !raw) {
        size_t filled_size;
        failed =
            fill_text(content, size, filling->values, file->path, &filled, &filled_size, filling->unknown, error);
        if (!failed) {
            filling->changed = filling->changed || filled_size != size || memcmp(filled, content, size) != 0;
            free(content);
            content = filled;
            size = filled_size;
        }
    }
    filling->changed = filling->changed || strcmp(path, file->path) != 0;
    if (failed)
        free(content);
    else
        failed = exportd_bundle_add(filling->bundle, path, content, size, file->executable ? 0755 : 0644, error);
    free(path);
    return failed;
}

static int list_unknown(const json_t *unknown, struct exportd_kit_error *error)
{
    char list[NAMED_BYTES] = "";
    size_t length = 0, index;
    const json_t *entry;
    json_array_foreach(unknown, index, entry)
    {
        char quoted[200];
        exportd_bundle_quote(json_string_value(entry), quoted, sizeof quoted);
        size_t part = strlen(quoted) - 2;
        if (length + part + 40 > sizeof list) {
            snprintf(list + length, sizeof list - length, " and %zu more", json_array_size(unknown) - index);
            break;
        }
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%.*s", length ? ", " : "", (int)part,
                                   quoted + 1);
    }
    return exportd_kit_fail(error, "placeholder_unknown", 0, "placeholders have no value: %s", list);
}

struct exportd_bundle *fill_all(struct exportd_job *job, const struct exportd_checkout *checkout,
                                const struct values *values, bool *changed, struct exportd_kit_error *error)
{
    struct filling filling = {
        .job = job,
        .checkout = checkout,
        .values = values,
        .bundle = exportd_bundle_new((size_t)exportd_option_integer(job, "max_files", 0),
                                     (uint64_t)exportd_option_integer(job, "max_bytes", 0)),
        .unknown = json_array(),
        .max_file = (uint64_t)exportd_option_integer(job, "max_bytes", 0),
        .error = error,
    };
    int failed = filling.bundle && filling.unknown ? exportd_checkout_walk(checkout, fill_file, &filling, error)
                                                   : exportd_kit_no_memory(error);
    if (!failed && json_array_size(filling.unknown) > 0)
        failed = list_unknown(filling.unknown, error);
    failed = failed ? failed : exportd_bundle_finish(filling.bundle, error);
    if (failed && strncmp(error->code, "repro_", 6) == 0)
        error->code = strcmp(error->code, "repro_too_large") == 0 ? "template_too_large" : "path_unsafe";
    if (!failed && exportd_bundle_count(filling.bundle) == 0)
        failed = exportd_kit_fail(error, "template_empty", 0, "the template has no file to fill");
    json_decref(filling.unknown);
    *changed = filling.changed;
    return failed ? exportd_bundle_free(filling.bundle) : filling.bundle;
}
