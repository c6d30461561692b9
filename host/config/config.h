/*
 * config/config.h: what conf.d/ and the environment say, checked and typed.
 *
 * One table (settings.c) lists every setting with its section, key, type, default, bounds and help; the loader,
 * `exportd check`, the shipped conf.d/ and its tests all read that table. A value comes from, in rising order: the
 * default, the .conf files of conf.d in the order of their names, the environment (EXPORTD_<SECTION>_<KEY>, and the
 * names that DESIGN calls: DATABASE_URL, S3_BUCKET, …). Values may hold ${NAME}, ${NAME:-default}, and be file:PATH.
 *
 * A member's key in conf.d is its name without the unit's suffix (drain_timeout_ms: drain_timeout), but for two that
 * need it to be told apart: [jobs] max_artifact_bytes and [repros] max_bytes. Text that is not set is "", never NULL.
 *
 * This module reads and checks; it opens nothing else and logs nothing. All functions belong to the thread that
 * loads; a loaded struct config is read-only and may be shared.
 */
#ifndef EXPORTD_CONFIG_CONFIG_H
#define EXPORTD_CONFIG_CONFIG_H

#include "base/error.h"

#include <exportd/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_sandbox { CONFIG_SANDBOX_AUTO, CONFIG_SANDBOX_REQUIRED, CONFIG_SANDBOX_OFF };
enum config_jetstream { CONFIG_JETSTREAM_AUTO, CONFIG_JETSTREAM_REQUIRED, CONFIG_JETSTREAM_OFF };
enum config_addressing { CONFIG_ADDRESSING_PATH, CONFIG_ADDRESSING_VIRTUAL };
enum config_log_level { CONFIG_LOG_DEBUG, CONFIG_LOG_INFO, CONFIG_LOG_WARNING, CONFIG_LOG_ERROR };

/* Lists (type "list"): comma- or space-separated in conf.d. */
struct config_list {
    char **items;
    size_t count;
};

struct config_host {
    char *state;   /* folder for the store, artifacts, workspaces; default /var/lib/exportd for root, else
                      $XDG_STATE_HOME/exportd or ~/.local/state/exportd */
    char *plugins; /* folder of the .so files; default beside the program (build tree) or LIBDIR/exportd/plugins */
    char *log_level_name;            /* debug | info | warning | error */
    enum config_log_level log_level; /* the same, as an enum (default info) */
    struct config_list log_detail;   /* "part:level": other levels for single parts */
    bool log_json;                   /* key log_json, default no */
    enum config_sandbox sandbox;     /* auto | required | off; default auto */
    int64_t drain_timeout_ms;        /* default 30s */
};

struct config_http {
    char *listen;              /* address:port, [v6]:port; port 0: any free one; default 127.0.0.1:8080 */
    char *token;               /* secret; empty: none; needed for any but a loopback address */
    struct config_list hosts;  /* names that a Host header may carry besides loopback names, when there is no token */
    char *public_url;          /* how callers reach this host, for artifact URLs; empty: http://<listen> */
    int64_t max_body_bytes;    /* default 64M */
    int64_t max_bodies_bytes;  /* all that are being received; default 512M */
    int64_t max_json_depth;    /* default 64 */
    int64_t max_connections;   /* default 1024 */
    int64_t timeout_ms;        /* an idle connection is closed after this; default 30s */
    int64_t max_wait_ms;       /* the most that Prefer: wait may ask for; default 60s */
    int64_t max_event_streams; /* open /jobs/ID/events at once; default 256 */
};

struct config_jobs {
    int64_t max_attempts;        /* default 5 */
    int64_t max_host_losses;     /* a job that was running this often when the host died is failed; default 20 */
    int64_t backoff_ms;          /* first wait before a retry, doubled each time, with jitter; default 1s */
    int64_t backoff_max_ms;      /* default 5m */
    int64_t queue_limit;         /* jobs waiting; beyond it 503; default 2000000 */
    int64_t retention_ms;        /* completed and cancelled jobs are pruned after this; default 7d */
    int64_t retention_failed_ms; /* failed jobs; default 30d */
    int64_t max_result_bytes;    /* default 4M */
    int64_t max_artifacts;       /* per job; default 1000 */
    int64_t max_artifact_bytes;  /* all artifacts of one job together; default 2G */
};

/* Where jobs are kept. */
struct config_store {
    char *url;          /* DATABASE_URL, a secret: postgresql://…; empty: SQLite in [host] state */
    int64_t lease_ms;   /* PostgreSQL: the jobs of a host that is silent for this long run elsewhere; default 6s */
    int64_t timeout_ms; /* PostgreSQL: without an answer for this long the connection counts as lost; default 10s */
};

struct config_nats {
    char *url;                       /* NATS_URL, a secret: one or more, by commas; empty: no NATS */
    enum config_jetstream jetstream; /* auto | required | off; default auto */
    char *stream;                    /* of the requests; default EXPORTD */
    char *consumer;                  /* durable, shared by all hosts; default exportd */
    char *answers;                   /* stream that keeps answers; empty: none is made; default EXPORTD_ANSWERS */
    int64_t answers_keep_ms;         /* default 3d */
    int64_t answers_concurrency;     /* published and not yet confirmed; default 2048 */
    int64_t batch;                   /* requests that are pulled and not yet on disk; default 512 */
    int64_t ack_wait_ms;             /* the server hands a request out again after this; default 30s */
    int64_t timeout_ms;              /* for the server's answer to one request; default 5s */
    int64_t retry_for_ms;            /* an answer that can't be published is a dead letter after this; default 7d */
    int64_t progress_every_ms;       /* at the most one export.progress of a job in this time; default 250ms */
    char *user, *password, *token;   /* empty: as the URL says */
    char *creds_file;                /* path */
    char *nkey_seed;                 /* path of a file with an NKey seed */
    char *ca_file, *certificate_file, *key_file; /* PEM */
    bool tls;                                    /* default no; tls:// in the URL asks for it too */
};

struct config_redis {
    char *url;          /* REDIS_URL, a secret: redis://[:password@]host[:port][/db], unix:///path; empty: no Redis */
    char *prefix;       /* of keys and channels; default exportd: */
    int64_t ttl_ms;     /* a job's hash is kept for this long after its last change; default 1d */
    int64_t timeout_ms; /* for connecting; default 2s */
};

struct config_s3 {
    char *bucket;                      /* S3_BUCKET; empty: artifacts stay in [host] state */
    char *endpoint;                    /* S3_ENDPOINT, http(s)://host[:port]; empty: Amazon's for the region */
    char *region;                      /* S3_REGION; default us-east-1 */
    char *access_key;                  /* S3_ACCESS_KEY */
    char *secret_key;                  /* S3_SECRET_KEY, a secret */
    char *prefix;                      /* put before the job's id in keys; default empty */
    enum config_addressing addressing; /* path | virtual; default path */
    int64_t multipart_bytes;           /* larger files go up in parts; default 64M */
    int64_t part_bytes;                /* default 16M */
    int64_t concurrency;               /* jobs that upload at once; default 4 */
    int64_t timeout_ms;                /* a transfer that moves nothing for this long is broken off; default 30s */
    int64_t retry_for_ms;              /* an upload is retried for this long, then the job has failed; default 1h */
    int64_t presign_ms; /* URLs in results carry a signature that is good for this long; 0 (default): plain URLs */
};

struct config_repros {
    char *folder;      /* <id>.json are looked up here; empty: none */
    char *query;       /* with a PostgreSQL store: one row, one JSON column, $1 is the id; empty: none */
    int64_t max_files; /* per repro; default 20000 */
    int64_t max_bytes; /* of one repro document; default 64M */
};

struct config_webhook {
    char *secret;             /* whsec_<base64>, or any text; empty: callbacks go unsigned, with a warning at start */
    struct config_list allow; /* addresses or CIDR blocks that callbacks may reach besides public ones */
    int64_t timeout_ms;       /* default 15s, for one whole delivery attempt */
    int64_t retry_for_ms;     /* default 24h */
    int64_t backoff_ms;       /* default 5s */
    int64_t backoff_max_ms;   /* default 1h */
    int64_t concurrency;      /* default 32 */
    int64_t max_response_bytes; /* default 64K */
};

/* Another exportd that does some of this one's tasks. */
struct config_upstream {
    char *url;                /* its address; empty: none */
    char *url_dev;            /* instead, where use_dev is set */
    bool use_dev;             /* default no */
    struct config_list tasks; /* that go there */
    char *token;              /* secret; that it wants as Authorization: Bearer */
    char *secret;             /* that it signs callbacks with; empty: [webhook] secret */
    char *callback_path;      /* default /api/cloudrun/callback */
    int64_t timeout_ms;       /* of one request; default 15s */
    int64_t wait_ms;          /* for a callback; default 30m */
    int64_t concurrency;      /* jobs that are there at once; default 64 */
    bool simulate;            /* default no */
};

/* A plugin's section. The keys of struct config_worker are the host's; others are the plugin's own options. */
struct config_worker {
    bool enabled;               /* default yes */
    int64_t timeout_ms;         /* of one attempt; default 5m */
    int64_t grace_ms;           /* between SIGTERM and SIGKILL; default 5s */
    int64_t memory_bytes;       /* default 512M */
    int64_t workers;            /* processes at the most; default 2 */
    int64_t limit;              /* jobs of the plugin that run at once, over all hosts of a store; default 0: any */
    int64_t idle_ms;            /* an idle worker is stopped after this, the last one too; default 60s */
    int64_t recycle;            /* jobs after which a worker is replaced; default 1000 */
    int64_t disk_bytes;         /* its folder in all, and each file (RLIMIT_FSIZE); default 4G */
    bool network;               /* default no */
    bool exec;                  /* default no */
    char *cache;                /* name of a folder that stays, below the state's cache folder; "": none */
    struct config_list secrets; /* "NAME", or "NAME?" that may be missing; see config_granted_secret() */
    struct config_list read;    /* further files and folders that it may read */
};

struct config_pair {
    char *key;
    char *value; /* after ${} and file: */
    char *place; /* "conf.d/export-pdf.conf:12" or "environment EXPORTD_PLUGIN_EXPORT_PDF_PAGE" */
};

struct config_plugin {
    char *name;
    struct config_worker worker;
    struct config_pair *options; /* the plugin's own keys, unchecked until config_check_plugin() */
    size_t option_count;
    char *place; /* of the section's head; NULL where there is no section */
};

/* [route report] default = pdf: the selector's value where a request names none. */
struct config_route {
    char *task;
    char *default_value;
    char *place;
};

/* [pipeline process-with-repo] steps = acquire-user-repo, build-assets: a route made of others. */
struct config_pipeline {
    char *name;
    char *summary; /* or NULL */
    struct config_list steps;
    char *place;     /* of steps */
    json_t *options; /* an object: what a request is given where it says nothing; or NULL */
    char *options_place;
};

struct config {
    char *folder; /* NULL: none was read */
    struct config_host host;
    struct config_http http;
    struct config_store store;
    struct config_nats nats;
    struct config_redis redis;
    struct config_s3 s3;
    struct config_jobs jobs;
    struct config_repros repros;
    struct config_webhook webhook;
    struct config_upstream upstream;
    struct config_worker worker; /* [worker]: the defaults of every plugin's section */
    struct config_plugin *plugins;
    size_t plugin_count;
    struct config_route *routes;
    size_t route_count;
    struct config_pipeline *pipelines;
    size_t pipeline_count;
    struct config_pair *secrets; /* [secrets] */
    size_t secret_count;
    struct config_pair *plugin_environment; /* EXPORTD_PLUGIN_…: key is the name; for config_check_plugin() */
    size_t plugin_environment_count;
    struct config_pair *given; /* for config_place(): key "http.listen", value NULL */
    size_t given_count;
};

/* A mistake in the configuration, or something worth a warning. */
struct config_problem {
    bool warning;
    char *place;   /* "conf.d/http.conf:7", or "environment EXPORTD_HTTP_LISTEN" */
    char *message; /* what, and the mend: "unknown key \"lisen\" in [http]; did you mean \"listen\"?" */
};

struct config_problems {
    struct config_problem *items;
    size_t count;
    size_t errors; /* those that are no warnings */
};

/*
 * Reads the folder's .conf files (sorted by name; folder NULL: no files, defaults and environment alone) and the
 * environment. Every mistake is added to problems, all in one go, in the order of the files; *out is set whenever
 * problems->errors is 0, and freed with config_free(). Returns 0, or -1 when there is any error. A folder that is
 * missing or unreadable is an error.
 */
int config_load(const char *folder, struct config **out, struct config_problems *problems);
void config_free(struct config *config);

/*
 * For a reload: gives config the values of those settings that running (the configuration that the host was started
 * with) can't change while it runs, such as the store and the doors' addresses. Each that differs becomes a warning
 * in problems, which says that it takes effect at the next start. Returns 0, or -1: out of memory.
 */
int config_carry(struct config *config, const struct config *running, struct config_problems *problems);

void config_problems_add(struct config_problems *problems, bool warning, const char *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void config_problems_clear(struct config_problems *problems);

/* The section of a plugin, or NULL where conf.d has none. The worker settings to use are then config->worker. */
const struct config_plugin *config_find_plugin(const struct config *config, const char *name);
const struct config_worker *config_worker_of(const struct config *config, const char *plugin_name);

/* Where a setting's value comes from: "conf.d/http.conf:7", "environment …"; NULL: the default. section as in conf.d:
 * "http", "plugin export-pdf". Borrowed. */
const char *config_place(const struct config *config, const char *section, const char *key);

/* The value of a secret by name (one that is empty counts as not there): [secrets] NAME, else the environment's NAME,
 * else NULL. Borrowed. */
const char *config_secret(const struct config *config, const char *name);

/* A secret as [plugin NAME] grants it, "NAME" or "NAME?": writes its name to name. Returns whether it may be missing.
 */
bool config_granted_secret(const char *item, char *name, size_t size);

/* A plugin's own option as the manifest declares it. */
struct config_plugin_option {
    const char *name;
    enum exportd_option_type type;
    const char *default_value; /* or NULL */
    const char *help;
    bool required;
};

/*
 * Holds a plugin's section against its manifest: unknown keys (with the nearest known one), wrong types, missing
 * required options, secrets that it asks for and that aren't granted (warning) or that are granted and not there
 * (error), a grant it asks for that is not given (warning). Mistakes go to problems. values: one new string per
 * option in the order of options, normalised as plugin.h says (yes/no, milliseconds, bytes), NULL where there is
 * neither value nor default; free each. Returns 0, or -1 on any error.
 */
int config_check_plugin(const struct config *config, const char *plugin_name,
                        const struct config_plugin_option *options, size_t option_count,
                        const char *const *secrets_asked, uint32_t grants_asked, char **values,
                        struct config_problems *problems);

/* The nearest of names to word (for "did you mean"), or NULL where none is near. */
const char *config_nearest(const char *word, const char *const *names, size_t count);

/* What a value is held against. The text kinds differ in what they refuse only. */
enum config_kind {
    CONFIG_KIND_INTEGER,
    CONFIG_KIND_BOOLEAN,
    CONFIG_KIND_DURATION,
    CONFIG_KIND_SIZE,
    CONFIG_KIND_CHOICE,   /* type names the words, in the order of the enum's values */
    CONFIG_KIND_PATH,     /* any path but ~/… */
    CONFIG_KIND_LISTEN,   /* address:port */
    CONFIG_KIND_URL,      /* http:// or https:// */
    CONFIG_KIND_TOKEN,    /* a secret that fits a header: printable ASCII without spaces */
    CONFIG_KIND_SIGNING,  /* a secret; after whsec_ it must be base64 */
    CONFIG_KIND_TEXT,     /* one line */
    CONFIG_KIND_NAME,     /* of a stream, a consumer, a bucket: [A-Za-z0-9_.-]+ */
    CONFIG_KIND_LOCATION, /* the path of a URL: /a/b */
    CONFIG_KIND_SECRET,   /* a secret of one line */
    CONFIG_KIND_STORE,    /* a secret: postgresql://… */
    CONFIG_KIND_NATS,     /* a secret: nats:// or tls:// URLs by commas */
    CONFIG_KIND_REDIS,    /* a secret: redis:// or unix:// */
    CONFIG_KIND_HOSTS,    /* list of host names */
    CONFIG_KIND_NETWORKS, /* list of addresses and CIDR blocks */
    CONFIG_KIND_NAMES,    /* list of names of secrets */
    CONFIG_KIND_PATHS,    /* list of absolute paths */
    CONFIG_KIND_TASKS,    /* list of tasks */
    CONFIG_KIND_LEVELS,   /* list of part:level */
};

/* One row of the table of settings, for whatever documents or checks it. */
struct config_setting {
    const char *section; /* "http"; "plugin" stands for [worker] and every [plugin NAME] */
    const char *key;
    const char *type;         /* "text", "integer", "yes/no", "duration", "size", "list", "auto|required|off" … */
    const char *default_text; /* as conf.d writes it; "" for none */
    const char *help;         /* one line */
    enum config_kind kind;
    bool may_be_empty;
    size_t offset;   /* of the member in struct config; where section is "plugin", in struct config_worker */
    int64_t minimum; /* bounds, both included, of integers, durations (milliseconds) and sizes (bytes) */
    int64_t maximum;
};

/* Whether a running host goes on with the value that it was started with, whatever a reload finds. */
bool config_setting_needs_start(const struct config_setting *setting);

/* The whole table; *count rows. Static storage. */
const struct config_setting *config_settings(size_t *count);

/* Parsers, for whoever has such text: 30s, 5m, 2h, 7d, 250ms; 64K, 10M, 1G, plain bytes. Return 0 or -1. */
int config_parse_duration(const char *text, int64_t *milliseconds);
int config_parse_size(const char *text, int64_t *bytes);

#endif
