#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64 /* open folders at once; what lies deeper is first moved up to the top */

struct removal {
    int top; /* the folder that is being removed */
    unsigned moved;
    int first_error;
};

static void note(struct removal *removal, int cause)
{
    if (!removal->first_error && cause != ENOENT)
        removal->first_error = cause;
}

static void empty_folder(struct removal *removal, int fd, int depth);

static void remove_entry(struct removal *removal, int folder, const char *name, int depth)
{
    if (unlinkat(folder, name, 0) == 0)
        return;
    if (errno != EISDIR && errno != EPERM) {
        note(removal, errno);
        return;
    }
    if (depth >= DEPTH_MAX) {
        char moved[32];
        snprintf(moved, sizeof moved, ".deep-%u", removal->moved++);
        if (renameat(folder, name, removal->top, moved) != 0)
            note(removal, errno);
        return; /* found again in the top's next pass */
    }
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES) {
        if (fchmodat(folder, name, 0700, 0) != 0)
            note(removal, errno);
        fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0) {
        note(removal, errno);
        return;
    }
    fchmod(fd, 0700);
    empty_folder(removal, fd, depth + 1);
    if (unlinkat(folder, name, AT_REMOVEDIR) != 0)
        note(removal, errno);
}

/* Takes fd over. */
static void empty_folder(struct removal *removal, int fd, int depth)
{
    DIR *folder = fdopendir(fd);
    if (!folder) {
        note(removal, errno);
        close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_entry(removal, dirfd(folder), entry->d_name, depth);
    closedir(folder);
}

int tree_remove(const char *path)
{
    struct removal removal = {.top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (removal.top < 0)
        return errno == ENOENT ? 0 : errno;
    fchmod(removal.top, 0700);
    unsigned moved_before;
    do {
        moved_before = removal.moved;
        removal.first_error = 0;
        int copy = openat(removal.top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (copy < 0)
            break;
        empty_folder(&removal, copy, 0);
    } while (removal.moved != moved_before);
    close(removal.top);
    if (rmdir(path) != 0 && errno != ENOENT && !removal.first_error)
        removal.first_error = errno;
    return removal.first_error;
}

#define NAME_BYTES 4096 /* what a name counts at the least */

/* A folder that says no to its owner is opened to it: nothing hides there. What stands in the name's place meanwhile,
 * a link say, is not touched: the mode is set by the folder that was found. */
static int open_closed(int folder, const char *name)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(folder, name, flags);
    if (fd >= 0 || errno != EACCES)
        return fd;
    int found = openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (found < 0)
        return -1;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", found);
    if (chmod(path, 0700) == 0)
        fd = openat(found, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(found);
    return fd;
}

/* Takes fd over. */
static int64_t measure_folder(int fd, int64_t most, int depth)
{
    DIR *folder = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
    if (!folder) {
        close(fd);
        return depth < DEPTH_MAX ? 0 : most + 1;
    }
    int64_t bytes = 0;
    for (struct dirent *entry; bytes <= most && (entry = readdir(folder));) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        int64_t taken = (int64_t)status.st_blocks * 512;
        bytes += taken > NAME_BYTES ? taken : NAME_BYTES;
        int below = S_ISDIR(status.st_mode) ? open_closed(dirfd(folder), entry->d_name) : -1;
        if (below >= 0)
            bytes += measure_folder(below, most - bytes, depth + 1);
    }
    closedir(folder);
    return bytes;
}

int64_t tree_measure(const char *path, int64_t most)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? 0 : measure_folder(fd, most, 0);
}

void tree_spread(const char *path)
{
    int flags = 0; /* the call's number says long, the kernel reads and writes an int */
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_TOPDIR_FL) == 0) {
        flags |= FS_TOPDIR_FL;
        (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
    if (fd >= 0)
        close(fd);
}
