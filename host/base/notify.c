#include "base/notify.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX 512

static void notify_send(const char *message)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path ? strlen(path) : 0;
    if (length < 2 || length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* a name in the kernel, and no file */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    while (sendto(fd, message, strlen(message), MSG_NOSIGNAL, (const struct sockaddr *)&address, size) < 0 &&
           errno == EINTR)
        ;
    close(fd);
}

void notify_ready(void)
{
    notify_send("READY=1");
}

void notify_reloading(void)
{
    char message[MESSAGE_MAX];
    snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_monotonic_ns() / 1000);
    notify_send(message);
}

void notify_stopping(int64_t expected_ms)
{
    char message[MESSAGE_MAX];
    snprintf(message, sizeof message, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64, expected_ms * 1000);
    notify_send(message);
}

void notify_status(const char *text)
{
    char message[MESSAGE_MAX];
    snprintf(message, sizeof message, "STATUS=%s", text);
    for (char *at = message; *at; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    notify_send(message);
}

int64_t notify_watchdog_interval(void)
{
    const char *interval = getenv("WATCHDOG_USEC"), *watched = getenv("WATCHDOG_PID");
    if (!interval || (watched && strtoll(watched, NULL, 10) != (long long)getpid()))
        return 0;
    int64_t interval_us = strtoll(interval, NULL, 10);
    return interval_us > 0 ? (interval_us + 999) / 1000 : 0;
}

void notify_alive(void)
{
    notify_send("WATCHDOG=1");
}

static void on_time(uv_timer_t *timer)
{
    (void)timer;
    notify_alive();
}

void notify_keep_alive(uv_loop_t *loop, uv_timer_t *timer)
{
    uv_timer_init(loop, timer);
    uv_unref((uv_handle_t *)timer);
    uint64_t interval_ms = (uint64_t)notify_watchdog_interval();
    if (interval_ms > 0)
        uv_timer_start(timer, on_time, 0, interval_ms > 1 ? interval_ms / 2 : 1);
}
