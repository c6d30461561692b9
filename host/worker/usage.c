#include "worker/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES_MAX 2048 /* that are looked at; no worker may have more (RLIMIT_NPROC) */

struct family {
    int pids[PROCESSES_MAX];
    int count;
};

static ssize_t read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t count = read(fd, text, size - 1);
    close(fd);
    text[count > 0 ? count : 0] = '\0';
    return count;
}

static int64_t resident_bytes(int pid)
{
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    const char *space = read_text(path, text, sizeof text) > 0 ? strchr(text, ' ') : NULL;
    return space ? strtoll(space + 1, NULL, 10) * sysconf(_SC_PAGESIZE) : 0;
}

static void add_children(struct family *family, const char *path)
{
    char text[16384]; /* all that PROCESSES_MAX numbers take */
    if (read_text(path, text, sizeof text) <= 0)
        return;
    char *end;
    for (char *at = text; family->count < PROCESSES_MAX; at = end) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            return;
        family->pids[family->count++] = (int)pid;
    }
}

static void add_children_of_threads(struct family *family, int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (!threads)
        return;
    for (struct dirent *thread; (thread = readdir(threads));) {
        char children[80 + sizeof thread->d_name];
        if (thread->d_name[0] == '.')
            continue;
        snprintf(children, sizeof children, "%s/%s/children", path, thread->d_name);
        add_children(family, children);
    }
    closedir(threads);
}

int64_t usage_resident_bytes(int pid, bool with_descendants)
{
    if (!with_descendants)
        return resident_bytes(pid);
    struct family family = {.pids = {pid}, .count = 1};
    int64_t bytes = 0;
    for (int i = 0; i < family.count; i++) {
        bytes += resident_bytes(family.pids[i]);
        add_children_of_threads(&family, family.pids[i]);
    }
    return bytes;
}
