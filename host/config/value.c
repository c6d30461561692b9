#include "config/internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *member(const struct config_setting *setting, void *base)
{
    return (char *)base + setting->offset;
}

static const void *member_const(const struct config_setting *setting, const void *base)
{
    return (const char *)base + setting->offset;
}

static bool is_list(enum config_kind kind)
{
    return kind >= CONFIG_KIND_HOSTS;
}

static bool is_text(enum config_kind kind)
{
    return kind >= CONFIG_KIND_PATH && !is_list(kind);
}

static void format_bound(enum config_kind kind, int64_t value, char *text, size_t size)
{
    if (kind == CONFIG_KIND_DURATION)
        config_format_duration(value, text, size);
    else if (kind == CONFIG_KIND_SIZE)
        config_format_size(value, text, size);
    else
        snprintf(text, size, "%" PRId64, value);
}

static int set_number(const struct config_setting *setting, int64_t *to, const char *text, struct config_why *why)
{
    char least[32];
    char most[32];
    format_bound(setting->kind, setting->minimum, least, sizeof least);
    format_bound(setting->kind, setting->maximum, most, sizeof most);
    int64_t value;
    int failed;
    const char *form;
    if (setting->kind == CONFIG_KIND_DURATION) {
        failed = config_parse_duration(text, &value);
        form = "a duration with its unit (ms, s, m, h, d), such as 30s";
    } else if (setting->kind == CONFIG_KIND_SIZE) {
        failed = config_parse_size(text, &value);
        form = "a size in bytes or with K, M, G or T, such as 64M";
    } else {
        failed = config_parse_integer(text, &value);
        form = "a whole number";
    }
    if (failed)
        return config_refuse(why, "is \"%.80s\"; write %s, from %s to %s", text, form, least, most);
    if (value < setting->minimum || value > setting->maximum)
        return config_refuse(why, "is %.80s, out of bounds; write %s, from %s to %s", text, form, least, most);
    *to = value;
    return 0;
}

static int set_choice(const struct config_setting *setting, void *to, const char *text, struct config_why *why)
{
    size_t length = strlen(text);
    const char *word = setting->type;
    for (unsigned index = 0; word; index++) {
        const char *end = strchrnul(word, '|');
        if ((size_t)(end - word) == length && !memcmp(word, text, length)) {
            memcpy(to, &index, sizeof index);
            return 0;
        }
        word = *end ? end + 1 : NULL;
    }
    return config_refuse(why, "is \"%.80s\"; write one of %s", text, setting->type);
}

static int check_token(const char *text, struct config_why *why)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return config_refuse(why, "holds a character that can't stand in a header (a space, a line's end, or one "
                                      "beyond ASCII); use letters, digits and punctuation");
    return 0;
}

static int check_signing(const char *text, struct config_why *why)
{
    if (config_has_control(text))
        return config_refuse(why, "holds a control character or more than one line; take that out");
    static const char prefix[] = "whsec_";
    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return 0;
    text += sizeof prefix - 1;
    size_t letters = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    size_t padding = strspn(text + letters, "=");
    if (letters == 0 || text[letters + padding] || padding > 2 || (letters + padding) % 4 != 0)
        return config_refuse(why, "begins with whsec_, but no base64 follows; make one with: "
                                  "echo whsec_$(head -c 32 /dev/urandom | base64)");
    return 0;
}

static int check_name(const char *text, struct config_why *why)
{
    if (text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")])
        return config_refuse(why, "is \"%.80s\"; a name has letters, digits, _ . and - only", text);
    if (text[0] == '.')
        return config_refuse(why, "is \"%.80s\"; a name does not begin with a dot", text);
    return 0;
}

static int check_location(const char *text, struct config_why *why)
{
    size_t allowed = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-/");
    if (text[0] != '/' || text[1] == '\0' || text[allowed] || strstr(text, "//") || strstr(text, "/.") ||
        text[strlen(text) - 1] == '/')
        return config_refuse(why, "is \"%.80s\", which is no path of a URL; write one such as /api/callback", text);
    return 0;
}

static int check_line(const char *text, struct config_why *why)
{
    if (config_has_control(text))
        return config_refuse(why, "holds a control character or more than one line; take that out");
    return 0;
}

static bool has_scheme(const char *url, const char *const *schemes)
{
    for (; *schemes; schemes++)
        if (!strncmp(url, *schemes, strlen(*schemes)))
            return true;
    return false;
}

/* The value itself is never quoted: it may hold a password. */
static int check_server(enum config_kind kind, const char *text, struct config_why *why)
{
    static const char *const store[] = {"postgresql://", "postgres://", NULL};
    static const char *const redis[] = {"redis://", "unix://", NULL};
    static const char *const nats[] = {"nats://", "tls://", NULL};
    if (check_line(text, why))
        return -1;
    if (kind == CONFIG_KIND_STORE && !has_scheme(text, store))
        return config_refuse(why, "is no URL of PostgreSQL; write postgresql://user:password@host/database");
    if (kind == CONFIG_KIND_REDIS && !has_scheme(text, redis))
        return config_refuse(why, "is no URL of Redis; write redis://host:6379 or unix:///path");
    for (const char *at = text; kind == CONFIG_KIND_NATS && at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!has_scheme(at + strspn(at, " "), nats))
            return config_refuse(why, "has a part that is no URL of NATS; write nats://host:4222 or tls://host:4222, "
                                      "several by commas");
    return 0;
}

static int check_text(enum config_kind kind, const char *text, struct config_why *why)
{
    struct config_address address;
    switch (kind) {
    case CONFIG_KIND_PATH:
        return config_check_path(text, false, why);
    case CONFIG_KIND_LISTEN:
        return config_parse_listen(text, &address, why);
    case CONFIG_KIND_URL:
        return config_check_url(text, why);
    case CONFIG_KIND_TOKEN:
        return check_token(text, why);
    case CONFIG_KIND_SIGNING:
        return check_signing(text, why);
    case CONFIG_KIND_NAME:
        return check_name(text, why);
    case CONFIG_KIND_LOCATION:
        return check_location(text, why);
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_SECRET:
        return check_line(text, why);
    case CONFIG_KIND_STORE:
    case CONFIG_KIND_NATS:
    case CONFIG_KIND_REDIS:
        return check_server(kind, text, why);
    default:
        return 0;
    }
}

static int check_item(enum config_kind kind, const char *item, struct config_why *why)
{
    char name[256];
    switch (kind) {
    case CONFIG_KIND_HOSTS:
        return config_check_host_name(item, why);
    case CONFIG_KIND_NETWORKS:
        return config_check_network(item, why);
    case CONFIG_KIND_PATHS:
        return config_check_path(item, true, why);
    case CONFIG_KIND_LEVELS:
        return log_part_is_good(item)
                   ? 0
                   : config_refuse(why,
                                   "has \"%.80s\"; write part:level, such as nats:debug, with debug, info, "
                                   "warning or error",
                                   item);
    case CONFIG_KIND_TASKS:
        return config_is_name(item, "-_./") ? 0 : config_refuse(why, "has \"%.80s\", which is no task's name", item);
    default:
        config_granted_secret(item, name, sizeof name);
        if (!config_is_secret_name(name))
            return config_refuse(
                why,
                "has \"%.80s\", which is no name of a secret; write names such as GITHUB_TOKEN, or "
                "GITHUB_TOKEN? where it may be missing (the values go to [secrets] or the environment)",
                item);
        return 0;
    }
}

static int set_list(enum config_kind kind, struct config_list *to, const char *text, struct config_why *why)
{
    struct config_list list;
    if (config_list_split(text, &list))
        return config_refuse(why, "can't be kept: out of memory");
    for (size_t i = 0; i < list.count; i++) {
        if (check_item(kind, list.items[i], why)) {
            config_list_free(&list);
            return -1;
        }
    }
    config_list_free(to);
    *to = list;
    return 0;
}

static int set_text(enum config_kind kind, char **to, const char *text, struct config_why *why)
{
    if (*text && check_text(kind, text, why))
        return -1;
    char *copy = strdup(text);
    if (!copy)
        return config_refuse(why, "can't be kept: out of memory");
    free(*to);
    *to = copy;
    return 0;
}

int config_value_set(const struct config_setting *setting, void *base, const char *text, struct config_why *why)
{
    void *to = member(setting, base);
    if (!*text && !setting->may_be_empty)
        return config_refuse(why, "is empty, but needs a value: %s%s%s", setting->type,
                             *setting->default_text ? ", such as " : "", setting->default_text);
    if (is_list(setting->kind))
        return set_list(setting->kind, to, text, why);
    if (is_text(setting->kind))
        return set_text(setting->kind, to, text, why);
    if (setting->kind == CONFIG_KIND_CHOICE)
        return set_choice(setting, to, text, why);
    if (setting->kind == CONFIG_KIND_BOOLEAN) {
        if (config_parse_boolean(text, to))
            return config_refuse(why, "is \"%.80s\"; write yes or no", text);
        return 0;
    }
    return set_number(setting, to, text, why);
}

static int copy_list(struct config_list *to, const struct config_list *from)
{
    struct config_list list = {0};
    if (from->count > 0) {
        list.items = calloc(from->count, sizeof *list.items);
        if (!list.items)
            return -1;
        for (; list.count < from->count; list.count++) {
            list.items[list.count] = strdup(from->items[list.count]);
            if (!list.items[list.count]) {
                config_list_free(&list);
                return -1;
            }
        }
    }
    config_list_free(to);
    *to = list;
    return 0;
}

int config_value_copy(const struct config_setting *setting, void *to, const void *from)
{
    void *target = member(setting, to);
    const void *source = member_const(setting, from);
    if (is_list(setting->kind))
        return copy_list(target, source);
    if (is_text(setting->kind)) {
        char *copy = strdup(*(char *const *)source);
        if (!copy)
            return -1;
        free(*(char **)target);
        *(char **)target = copy;
    } else if (setting->kind == CONFIG_KIND_BOOLEAN) {
        *(bool *)target = *(const bool *)source;
    } else if (setting->kind == CONFIG_KIND_CHOICE) {
        memcpy(target, source, sizeof(unsigned));
    } else {
        *(int64_t *)target = *(const int64_t *)source;
    }
    return 0;
}

static bool lists_are_equal(const struct config_list *left, const struct config_list *right)
{
    bool equal = left->count == right->count;
    for (size_t i = 0; equal && i < left->count; i++)
        equal = strcmp(left->items[i], right->items[i]) == 0;
    return equal;
}

bool config_value_equal(const struct config_setting *setting, const void *left, const void *right)
{
    const void *one = member_const(setting, left), *other = member_const(setting, right);
    if (is_list(setting->kind))
        return lists_are_equal(one, other);
    if (is_text(setting->kind))
        return strcmp(*(char *const *)one, *(char *const *)other) == 0;
    if (setting->kind == CONFIG_KIND_BOOLEAN)
        return *(const bool *)one == *(const bool *)other;
    if (setting->kind == CONFIG_KIND_CHOICE)
        return memcmp(one, other, sizeof(unsigned)) == 0;
    return *(const int64_t *)one == *(const int64_t *)other;
}

void config_value_free(const struct config_setting *setting, void *base)
{
    void *target = member(setting, base);
    if (is_list(setting->kind)) {
        config_list_free(target);
    } else if (is_text(setting->kind)) {
        free(*(char **)target);
        *(char **)target = NULL;
    }
}
