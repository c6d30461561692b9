/*
 * exportd/kit/bundle.h: a set of files whose paths are safe to unpack anywhere.
 *
 * Whatever comes from a repro goes through here before it gets a name on somebody's disk. Paths are relative, with
 * "/" between segments. What is harmless is made safe and noted ("./a//b" becomes "a/b", a backslash "/", the same
 * file twice is kept once); what could leave the folder, hide something or differ between machines is refused, with a
 * sentence that names the entry: absolute paths and drive letters, "..", control characters and bidirectional
 * overrides, ill-formed UTF-8, ".git", segments over 255 bytes, paths over 1,024, two files of one path or of paths
 * that only case tells apart, a file that is also a folder, a path that the maker reserved, too many files or bytes.
 *
 * A bundle is filled, then finished, then read. It writes nothing to disk; see archive.h.
 */
#ifndef EXPORTD_KIT_BUNDLE_H
#define EXPORTD_KIT_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXPORTD_BUNDLE_MAX_FILES 20000
#define EXPORTD_BUNDLE_MAX_BYTES (256u << 20)
#define EXPORTD_BUNDLE_PATH_MAX 1024
#define EXPORTD_BUNDLE_SEGMENT_MAX 255

/* Why something failed, in the form that exportd_fail() takes. Filled only on failure. */
struct exportd_kit_error {
    const char *code; /* a constant, such as "repro_unsafe" */
    int retryable;
    char message[768]; /* a sentence with the mend */
};

/* Fills error. code: a constant. Returns -1, so that a function can end with it. */
int exportd_kit_fail(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 4, 5)))
#endif
    ;

/* The same for want of memory: "out_of_memory", retryable. */
int exportd_kit_no_memory(struct exportd_kit_error *error);

struct exportd_bundle;

/* One file. Everything is borrowed from the bundle. */
struct exportd_bundle_file {
    const char *path;
    const char *content; /* with a NUL behind it that size_bytes does not count */
    size_t size_bytes;
    unsigned int mode; /* 0644 or 0755 */
};

/* A new, empty bundle with these limits (0: the defaults above), or NULL when out of memory. */
struct exportd_bundle *exportd_bundle_new(size_t max_files, uint64_t max_bytes);

/* Frees the bundle and all that it holds. NULL is fine. Returns NULL. */
struct exportd_bundle *exportd_bundle_free(struct exportd_bundle *bundle);

/* Keeps a path (as given, in any case) for the maker's own files: from now on exportd_bundle_add() refuses it, and
 * only exportd_bundle_add_own() takes it. Returns 0, or -1 (out of memory). */
int exportd_bundle_reserve(struct exportd_bundle *bundle, const char *path);

/* Nonzero where a path, once made safe, is a reserved one. */
int exportd_bundle_is_reserved(const struct exportd_bundle *bundle, const char *path);

/* Makes a path safe: writes it to out. Returns 0; 1 where it had to change; -1 where it is refused, with error
 * filled. */
int exportd_bundle_safe_path(const char *path, char out[EXPORTD_BUNDLE_PATH_MAX + 1],
                             struct exportd_kit_error *error);

/* Adds a file that came from outside. Takes content (from malloc, with a NUL behind size_bytes), in case of failure
 * too. mode: 0644 or 0755; 0: 0755 where the content begins with "#!", else 0644. Returns 0, or -1 with error filled.
 */
int exportd_bundle_add(struct exportd_bundle *bundle, const char *path, char *content, size_t size_bytes,
                       unsigned int mode, struct exportd_kit_error *error);

/* The same for a file of the maker's own, which may have a reserved path. */
int exportd_bundle_add_own(struct exportd_bundle *bundle, const char *path, char *content, size_t size_bytes,
                           unsigned int mode, struct exportd_kit_error *error);

/* Checks what only the whole set shows (twins, a file that is also a folder), drops what was there twice, and sorts
 * by the paths' bytes. Nothing can be added afterwards. Returns 0, or -1 with error filled. */
int exportd_bundle_finish(struct exportd_bundle *bundle, struct exportd_kit_error *error);

/* The files, in the order of exportd_bundle_finish(), before it in that in which they were added. */
size_t exportd_bundle_count(const struct exportd_bundle *bundle);
uint64_t exportd_bundle_bytes(const struct exportd_bundle *bundle);
struct exportd_bundle_file exportd_bundle_get(const struct exportd_bundle *bundle, size_t index);

/* Sets *file to the file of that (safe) path and returns 0, or returns -1. */
int exportd_bundle_find(const struct exportd_bundle *bundle, const char *path, struct exportd_bundle_file *file);

/* Nonzero where a file lies in that folder, in any case. */
int exportd_bundle_has_folder(const struct exportd_bundle *bundle, const char *folder);

/* What was made safe: a sentence each, for a log; the first 100 of them. NULL at the end. */
const char *exportd_bundle_note(const struct exportd_bundle *bundle, size_t index);

/* Adds a note. A note that does not fit in memory is left out. */
void exportd_bundle_add_note(struct exportd_bundle *bundle, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* Writes text from outside as it can stand in a message: in quotes, control and other odd characters as \u{…}, cut
 * where out is too small. Returns out. */
const char *exportd_bundle_quote(const char *text, char *out, size_t out_size);

#ifdef __cplusplus
}
#endif
#endif
