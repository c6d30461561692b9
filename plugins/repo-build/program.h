/*
 * program.h: runs one program, and takes down what it writes.
 *
 * It gets a process group of its own, no standard input, and one pipe for both outputs. What is left of its group is
 * killed when it ends; what left the group is killed when the worker ends, right after the job.
 */
#ifndef REPO_BUILD_PROGRAM_H
#define REPO_BUILD_PROGRAM_H

#include <exportd/kit/bundle.h>
#include <exportd/plugin.h>
#include <stdbool.h>

#define TAIL_LINES 20
#define TAIL_LINE_BYTES 201

/* What the programs of one build wrote. */
struct output {
    int log;                                /* a descriptor, or -1 */
    uint64_t bytes;                         /* that they wrote */
    uint64_t kept;                          /* of them in the log */
    uint64_t max;                           /* of what is kept */
    char tail[TAIL_LINES][TAIL_LINE_BYTES]; /* the last lines, as a ring, without control characters */
    size_t lines;                           /* so far */
    char line[TAIL_LINE_BYTES];             /* that has no end yet */
    size_t line_length;
    int escape; /* within a terminal's control sequence: how far */
};

/* Takes bytes. */
void output_take(struct output *output, const char *bytes, size_t size);

/* The last lines that aren't empty, the oldest first, one below the other; cut from the beginning where out is too
 * small. Returns out. */
const char *output_tail(const struct output *output, char *out, size_t size);

/* Cuts off what is left of a character that was cut at the end of text. */
void output_trim(char *text);

/* The last whole line that isn't empty, or "". */
const char *output_last(const struct output *output);

struct program {
    struct exportd_job *job;
    char *const *arguments;   /* the program's name first, found by PATH */
    char *const *environment; /* "NAME=value", ended by NULL; has PATH */
    const char *folder;       /* that it starts in */
    int64_t until_ms;         /* by the monotonic clock */
    double from, to;          /* of the job's progress */
    struct output *output;
};

enum program_end { PROGRAM_EXITED, PROGRAM_KILLED, PROGRAM_OUT_OF_TIME, PROGRAM_CANCELLED };

struct program_result {
    enum program_end end;
    int code; /* of its exit, or the signal that killed it */
    int64_t duration_ms;
};

/* The monotonic clock, in milliseconds. */
int64_t program_now_ms(void);

/* Runs it to its end. Returns 0 with result filled, or -1 with error filled: "builder_missing" (there is no such
 * program), "build_failed" (it can't be started). */
int program_run(const struct program *program, struct program_result *result, struct exportd_kit_error *error);

#endif
