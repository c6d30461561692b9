#include "conformance/watch_judge.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define TEXT_MAX 4096

void watch_judge_say(struct watch_judge *judge, const char *kind, const char *format, ...)
{
    char text[220], line[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    int length = snprintf(line, sizeof line, "%s\t%s\n", kind, text);
    for (int i = 0; i < judge->said_count; i++)
        if (strcmp(judge->said[i], line) == 0)
            return;
    if (judge->said_count == WATCH_LINES_MAX || judge->report < 0)
        return;
    memcpy(judge->said[judge->said_count++], line, (size_t)length + 1);
    if (write(judge->report, line, (size_t)length) != length)
        judge->report = -1; /* the reader finds a report that is cut short */
}

static void read_link(pid_t thread, const char *what, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)thread, what);
    ssize_t length = readlink(path, text, size - 1);
    text[length > 0 ? length : 0] = '\0';
}

void watch_judge_begin(struct watch_judge *judge, pid_t thread)
{
    read_link(thread, "cwd", judge->folder, sizeof judge->folder);
    watch_judge_say(judge, "watching", "%s", judge->folder);
}

/* A text in the worker's memory, page by page, as it may end right before one that isn't mapped. */
static bool read_text(pid_t thread, uint64_t address, char *text, size_t size)
{
    size_t done = 0;
    while (address && done < size - 1) {
        size_t room = 4096 - (size_t)((address + done) & 4095);
        if (room > size - 1 - done)
            room = size - 1 - done;
        struct iovec here = {text + done, room}, there = {(void *)(uintptr_t)(address + done), room}; /* NOLINT */
        ssize_t count = process_vm_readv(thread, &here, 1, &there, 1, 0);
        if (count <= 0)
            return false;
        if (memchr(text + done, '\0', (size_t)count))
            return true;
        done += (size_t)count;
    }
    text[size - 1] = '\0';
    return done > 0;
}

/* Takes out "." and ".." as the letters have it; the path is absolute. */
static void make_plain(char *path)
{
    char *out = path;
    for (char *in = path; *in;) {
        while (*in == '/')
            in++;
        size_t length = strcspn(in, "/");
        if (length == 2 && in[0] == '.' && in[1] == '.') {
            while (out > path && *--out != '/')
                continue;
        } else if (length > 0 && !(length == 1 && in[0] == '.')) {
            *out++ = '/';
            memmove(out, in, length);
            out += length;
        }
        in += length;
    }
    if (out == path)
        *out++ = '/';
    *out = '\0';
}

static bool is_beneath(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return length > 1 && strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static void judge_path(struct watch_judge *judge, pid_t thread, const char *call, int folder, uint64_t address)
{
    char given[TEXT_MAX], base[TEXT_MAX], path[2 * TEXT_MAX + 2], name[32];
    if (!read_text(thread, address, given, sizeof given))
        return; /* the call fails by itself */
    base[0] = '\0';
    if (given[0] != '/' && folder == AT_FDCWD) {
        read_link(thread, "cwd", base, sizeof base);
    } else if (given[0] != '/') {
        snprintf(name, sizeof name, "fd/%d", folder);
        read_link(thread, name, base, sizeof base);
    }
    snprintf(path, sizeof path, "%s/%s", base, given);
    make_plain(path);
    if (is_beneath(path, judge->folder) || (judge->cache[0] && is_beneath(path, judge->cache)) ||
        strcmp(path, "/dev/null") == 0 || is_beneath(path, "/proc"))
        return;
    watch_judge_say(judge, "write", "%s(\"%s\")", call, path);
}

static void judge_open(struct watch_judge *judge, pid_t thread, int folder, uint64_t address, uint64_t flags)
{
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)))
        judge_path(judge, thread, "open", folder, address);
}

/* Calls that change a name: which arguments are paths, and the folders that they are relative to. */
struct path_call {
    long number;
    const char *name;
    int folder, path; /* indexes; folder -1: the working folder */
};

static const struct path_call path_calls[] = {
#ifdef SYS_mkdir /* those of old, which newer machines do not have */
    {SYS_mkdir, "mkdir", -1, 0},       {SYS_rmdir, "rmdir", -1, 0},     {SYS_unlink, "unlink", -1, 0},
    {SYS_rename, "rename", -1, 0},     {SYS_rename, "rename", -1, 1},   {SYS_link, "link", -1, 1},
    {SYS_symlink, "symlink", -1, 1},   {SYS_chmod, "chmod", -1, 0},     {SYS_mknod, "mknod", -1, 0},
    {SYS_creat, "creat", -1, 0},       {SYS_renameat, "rename", 0, 1},  {SYS_renameat, "rename", 2, 3},
#endif
    {SYS_truncate, "truncate", -1, 0}, {SYS_mkdirat, "mkdir", 0, 1},    {SYS_unlinkat, "unlink", 0, 1},
    {SYS_renameat2, "rename", 0, 1},   {SYS_renameat2, "rename", 2, 3}, {SYS_linkat, "link", 2, 3},
    {SYS_symlinkat, "symlink", 1, 2},  {SYS_fchmodat, "chmod", 0, 1},   {SYS_mknodat, "mknod", 0, 1},
};

/* Calls that nobody makes without a grant, whatever their arguments. */
static const struct {
    long number;
    const char *kind, *name;
} plain_calls[] = {
    {SYS_execve, "exec", "execve"},    {SYS_execveat, "exec", "execveat"},
    {SYS_ptrace, "process", "ptrace"},
#ifdef SYS_fork
    {SYS_fork, "exec", "fork"},        {SYS_vfork, "exec", "vfork"},
#endif
    {SYS_mount, "process", "mount"},   {SYS_unshare, "process", "unshare"},
    {SYS_setns, "process", "setns"},   {SYS_bpf, "process", "bpf"},
    {SYS_chroot, "process", "chroot"}, {SYS_process_vm_writev, "process", "process_vm_writev"},
};

static void judge_socket(struct watch_judge *judge, uint64_t family)
{
    /* The C library asks the name service's cache over AF_UNIX; that is none of the plugin's doing. */
    if (judge->network || family == AF_UNIX || family == AF_NETLINK)
        return;
    char other[32];
    snprintf(other, sizeof other, "family %llu", (unsigned long long)family);
    watch_judge_say(judge, "network", "socket(%s)",
                    family == AF_INET    ? "AF_INET"
                    : family == AF_INET6 ? "AF_INET6"
                                         : other);
}

void watch_judge_call(struct watch_judge *judge, pid_t thread, long number, const uint64_t arguments[6])
{
#ifdef SYS_open
    if (number == SYS_open)
        judge_open(judge, thread, AT_FDCWD, arguments[0], arguments[1]);
#endif
    if (number == SYS_openat)
        judge_open(judge, thread, (int)arguments[0], arguments[1], arguments[2]);
    if (number == SYS_socket)
        judge_socket(judge, arguments[0]);
    if (number == SYS_clone && !(arguments[0] & CLONE_THREAD))
        watch_judge_say(judge, "exec", "fork()");
    for (size_t i = 0; i < sizeof plain_calls / sizeof plain_calls[0]; i++)
        if (plain_calls[i].number == number)
            watch_judge_say(judge, plain_calls[i].kind, "%s()", plain_calls[i].name);
    for (size_t i = 0; i < sizeof path_calls / sizeof path_calls[0]; i++) {
        const struct path_call *call = &path_calls[i];
        if (call->number == number)
            judge_path(judge, thread, call->name, call->folder < 0 ? AT_FDCWD : (int)arguments[call->folder],
                       arguments[call->path]);
    }
    if (number == SYS_kill && (pid_t)arguments[0] != thread)
        watch_judge_say(judge, "process", "kill(%d)", (int)arguments[0]);
}
