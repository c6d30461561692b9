/*
 * Preloaded into a host, it makes the resolver take its time over names under slow.invalid, as where no name server
 * answers.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#define WAIT_S 12

typedef int (*resolver)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **found)
{
    if (name && strstr(name, "slow.invalid")) {
        sleep(WAIT_S);
        return EAI_AGAIN;
    }
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    resolver real;
    memcpy(&real, &symbol, sizeof real);
    return real(name, service, hints, found);
}
