/* exportd/kit/archive.h: a tarball of files on the disk. */
#include <exportd/kit/archive.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES (64 * 1024)
#define STEP_EVERY 64

struct packer {
    const struct exportd_archive_options *options;
    const char *folder;
    struct archive *archive;
    struct archive_entry *entry;
    struct exportd_kit_error *error;
    struct exportd_archive_entry *entries; /* by their paths */
    size_t count;
};

static int fail_archive(struct packer *packer, const char *why)
{
    return exportd_kit_fail(packer->error, "archive_failed", 1, "the tarball could not be written: %s",
                            why ? why : "unknown");
}

static int by_path(const void *a, const void *b)
{
    const struct exportd_archive_entry *one = a, *other = b;
    return strcmp(one->path, other->path);
}

static int set_up(struct packer *packer, int fd)
{
    struct archive *archive = packer->archive;
    bool zstd = packer->options->format == EXPORTD_ARCHIVE_TAR_ZST;
    if (archive_write_set_format_pax_restricted(archive) != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(archive, BLOCK_BYTES) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(archive, 1) != ARCHIVE_OK ||
        (zstd ? archive_write_add_filter_zstd(archive) : archive_write_add_filter_gzip(archive)) != ARCHIVE_OK ||
        (!zstd && archive_write_set_filter_option(archive, "gzip", "timestamp", NULL) != ARCHIVE_OK) ||
        archive_write_open_fd(archive, fd) != ARCHIVE_OK)
        return fail_archive(packer, archive_error_string(archive));
    return 0;
}

static int write_header(struct packer *packer, const struct exportd_archive_entry *file, int64_t size)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", packer->options->top, file->path) < 0)
        return exportd_kit_no_memory(packer->error);
    struct archive_entry *entry = archive_entry_clear(packer->entry);
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, file->target ? AE_IFLNK : AE_IFREG);
    archive_entry_set_perm(entry, file->target ? 0777 : file->executable ? 0755 : 0644);
    archive_entry_set_mtime(entry, (time_t)packer->options->time_s, 0);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    if (file->target)
        archive_entry_set_symlink(entry, file->target);
    else
        archive_entry_set_size(entry, size);
    free(path);
    return archive_write_header(packer->archive, entry) == ARCHIVE_OK
               ? 0
               : fail_archive(packer, archive_error_string(packer->archive));
}

static int fail_changed(struct packer *packer, const char *path)
{
    char quoted[220];
    return exportd_kit_fail(packer->error, "file_changed", 1, "%s changed while it was packed",
                            exportd_bundle_quote(path, quoted, sizeof quoted));
}

/* The bytes that the header promised, and no other number of them. */
static int write_bytes(struct packer *packer, int fd, struct exportd_archive_entry *file)
{
    crypto_hash_sha256_state state;
    char buffer[BLOCK_BYTES];
    uint64_t left = file->size_bytes;
    ssize_t got;
    crypto_hash_sha256_init(&state);
    while ((got = read(fd, buffer, sizeof buffer)) > 0 && (uint64_t)got <= left) {
        crypto_hash_sha256_update(&state, (const unsigned char *)buffer, (unsigned long long)got);
        if (archive_write_data(packer->archive, buffer, (size_t)got) != got)
            return fail_archive(packer, archive_error_string(packer->archive));
        left -= (uint64_t)got;
    }
    crypto_hash_sha256_final(&state, file->sha256);
    return got < 0               ? fail_archive(packer, strerror(errno))
           : got > 0 || left > 0 ? fail_changed(packer, file->path)
                                 : 0;
}

static int write_file(struct packer *packer, int top_fd, struct exportd_archive_entry *file)
{
    struct stat status = {0};
    if (file->target)
        return write_header(packer, file, 0);
    int fd = openat(top_fd, file->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int failed = fd < 0 || fstat(fd, &status) != 0 ? fail_archive(packer, strerror(errno))
                 : !S_ISREG(status.st_mode)        ? fail_changed(packer, file->path)
                                                   : write_header(packer, file, status.st_size);
    if (!failed) {
        file->size_bytes = (uint64_t)status.st_size;
        failed = write_bytes(packer, fd, file);
    }
    if (fd >= 0)
        close(fd);
    return failed;
}

static int write_all(struct packer *packer)
{
    const struct exportd_archive_options *options = packer->options;
    int top_fd = open(packer->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = top_fd < 0 ? fail_archive(packer, strerror(errno)) : 0;
    for (size_t i = 0; !failed && i < packer->count; i++) {
        if (i % STEP_EVERY == 0 && options->step && options->step(options->context, i, packer->count))
            failed = exportd_kit_fail(packer->error, "cancelled", 0, "the job was cancelled");
        failed = failed ? failed : write_file(packer, top_fd, &packer->entries[i]);
    }
    if (top_fd >= 0)
        close(top_fd);
    return failed;
}

static int pack(struct packer *packer, int fd)
{
    int failed;
    packer->archive = archive_write_new();
    packer->entry = archive_entry_new();
    if (!packer->archive || !packer->entry) {
        failed = exportd_kit_no_memory(packer->error);
    } else {
        qsort(packer->entries, packer->count, sizeof *packer->entries, by_path);
        failed = set_up(packer, fd);
        failed = failed ? failed : write_all(packer);
        if (!failed && archive_write_close(packer->archive) != ARCHIVE_OK)
            failed = fail_archive(packer, archive_error_string(packer->archive));
    }
    archive_entry_free(packer->entry);
    archive_write_free(packer->archive);
    return failed;
}

int exportd_archive_write_folder(const char *folder, struct exportd_archive_entry *entries, size_t count,
                                 const struct exportd_archive_options *options, const char *path,
                                 struct exportd_kit_error *error)
{
    struct packer packer = {.options = options, .folder = folder, .entries = entries, .count = count, .error = error};
    /* libarchive turns paths into pax's UTF-8 by the thread's locale, and in "C" it can't. */
    locale_t unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    if (!unicode)
        return fail_archive(&packer, "the locale C.UTF-8 is missing");
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    locale_t before = uselocale(unicode);
    int failed = fd < 0 ? fail_archive(&packer, strerror(errno)) : pack(&packer, fd);
    uselocale(before);
    freelocale(unicode);
    if (fd >= 0 && close(fd) != 0 && !failed)
        failed = fail_archive(&packer, strerror(errno));
    if (failed && fd >= 0)
        unlink(path);
    return failed;
}
