#include "worker/crash.h"

#include "worker/wire.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a signal handler needs can only be static. */
static int crash_fd = -1;
static int crash_statm_fd = -1;
static volatile uint64_t crash_lease;
static uintptr_t crash_stack_top;
static uintptr_t crash_stack_size;
static char crash_stack[65536];

static uint64_t resident_bytes(void)
{
    char text[128];
    ssize_t count = crash_statm_fd < 0 ? -1 : pread(crash_statm_fd, text, sizeof text, 0);
    uint64_t pages = 0;
    int field = 0;
    for (ssize_t i = 0; i < count && field < 2; i++) {
        if (text[i] == ' ')
            field++;
        else if (field == 1 && text[i] >= '0' && text[i] <= '9')
            pages = pages * 10 + (uint64_t)(text[i] - '0');
    }
    return pages * 4096;
}

static void on_fatal_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    struct wire_crash crash = {.signal = number, .resident_bytes = resident_bytes()};
    if ((number == SIGSEGV || number == SIGBUS) && info->si_code > 0) { /* from the kernel, and not sent by someone */
        crash.has_address = 1;
        uintptr_t address = (uintptr_t)info->si_addr;
        crash.address = address;
        uintptr_t bottom = crash_stack_top - crash_stack_size;
        crash.stack_overflow = address < crash_stack_top && address > bottom - 0x200000 && address < bottom + 0x10000;
    }
    wire_send(crash_fd, WIRE_CRASH, crash_lease, &crash, sizeof crash);
    signal(number, SIG_DFL);
    raise(number);
}

void crash_install(int fd)
{
    crash_fd = fd;
    crash_statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    crash_stack_size = limit.rlim_cur == RLIM_INFINITY ? (uintptr_t)8 << 20 : (uintptr_t)limit.rlim_cur;
    crash_stack_top = (uintptr_t)__builtin_frame_address(0);

    stack_t stack = {.ss_sp = crash_stack, .ss_size = sizeof crash_stack};
    sigaltstack(&stack, NULL);
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS, SIGXFSZ, SIGTRAP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction action = {.sa_sigaction = on_fatal_signal,
                                   .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};
        sigaction(signals[i], &action, NULL);
    }
}

void crash_set_lease(uint64_t lease)
{
    crash_lease = lease;
}
