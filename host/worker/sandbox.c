#include "worker/sandbox.h"

#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

/* Debian 12's headers know ABI 2; later kernels understand a longer struct and more rights. */
#define RIGHT_REFER (1ULL << 13)
#define RIGHT_TRUNCATE (1ULL << 14)
#define RIGHT_IOCTL_DEV (1ULL << 15)
#define RIGHTS_ABI1 ((1ULL << 13) - 1)
#define NET_BIND_TCP (1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX (1ULL << 0)
#define SCOPE_SIGNAL (1ULL << 1)

struct ruleset_attribute {
    uint64_t handled_access_fs;
    uint64_t handled_access_net; /* ABI 4 */
    uint64_t scoped;             /* ABI 6 */
};

#define READ_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILE_RIGHTS                                                                                                  \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | RIGHT_TRUNCATE)

static int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* LANDLOCK_CREATE_RULESET_VERSION */);
    return abi > 0 ? (int)abi : 0;
}

struct sandbox_state sandbox_probe(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;
    struct sandbox_state state = {
        .landlock_abi = landlock_abi(),
        .seccomp = syscall(SYS_seccomp, 2u /* SECCOMP_GET_ACTION_AVAIL */, 0u, &action) == 0,
    };
    return state;
}

static int limit(int resource, uint64_t value, const char *name, struct error *error)
{
    struct rlimit current;
    getrlimit((__rlimit_resource_t)resource, &current);
    rlim_t wanted = (rlim_t)value;
    if (current.rlim_max != RLIM_INFINITY && wanted > current.rlim_max)
        wanted = current.rlim_max;
    struct rlimit both = {.rlim_cur = wanted, .rlim_max = wanted};
    if (setrlimit((__rlimit_resource_t)resource, &both) != 0)
        return error_set(error, "sandbox_failed", false, "the limit %s can't be set to %llu: %s", name,
                         (unsigned long long)value, strerror(errno));
    return 0;
}

int sandbox_limit(const struct sandbox_policy *policy, struct error *error)
{
    if (limit(RLIMIT_CORE, 0, "RLIMIT_CORE", error) != 0 ||
        limit(RLIMIT_FSIZE, policy->file_bytes, "RLIMIT_FSIZE", error) != 0 ||
        limit(RLIMIT_NOFILE, policy->exec ? 4096 : 512, "RLIMIT_NOFILE", error) != 0 ||
        limit(RLIMIT_MEMLOCK, 0, "RLIMIT_MEMLOCK", error) != 0 ||
        limit(RLIMIT_MSGQUEUE, 0, "RLIMIT_MSGQUEUE", error) != 0)
        return -1;
    if (policy->exec && limit(RLIMIT_NPROC, 1024, "RLIMIT_NPROC", error) != 0)
        return -1;
#ifndef EXPORTD_SANITIZED /* AddressSanitizer's shadow alone is terabytes; the host's watch on resident memory still \
                             holds */
    /* A started program (a compiler, node) reserves far more than it uses; there the host's watch is the limit. */
    if (!policy->exec) {
        if (limit(RLIMIT_DATA, policy->memory_bytes, "RLIMIT_DATA", error) != 0 ||
            limit(RLIMIT_AS, policy->memory_bytes * 2 + ((uint64_t)512 << 20), "RLIMIT_AS", error) != 0)
            return -1;
    }
#endif
    return 0;
}

static int drop_privileges(struct error *error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set(error, "sandbox_failed", false, "no_new_privs can't be set: %s", strerror(errno));
    for (int capability = 0; capability < 64; capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); /* fails where it isn't held, or doesn't exist */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    if (syscall(SYS_capset, &header, none) != 0)
        return error_set(error, "sandbox_failed", false, "the capabilities can't be dropped: %s", strerror(errno));
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return 0;
}

static int allow_path(int ruleset, const char *path, uint64_t rights, uint64_t handled, struct error *error)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR
                   ? 0
                   : error_set(error, "sandbox_failed", false, "%s: %s", path, strerror(errno));
    struct stat status;
    if (fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode))
        rights &= FILE_RIGHTS | RIGHT_IOCTL_DEV;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights & handled, .parent_fd = fd};
    long added = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0u);
    int cause = errno;
    close(fd);
    if (added != 0)
        return error_set(error, "sandbox_failed", false, "Landlock refuses a rule for %s: %s", path, strerror(cause));
    return 0;
}

static int allow_paths(int ruleset, const struct sandbox_policy *policy, uint64_t handled, struct error *error)
{
    /* Libraries, fonts, certificates, time zones, and what the C library reads on its own. */
    static const char *const readable[] = {"/lib",
                                           "/lib64",
                                           "/usr/lib",
                                           "/usr/lib64",
                                           "/usr/local/lib",
                                           "/usr/share/fonts",
                                           "/usr/share/zoneinfo",
                                           "/usr/share/locale",
                                           "/usr/share/ca-certificates",
                                           "/usr/local/share/ca-certificates",
                                           "/usr/share/mime",
                                           "/etc/fonts",
                                           "/etc/ssl/certs",
                                           "/etc/ld.so.cache",
                                           "/etc/localtime",
                                           "/dev/urandom",
                                           "/dev/random",
                                           "/dev/zero",
                                           NULL};
    static const char *const network_readable[] = {"/etc/resolv.conf",
                                                   "/etc/hosts",
                                                   "/etc/nsswitch.conf",
                                                   "/etc/gai.conf",
                                                   "/etc/host.conf",
                                                   "/etc/services",
                                                   "/run/systemd/resolve/stub-resolv.conf",
                                                   "/etc/gnutls",
                                                   NULL};
    static const char *const exec_readable[] = {
        "/usr", "/bin", "/sbin", "/etc/alternatives", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/opt", NULL};
    const uint64_t run = LANDLOCK_ACCESS_FS_EXECUTE;
    for (const char *const *path = readable; *path; path++)
        if (allow_path(ruleset, *path, READ_FILES | run, handled, error) != 0)
            return -1;
    for (const char *const *path = network_readable; policy->network && *path; path++)
        if (allow_path(ruleset, *path, READ_FILES, handled, error) != 0)
            return -1;
    for (const char *const *path = exec_readable; policy->exec && *path; path++)
        if (allow_path(ruleset, *path, READ_FILES | run, handled, error) != 0)
            return -1;
    if (policy->own_proc && allow_path(ruleset, "/proc", READ_FILES, handled, error) != 0)
        return -1;
    /* Who may start programs could copy one to its workspace and run that. */
    for (const char *const *path = policy->read; path && *path; path++)
        if (allow_path(ruleset, *path, READ_FILES | (policy->exec ? run : 0), handled, error) != 0)
            return -1;
    if (allow_path(ruleset, "/dev/null", READ_FILES | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE, handled,
                   error) != 0)
        return -1;
    if (allow_path(ruleset, policy->plugin_folder, READ_FILES | run, handled, error) != 0)
        return -1;
    if (!policy->workspace)
        return 0;
    /* Everything but device nodes; running what the job itself wrote takes the exec grant. */
    uint64_t workspace = handled & ~(uint64_t)(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                                               LANDLOCK_ACCESS_FS_MAKE_SOCK | RIGHT_IOCTL_DEV);
    if (!policy->exec)
        workspace &= ~(uint64_t)run;
    else
        workspace |= LANDLOCK_ACCESS_FS_MAKE_SOCK & handled;
    if (policy->cache && allow_path(ruleset, policy->cache, workspace, handled, error) != 0)
        return -1;
    return allow_path(ruleset, policy->workspace, workspace, handled, error);
}

static int enter_landlock(const struct sandbox_policy *policy, int abi, struct error *error)
{
    struct ruleset_attribute attribute = {.handled_access_fs = RIGHTS_ABI1};
    size_t size = sizeof attribute.handled_access_fs;
    if (abi >= 2)
        attribute.handled_access_fs |= RIGHT_REFER;
    if (abi >= 3)
        attribute.handled_access_fs |= RIGHT_TRUNCATE;
    if (abi >= 4) {
        size = offsetof(struct ruleset_attribute, scoped);
        if (!policy->network)
            attribute.handled_access_net = NET_BIND_TCP | NET_CONNECT_TCP;
    }
    if (abi >= 5)
        attribute.handled_access_fs |= RIGHT_IOCTL_DEV;
    if (abi >= 6) {
        size = sizeof attribute;
        attribute.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    }
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attribute, size, 0u);
    if (ruleset < 0)
        return error_set(error, "sandbox_failed", false, "Landlock is there (ABI %d) but refuses a ruleset: %s", abi,
                         strerror(errno));
    int failed = allow_paths(ruleset, policy, attribute.handled_access_fs, error);
    if (failed == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0u) != 0)
        failed = error_set(error, "sandbox_failed", false, "Landlock can't be entered: %s", strerror(errno));
    close(ruleset);
    return failed;
}

/* System calls that a plugin may make. Whatever is not here answers "no such call", so that libraries take their
 * older way. */
static const char *const allowed_calls[] = {
    "access", "alarm", "arch_prctl", "brk", "chdir", "clock_getres", "clock_gettime", "clock_nanosleep", "close",
    "close_range", "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2", "exit", "exit_group", "faccessat",
    "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod", "fdatasync", "fgetxattr", "flock", "fstat", "fstatfs",
    "fsync", "ftruncate", "futex", "futex_waitv", "futimesat", "getcpu", "getcwd", "getdents", "getdents64",
    "getegid", "geteuid", "getgid", "getgroups", "getitimer", "getpgid", "getpgrp", "getpid", "getppid",
    "getpriority", "getrandom", "getresgid", "getresuid", "getrlimit", "getrusage", "getsid", "gettid",
    "gettimeofday", "getuid", "getxattr", "lgetxattr", "link", "linkat", "listxattr", "lseek", "lstat", "madvise",
    "membarrier", "mincore", "mkdir", "mkdirat", "mlock", "mmap", "mprotect", "mremap", "msync", "munlock", "munmap",
    "nanosleep", "newfstatat", "pause", "pipe", "pipe2", "poll", "ppoll", "pread64", "preadv", "preadv2", "pselect6",
    "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "rename", "renameat",
    "renameat2", "restart_syscall", "rmdir", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
    "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "sched_get_priority_max", "sched_get_priority_min",
    "sched_getaffinity", "sched_getparam", "sched_getscheduler", "sched_yield", "select", "sendfile",
    "set_robust_list", "get_robust_list", "set_tid_address", "setitimer", "sigaltstack", "splice", "stat", "statfs",
    "statx", "symlink", "symlinkat", "sync_file_range", "sysinfo", "tee", "time", "timer_create", "timer_delete",
    "timer_getoverrun", "timer_gettime", "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime",
    "times", "umask", "uname", "unlink", "unlinkat", "utime", "utimensat", "utimes", "write", "writev",
    /* on the host's pair */
    "recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg", "sendmmsg", "shutdown", "getsockopt", "getsockname",
    "getpeername", NULL};

/* socketpair: libcurl's resolver wakes its own thread by one. */
static const char *const network_calls[] = {"bind",    "connect", "setsockopt", "accept",
                                            "accept4", "listen",  "socketpair", NULL};

static const char *const exec_calls[] = {"execve",
                                         "execveat",
                                         "fork",
                                         "vfork",
                                         "clone",
                                         "wait4",
                                         "waitid",
                                         "setpgid",
                                         "setsid",
                                         "kill",
                                         "tkill",
                                         "tgkill",
                                         "socketpair",
                                         "setsockopt",
                                         "pidfd_open",
                                         "pidfd_send_signal",
                                         "memfd_create",
                                         "prlimit64",
                                         "setpriority",
                                         "chown",
                                         "fchown",
                                         "lchown",
                                         "fchownat",
                                         "sched_setaffinity",
                                         "setrlimit",
                                         "inotify_init",
                                         "inotify_init1",
                                         "inotify_add_watch",
                                         "inotify_rm_watch",
                                         "mknod", /* FIFOs; nobody here may make a device */
                                         "mknodat",
                                         "setuid", /* to what one is already, as make does before each command */
                                         "setgid",
                                         "setreuid",
                                         "setregid",
                                         "setresuid",
                                         "setresgid",
                                         NULL};

static int allow_calls(scmp_filter_ctx filter, const char *const *names)
{
    for (; *names; names++) {
        int number = seccomp_syscall_resolve_name(*names);
        if (number == __NR_SCMP_ERROR)
            continue; /* newer or older than this library */
        int failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        if (failed != 0 && failed != -EDOM)
            return failed;
    }
    return 0;
}

static int refuse_calls(scmp_filter_ctx filter, const char *const *names, int cause)
{
    for (; *names; names++) {
        int number = seccomp_syscall_resolve_name(*names);
        if (number == __NR_SCMP_ERROR)
            continue;
        int failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)cause), number, 0);
        if (failed != 0 && failed != -EDOM)
            return failed;
    }
    return 0;
}

/* Landlock asks nobody before a mode is set by a path. Who writes a repository (libgit2) or runs programs needs it.
 */
static const char *const mode_calls[] = {"chmod", "fchmodat", NULL};

/* Opening and cutting a file that is only read: kernels before 6.2 ask nobody either (Landlock's ABI 3). */
static int add_open_rules(scmp_filter_ctx filter)
{
    static const uint64_t writing[] = {O_TRUNC | O_WRONLY, O_TRUNC | O_RDWR};
    int failed = 0;
    for (unsigned at = 0; !failed && at < 2; at++) {
        int call = at ? SCMP_SYS(openat) : SCMP_SYS(open);
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                                  SCMP_CMP(at + 1, SCMP_CMP_MASKED_EQ, (uint64_t)O_TRUNC, 0));
        for (size_t i = 0; !failed && i < sizeof writing / sizeof writing[0]; i++)
            failed =
                seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                                 SCMP_CMP(at + 1, SCMP_CMP_MASKED_EQ, (uint64_t)(O_TRUNC | O_ACCMODE), writing[i]));
        if (!failed)
            failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), call, 1,
                                      SCMP_CMP(at + 1, SCMP_CMP_MASKED_EQ, (uint64_t)(O_TRUNC | O_ACCMODE),
                                               (uint64_t)(O_TRUNC | O_RDONLY)));
    }
    return failed;
}

/* Whoever is named as the owner of a descriptor's events gets signals from the kernel, SIGKILL if so wished: nobody
 * is named. A terminal's input must not be forged, even where one is inherited. */
static int add_control_rules(scmp_filter_ctx filter)
{
    static const uint64_t refused_fcntls[] = {F_SETOWN, F_SETSIG, F_SETOWN_EX};
    static const uint64_t refused_ioctls[] = {TIOCSTI, FIOSETOWN, SIOCSPGRP};
    static const uint64_t allowed_ioctls[] = {TIOCGWINSZ, TIOCSWINSZ, TIOCGSID, FIONREAD,
                                              FIONBIO,    FIOCLEX,    FIONCLEX, FIOASYNC};
    int failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1_32(SCMP_CMP_LT, F_SETOWN));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1_32(SCMP_CMP_GT, F_GETOWN_EX));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1_32(SCMP_CMP_LT, TIOCSTI));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1_32(SCMP_CMP_GT, SIOCSPGRP));
    for (size_t i = 0; !failed && i < sizeof allowed_ioctls / sizeof allowed_ioctls[0]; i++)
        failed =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1_32(SCMP_CMP_EQ, allowed_ioctls[i]));
    for (size_t i = 0; !failed && i < sizeof refused_ioctls / sizeof refused_ioctls[0]; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                                  SCMP_A1_32(SCMP_CMP_EQ, refused_ioctls[i]));
    for (size_t i = 0; !failed && i < sizeof refused_fcntls / sizeof refused_fcntls[0]; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 1,
                                  SCMP_A1_32(SCMP_CMP_EQ, refused_fcntls[i]));
    return failed;
}

/* Programs, but none that outlives the worker. */
static int add_exec_rules(scmp_filter_ctx filter)
{
    int failed = allow_calls(filter, exec_calls);
    if (!failed)
        failed =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0_32(SCMP_CMP_NE, PR_SET_PDEATHSIG));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1,
                                  SCMP_A0_32(SCMP_CMP_EQ, PR_SET_PDEATHSIG));
    return failed;
}

static int add_rules(scmp_filter_ctx filter, const struct sandbox_policy *policy)
{
    static const char *const refused_cut[] = {"truncate", NULL};
    int failed = allow_calls(filter, allowed_calls);
    if (!failed)
        failed = add_open_rules(filter);
    if (!failed)
        failed = add_control_rules(filter);
    if (!failed)
        failed = refuse_calls(filter, refused_cut, EACCES);
    if (!failed)
        failed = policy->exec || policy->network ? allow_calls(filter, mode_calls)
                                                 : refuse_calls(filter, mode_calls, EPERM);
    if (!failed && policy->network) {
        static const int families[] = {AF_INET, AF_INET6, AF_NETLINK};
        failed = allow_calls(filter, network_calls);
        for (size_t i = 0; !failed && i < sizeof families / sizeof families[0]; i++)
            failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                      SCMP_A0_32(SCMP_CMP_EQ, (uint64_t)families[i]));
    }
    if (!failed && policy->exec)
        return add_exec_rules(filter);

    /* Without the exec grant: threads, but no processes; signals to itself alone. */
    static const char *const refused[] = {"fork", "vfork", "execve", "execveat", "setsid", "setpgid", "ptrace", NULL};
    uint64_t self = (uint64_t)getpid();
    if (!failed)
        failed = refuse_calls(filter, refused, EPERM);
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, 0x00010000u /* CLONE_THREAD */, 0x00010000u));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, 0x00010000u, 0));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0_32(SCMP_CMP_EQ, self));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, SCMP_A0_32(SCMP_CMP_EQ, self));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1, SCMP_A0_32(SCMP_CMP_NE, self));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(kill), 1, SCMP_A0_32(SCMP_CMP_NE, self));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                                  SCMP_A2(SCMP_CMP_EQ, 0)); /* reading only */
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0_32(SCMP_CMP_EQ, PR_SET_NAME));
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                  SCMP_A0_32(SCMP_CMP_EQ, 0x53564d41u /* PR_SET_VMA */));
    return failed;
}

static int enter_seccomp(const struct sandbox_policy *policy, struct error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter)
        return error_set(error, "sandbox_failed", true, "no memory for the seccomp filter");
    static const char *const refused_sockets[] = {"socket", "socketpair", "connect", "bind", "listen", NULL};
    int failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!failed && !policy->network)
        failed = refuse_calls(filter, refused_sockets + (policy->exec ? 2 : 0), EACCES);
    if (!failed && !policy->network && policy->exec)
        failed = refuse_calls(filter, (const char *const[]){"socket", NULL}, EACCES);
    if (!failed)
        failed = add_rules(filter, policy);
    if (!failed)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    if (failed)
        return error_set(error, "sandbox_failed", false, "the seccomp filter can't be loaded: %s", strerror(-failed));
    return 0;
}

int sandbox_enter(const struct sandbox_policy *policy, struct sandbox_state *state, struct error *error)
{
    *state = sandbox_probe();
    if (sandbox_limit(policy, error) != 0 || drop_privileges(error) != 0)
        return -1;
    if (state->landlock_abi > 0 && enter_landlock(policy, state->landlock_abi, error) != 0)
        return -1;
    if (state->seccomp && enter_seccomp(policy, error) != 0)
        return -1;
    return 0;
}
