/*
 * config/internal.h: what the files of config/ share. Not for other folders; they include config.h.
 *
 * The road of a value: reader.c finds it (or environment.c), load.c applies it with expand.c and value.c, finish.c
 * completes and holds the whole against itself. Functions that can refuse fill why (a sentence without a place).
 */
#ifndef EXPORTD_CONFIG_INTERNAL_H
#define EXPORTD_CONFIG_INTERNAL_H

#include "config/config.h"

#define CONFIG_WHY_MAX 640
#define CONFIG_LINE_MAX 197                   /* inih holds 200 bytes, with \r\n and the NUL */
#define CONFIG_FILE_MAX ((size_t)1024 * 1024) /* of one *.conf */
#define CONFIG_VALUE_FILE_MAX ((size_t)64 * 1024)

struct config_why {
    char text[CONFIG_WHY_MAX];
};

/* Fills why and returns -1. */
int config_refuse(struct config_why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Where a value stands, as the reader saw it. */
struct config_source {
    const char *place;
    bool environment;
    bool world_readable; /* the file, not the value */
};

/* settings.c */
const struct config_setting *config_setting_find(const char *section, const char *key);
/* Fills names with the section's keys, of which there are at most CONFIG_KEYS_MAX; returns how many. */
#define CONFIG_KEYS_MAX 64
size_t config_setting_keys(const char *section, const char **names);
bool config_kind_is_secret(enum config_kind kind);

/* value.c: base is the struct that the setting's offset counts from. A refused value leaves the member as it was. */
int config_value_set(const struct config_setting *setting, void *base, const char *text, struct config_why *why);
int config_value_copy(const struct config_setting *setting, void *to, const void *from);
bool config_value_equal(const struct config_setting *setting, const void *left, const void *right);
void config_value_free(const struct config_setting *setting, void *base);

/* parse.c */
int config_parse_integer(const char *text, int64_t *value);
int config_parse_boolean(const char *text, bool *value);
void config_format_duration(int64_t milliseconds, char *text, size_t size);
void config_format_size(int64_t bytes, char *text, size_t size);

/* address.c: 0, or -1 with why. */
struct config_address {
    bool loopback;
    unsigned port;
};
int config_parse_listen(const char *text, struct config_address *address, struct config_why *why);
int config_check_network(const char *text, struct config_why *why);
int config_check_host_name(const char *text, struct config_why *why);
int config_check_url(const char *text, struct config_why *why);

/* text.c */
bool config_is_utf8(const char *text, size_t length);
bool config_has_control(const char *text);
bool config_is_secret_name(const char *text);               /* [A-Za-z_][A-Za-z0-9_]* */
bool config_is_name(const char *text, const char *further); /* [a-z0-9] and the characters of further; not empty */
int config_check_path(const char *text, bool absolute, struct config_why *why);
int config_list_split(const char *text, struct config_list *list); /* -1: out of memory */
void config_list_free(struct config_list *list);
/* Copies word in upper case (upper) or lower case, with `from` replaced by `to`. NULL: out of memory. */
char *config_word(const char *word, bool upper, char from, char to);

/* pairs.c: lists of struct config_pair that own their strings. */
const struct config_pair *config_pairs_find(const struct config_pair *pairs, size_t count, const char *key);
/* Adds, or replaces what key has. value may be NULL. -1: out of memory. */
int config_pairs_put(struct config_pair **pairs, size_t *count, const char *key, const char *value,
                     const char *place);
void config_pairs_remove(struct config_pair *pairs, size_t *count, const char *key);
void config_pairs_free(struct config_pair *pairs, size_t count);

/* finish.c: settings that must fit each other. */
void config_check_together(const struct config *config, struct config_problems *problems);

/* expand.c: *value is new. braces: ${NAME} counts (conf.d); file:PATH always does. *literal: neither was used. */
int config_expand(const char *raw, bool braces, char **value, bool *literal, struct config_why *why);
/* Reads a regular file of at most maximum bytes; a NUL follows the text. -1 with why. */
int config_read_file(const char *path, size_t maximum, char **text, size_t *length, bool *world_readable,
                     bool *world_writable, struct config_why *why);

/* reader.c: calls back for every section's head and every value, in order; reports what is no INI. */
struct config_reader_calls {
    int (*section)(void *user, const char *section, const char *place); /* -1: refused; its keys are passed over */
    void (*pair)(void *user, const char *section, const char *key, const char *value,
                 const struct config_source *source);
    void *user;
};
void config_read_folder(const char *folder, const struct config_reader_calls *calls,
                        struct config_problems *problems);

/* lines.c: what kind of line this is, before inih sees it. */
enum config_line { CONFIG_LINE_BLANK, CONFIG_LINE_SECTION, CONFIG_LINE_PAIR, CONFIG_LINE_BAD };
/* text: without its end of line; section (of CONFIG_LINE_MAX + 1 bytes) is filled for a section's head. */
enum config_line config_line_classify(const char *text, size_t length, char *section, struct config_why *why);

/* load.c */
struct config_loader {
    struct config *config;
    struct config_problems *problems;
    struct config_pair *sections; /* key: as in [..]; place: of its head */
    size_t section_count;
    bool out_of_memory;
};
void config_apply(struct config_loader *loader, const char *section, const char *key, const char *raw,
                  const struct config_source *source);
/* The plugin's section, made where there is none (place may be NULL). NULL: out of memory. */
struct config_plugin *config_plugin_make(struct config *config, const char *name, const char *place);

/* environment.c */
void config_apply_environment(struct config_loader *loader, char *const *environment);

/* finish.c: machine defaults, what plugins inherit, what must fit together. */
void config_finish(struct config_loader *loader);

#endif
