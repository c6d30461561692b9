/*
 * The variations of sample_hostile(). The host refuses some of them before a plugin sees them; which ones is its
 * business, and may change.
 */
#include "base/memory.h"
#include "conformance/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HUGE_BYTES ((size_t)10 << 20)
#define MANY_FILES 10000
#define NEST_LEVELS 50

static json_t *repeated(const char *part, size_t bytes)
{
    size_t length = strlen(part), count = bytes / length;
    char *text = memory_zeroed(1, count * length + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * length, part, length);
    json_t *value = json_string(text);
    free(text);
    return value;
}

static json_t *nested(int levels, bool arrays)
{
    json_t *value = json_string("bottom");
    for (int i = 0; i < levels; i++)
        value = arrays ? json_pack("[o]", value) : json_pack("{s:o}", "in", value);
    return value;
}

/* Each puts its variation into the repro. */
static void only_required(json_t *repro)
{
    static const char *const kept[] = {"id", "title", "test"};
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(repro, next, key, value)
    {
        bool keep = false;
        for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
            keep = keep || strcmp(key, kept[i]) == 0;
        if (!keep)
            json_object_del(repro, key);
    }
}

static void replace_texts(json_t *value, const char *text)
{
    const char *key;
    json_t *entry;
    size_t index;
    void *next;
    json_object_foreach_safe(value, next, key, entry)
    {
        if (json_is_string(entry) && strcmp(key, "schema") != 0 && strcmp(key, "encoding") != 0)
            json_object_set_new(value, key, json_string(text));
        else
            replace_texts(entry, text);
    }
    json_array_foreach(value, index, entry)
    {
        if (json_is_string(entry))
            json_array_set_new(value, index, json_string(text));
        else
            replace_texts(entry, text);
    }
}

static void empty_texts(json_t *repro)
{
    replace_texts(repro, "");
}

static void control_characters(json_t *repro)
{
    replace_texts(repro, "\x01\x02\x07\x08\x0b\x0c\x1b[31m\x1b]0;title\x07\x7f\r\n\t\xc2\x85");
}

static void odd_unicode(json_t *repro)
{
    /* right-to-left override, zero-width joiner, noncharacters, beyond the BMP, a stray combining mark */
    replace_texts(repro, "\xe2\x80\xae"
                         "abc\xe2\x80\x8d\xef\xbf\xbe\xef\xbf\xbf\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xcc\x81");
}

static void shell_words(json_t *repro)
{
    replace_texts(repro, "$(touch /tmp/x) `id` ; rm -rf / #' \" <script>alert(1)</script> ]]> %s%n {{x}} ${x} */");
}

static void huge_description(json_t *repro)
{
    json_object_set_new(repro, "description", repeated("words and words ", HUGE_BYTES));
}

static void huge_word(json_t *repro)
{
    json_object_set_new(repro, "title", repeated("w", HUGE_BYTES / 10));
}

static void huge_code(json_t *repro)
{
    json_object_set_new(json_object_get(repro, "test"), "code",
                        repeated("await page.click('#a'); // one line ", HUGE_BYTES));
}

static void deep_markdown(json_t *repro)
{
    json_t *text = json_pack("s++", "> > > > > > > > > > * * * [[[[[[[[", "![a](b)**_**_**_`````", "|a|b|\n|-|-|\n");
    char *many = memory_zeroed(1, 200001);
    memset(many, '>', 100000);
    memset(many + 100000, '[', 100000);
    json_object_set_new(repro, "description", json_string(many));
    json_object_set_new(repro, "title", text);
    free(many);
}

static void many_files(json_t *repro)
{
    json_t *files = json_array();
    for (int i = 0; i < MANY_FILES; i++) {
        char path[64];
        snprintf(path, sizeof path, "folder-%d/file-%d.txt", i % 100, i);
        json_array_append_new(files, json_pack("{s:s, s:s}", "path", path, "content", "text\n"));
    }
    json_object_set_new(repro, "files", files);
}

static void escaping_paths(json_t *repro)
{
    static const char *const paths[] = {"../../../../tmp/escaped",
                                        "/etc/passwd",
                                        "a/../../b",
                                        "a//b",
                                        ".",
                                        "..",
                                        "",
                                        "C:\\windows\\x",
                                        "a\\..\\..\\b",
                                        "-rf",
                                        ".git/config",
                                        ".git/hooks/post-checkout",
                                        "a\nb",
                                        "\x1b[31m",
                                        "con",
                                        "a/./b",
                                        "a/"};
    json_t *files = json_array();
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        json_array_append_new(files, json_pack("{s:s, s:s}", "path", paths[i], "content", "escaped"));
    json_object_set_new(repro, "files", files);
}

static void escaping_test(json_t *repro)
{
    json_object_set_new(json_object_get(repro, "test"), "path", json_string("../../../../../../tmp/escaped.spec.ts"));
}

static void escaping_id(json_t *repro)
{
    json_object_set_new(repro, "id", json_string("../../../../tmp/escaped"));
}

static void long_path(json_t *repro)
{
    json_t *path = repeated("a/", 9000);
    json_t *long_name = repeated("b", 5000);
    json_object_set_new(
        repro, "files",
        json_pack("[{s:o, s:s}, {s:o, s:s}]", "path", path, "content", "x", "path", long_name, "content", "x"));
}

static void same_paths(json_t *repro)
{
    json_object_set_new(repro, "files",
                        json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "path", "a", "content", "1",
                                  "path", "a", "content", "2", "path", "a/b", "content", "3", "path", "A", "content",
                                  "4"));
}

static void bad_base64(json_t *repro)
{
    json_object_set_new(repro, "files",
                        json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}]", "path", "a.bin", "content", "!!!not base64",
                                  "encoding", "base64", "path", "b.bin", "content", "AAAA=A", "encoding", "base64"));
}

static void bad_pictures(json_t *repro)
{
    json_object_set_new(repro, "screenshots",
                        json_pack("[{s:s, s:s, s:s, s:s}, {s:s, s:s, s:s, s:s}]", "path", "a.png", "media_type",
                                  "image/png", "content", "iVBORw0KGgoAAAANSUhEUv////////8IBgAAAA==", "encoding",
                                  "base64", "path", "b.jpg", "media_type", "image/jpeg", "content",
                                  "/9j/4AAQSkZJRgABAQD//8AAEQj//w==", "encoding", "base64"));
}

static void deep_members(json_t *repro)
{
    json_object_set_new(repro, "environment", nested(NEST_LEVELS, false));
    json_object_set_new(repro, "unknown", nested(NEST_LEVELS, true));
}

static void great_numbers(json_t *repro)
{
    json_object_set_new(repro, "stability",
                        json_pack("{s:f, s:I, s:I}", "score", -1e308, "runs", INT64_MIN, "reproduced", INT64_MAX));
    json_object_set_new(repro, "runs",
                        json_pack("[{s:s, s:f}, {s:s, s:I}]", "status", "failed", "duration_ms", 1e308, "status", "",
                                  "duration_ms", INT64_MAX));
}

static void odd_times(json_t *repro)
{
    json_object_set_new(repro, "created_at", json_string("9999-99-99T99:99:99.999999999999Z"));
    json_object_set_new(repro, "bug", json_pack("{s:s}", "reported_at", "-0001-01-01"));
}

static const struct {
    const char *what;
    void (*change)(json_t *repro);
} changes[] = {
    {"a repro of id, title and test alone", only_required},
    {"empty texts", empty_texts},
    {"control characters and terminal escapes", control_characters},
    {"odd Unicode", odd_unicode},
    {"words for shells, HTML and templates", shell_words},
    {"a description of 10 MB", huge_description},
    {"a title of one word of 1 MB", huge_word},
    {"test code of one line of 10 MB", huge_code},
    {"Markdown that nests 100,000 deep", deep_markdown},
    {"10,000 files", many_files},
    {"paths that lead out", escaping_paths},
    {"a test's path that leads out", escaping_test},
    {"an id that is a path", escaping_id},
    {"paths of 9,000 bytes", long_path},
    {"the same path twice, and a file where a folder is", same_paths},
    {"base64 that is none", bad_base64},
    {"pictures that lie about their size", bad_pictures},
    {"members that nest 50 deep", deep_members},
    {"numbers at their ends", great_numbers},
    {"times that are none", odd_times},
};

static int vary_repro(const json_t *base, sample_take take, void *client)
{
    static const char *const members[] = {"description",  "bug",         "steps",     "files",
                                          "dependencies", "environment", "stability", "runs",
                                          "validation",   "screenshots", "created_at"};
    int stop = 0;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0] && !stop; i++) {
        json_t *data = json_deep_copy(base);
        changes[i].change(json_object_get(data, "repro"));
        stop = take(client, changes[i].what, data);
        json_decref(data);
    }
    for (size_t i = 0; i < sizeof members / sizeof members[0] && !stop; i++) {
        json_t *wrong[] = {json_integer(-7),
                           json_string("text"),
                           json_pack("[i, n, s, []]", 1, "x"),
                           json_pack("{s:[], s:n}", "a", "b"),
                           json_null(),
                           json_true()};
        for (size_t j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
            char what[100];
            snprintf(what, sizeof what, "a wrong type in /repro/%s", members[i]);
            json_t *data = json_deep_copy(base);
            json_object_set_new(json_object_get(data, "repro"), members[i], wrong[j]);
            stop = stop ? stop : take(client, what, data);
            json_decref(data);
        }
    }
    return stop;
}

static int vary_text(const char *name, const json_t *base, sample_take take, void *client)
{
    static const char *const texts[] = {"",
                                        "../../../../etc/passwd",
                                        "/etc/passwd",
                                        "file:///etc/passwd",
                                        "http://127.0.0.1:1/x",
                                        "https://user:word@[::1]:99999/../..?#\\",
                                        "\x01\x1b[31m\x7f\r\n",
                                        "$(id) `id` ; rm -rf / --",
                                        "--upload-pack=touch /tmp/x",
                                        "%s%n%x",
                                        "\xf4\x8f\xbf\xbf\xe2\x80\xae"};
    int stop = 0;
    char what[200];
    for (size_t i = 0; i <= sizeof texts / sizeof texts[0] && !stop; i++) {
        bool last = i == sizeof texts / sizeof texts[0];
        json_t *data = json_deep_copy(base);
        json_object_set_new(data, name, last ? repeated("long ", HUGE_BYTES) : json_string(texts[i]));
        snprintf(what, sizeof what, "the option %.80s set to %.60s", name,
                 last ? "10 MB of text"
                 : i  ? texts[i]
                      : "\"\"");
        stop = take(client, what, data);
        json_decref(data);
    }
    return stop;
}

static int vary_option(const char *name, const json_t *schema, const json_t *base, sample_take take, void *client)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (json_object_get(schema, "const") || json_object_get(schema, "enum"))
        return 0; /* the host lets nothing else through, and all of those are tried elsewhere */
    if (!type || strcmp(type, "string") == 0)
        return vary_text(name, base, take, client);
    json_t *values = json_array();
    if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0) {
        const json_t *ends[] = {json_object_get(schema, "minimum"), json_object_get(schema, "maximum")};
        for (size_t i = 0; i < 2; i++)
            if (ends[i])
                json_array_append_new(values, json_deep_copy(ends[i]));
        json_array_append_new(values, json_integer(0));
        json_array_append_new(values, json_integer(-1));
        json_array_append_new(values, json_integer(INT64_MAX));
        json_array_append_new(values, json_integer(INT64_MIN));
    } else if (strcmp(type, "array") == 0) {
        json_t *many = json_array();
        for (int i = 0; i < MANY_FILES; i++)
            json_array_append_new(many, json_string("../../x"));
        json_array_append_new(values, json_array());
        json_array_append_new(values, many);
        json_array_append_new(values, json_pack("[s, s]", "", "\x1b[31m*\\"));
    } else if (strcmp(type, "object") == 0) {
        json_array_append_new(values, json_object());
        json_array_append_new(values, nested(NEST_LEVELS, false));
        json_array_append_new(values, json_pack("{s:s, s:s}", "", "", "../x=\n", "\x1b[31m"));
    }
    int stop = 0;
    size_t index;
    json_t *value;
    char what[200];
    json_array_foreach(values, index, value)
    {
        json_t *data = json_deep_copy(base);
        json_object_set(data, name, value);
        snprintf(what, sizeof what, "the option %.80s at its ends (%zu)", name, index + 1);
        stop = stop ? stop : take(client, what, data);
        json_decref(data);
    }
    json_decref(values);
    return stop;
}

int sample_hostile(const struct route *route, const json_t *base, sample_take take, void *client)
{
    int stop = json_object_get(base, "repro") ? vary_repro(base, take, client) : 0;
    const char *name;
    json_t *schema;
    json_object_foreach(json_object_get(route->schema, "properties"), name, schema)
    {
        if (!stop)
            stop = vary_option(name, schema, base, take, client);
    }
    json_t *previous[] = {json_integer(1),
                          json_string("../.."),
                          nested(NEST_LEVELS, false),
                          json_array(),
                          json_pack("{s:s, s:s}", "folder", "../../../../etc", "url", "\x1b[31m"),
                          json_pack("{s:s, s:i}", "folder", "/etc", "commit", 7),
                          json_pack("{s:{s:s}}", "repository", "folder", "repo/..")};
    for (size_t i = 0; i < sizeof previous / sizeof previous[0]; i++) {
        json_t *data = json_deep_copy(base);
        json_object_set_new(data, "previous", previous[i]);
        stop = stop ? stop : take(client, "a result of the step before that isn't what it was to be", data);
        json_decref(data);
    }
    return stop;
}
