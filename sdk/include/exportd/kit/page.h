/*
 * exportd/kit/page.h: one HTML page that opens a project elsewhere with one click.
 *
 * The page holds a form with hidden fields, which it posts by itself as soon as it is read, and a button for where
 * scripts are off or the reader came back to it. It loads nothing from anywhere: its style and its script are its own
 * and named by their hashes in its content security policy, which lets the form go to the service alone. Whatever
 * comes from a repro is escaped here. The same input gives the same bytes.
 */
#ifndef EXPORTD_KIT_PAGE_H
#define EXPORTD_KIT_PAGE_H

#include <exportd/kit/bundle.h>
#include <exportd/kit/project.h>
#include <jansson.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A part of the page below the button: a heading, text (paragraphs, with an empty line between) and a command that is
 * shown as code. text and command may be NULL. */
struct exportd_page_section {
    const char *heading;
    const char *text;
    const char *command;
};

/* What a page says and sends. Strings are plain text, not HTML. */
struct exportd_page {
    const json_t *repro; /* its title and its bug are shown */
    const struct exportd_project *project;
    const char *service; /* "StackBlitz" */
    const char *action; /* the address that the form is posted to, with its query; see exportd_page_check_address() */
    const char *lead;   /* what one gets, in a sentence or two */
    const struct exportd_page_section *sections; /* ended by one without a heading */
    size_t files;                                /* that are sent */
    uint64_t bytes;
    const json_t *left_out; /* an array of {"path", "reason"}, or NULL */
    int opens_itself;       /* else the button alone opens it */
    /* Writes the fields, by exportd_page_field(), in the order in which they are posted. */
    void (*fields)(FILE *out, void *context);
    void *context;
};

/* Writes the page to a new file at path. Returns 0, or -1 with error filled and no file left. */
int exportd_page_write(const struct exportd_page *page, const char *path, struct exportd_kit_error *error);

/* Writes a hidden field. The name and the value are UTF-8 without a NUL; every other character arrives as it is, but
 * for line ends, which every browser posts as CR LF. */
void exportd_page_field(FILE *out, const char *name, const char *value);

/* Checks an address that conf.d gives: https:// or http://, a host, perhaps a port and a path, and nothing that means
 * something elsewhere. where: the key and its section, for the message. Returns 0, or -1 with error filled
 * ("option_invalid"). */
int exportd_page_check_address(const char *where, const char *address, struct exportd_kit_error *error);

#ifdef __cplusplus
}
#endif
#endif
