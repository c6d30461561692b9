#include "config/internal.h"

#include <string.h>

#define HOST(member) .section = "host", .offset = offsetof(struct config, host.member)
#define HTTP(member) .section = "http", .offset = offsetof(struct config, http.member)
#define JOBS(member) .section = "jobs", .offset = offsetof(struct config, jobs.member)
#define STORE(member) .section = "store", .offset = offsetof(struct config, store.member)
#define NATS(member) .section = "nats", .offset = offsetof(struct config, nats.member)
#define REDIS(member) .section = "redis", .offset = offsetof(struct config, redis.member)
#define S3(member) .section = "s3", .offset = offsetof(struct config, s3.member)
#define REPROS(member) .section = "repros", .offset = offsetof(struct config, repros.member)
#define WEBHOOK(member) .section = "webhook", .offset = offsetof(struct config, webhook.member)
#define UPSTREAM(member) .section = "upstream", .offset = offsetof(struct config, upstream.member)
#define PLUGIN(member) .section = "plugin", .offset = offsetof(struct config_worker, member)

#define INTEGER(least, most) .type = "integer", .kind = CONFIG_KIND_INTEGER, .minimum = (least), .maximum = (most)
#define DURATION(least, most) .type = "duration", .kind = CONFIG_KIND_DURATION, .minimum = (least), .maximum = (most)
#define SIZE(least, most) .type = "size", .kind = CONFIG_KIND_SIZE, .minimum = (least), .maximum = (most)
#define BOOLEAN .type = "yes/no", .kind = CONFIG_KIND_BOOLEAN
#define CHOICE(words) .type = words, .kind = CONFIG_KIND_CHOICE
#define PATH .type = "path", .kind = CONFIG_KIND_PATH, .may_be_empty = true
#define TEXT(of) .type = "text", .kind = CONFIG_KIND_##of, .may_be_empty = true
#define LIST(of) .type = "list", .kind = CONFIG_KIND_##of, .may_be_empty = true

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

static const struct config_setting settings[] = {
    {HOST(state), .key = "state", PATH, .default_text = "",
     .help = "Folder of the store, the artifacts and the workspaces. Empty: /var/lib/exportd for root, else "
             "$XDG_STATE_HOME/exportd or ~/.local/state/exportd."},
    {HOST(plugins), .key = "plugins", PATH, .default_text = "",
     .help = "Folder of the plugins' .so files. Empty: the folder that the program was installed with."},
    {HOST(log_level), .key = "log_level", CHOICE("debug|info|warning|error"), .default_text = "info",
     .help = "The least that is logged: debug, info, warning or error."},
    {HOST(log_detail), .key = "log_detail", LIST(LEVELS), .default_text = "",
     .help = "Other levels for single parts of the log, a plugin's name among them: nats:debug, http:warning."},
    {HOST(log_json), .key = "log_json", BOOLEAN, .default_text = "no",
     .help = "Log one JSON object a line, for machines, instead of text."},
    {HOST(sandbox), .key = "sandbox", CHOICE("auto|required|off"), .default_text = "auto",
     .help =
         "auto: as much of the sandbox as this kernel has; required: refuse to start without all of it; off: none."},
    {HOST(drain_timeout_ms), .key = "drain_timeout", DURATION(0, DAY), .default_text = "30s",
     .help = "How long a stopping host lets running jobs end. What runs on is put back and starts again later."},

    {HTTP(listen), .key = "listen", .type = "address:port", .kind = CONFIG_KIND_LISTEN,
     .default_text = "127.0.0.1:8080",
     .help = "Where to listen: address:port or [v6]:port; port 0 takes any free one. Any but a loopback address "
             "needs a token."},
    {HTTP(token), .key = "token", .type = "text", .kind = CONFIG_KIND_TOKEN, .may_be_empty = true, .default_text = "",
     .help =
         "What callers send as Authorization: Bearer TOKEN. Best given as file:PATH or ${NAME}. Empty: no token."},
    {HTTP(hosts), .key = "hosts", LIST(HOSTS), .default_text = "",
     .help = "Names that a Host header may carry besides loopback names, where there is no token."},
    {HTTP(public_url), .key = "public_url", .type = "URL", .kind = CONFIG_KIND_URL, .may_be_empty = true,
     .default_text = "", .help = "How callers reach this host; artifact URLs begin with it. Empty: http://<listen>."},
    {HTTP(max_body_bytes), .key = "max_body", SIZE(KIB, GIB), .default_text = "64M",
     .help = "The largest body of a request; beyond it 413."},
    {HTTP(max_bodies_bytes), .key = "max_bodies", SIZE(MIB, 64 * GIB), .default_text = "512M",
     .help = "The bodies that are being received, all callers together; beyond it 503."},
    {HTTP(max_json_depth), .key = "max_json_depth", INTEGER(8, 2048), .default_text = "64",
     .help = "How deep the JSON of a request may be nested."},
    {HTTP(max_connections), .key = "max_connections", INTEGER(1, 65536), .default_text = "1024",
     .help = "Connections open at once."},
    {HTTP(timeout_ms), .key = "timeout", DURATION(100, DAY), .default_text = "30s",
     .help = "A connection that is idle for this long is closed."},
    {HTTP(max_wait_ms), .key = "max_wait", DURATION(0, HOUR), .default_text = "60s",
     .help = "The most that Prefer: wait may ask for."},
    {HTTP(max_event_streams), .key = "max_event_streams", INTEGER(0, 65536), .default_text = "256",
     .help = "Streams of /jobs/ID/events open at once."},

    {JOBS(max_attempts), .key = "max_attempts", INTEGER(1, 100), .default_text = "5",
     .help = "How often a job is tried before it has failed."},
    {JOBS(max_host_losses), .key = "max_host_losses", INTEGER(1, 1000), .default_text = "20",
     .help = "A job that was running this often when the host died is failed."},
    {JOBS(backoff_ms), .key = "backoff", DURATION(1, DAY), .default_text = "1s",
     .help = "The wait before the first retry; it doubles with each, with jitter."},
    {JOBS(backoff_max_ms), .key = "backoff_max", DURATION(1, 7 * DAY), .default_text = "5m",
     .help = "The longest wait before a retry."},
    {JOBS(queue_limit), .key = "queue_limit", INTEGER(1, 1000000000), .default_text = "2000000",
     .help = "Jobs that may wait; beyond it requests are answered with 503."},
    {JOBS(retention_ms), .key = "retention", DURATION(SECOND, 3650 * DAY), .default_text = "7d",
     .help = "Completed and cancelled jobs, and their artifacts, are removed after this."},
    {JOBS(retention_failed_ms), .key = "retention_failed", DURATION(SECOND, 3650 * DAY), .default_text = "30d",
     .help = "Failed jobs are removed after this."},
    {JOBS(max_result_bytes), .key = "max_result", SIZE(KIB, 256 * MIB), .default_text = "4M",
     .help = "The largest result (its JSON, without the artifacts)."},
    {JOBS(max_artifacts), .key = "max_artifacts", INTEGER(1, 1000000), .default_text = "1000",
     .help = "Artifacts of one job."},
    {JOBS(max_artifact_bytes), .key = "max_artifact_bytes", SIZE(KIB, TIB), .default_text = "2G",
     .help = "All artifacts of one job together."},

    {STORE(url), .key = "url", TEXT(STORE), .default_text = "",
     .help = "postgresql://user:password@host/database, shared by all hosts; also DATABASE_URL. Empty: SQLite in "
             "[host] state."},
    {STORE(lease_ms), .key = "lease", DURATION(2 * SECOND, HOUR), .default_text = "6s",
     .help = "PostgreSQL: the jobs of a host that is silent for this long run elsewhere."},
    {STORE(timeout_ms), .key = "timeout", DURATION(SECOND, HOUR), .default_text = "10s",
     .help = "PostgreSQL: without an answer for this long the connection is given up and made anew."},

    {NATS(url), .key = "url", TEXT(NATS), .default_text = "",
     .help = "nats://host:4222, or several by commas; also NATS_URL. Empty: no NATS."},
    {NATS(jetstream), .key = "jetstream", CHOICE("auto|required|off"), .default_text = "auto",
     .help = "auto: JetStream where the server has it, else at most once; required: take nothing without it; off."},
    {NATS(stream), .key = "stream", .type = "name", .kind = CONFIG_KIND_NAME, .default_text = "EXPORTD",
     .help = "The work queue of the requests; made where no stream has their subjects."},
    {NATS(consumer), .key = "consumer", .type = "name", .kind = CONFIG_KIND_NAME, .default_text = "exportd",
     .help = "The durable consumer that all hosts share."},
    {NATS(answers), .key = "answers", .type = "name", .kind = CONFIG_KIND_NAME, .may_be_empty = true,
     .default_text = "EXPORTD_ANSWERS",
     .help = "The stream that keeps answers for callers who are away; made where no stream has their subjects. "
             "Empty: none."},
    {NATS(answers_keep_ms), .key = "answers_keep", DURATION(SECOND, 3650 * DAY), .default_text = "3d",
     .help = "How long that stream keeps an answer."},
    {NATS(answers_concurrency), .key = "answers_concurrency", INTEGER(1, 65536), .default_text = "2048",
     .help = "Answers that are published and not yet confirmed."},
    {NATS(batch), .key = "batch", INTEGER(1, 65536), .default_text = "512",
     .help = "Requests that are pulled and not yet on disk."},
    {NATS(ack_wait_ms), .key = "ack_wait", DURATION(SECOND, HOUR), .default_text = "30s",
     .help = "A request that no host has put on disk by then is handed out again."},
    {NATS(timeout_ms), .key = "timeout", DURATION(100, 10 * MINUTE), .default_text = "5s",
     .help = "For the server's answer, be it to a connection, a request or a publish."},
    {NATS(retry_for_ms), .key = "retry_for", DURATION(0, 365 * DAY), .default_text = "7d",
     .help = "An answer that can't be published is retried for this long; then it is a dead letter."},
    {NATS(progress_every_ms), .key = "progress_every", DURATION(0, HOUR), .default_text = "250ms",
     .help = "At the most one export.progress of a job in this time."},
    {NATS(user), .key = "user", TEXT(TEXT), .default_text = "", .help = "User, unless the URL has one."},
    {NATS(password), .key = "password", TEXT(SECRET), .default_text = "",
     .help = "Its password. Best given as file:PATH or ${NAME}."},
    {NATS(token), .key = "token", TEXT(SECRET), .default_text = "",
     .help = "A token instead. Best given as file:PATH or ${NAME}."},
    {NATS(creds_file), .key = "creds_file", PATH, .default_text = "",
     .help = "A .creds file (JWT and NKey) instead."},
    {NATS(nkey_seed), .key = "nkey_seed", PATH, .default_text = "", .help = "A file with an NKey seed instead."},
    {NATS(tls), .key = "tls", BOOLEAN, .default_text = "no",
     .help = "Refuse a server without TLS. A tls:// URL does the same."},
    {NATS(ca_file), .key = "ca_file", PATH, .default_text = "",
     .help = "The authorities that the server's certificate is held against, PEM. Empty: the system's."},
    {NATS(certificate_file), .key = "certificate_file", PATH, .default_text = "",
     .help = "This host's own certificate, PEM."},
    {NATS(key_file), .key = "key_file", PATH, .default_text = "", .help = "Its key, PEM."},

    {REDIS(url), .key = "url", TEXT(REDIS), .default_text = "",
     .help = "redis://[user:password@]host[:port][/database] or unix:///path; also REDIS_URL. Empty: no Redis."},
    {REDIS(prefix), .key = "prefix", TEXT(TEXT),
     .default_text = "exportd:", .help = "Of the keys and channels: <prefix>job:<id> and <prefix>events."},
    {REDIS(ttl_ms), .key = "ttl", DURATION(SECOND, 365 * DAY), .default_text = "1d",
     .help = "A job's hash is kept for this long after its last change."},
    {REDIS(timeout_ms), .key = "timeout", DURATION(100, MINUTE), .default_text = "2s", .help = "For connecting."},

    {S3(bucket), .key = "bucket", .type = "name", .kind = CONFIG_KIND_NAME, .may_be_empty = true, .default_text = "",
     .help = "Artifacts go to this bucket; also S3_BUCKET. Empty: they stay in [host] state."},
    {S3(endpoint), .key = "endpoint", .type = "URL", .kind = CONFIG_KIND_URL, .may_be_empty = true,
     .default_text = "", .help = "http(s)://host[:port]; also S3_ENDPOINT. Empty: Amazon's for the region."},
    {S3(region), .key = "region", .type = "name", .kind = CONFIG_KIND_NAME, .default_text = "us-east-1",
     .help = "Also S3_REGION."},
    {S3(access_key), .key = "access_key", TEXT(TOKEN), .default_text = "", .help = "Also S3_ACCESS_KEY."},
    {S3(secret_key), .key = "secret_key", TEXT(SECRET), .default_text = "",
     .help = "Also S3_SECRET_KEY. Best given as file:PATH or ${NAME}."},
    {S3(prefix), .key = "prefix", TEXT(TEXT), .default_text = "",
     .help = "Put before the job's id in the objects' keys, such as exports/."},
    {S3(addressing), .key = "addressing", CHOICE("path|virtual"), .default_text = "path",
     .help = "path: endpoint/bucket/key; virtual: bucket.endpoint/key."},
    {S3(multipart_bytes), .key = "multipart", SIZE(5 * MIB, 5 * GIB), .default_text = "64M",
     .help = "Larger files go up in parts, each retried on its own."},
    {S3(part_bytes), .key = "part", SIZE(5 * MIB, 5 * GIB), .default_text = "16M",
     .help = "The size of a part; larger for files that would have more than 10,000."},
    {S3(concurrency), .key = "concurrency", INTEGER(1, 64), .default_text = "4", .help = "Jobs that upload at once."},
    {S3(timeout_ms), .key = "timeout", DURATION(SECOND, HOUR), .default_text = "30s",
     .help = "A transfer that moves nothing for this long is broken off and retried."},
    {S3(retry_for_ms), .key = "retry_for", DURATION(0, 30 * DAY), .default_text = "1h",
     .help = "An upload is retried for this long; then the job has failed."},
    {S3(presign_ms), .key = "presign", DURATION(0, 7 * DAY), .default_text = "0s",
     .help = "URLs in results carry a signature that is good for this long; 0s: plain URLs."},

    {REPROS(folder), .key = "folder", PATH, .default_text = "",
     .help = "Repros are looked up here, as <repro_id>.json. Empty: none."},
    {REPROS(query), .key = "query", TEXT(TEXT),
     .default_text = "SELECT to_jsonb(r) FROM repros r WHERE r.id = $1::uuid",
     .help = "With a PostgreSQL store, repros that the folder lacks are asked for: one row, one JSON column, $1 is "
             "the id. Empty: none."},
    {REPROS(max_files), .key = "max_files", INTEGER(1, 1000000), .default_text = "20000",
     .help = "Files in one repro."},
    {REPROS(max_bytes), .key = "max_bytes", SIZE(KIB, GIB), .default_text = "64M",
     .help = "The size of one repro document."},

    {WEBHOOK(secret), .key = "secret", .type = "text", .kind = CONFIG_KIND_SIGNING, .may_be_empty = true,
     .default_text = "",
     .help = "Signs callbacks as Standard Webhooks say: whsec_<base64>, or any text. Best given as file:PATH or "
             "${NAME}. Empty: unsigned."},
    {WEBHOOK(allow), .key = "allow", LIST(NETWORKS), .default_text = "",
     .help = "Addresses or CIDR blocks that callbacks may reach besides public ones, such as 10.1.0.0/16."},
    {WEBHOOK(timeout_ms), .key = "timeout", DURATION(100, 10 * MINUTE), .default_text = "15s",
     .help = "For one whole attempt at a delivery."},
    {WEBHOOK(retry_for_ms), .key = "retry_for", DURATION(0, 30 * DAY), .default_text = "24h",
     .help = "A delivery that fails is retried for this long; then it is a dead letter."},
    {WEBHOOK(backoff_ms), .key = "backoff", DURATION(1, DAY), .default_text = "5s",
     .help = "The wait before the first retry; it doubles with each, with jitter."},
    {WEBHOOK(backoff_max_ms), .key = "backoff_max", DURATION(1, 7 * DAY), .default_text = "1h",
     .help = "The longest wait before a retry."},
    {WEBHOOK(concurrency), .key = "concurrency", INTEGER(1, 1024), .default_text = "32",
     .help = "Deliveries under way at once."},
    {WEBHOOK(max_response_bytes), .key = "max_response", SIZE(0, 16 * MIB), .default_text = "64K",
     .help = "How much of a receiver's answer is read."},

    {UPSTREAM(url), .key = "url", .type = "URL", .kind = CONFIG_KIND_URL, .may_be_empty = true, .default_text = "",
     .help =
         "Another exportd, that does the tasks below: http(s)://host:port. Also REPO_WORKER_API_URL. Empty: none."},
    {UPSTREAM(url_dev), .key = "url_dev", .type = "URL", .kind = CONFIG_KIND_URL, .may_be_empty = true,
     .default_text = "", .help = "The same for development. Also REPO_WORKER_API_URL_DEV."},
    {UPSTREAM(use_dev), .key = "use_dev", BOOLEAN, .default_text = "no",
     .help = "yes: url_dev instead of url. Also USE_DEV_CLOUDRUN_WORKER."},
    {UPSTREAM(tasks), .key = "tasks", LIST(TASKS),
     .default_text =
         "acquire-user-repo create-from-template build-assets compute-embeddings enrich-repo process-with-repo",
     .help = "The tasks that go there. Where it can't be reached, they run here if a plugin offers them."},
    {UPSTREAM(token), .key = "token", .type = "text", .kind = CONFIG_KIND_TOKEN, .may_be_empty = true,
     .default_text = "", .help = "Its [http] token. Best given as file:PATH or ${NAME}."},
    {UPSTREAM(secret), .key = "secret", .type = "text", .kind = CONFIG_KIND_SIGNING, .may_be_empty = true,
     .default_text = "", .help = "Its [webhook] secret, which signs its callbacks. Empty: the same as here."},
    {UPSTREAM(callback_path), .key = "callback_path", .type = "path", .kind = CONFIG_KIND_LOCATION,
     .default_text = "/api/cloudrun/callback", .help = "Where its callbacks come in, below [http] public_url."},
    {UPSTREAM(timeout_ms), .key = "timeout", DURATION(100, 10 * MINUTE), .default_text = "15s",
     .help = "For handing one job over."},
    {UPSTREAM(wait_ms), .key = "wait", DURATION(100, 7 * DAY), .default_text = "30m",
     .help = "A job whose callback has not come by then is tried again."},
    {UPSTREAM(concurrency), .key = "concurrency", INTEGER(1, 10000), .default_text = "64",
     .help = "Jobs that are there at once."},
    {UPSTREAM(simulate), .key = "simulate", BOOLEAN, .default_text = "no",
     .help = "For development: a job that nobody does completes with {\"simulated\": true}."},

    {PLUGIN(enabled), .key = "enabled", BOOLEAN, .default_text = "yes",
     .help = "no: the plugin is not loaded, and its routes are unknown."},
    {PLUGIN(timeout_ms), .key = "timeout", DURATION(10, 7 * DAY), .default_text = "5m",
     .help = "For one attempt of a job; then the worker is told to stop."},
    {PLUGIN(grace_ms), .key = "grace", DURATION(0, 10 * MINUTE), .default_text = "5s",
     .help = "How long a worker that was told to stop may take before it is killed."},
    {PLUGIN(memory_bytes), .key = "memory", SIZE(16 * MIB, 16 * TIB), .default_text = "512M",
     .help = "Memory of one worker process."},
    {PLUGIN(workers), .key = "workers", INTEGER(1, 1024), .default_text = "2",
     .help = "Worker processes at the most; each runs one job at a time."},
    {PLUGIN(limit), .key = "limit", INTEGER(0, 1000000), .default_text = "0",
     .help = "Jobs of the plugin that run at once, over all hosts that share the store. 0: no such limit."},
    {PLUGIN(idle_ms), .key = "idle", DURATION(0, 30 * DAY), .default_text = "60s",
     .help = "A worker that is idle for this long is stopped, the last one too."},
    {PLUGIN(recycle), .key = "recycle", INTEGER(1, 1000000000), .default_text = "10000",
     .help = "A worker is replaced after this many jobs."},
    {PLUGIN(disk_bytes), .key = "disk", SIZE(4 * KIB, 16 * TIB), .default_text = "4G",
     .help = "What a worker may have in its folder, and its largest file."},
    {PLUGIN(network), .key = "network", BOOLEAN, .default_text = "no", .help = "Grant: open network connections."},
    {PLUGIN(exec), .key = "exec", BOOLEAN, .default_text = "no", .help = "Grant: start other programs."},
    {PLUGIN(cache), .key = "cache", .type = "name", .kind = CONFIG_KIND_NAME, .may_be_empty = true,
     .default_text = "",
     .help = "Grant: keep files from job to job in the folder of this name in <state>/cache. Plugins that are "
             "granted the same name share it."},
    {PLUGIN(secrets), .key = "secrets", LIST(NAMES), .default_text = "",
     .help =
         "Grant: these secrets, by name; NAME? may be missing. The value is [secrets] NAME, else the environment's."},
    {PLUGIN(read), .key = "read", LIST(PATHS), .default_text = "",
     .help = "Grant: read these further files and folders (absolute paths)."},
};

#define SETTINGS_COUNT (sizeof settings / sizeof *settings)

const struct config_setting *config_settings(size_t *count)
{
    *count = SETTINGS_COUNT;
    return settings;
}

const struct config_setting *config_setting_find(const char *section, const char *key)
{
    for (size_t i = 0; i < SETTINGS_COUNT; i++)
        if (!strcmp(settings[i].section, section) && !strcmp(settings[i].key, key))
            return &settings[i];
    return NULL;
}

size_t config_setting_keys(const char *section, const char **names)
{
    size_t count = 0;
    for (size_t i = 0; i < SETTINGS_COUNT && count < CONFIG_KEYS_MAX; i++)
        if (!strcmp(settings[i].section, section))
            names[count++] = settings[i].key;
    return count;
}

bool config_kind_is_secret(enum config_kind kind)
{
    return kind == CONFIG_KIND_TOKEN || kind == CONFIG_KIND_SIGNING ||
           (kind >= CONFIG_KIND_SECRET && kind <= CONFIG_KIND_REDIS);
}

bool config_setting_needs_start(const struct config_setting *setting)
{
    static const char *const sections[] = {"store", "nats", "redis", "s3", "repros", "upstream"};
    static const char *const keys[][2] = {{"host", "state"},
                                          {"http", "listen"},
                                          {"http", "public_url"},
                                          {"http", "max_connections"},
                                          {"http", "timeout"}};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strcmp(setting->section, sections[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(setting->section, keys[i][0]) == 0 && strcmp(setting->key, keys[i][1]) == 0)
            return true;
    return false;
}
