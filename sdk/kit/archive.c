/* exportd/kit/archive.h: deterministic tarballs. */
#include <exportd/kit/archive.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES (64 * 1024)
#define WRITE_MAX (1024 * 1024) /* so that a cancelled job stops within one file too */
#define STEP_EVERY 64
#define TIME_MAX_S 077777777777LL /* what 11 octal digits of a plain tar header hold: the year 2242 */
#define FULL_PATH_MAX (2 * EXPORTD_BUNDLE_PATH_MAX + 2)

struct writer {
    struct archive *archive;
    struct archive_entry *entry;
    const struct exportd_archive_options *options;
    size_t done;
    size_t all;
    struct exportd_kit_error *error;
};

static int fail(struct exportd_kit_error *error, const char *code, int retryable, const char *what, const char *why)
{
    error->code = code;
    error->retryable = retryable;
    snprintf(error->message, sizeof error->message, "%s: %s", what, why);
    return -1;
}

static int archive_failed(struct writer *writer)
{
    const char *why = writer->archive ? archive_error_string(writer->archive) : NULL;
    return fail(writer->error, "archive_failed", 1, "the archive could not be written", why ? why : "out of memory");
}

static int step(struct writer *writer)
{
    if (writer->options->step && writer->options->step(writer->options->context, writer->done, writer->all))
        return fail(writer->error, "cancelled", 0, "the archive was not finished", "the job was cancelled");
    return 0;
}

static int set_up(struct writer *writer, int fd)
{
    const struct exportd_archive_options *options = writer->options;
    struct archive *archive = writer->archive;
    int gzip = options->format == EXPORTD_ARCHIVE_TAR_GZ;
    const char *filter = gzip ? "gzip" : "zstd";
    char level[16];

    snprintf(level, sizeof level, "%d", options->level > 0 ? options->level : gzip ? 6 : 3);
    if (archive_write_set_format_pax_restricted(archive) != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(archive, BLOCK_BYTES) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(archive, 1) != ARCHIVE_OK ||
        (gzip ? archive_write_add_filter_gzip(archive) : archive_write_add_filter_zstd(archive)) != ARCHIVE_OK ||
        archive_write_set_filter_option(archive, filter, "compression-level", level) != ARCHIVE_OK ||
        (gzip && archive_write_set_filter_option(archive, filter, "timestamp", NULL) != ARCHIVE_OK) ||
        archive_write_open_fd(archive, fd) != ARCHIVE_OK)
        return archive_failed(writer);
    return 0;
}

static int write_header(struct writer *writer, const char *path, unsigned int type, unsigned int mode,
                        size_t size_bytes)
{
    int64_t time_s = writer->options->time_s;
    struct archive_entry *entry = archive_entry_clear(writer->entry);
    time_s = time_s < 0 ? 0 : time_s > TIME_MAX_S ? TIME_MAX_S : time_s;
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, (__LA_MODE_T)mode);
    archive_entry_set_size(entry, (la_int64_t)size_bytes);
    archive_entry_set_mtime(entry, (time_t)time_s, 0);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    return archive_write_header(writer->archive, entry) == ARCHIVE_OK ? 0 : archive_failed(writer);
}

/* The folders of path that the previous path does not share, outermost first. Both begin with the top folder. */
static int write_folders(struct writer *writer, char *path, const char *previous)
{
    size_t shared = 0;
    for (size_t i = 0; path[i] && path[i] == previous[i]; i++)
        if (path[i] == '/')
            shared = i + 1;
    for (char *slash = strchr(path + shared, '/'); slash; slash = strchr(slash + 1, '/')) {
        char after = slash[1];
        slash[1] = '\0';
        int written = write_header(writer, path, AE_IFDIR, 0755, 0);
        slash[1] = after;
        if (written < 0)
            return -1;
    }
    return 0;
}

static int write_file(struct writer *writer, const char *path, const struct exportd_bundle_file *file)
{
    if (write_header(writer, path, AE_IFREG, file->mode, file->size_bytes) < 0)
        return -1;
    for (size_t at = 0; at < file->size_bytes;) {
        size_t size = file->size_bytes - at < WRITE_MAX ? file->size_bytes - at : WRITE_MAX;
        la_ssize_t written = archive_write_data(writer->archive, file->content + at, size);
        if (written <= 0)
            return archive_failed(writer);
        at += (size_t)written;
        if (at < file->size_bytes && step(writer) < 0)
            return -1;
    }
    return 0;
}

static int write_all(struct writer *writer, const struct exportd_bundle *bundle)
{
    char paths[2][FULL_PATH_MAX] = {"", ""};
    for (writer->done = 0; writer->done < writer->all; writer->done++) {
        struct exportd_bundle_file file = exportd_bundle_get(bundle, writer->done);
        char *path = paths[writer->done % 2];
        snprintf(path, FULL_PATH_MAX, "%s/%s", writer->options->top, file.path);
        if (writer->done % STEP_EVERY == 0 && step(writer) < 0)
            return -1;
        if (write_folders(writer, path, paths[(writer->done + 1) % 2]) < 0 || write_file(writer, path, &file) < 0)
            return -1;
    }
    return step(writer);
}

static int write_archive(struct writer *writer, const struct exportd_bundle *bundle, int fd)
{
    int status = -1;
    writer->archive = archive_write_new();
    writer->entry = archive_entry_new();
    if (!writer->archive || !writer->entry) {
        archive_failed(writer);
    } else if (set_up(writer, fd) == 0 && write_all(writer, bundle) == 0) {
        status = archive_write_close(writer->archive) == ARCHIVE_OK ? 0 : archive_failed(writer);
    }
    archive_entry_free(writer->entry);
    archive_write_free(writer->archive); /* NULL is fine; what it still writes of a failed one is unlinked */
    return status;
}

int exportd_archive_write(const struct exportd_bundle *bundle, const struct exportd_archive_options *options,
                          const char *path, struct exportd_kit_error *error)
{
    struct writer writer = {.options = options, .all = exportd_bundle_count(bundle), .error = error};
    /* libarchive turns paths into pax's UTF-8 by the thread's locale, and in "C" it can't. */
    locale_t unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    if (!unicode)
        return fail(error, "locale_missing", 0, "the locale C.UTF-8 is missing", strerror(errno));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) {
        fail(error, "archive_failed", 1, path, strerror(errno));
        freelocale(unicode);
        return -1;
    }
    locale_t before = uselocale(unicode);
    int status = write_archive(&writer, bundle, fd);
    uselocale(before);
    freelocale(unicode);
    if (close(fd) < 0 && status == 0)
        status = fail(error, "archive_failed", 1, path, strerror(errno));
    if (status < 0)
        unlink(path);
    return status;
}
