/*
 * Preloaded into a worker, it sends it SIGTERM at the one moment that a test can't hit from outside: when it has made
 * up its mind to wait for its next job, and does not wait yet. STOP_BEFORE_WAIT says before which of its receives.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

typedef ssize_t (*receiver)(int, void *, size_t, int);

__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
    static int receives;
    const char *chosen = getenv("STOP_BEFORE_WAIT");
    if (++receives == (chosen ? (int)strtol(chosen, NULL, 10) : 0))
        raise(SIGTERM);
    void *symbol = dlsym(RTLD_NEXT, "recv");
    receiver real;
    memcpy(&real, &symbol, sizeof real);
    return real(fd, buffer, length, flags);
}
