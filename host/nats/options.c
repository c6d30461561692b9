/*
 * Where to connect to and as whom. Nothing here is ever logged but through nats_mask().
 */
#include "base/memory.h"
#include "nats/internal.h"
#include "nats/nkey.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVERS_MAX 64
#define IO_BUFFER 65536

const char *nats_reason(natsStatus status)
{
    const char *text = nats_GetLastError(NULL);
    const char *end = text && text[0] == '(' ? strstr(text, "): ") : NULL; /* where in cnats it was */
    text = end ? end + 3 : text;
    return text && *text ? text : natsStatus_GetText(status);
}

static int failed(natsStatus status, const char *what, struct error *error)
{
    return status == NATS_OK ? 0
                             : error_set(error, "nats_settings", false, "[nats] %s: %s", what, nats_reason(status));
}

static int check_readable(const char *key, const char *path, struct error *error)
{
    if (access(path, R_OK) == 0)
        return 0;
    return error_set(error, "nats_credentials", false, "[nats] %s: %s can't be read", key, path);
}

char *nats_mask(const char *urls)
{
    char *copy = memory_text(urls), *out = copy;
    for (const char *at = urls; *at;) {
        size_t length = strcspn(at, ", ");
        const char *scheme = memmem(at, length, "://", 3);
        const char *from = scheme ? scheme + 3 : at;
        const char *host = memrchr(from, '@', length - (size_t)(from - at));
        memmove(out, at, (size_t)(from - at));
        out += from - at;
        host = host ? host + 1 : from;
        memmove(out, host, length - (size_t)(host - at));
        out += length - (size_t)(host - at);
        at += length;
        for (; *at == ',' || *at == ' '; at++)
            *out++ = *at;
    }
    *out = '\0';
    return copy;
}

/* The user of the first URL that names one is also the user at servers that the cluster tells of. */
static int set_user(natsOptions *options, const struct config_nats *config, char *const *servers, int count,
                    struct error *error)
{
    if (config->user[0])
        return failed(natsOptions_SetUserInfo(options, config->user, config->password), "user", error);
    if (config->token[0])
        return failed(natsOptions_SetToken(options, config->token), "token", error);
    for (int i = 0; i < count; i++) {
        const char *from = strstr(servers[i], "://");
        from = from ? from + 3 : servers[i];
        const char *at = strrchr(from, '@');
        if (!at)
            continue;
        char *user = memory_bytes(from, (size_t)(at - from));
        char *password = strchr(user, ':');
        if (password)
            *password++ = '\0';
        natsStatus status =
            password ? natsOptions_SetUserInfo(options, user, password) : natsOptions_SetToken(options, user);
        free(user);
        return failed(status, "url", error);
    }
    return 0;
}

static int set_servers(natsOptions *options, const struct config_nats *config, char **further, int further_count,
                       struct error *error)
{
    char *servers[SERVERS_MAX];
    int count = 0, own;
    bool secure = config->tls;
    for (const char *at = config->url; *at && count < SERVERS_MAX;) {
        at += strspn(at, ", ");
        size_t length = strcspn(at, ", ");
        if (length > 0)
            servers[count++] = memory_bytes(at, length);
        at += length;
    }
    own = count;
    for (int i = 0; i < further_count && count < SERVERS_MAX; i++)
        servers[count++] = memory_text(further[i]);
    for (int i = 0; i < own; i++)
        secure = secure || strncmp(servers[i], "tls://", 6) == 0;
    int result = failed(natsOptions_SetServers(options, (const char **)servers, count), "url", error);
    if (result == 0 && secure)
        result = failed(natsOptions_SetSecure(options, true), "tls", error);
    if (result == 0)
        result = set_user(options, config, servers, own, error);
    for (int i = 0; i < count; i++)
        free(servers[i]);
    return result;
}

static int set_credentials(natsOptions *options, const struct config_nats *config, struct error *error)
{
    char public_key[NKEY_PUBLIC_SIZE];
    if (config->creds_file[0])
        return check_readable("creds_file", config->creds_file, error) != 0
                   ? -1
                   : failed(natsOptions_SetUserCredentialsFromFiles(options, config->creds_file, NULL), "creds_file",
                            error);
    if (config->nkey_seed[0])
        return nkey_public(config->nkey_seed, public_key, error) != 0
                   ? -1
                   : failed(natsOptions_SetNKeyFromSeed(options, public_key, config->nkey_seed), "nkey_seed", error);
    return 0;
}

static int set_certificates(natsOptions *options, const struct config_nats *config, struct error *error)
{
    if (config->ca_file[0] &&
        (check_readable("ca_file", config->ca_file, error) != 0 ||
         failed(natsOptions_LoadCATrustedCertificates(options, config->ca_file), "ca_file", error) != 0))
        return -1;
    if (!config->certificate_file[0] && !config->key_file[0])
        return 0;
    if (!config->certificate_file[0] || !config->key_file[0])
        return error_set(error, "nats_credentials", false,
                         "[nats] certificate_file and key_file belong together: set both, or none");
    if (check_readable("certificate_file", config->certificate_file, error) != 0 ||
        check_readable("key_file", config->key_file, error) != 0)
        return -1;
    return failed(natsOptions_LoadCertificatesChain(options, config->certificate_file, config->key_file),
                  "certificate_file and key_file", error);
}

/* cnats has threads that clean up, one of which it wakes for nearly each message. As SCHED_BATCH, which threads
 * inherit from who starts them, they run when there is room, and don't push the loop aside each time. */
static natsStatus open_library(void)
{
    const struct sched_param none = {0};
    bool ordinary = sched_getscheduler(0) == SCHED_OTHER;
    if (ordinary)
        sched_setscheduler(0, SCHED_BATCH, &none);
    natsStatus status = nats_Open(-1);
    if (ordinary)
        sched_setscheduler(0, SCHED_OTHER, &none);
    return status;
}

natsOptions *nats_options(const struct config_nats *config, char **further, int further_count, struct error *error)
{
    natsOptions *options = NULL;
    if (failed(open_library(), "options", error) != 0 || failed(natsOptions_Create(&options), "options", error) != 0)
        return NULL;
    bool bad = set_servers(options, config, further, further_count, error) != 0 ||
               set_credentials(options, config, error) != 0 || set_certificates(options, config, error) != 0;
    if (!bad) {
        natsOptions_SetName(options, "exportd");
        natsOptions_SetTimeout(options, config->timeout_ms);
        natsOptions_SetIOBufSize(options, IO_BUFFER);
        natsOptions_SetSendAsap(options, true);        /* else a write waits for a thread of cnats' */
        natsOptions_SetAllowReconnect(options, false); /* link.c connects anew */
        natsOptions_SetPingInterval(options, 0); /* door.c listens for life: cnats' timer closes under the loop */
        return options;
    }
    natsOptions_Destroy(options);
    return NULL;
}
