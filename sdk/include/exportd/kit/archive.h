/*
 * exportd/kit/archive.h: a bundle, or files on the disk, as one .tar.gz or .tar.zst.
 *
 * The same bundle and options give the same bytes: files in the bundle's order, folders before what is in them, one
 * time for all, owner and group 0 without names, modes 0644 and 0755 (folders 0755), no time or name in gzip's
 * header. The form is POSIX pax, with extended headers only where a path needs them (long, or not ASCII).
 */
#ifndef EXPORTD_KIT_ARCHIVE_H
#define EXPORTD_KIT_ARCHIVE_H

#include <exportd/kit/bundle.h>

#ifdef __cplusplus
extern "C" {
#endif

enum exportd_archive_format {
    EXPORTD_ARCHIVE_TAR_GZ = 0,
    EXPORTD_ARCHIVE_TAR_ZST = 1,
};

struct exportd_archive_options {
    enum exportd_archive_format format;
    int level;       /* 1 to 9 for gzip, 1 to 19 for zstd; 0: the format's default, 6 and 3 */
    const char *top; /* the folder that everything lies in; a safe path of one segment */
    int64_t time_s;  /* of every entry, since the epoch */
    /* Called now and then with the files written and all files; nonzero stops. May be NULL. */
    int (*step)(void *context, size_t done, size_t all);
    void *context;
};

/* Writes the finished bundle to a new file at path, which must not exist. Returns 0, or -1 with error filled (code
 * "cancelled" where step() stopped it) and no file left. */
int exportd_archive_write(const struct exportd_bundle *bundle, const struct exportd_archive_options *options,
                          const char *path, struct exportd_kit_error *error);

/* A file on the disk, or a link. */
struct exportd_archive_entry {
    const char *path;   /* below the folder */
    const char *target; /* of a link, which is written as it is; NULL: a file */
    int executable;
    uint64_t size_bytes;      /* set to what was written of a file, */
    unsigned char sha256[32]; /* and its hash */
};

/* The same for files that lie in folder, of any size, straight from the disk and without entries for folders. Sorts
 * entries by their paths' bytes; no link is followed. level has no effect. A file that changes meanwhile, or is none
 * any more, is an error ("file_changed", retryable). */
int exportd_archive_write_folder(const char *folder, struct exportd_archive_entry *entries, size_t count,
                                 const struct exportd_archive_options *options, const char *path,
                                 struct exportd_kit_error *error);

#ifdef __cplusplus
}
#endif
#endif
