/*
 * conformance/watch_judge.h: which of a worker's system calls go beyond its grants.
 *
 * Kinds of lines in the report: "watching" (the sandbox is up), "refused" (ptrace isn't allowed here), "network",
 * "exec", "write" (outside its folder), "process" (touches other processes or the machine). Each distinct line once.
 */
#ifndef EXPORTD_CONFORMANCE_WATCH_JUDGE_H
#define EXPORTD_CONFORMANCE_WATCH_JUDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WATCH_LINES_MAX 64

struct watch_judge {
    int report;        /* descriptor, or -1 */
    const char *cache; /* "" for none */
    bool network;
    char folder[4096];               /* the worker's own */
    char said[WATCH_LINES_MAX][300]; /* lines that are in the report */
    int said_count;
};

/* The worker is in its sandbox; its working folder is what it may write. */
void watch_judge_begin(struct watch_judge *judge, pid_t thread);

/* A call that thread, which is stopped, is about to make. */
void watch_judge_call(struct watch_judge *judge, pid_t thread, long number, const uint64_t arguments[6]);

void watch_judge_say(struct watch_judge *judge, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
