/*
 * parts.h: what mirror.c (the folder, its lock, the bound of the cache) and remote.c (what goes over the network)
 * share.
 */
#ifndef EXPORTD_KIT_GIT_PARTS_H
#define EXPORTD_KIT_GIT_PARTS_H

#include <exportd/kit/git.h>

struct git_kit_head {
    char *name;
    git_oid id;
};

struct exportd_git_mirror {
    struct exportd_git_options options;
    char *url;
    char *folder;    /* of the bare repository */
    char *lock_path; /* beside it; NULL in a workspace */
    int lock_fd;     /* -1: none */
    git_repository *repository;
    git_remote *remote; /* anonymous; connected or not */
    char *head;         /* the branch that HEAD names, or NULL */
    int asked;          /* the remote, for its references */
    struct git_kit_head *heads;
    size_t head_count;
    int stopped; /* by the caller's step() */
    int too_large;
    int damaged;
    /* What transport.c saw of the last request. */
    int network_failed, timed_out, certificate_failed, not_git;
    int http_status;            /* another one than 200, or 0 */
    char forbidden_address[64]; /* that the guard refused, or "" */
    char rejection[256];        /* the server's words about a push; "": none */
    char complaint[256];        /* what it said that went wrong, in the last request; "": nothing */
    char line[256];             /* of what it says, up to now */
    size_t line_length;
};

/* Fills error from code, message and whether it is worth another try. Returns -1. */
int git_kit_fail(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Throws the repository away and makes an empty one. Returns 0, or -1 with error filled. */
int git_kit_renew(struct exportd_git_mirror *mirror, struct exportd_kit_error *error);

/* How much one fetch may receive. */
uint64_t git_kit_max_bytes(const struct exportd_git_mirror *mirror);

/* A git_transport_cb, with the mirror as its context. */
int git_kit_transport(git_transport **out, git_remote *owner, void *context);

/* Forgets the connection and what the remote said. */
void git_kit_disconnect(struct exportd_git_mirror *mirror);

#endif
