/* exportd/kit/bundle.h: a set of files with safe paths. The paths' own rules are in bundle_path.c. */
#include "bundle_path.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTES_MAX 100
#define QUOTE_MAX 160

struct file {
    char *path;
    char *folded; /* the path as a file system that ignores case sees it */
    char *content;
    size_t size_bytes;
    unsigned int mode;
};

struct exportd_bundle {
    size_t max_files;
    uint64_t max_bytes;
    uint64_t bytes;
    struct file *files;
    size_t count;
    size_t capacity;
    char **reserved; /* folded */
    size_t reserved_count;
    char *notes[NOTES_MAX];
    size_t note_count;
    int finished;
    locale_t unicode; /* to fold case with */
};

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

static int out_of_memory(struct exportd_kit_error *error)
{
    refuse(error, "out_of_memory", "not enough memory for the repro's files");
    error->retryable = 1;
    return -1;
}

struct exportd_bundle *exportd_bundle_new(size_t max_files, uint64_t max_bytes)
{
    struct exportd_bundle *bundle = calloc(1, sizeof *bundle);
    if (!bundle)
        return NULL;
    bundle->unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    bundle->max_files = max_files ? max_files : EXPORTD_BUNDLE_MAX_FILES;
    bundle->max_bytes = max_bytes ? max_bytes : EXPORTD_BUNDLE_MAX_BYTES;
    return bundle;
}

static void file_clear(struct file *file)
{
    free(file->path);
    free(file->folded);
    free(file->content);
}

struct exportd_bundle *exportd_bundle_free(struct exportd_bundle *bundle)
{
    if (!bundle)
        return NULL;
    for (size_t i = 0; i < bundle->count; i++)
        file_clear(&bundle->files[i]);
    for (size_t i = 0; i < bundle->reserved_count; i++)
        free(bundle->reserved[i]);
    for (size_t i = 0; i < bundle->note_count; i++)
        free(bundle->notes[i]);
    free(bundle->files);
    free(bundle->reserved);
    if (bundle->unicode)
        freelocale(bundle->unicode);
    free(bundle);
    return NULL;
}

int exportd_bundle_reserve(struct exportd_bundle *bundle, const char *path)
{
    char **grown = realloc(bundle->reserved, (bundle->reserved_count + 1) * sizeof *grown);
    if (!grown)
        return -1;
    bundle->reserved = grown;
    grown[bundle->reserved_count] = exportd_path_fold(path, bundle->unicode);
    if (!grown[bundle->reserved_count])
        return -1;
    bundle->reserved_count++;
    return 0;
}

static int folded_is_reserved(const struct exportd_bundle *bundle, const char *folded)
{
    for (size_t i = 0; i < bundle->reserved_count; i++)
        if (strcmp(bundle->reserved[i], folded) == 0)
            return 1;
    return 0;
}

int exportd_bundle_is_reserved(const struct exportd_bundle *bundle, const char *path)
{
    char safe[EXPORTD_BUNDLE_PATH_MAX + 1];
    struct exportd_kit_error error;
    if (exportd_bundle_safe_path(path, safe, &error) < 0)
        return 0;
    char *folded = exportd_path_fold(safe, bundle->unicode);
    int reserved = folded && folded_is_reserved(bundle, folded);
    free(folded);
    return reserved;
}

void exportd_bundle_add_note(struct exportd_bundle *bundle, const char *format, ...)
{
    char *note;
    va_list arguments;
    if (bundle->note_count == NOTES_MAX)
        return;
    va_start(arguments, format);
    if (vasprintf(&note, format, arguments) >= 0)
        bundle->notes[bundle->note_count++] = note;
    va_end(arguments);
}

const char *exportd_bundle_note(const struct exportd_bundle *bundle, size_t index)
{
    return index < bundle->note_count ? bundle->notes[index] : NULL;
}

/* The limits, and room for one more file. */
static int make_room(struct exportd_bundle *bundle, const char *path, size_t size_bytes,
                     struct exportd_kit_error *error)
{
    char quoted[QUOTE_MAX];
    if (bundle->count >= bundle->max_files)
        return refuse(error, "repro_too_large",
                      "the repro has more than %zu files; take out those that the test does not need",
                      bundle->max_files);
    if (size_bytes > bundle->max_bytes - bundle->bytes)
        return refuse(error, "repro_too_large",
                      "with %s the repro's files are over %llu bytes; take out those that the test does not need",
                      exportd_bundle_quote(path, quoted, sizeof quoted), (unsigned long long)bundle->max_bytes);
    if (bundle->count == bundle->capacity) {
        size_t capacity = bundle->capacity ? bundle->capacity * 2 : 64;
        struct file *grown = realloc(bundle->files, capacity * sizeof *grown);
        if (!grown)
            return out_of_memory(error);
        bundle->files = grown;
        bundle->capacity = capacity;
    }
    return 0;
}

static int add(struct exportd_bundle *bundle, const char *path, struct file *file, int own,
               struct exportd_kit_error *error)
{
    char safe[EXPORTD_BUNDLE_PATH_MAX + 1];
    char quoted[QUOTE_MAX];
    char quoted_safe[QUOTE_MAX];
    int changed = exportd_bundle_safe_path(path, safe, error);
    if (changed < 0)
        return -1;
    if (bundle->finished)
        return refuse(error, "internal", "a file was added to a finished bundle");
    exportd_bundle_quote(path, quoted, sizeof quoted);
    if (file->mode == 0)
        file->mode = file->size_bytes > 2 && memcmp(file->content, "#!", 2) == 0 ? 0755 : 0644;
    if (file->mode != 0644 && file->mode != 0755)
        return refuse(error, "repro_unsafe", "the file %s has the mode %o; expected 644 or 755", quoted, file->mode);
    if (make_room(bundle, path, file->size_bytes, error) < 0)
        return -1;
    file->path = strdup(safe);
    file->folded = exportd_path_fold(safe, bundle->unicode);
    if (!file->path || !file->folded)
        return out_of_memory(error);
    if (!own && folded_is_reserved(bundle, file->folded))
        return refuse(error, "repro_unsafe", "the path %s is kept for a file that this export makes; rename it",
                      quoted);
    if (changed)
        exportd_bundle_add_note(bundle, "the path %s was made %s", quoted,
                                exportd_bundle_quote(safe, quoted_safe, sizeof quoted_safe));
    bundle->files[bundle->count++] = *file;
    bundle->bytes += file->size_bytes;
    return 0;
}

static int add_or_free(struct exportd_bundle *bundle, const char *path, struct file file, int own,
                       struct exportd_kit_error *error)
{
    if (!file.content)
        return out_of_memory(error);
    if (add(bundle, path, &file, own, error) == 0)
        return 0; /* NOLINT(clang-analyzer-unix.Malloc): the bundle has a copy of file, and owns its strings */
    file_clear(&file);
    return -1;
}

int exportd_bundle_add(struct exportd_bundle *bundle, const char *path, char *content, size_t size_bytes,
                       unsigned int mode, struct exportd_kit_error *error)
{
    struct file file = {.content = content, .size_bytes = size_bytes, .mode = mode};
    return add_or_free(bundle, path, file, 0, error);
}

int exportd_bundle_add_own(struct exportd_bundle *bundle, const char *path, char *content, size_t size_bytes,
                           unsigned int mode, struct exportd_kit_error *error)
{
    struct file file = {.content = content, .size_bytes = size_bytes, .mode = mode};
    return add_or_free(bundle, path, file, 1, error);
}

/* By the folded path, "/" before every other character, so that what lies in a folder follows a file of its name;
 * equal ones by the path itself. */
static int by_folded(const void *left, const void *right)
{
    const struct file *a = left;
    const struct file *b = right;
    const unsigned char *p = (const unsigned char *)a->folded;
    const unsigned char *q = (const unsigned char *)b->folded;
    while (*p && *p == *q) {
        p++;
        q++;
    }
    int x = *p == '/' ? 1 : *p ? *p + 1 : 0;
    int y = *q == '/' ? 1 : *q ? *q + 1 : 0;
    return x != y ? x - y : strcmp(a->path, b->path);
}

static int by_path(const void *left, const void *right)
{
    return strcmp(((const struct file *)left)->path, ((const struct file *)right)->path);
}

/* Judges two neighbours in by_folded() order. Returns 0: no conflict; 1: the same file twice; -1: refused. */
static int compare_neighbours(const struct file *a, const struct file *b, struct exportd_kit_error *error)
{
    char left[QUOTE_MAX];
    char right[QUOTE_MAX];
    size_t length = strlen(a->folded);
    exportd_bundle_quote(a->path, left, sizeof left);
    exportd_bundle_quote(b->path, right, sizeof right);
    if (strcmp(a->folded, b->folded) == 0) {
        if (strcmp(a->path, b->path) != 0)
            return refuse(error, "repro_unsafe",
                          "the paths %s and %s differ in case alone, and are one file on many machines; rename one",
                          left, right);
        if (a->size_bytes == b->size_bytes && a->mode == b->mode &&
            memcmp(a->content, b->content, a->size_bytes) == 0)
            return 1;
        return refuse(error, "repro_unsafe", "the path %s is there twice with different content; keep one of them",
                      left);
    }
    if (strncmp(a->folded, b->folded, length) == 0 && b->folded[length] == '/')
        return refuse(error, "repro_unsafe", "the file %s is also a folder, that of %s; rename one", left, right);
    return 0;
}

int exportd_bundle_finish(struct exportd_bundle *bundle, struct exportd_kit_error *error)
{
    size_t kept = 0;
    if (bundle->count)
        qsort(bundle->files, bundle->count, sizeof *bundle->files, by_folded);
    for (size_t i = 0; i < bundle->count; i++) {
        int same = kept ? compare_neighbours(&bundle->files[kept - 1], &bundle->files[i], error) : 0;
        if (same < 0) { /* close the gap, so that every file is freed once */
            memmove(&bundle->files[kept], &bundle->files[i], (bundle->count - i) * sizeof *bundle->files);
            bundle->count -= i - kept;
            return -1;
        }
        if (same) {
            char quoted[QUOTE_MAX];
            exportd_bundle_add_note(bundle, "the file %s was there twice, and is kept once",
                                    exportd_bundle_quote(bundle->files[i].path, quoted, sizeof quoted));
            bundle->bytes -= bundle->files[i].size_bytes;
            file_clear(&bundle->files[i]);
        } else {
            bundle->files[kept++] = bundle->files[i];
        }
    }
    bundle->count = kept;
    if (kept)
        qsort(bundle->files, kept, sizeof *bundle->files, by_path);
    bundle->finished = 1;
    return 0;
}

size_t exportd_bundle_count(const struct exportd_bundle *bundle)
{
    return bundle->count;
}

uint64_t exportd_bundle_bytes(const struct exportd_bundle *bundle)
{
    return bundle->bytes;
}

struct exportd_bundle_file exportd_bundle_get(const struct exportd_bundle *bundle, size_t index)
{
    const struct file *file = &bundle->files[index];
    return (struct exportd_bundle_file){
        .path = file->path, .content = file->content, .size_bytes = file->size_bytes, .mode = file->mode};
}

int exportd_bundle_find(const struct exportd_bundle *bundle, const char *path, struct exportd_bundle_file *file)
{
    for (size_t i = 0; i < bundle->count; i++) {
        if (strcmp(bundle->files[i].path, path) == 0) {
            *file = exportd_bundle_get(bundle, i);
            return 0;
        }
    }
    return -1;
}

int exportd_bundle_has_folder(const struct exportd_bundle *bundle, const char *folder)
{
    char *folded = exportd_path_fold(folder, bundle->unicode);
    size_t length = folded ? strlen(folded) : 0;
    int found = 0;
    for (size_t i = 0; folded && i < bundle->count && !found; i++)
        found = strncmp(bundle->files[i].folded, folded, length) == 0 && bundle->files[i].folded[length] == '/';
    free(folded);
    return found;
}
