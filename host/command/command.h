/*
 * command/command.h: the commands, and what they share. A command's function gets the arguments from its own name on,
 * and returns the program's exit code: 0 done, 1 the job failed or a check found errors, 2 wrong use or
 * configuration.
 */
#ifndef EXPORTD_COMMAND_COMMAND_H
#define EXPORTD_COMMAND_COMMAND_H

#include "base/error.h"
#include "config/config.h"
#include "plugin/catalog.h"
#include "store/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define EXIT_JOB_FAILED 1
#define EXIT_WRONG_USE 2

int command_serve(int count, char **arguments);
int command_run(int count, char **arguments);
int command_check(int count, char **arguments);
int command_plugins(int count, char **arguments);
int command_inspect(int count, char **arguments);
int command_jobs(int count, char **arguments);
int command_cancel(int count, char **arguments);
int command_retry(int count, char **arguments);
int command_migrate(int count, char **arguments);
int command_deliveries(int count, char **arguments);
int command_reload(int count, char **arguments);
int command_test(int count, char **arguments);
int command_new(int count, char **arguments);

/* options.c: the options that many commands have. -c DIR, --json, --url URL, -h; what is left are the operands. */
struct command_options {
    const char *conf_folder;
    bool json;
    const char *url;
    bool dead;
    const char *state, *route, *limit;
    int first_operand;
};

/* known: the letters of the options that this command takes: c, j (--json), u (--url), d (--dead), s (--state), r
 * (--route), n (--limit). Returns -1 to go on, or an exit code. usage: printed for -h and for mistakes. */
int command_parse(int count, char **arguments, const char *known, const char *usage, struct command_options *options);

/* For a command without operands: -1 to go on, or an exit code. */
int command_no_operand(const struct command_options *options, int count, char **arguments, const char *usage);

/* Says what is wrong with the option that getopt_long() stopped at: it returned letter, ? or :, for an option string
 * that begins with a colon, and opterr was 0. */
struct option;
void command_option_mistake(const char *command, int letter, char **arguments, const struct option *options);

/* config_load() of the folder given, else of the installed one where it exists, else of none. */
int command_read_config(const char *folder, struct config **config, struct config_problems *problems);

/* Loads the configuration (the folder given, else the installed one where it exists) and prints its problems. NULL:
 * exit with 2. */
struct config *command_load_config(const char *folder, bool quiet_warnings);

/* How the configuration's store is opened. Borrows from config. */
struct store_options command_store_options(const struct config *config);

/* Prints problems on standard error, each as place: [warning:] message. */
void command_print_problems(const struct config_problems *problems, bool with_warnings);

/* "exportd: message" on standard error, without the terminal escapes that a plugin's message may hold. */
void command_print_error(const struct error *error);

/* A copy of a stranger's text that can be shown on a terminal: one line, no escapes. */
char *command_printable(const char *text);

/* value.c: a JSON document from a file, - for standard input. NULL with error set. */
json_t *command_read_json(const char *path, int64_t max_bytes, struct error *error);

/* Puts --option NAME=VALUE into data, as what the route's schema asks for. Returns 0, or -1 with error set. */
int command_add_option(const json_t *schema, const char *text, json_t *data, struct error *error);

/* client.c: asks the running host over HTTP. Returns the parsed answer (new) and its status, or NULL with error set.
 */
json_t *client_ask(const struct config *config, const char *url, const char *method, const char *path, long *status,
                   struct error *error);

/* The same, for commands: prints the problem that the host answered. NULL: exit with *exit_code. */
json_t *client_ask_or_explain(const struct command_options *options, const char *method, const char *path,
                              int *exit_code);

/* table.c: an aligned table on standard output; plain where it isn't a terminal too. */
struct table;
struct table *table_new(const char *const *heads, int columns);
void table_add(struct table *table, const char *const *cells); /* copied; NULL is empty */
void table_print(struct table *table, FILE *out);
void table_free(struct table *table);

#endif
