/*
 * A folder of configuration that a test fills and loads. Each test gets one of its own, and an environment without
 * EXPORTD_ variables; setup and teardown go into cmocka_unit_test_setup_teardown().
 */
#ifndef TEST_CONFIG_SUPPORT_H
#define TEST_CONFIG_SUPPORT_H

#include "config/config.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[64];
    struct config *config;
    struct config_problems problems;
    int result;
};

static inline void clear_environment(void)
{
    for (size_t i = 0; environ && environ[i];) {
        char name[256];
        size_t length = strcspn(environ[i], "=");
        if (strncmp(environ[i], "EXPORTD_", 8) != 0 || length >= sizeof name) {
            i++;
            continue;
        }
        memcpy(name, environ[i], length);
        name[length] = '\0';
        unsetenv(name);
        i = 0;
    }
}

static inline void forget(struct fixture *fixture)
{
    config_free(fixture->config);
    fixture->config = NULL;
    config_problems_clear(&fixture->problems);
}

static inline int setup(void **state)
{
    clear_environment();
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/exportd-config-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    *state = fixture;
    return 0;
}

static inline void path_in(const struct fixture *fixture, const char *name, char *path, size_t size)
{
    assert_true((size_t)snprintf(path, size, "%s/%s", fixture->folder, name) < size);
}

static inline void empty_folder(const struct fixture *fixture)
{
    DIR *folder = opendir(fixture->folder);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[512];
        path_in(fixture, entry->d_name, path, sizeof path);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && unlink(path))
            rmdir(path);
    }
    closedir(folder);
}

static inline int teardown(void **state)
{
    struct fixture *fixture = *state;
    forget(fixture);
    empty_folder(fixture);
    rmdir(fixture->folder);
    free(fixture);
    clear_environment();
    return 0;
}

static inline void write_bytes(const struct fixture *fixture, const char *name, const void *bytes, size_t length)
{
    char path[512];
    path_in(fixture, name, path, sizeof path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0640), 0);
}

static inline void write_conf(const struct fixture *fixture, const char *name, const char *text)
{
    write_bytes(fixture, name, text, strlen(text));
}

static inline void load_folder(struct fixture *fixture, const char *folder)
{
    forget(fixture);
    fixture->result = config_load(folder, &fixture->config, &fixture->problems);
    /* The two ways in which a load answers must agree, whatever the test is after. */
    assert_int_equal(fixture->result, fixture->problems.errors > 0 ? -1 : 0);
    if (fixture->result)
        assert_null(fixture->config);
    else
        assert_non_null(fixture->config);
}

static inline void load(struct fixture *fixture)
{
    load_folder(fixture, fixture->folder);
}

static inline void load_text(struct fixture *fixture, const char *text)
{
    write_conf(fixture, "test.conf", text);
    load(fixture);
}

static inline bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);
    return length >= end_length && !strcmp(text + length - end_length, end);
}

static inline void print_problems(const struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->problems.count; i++)
        print_message("    %s%s: %s\n", fixture->problems.items[i].warning ? "warning: " : "",
                      fixture->problems.items[i].place, fixture->problems.items[i].message);
}

static inline bool has_problem(const struct fixture *fixture, bool warning, const char *place, const char *part)
{
    for (size_t i = 0; i < fixture->problems.count; i++) {
        const struct config_problem *problem = &fixture->problems.items[i];
        if (problem->warning == warning && ends_with(problem->place, place) && strstr(problem->message, part))
            return true;
    }
    return false;
}

/* place: its end; part: what the message must hold. */
static inline void expect(const struct fixture *fixture, bool warning, const char *place, const char *part)
{
    if (has_problem(fixture, warning, place, part))
        return;
    print_problems(fixture);
    fail_msg("no %s at %s with: %s", warning ? "warning" : "error", place, part);
}

static inline void expect_error(const struct fixture *fixture, const char *place, const char *part)
{
    expect(fixture, false, place, part);
}

static inline void expect_warning(const struct fixture *fixture, const char *place, const char *part)
{
    expect(fixture, true, place, part);
    assert_int_equal(fixture->problems.errors, 0);
}

static inline void expect_count(const struct fixture *fixture, size_t count)
{
    if (fixture->problems.count != count)
        print_problems(fixture);
    assert_int_equal(fixture->problems.count, count);
}

/* A value that the setting must refuse, and one (not the default) that it must take. */
static inline const char *bad_value(const struct config_setting *setting)
{
    switch (setting->kind) {
    case CONFIG_KIND_INTEGER:
        return "12x";
    case CONFIG_KIND_BOOLEAN:
        return "perhaps";
    case CONFIG_KIND_DURATION:
        return "30 parsecs";
    case CONFIG_KIND_SIZE:
        return "lots";
    case CONFIG_KIND_CHOICE:
        return "neither";
    case CONFIG_KIND_PATH:
        return "~/somewhere";
    case CONFIG_KIND_LISTEN:
        return "nowhere";
    case CONFIG_KIND_URL:
        return "ftp://host";
    case CONFIG_KIND_TOKEN:
        return "two words";
    case CONFIG_KIND_SIGNING:
        return "whsec_!!";
    case CONFIG_KIND_NAME:
        return "not a name";
    case CONFIG_KIND_LOCATION:
        return "no/slash";
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_SECRET:
        return NULL; /* any line is good */
    case CONFIG_KIND_STORE:
        return "mysql://host/database";
    case CONFIG_KIND_NATS:
        return "nats://one:4222, http://two:4222";
    case CONFIG_KIND_REDIS:
        return "http://host:6379";
    case CONFIG_KIND_HOSTS:
        return "good.example http://bad.example";
    case CONFIG_KIND_NETWORKS:
        return "10.0.0.0/8, 300.1.1.1";
    case CONFIG_KIND_NAMES:
        return "GOOD, not-good";
    case CONFIG_KIND_PATHS:
        return "/usr/share relative/path";
    case CONFIG_KIND_TASKS:
        return "good-task Bad!";
    case CONFIG_KIND_LEVELS:
        return "nats:debug http:loud";
    }
    return "";
}

static inline void good_value(const struct config_setting *setting, char *text, size_t size)
{
    switch (setting->kind) {
    case CONFIG_KIND_INTEGER:
    case CONFIG_KIND_SIZE:
        snprintf(text, size, "%lld", (long long)setting->maximum);
        break;
    case CONFIG_KIND_DURATION:
        snprintf(text, size, "%lldms", (long long)setting->maximum);
        break;
    case CONFIG_KIND_BOOLEAN:
        snprintf(text, size, "%s", strcmp(setting->default_text, "yes") != 0 ? "yes" : "no");
        break;
    case CONFIG_KIND_CHOICE:
        snprintf(text, size, "%s", strrchr(setting->type, '|') + 1);
        break;
    case CONFIG_KIND_LISTEN:
        snprintf(text, size, "[::1]:0");
        break;
    case CONFIG_KIND_URL:
        snprintf(text, size, "https://exportd.example.org/base");
        break;
    case CONFIG_KIND_NAME:
        snprintf(text, size, "Some_name.1");
        break;
    case CONFIG_KIND_STORE:
        snprintf(text, size, "postgresql://user:word@host:5433/database");
        break;
    case CONFIG_KIND_NATS:
        snprintf(text, size, "nats://one:4222, tls://user:word@two:4222");
        break;
    case CONFIG_KIND_REDIS:
        snprintf(text, size, "redis://:word@host:6379/3");
        break;
    case CONFIG_KIND_HOSTS:
        snprintf(text, size, "one.example");
        break;
    case CONFIG_KIND_NETWORKS:
        snprintf(text, size, "fd00::/8");
        break;
    case CONFIG_KIND_NAMES:
        snprintf(text, size, "GITHUB_TOKEN");
        break;
    case CONFIG_KIND_TASKS:
        snprintf(text, size, "report/pdf");
        break;
    case CONFIG_KIND_LEVELS:
        snprintf(text, size, "nats:debug");
        break;
    default:
        snprintf(text, size, "/srv/exportd");
        break;
    }
}

/* The value that was loaded, as text: numbers plain, lists joined by spaces. */
static inline void loaded_value(const struct config *config, const struct config_setting *setting, char *text,
                                size_t size)
{
    bool of_worker = !strcmp(setting->section, "plugin");
    const char *base = of_worker ? (const char *)&config->worker : (const char *)config;
    const void *member = base + setting->offset;
    const struct config_list *list = member;
    int64_t number = 0;
    unsigned choice = 0;
    const char *string = NULL;
    text[0] = '\0';
    switch (setting->kind) {
    case CONFIG_KIND_INTEGER:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SIZE:
        memcpy(&number, member, sizeof number);
        snprintf(text, size, "%lld", (long long)number);
        break;
    case CONFIG_KIND_BOOLEAN:
        snprintf(text, size, "%s", *(const bool *)member ? "yes" : "no");
        break;
    case CONFIG_KIND_CHOICE:
        memcpy(&choice, member, sizeof choice);
        string = setting->type;
        for (; choice > 0; choice--)
            string = strchr(string, '|') + 1;
        snprintf(text, size, "%.*s", (int)strcspn(string, "|"), string);
        break;
    case CONFIG_KIND_HOSTS:
    case CONFIG_KIND_NETWORKS:
    case CONFIG_KIND_NAMES:
    case CONFIG_KIND_PATHS:
    case CONFIG_KIND_TASKS:
    case CONFIG_KIND_LEVELS:
        for (size_t i = 0, length = 0; i < list->count; i++, length = strlen(text))
            snprintf(text + length, size - length, "%s%s", i > 0 ? " " : "", list->items[i]);
        break;
    default:
        memcpy(&string, member, sizeof string);
        snprintf(text, size, "%s", string);
        break;
    }
}

/* What conf.d writes, as loaded_value() says it. */
static inline void written_value(const struct config_setting *setting, const char *written, char *text, size_t size)
{
    int64_t number = 0;
    if (setting->kind == CONFIG_KIND_DURATION)
        assert_int_equal(config_parse_duration(written, &number), 0);
    else if (setting->kind == CONFIG_KIND_SIZE)
        assert_int_equal(config_parse_size(written, &number), 0);
    if (setting->kind == CONFIG_KIND_DURATION || setting->kind == CONFIG_KIND_SIZE)
        snprintf(text, size, "%lld", (long long)number);
    else
        snprintf(text, size, "%s", written);
}

static inline const char *section_name(const struct config_setting *setting)
{
    return !strcmp(setting->section, "plugin") ? "worker" : setting->section;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
