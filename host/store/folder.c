#include "base/memory.h"
#include "store/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_folder(const char *folder, bool create, struct error *error)
{
    struct stat status;
    if (stat(folder, &status) == 0)
        return S_ISDIR(status.st_mode)
                   ? 0
                   : error_set(error, "store_folder", false, "%s: not a folder; set [host] state", folder);
    if (!create)
        return error_set(error, "store_folder", false, "%s: %s", folder, strerror(errno));
    char *path = memory_text(folder);
    int failed = 0;
    for (char *c = path + 1; !failed; c++) {
        if (*c != '/' && *c != '\0')
            continue;
        char saved = *c;
        *c = '\0';
        if (mkdir(path, 0750) != 0 && errno != EEXIST)
            failed = error_set(error, "store_folder", false, "%s can't be made: %s; make it, or set [host] state",
                               path, strerror(errno));
        *c = saved;
        if (saved == '\0')
            break;
    }
    free(path);
    return failed;
}

/* The lock dies with the process that holds it. */
int store_lock_folder(const char *folder, bool create, struct error *error)
{
    if (make_folder(folder, create, error) != 0)
        return -1;
    char *path = memory_format("%s/exportd.lock", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) {
        error_set(error, "store_folder", false, "%s: %s; the user that runs exportd must be able to write there",
                  path, strerror(errno));
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char holder[32] = "";
        ssize_t count = pread(fd, holder, sizeof holder - 1, 0);
        holder[count > 0 ? count : 0] = '\0';
        holder[strcspn(holder, "\n")] = '\0';
        error_set(error, "store_locked", false,
                  "another exportd (process %s) holds the state folder %s; stop it first, or give this one another "
                  "folder with "
                  "[host] state",
                  holder[0] ? holder : "unknown", folder);
        close(fd);
        fd = -1;
    } else {
        char self[32];
        int length = snprintf(self, sizeof self, "%d\n", (int)getpid());
        if (ftruncate(fd, 0) != 0 || pwrite(fd, self, (size_t)length, 0) != length)
            error_set(error, "store_folder", true, "%s can't be written: %s", path, strerror(errno));
    }
    free(path);
    return error_is_set(error) ? (fd >= 0 ? close(fd) : 0, -1) : fd;
}
