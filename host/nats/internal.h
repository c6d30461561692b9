/*
 * nats/internal.h: what the files of nats/ share. door.c: the whole, and its ticks; link.c: the connection on the
 * loop, and the thread that makes it; options.c: settings and credentials; setup.c: JetStream's streams and consumer;
 * requests.c: in; publisher.c and progress.c: out; check.c: `exportd check`.
 */
#ifndef EXPORTD_NATS_INTERNAL_H
#define EXPORTD_NATS_INTERNAL_H

#include "nats/door.h"

#include <nats/nats.h>
#include <pthread.h>

#define NATS_NAME_MAX 256
#define NATS_SOURCE_MAX 2
#define NATS_ANSWER_COUNT 4
#define NATS_INBOX_MAX 64
#define NATS_DISCARDED_MAX 128
#define NATS_QUEUE_GROUP "exportd"

extern const char *const nats_request_subjects[NATS_SOURCE_MAX];
extern const char *const nats_answer_subjects[NATS_ANSWER_COUNT];

/* Where requests are pulled from. */
struct nats_source {
    char stream[NATS_NAME_MAX];
    char consumer[NATS_NAME_MAX];
    char filter[NATS_NAME_MAX]; /* or "": all that the stream has */
};

/* What the server has for this host. */
struct nats_setup {
    bool jetstream;
    bool answers_known;               /* else none can be published yet */
    bool captured[NATS_ANSWER_COUNT]; /* a stream confirms answers on this subject */
    bool requests_known;              /* else none can be taken yet */
    struct nats_source sources[NATS_SOURCE_MAX];
    int source_count;   /* 0: a queue subscription */
    struct error error; /* what is missing */
};

/* options.c. NULL with error set. */
natsOptions *nats_options(const struct config_nats *config, char **further_servers, int further_count,
                          struct error *error);
/* What cnats says of the last thing that failed on this thread. */
const char *nats_reason(natsStatus status);
/* Without user, password and token, however it was given. New string. */
char *nats_mask(const char *urls);

/* setup.c. Blocking; a thread of its own. make: streams and consumers that are not there are made, else only missed.
 */
void nats_setup_run(natsConnection *connection, const struct config_nats *config, bool make,
                    struct nats_setup *setup);

/* link.c */
struct nats_link {
    struct nats_door *door;
    uv_loop_t *loop;
    const struct config_nats *config;
    pthread_t loop_thread, thread;
    bool thread_runs;

    /* The loop's. */
    natsConnection *connection; /* NULL: none */
    uv_async_t news;
    uv_prepare_t before_poll;
    uv_poll_t *poll;
    bool write_wanted;   /* cnats has something in its buffer */
    int later_bytes;     /* of it, what may wait for more */
    bool waited_a_turn;  /* so that has */
    bool polls_writable; /* and the socket had no room for it */
    uv_timer_t patience; /* then it goes by itself */

    /* Both threads', under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    natsConnection *attached; /* news: a connection to poll */
    int attached_socket;
    bool wants_write; /* news, from another thread */
    bool lost;        /* the connection is gone */
    bool released;    /* and the loop uses it no more */
    bool setup_again, stopping, ended;
    struct nats_setup *setup; /* news */
    char failure[512];        /* news: why no connection could be made */
    char error_text[512];     /* news: what the server complained of */
    char **servers;           /* that the last server told of */
    int server_count;
};

void nats_link_open(struct nats_link *link, struct nats_door *door);
void nats_link_setup_again(struct nats_link *link);
void nats_link_wake(struct nats_link *link); /* calls nats_door_before_poll() soon, and then writes */
/* Publishes with the next write, or a little later: to wake the server for it alone would cost more than it says. */
void nats_link_publish_later(struct nats_link *link, const char *subject, const char *text);
void nats_link_break(struct nats_link *link); /* gives the connection up */
/* Then calls nats_door_link_closed(). */
void nats_link_close(struct nats_link *link);

void nats_link_free(struct nats_link *link);

/* requests.c */
struct request;
struct request_list {
    struct request *first, *last;
};

struct pull {
    uint64_t number;
    int64_t left;
};

#define PULL_MAX 4

struct nats_inlet {
    struct nats_door *door;
    int index;
    struct nats_source source;
    natsSubscription *subscription;
    char inbox[NATS_INBOX_MAX]; /* "" for a queue subscription */
    char subject[NATS_NAME_MAX * 2 + 64];
    struct pull pulls[PULL_MAX];
    int pull_count;
    int64_t credit;          /* what the server may still send */
    int64_t share;           /* of [nats] batch */
    int64_t held;            /* received and not yet on disk */
    int64_t good_until_ns;   /* no pull lasts longer */
    int64_t paused_until_ns; /* no pull before */
    bool beats;              /* the server tells of pulls that wait */
    int64_t heard_ns;
};

struct nats_requests {
    struct nats_inlet inlets[NATS_SOURCE_MAX];
    int inlet_count;
    bool open, draining;
    bool confirmed;            /* what comes from now on is not lost */
    bool starved;              /* messages may lie in cnats' own queue */
    bool stuck;                /* the store takes none at the moment, which was said */
    bool suspended;            /* nothing is pulled until the server was looked at again */
    int64_t kept_ns;           /* when the store last took none */
    struct request_list later; /* the store couldn't take them */
    int64_t held;
    int64_t retry_at_ns;
    uint64_t received, dead_letters, pulls;
};

void requests_open(struct nats_door *door, const struct nats_setup *setup);
void requests_confirmed(struct nats_door *door); /* the server knows the subscriptions */
void requests_resume(struct nats_door *door);    /* the server was looked at again */
void requests_close(struct nats_door *door);     /* the connection is gone */
void requests_read(struct nats_door *door);
void requests_before_poll(struct nats_door *door);
void requests_tick(struct nats_door *door, int64_t now_ns);
void requests_drain(struct nats_door *door);
bool requests_are_drained(const struct nats_door *door);
void requests_free(struct nats_door *door);

/* publisher.c */
struct sending {
    struct store_delivery *delivery; /* NULL: the place is free */
    uint64_t serial;
    int64_t deadline_ns;
    bool plain; /* no stream confirms it: an echo does */
    int previous, next;
};

struct nats_publisher {
    natsSubscription *subscription;
    char inbox[NATS_INBOX_MAX];
    bool open; /* answers can be published */
    bool captured[NATS_ANSWER_COUNT];
    int64_t max_payload;
    struct sending *places;
    int place_count, used, free_first, oldest, newest;
    int64_t bytes;       /* of the answers under way and waiting */
    int64_t usual_bytes; /* of one */
    uint64_t serial;
    bool echo_wanted;
    struct store_delivery *waiting, **waiting_tail;
    int waiting_count;
    bool taking, more;
    int pending_ops;
    int64_t quiet_until_ns; /* no failure is logged before */
    int quiet_count;
    uint64_t published, failed, dead;
};

void publisher_init(struct nats_door *door);
void publisher_open(struct nats_door *door, const struct nats_setup *setup);
/* Asks for an echo of token, which comes after the server has done all that it was told before. Whether it is on its
 * way. */
bool publisher_ask(struct nats_door *door, const char *token);
void publisher_close(struct nats_door *door, const char *why);
void publisher_read(struct nats_door *door);
void publisher_before_poll(struct nats_door *door);
void publisher_tick(struct nats_door *door, int64_t now_ns);
void publisher_free(struct nats_door *door);
bool publisher_is_idle(const struct nats_door *door);

/* progress.c */
struct told;

struct nats_progress {
    struct told *first;
    uv_timer_t timer;
    int64_t number;
    uint64_t published;
};

void progress_init(struct nats_door *door);
void progress_ended(struct nats_door *door, const char *job_id); /* its last one goes out now */
void progress_free(struct nats_door *door);

/* door.c */
struct nats_door {
    struct nats_door_options options;
    const struct config_nats *config;
    struct nats_link link;
    struct nats_setup setup;
    struct nats_requests requests;
    struct nats_publisher publisher;
    struct nats_progress progress;
    uv_timer_t tick;
    bool connected;
    uint64_t connects;
    char trouble[600];   /* of the connection */
    char logged[600];    /* the last complaint about the setup */
    int64_t setup_at_ns; /* 0, or when the setup is tried again */
    int64_t heard_ns;    /* when the server said something */
    int64_t asked_ns;    /* and was asked to */
    bool warned;         /* that requests are taken at most once */
    natsMsg *discarded[NATS_DISCARDED_MAX];
    int discarded_count;
    bool closing, link_closing, link_closed;
    int64_t close_by_ns;
    int open_handles;
    void (*on_closed)(void *client);
    void *closed_client;
};

void nats_door_up(struct nats_door *door); /* connected; not set up yet */
void nats_door_setup(struct nats_door *door, const struct nats_setup *setup);
void nats_door_down(struct nats_door *door, const char *why);
void nats_door_failed(struct nats_door *door, const char *why); /* no connection could be made */
void nats_door_complaint(struct nats_door *door, const char *text);
void nats_door_discard(struct nats_door *door, natsMsg *message); /* destroys it, soon */
void nats_door_read(struct nats_door *door);                      /* messages may have come */
void nats_door_before_poll(struct nats_door *door);
void nats_door_link_closed(struct nats_door *door);
void nats_door_check_closed(struct nats_door *door);

#endif
