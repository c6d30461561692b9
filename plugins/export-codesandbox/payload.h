/*
 * payload.h: a finished project as the JSON that CodeSandbox takes.
 *
 * There are two forms. The define API and a link take {"files": {PATH: {"content", "isBinary"}}}, where a binary file
 * would have to be an address on the web, so that it is left out. The API with a key takes {"files": {PATH:
 * {"code"}}} or {"binary_content", "is_binary"}, and more about the sandbox.
 */
#ifndef EXPORT_CODESANDBOX_PAYLOAD_H
#define EXPORT_CODESANDBOX_PAYLOAD_H

#include <exportd/kit/project.h>
#include <jansson.h>

enum privacy {
    PRIVACY_PUBLIC = 0, /* the numbers are CodeSandbox' own */
    PRIVACY_UNLISTED = 1,
    PRIVACY_PRIVATE = 2,
};

/* What is said of a sandbox that is made with a key. */
struct payload_about {
    const char *title;
    const char *description; /* or NULL */
    const char *folder;      /* of the workspace, or NULL */
    const char *tag;         /* by which a later attempt finds the sandbox */
    enum privacy privacy;
};

struct payload_limits {
    size_t max_files; /* folders too; 0: none */
    uint64_t max_bytes;
    uint64_t max_file_bytes;
};

struct payload {
    char *text;       /* the JSON */
    size_t files;     /* that are in it */
    uint64_t bytes;   /* of their contents */
    json_t *left_out; /* [{"path", "reason"}] */
};

/* Fills payload, which is zeroed, for a finished project; about: NULL for the define API. What is sent is held
 * against the limits first. Returns 0, or -1 with error filled ("repro_too_large", "out_of_memory"). */
int payload_make(struct payload *payload, const struct exportd_project *project, const struct payload_about *about,
                 const struct payload_limits *limits, struct exportd_kit_error *error);

void payload_clear(struct payload *payload);

#endif
