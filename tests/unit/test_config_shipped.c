/* The shipped conf.d: it loads, it agrees with the table of settings, and every line of it can be broken and is
 * found. */
#include "test_config_support.h"

#define LINES_MAX 400

/* conf.d in the source tree, found from where this file was compiled. */
static void shipped_folder(char *path, size_t size)
{
    static const char below[] = "tests/unit/";
    const char *file = __FILE__;
    const char *root_end = NULL;
    for (const char *at = file; (at = strstr(at, below)); at++)
        root_end = at;
    assert_non_null(root_end);
    snprintf(path, size, "%.*sconf.d", (int)(root_end - file), file);
}

struct lines {
    char text[LINES_MAX][256];
    size_t count;
};

static void read_lines(const char *path, struct lines *lines)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (lines->count = 0; fgets(lines->text[lines->count], sizeof lines->text[0], file); lines->count++) {
        char *line = lines->text[lines->count];
        char *newline = strchr(line, '\n');
        assert_non_null(newline);
        *newline = '\0';
        assert_true(lines->count + 1 < LINES_MAX);
    }
    fclose(file);
}

static void write_lines(const struct fixture *fixture, const char *name, const struct lines *lines)
{
    char path[512];
    path_in(fixture, name, path, sizeof path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < lines->count; i++)
        fprintf(file, "%s\n", lines->text[i]);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0640), 0);
}

/* "key = value", plain or commented out: the length of the key, else 0. *start: where the key begins. */
static size_t key_of(const char *line, bool *commented, size_t *start)
{
    *commented = line[0] == '#';
    *start = *commented ? 2 : 0;
    if (*commented && line[1] != ' ')
        return 0;
    size_t length = strspn(line + *start, "abcdefghijklmnopqrstuvwxyz_-");
    return length > 0 && !strncmp(line + *start + length, " =", 2) ? length : 0;
}

static bool head_of(const char *line, bool *commented, char *section, size_t size)
{
    *commented = line[0] == '#';
    const char *head = *commented ? line + 2 : line;
    if ((*commented && line[1] != ' ') || head[0] != '[' || !ends_with(head, "]"))
        return false;
    snprintf(section, size, "%.*s", (int)strlen(head) - 2, head + 1);
    return true;
}

static void uncomment(char *line)
{
    memmove(line, line + 2, strlen(line + 2) + 1);
}

typedef void (*visit)(struct fixture *fixture, const char *name, const struct lines *lines);

static size_t for_each_file(struct fixture *fixture, visit function)
{
    char folder[512];
    shipped_folder(folder, sizeof folder);
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    size_t count = 0;
    struct lines *lines = malloc(sizeof *lines);
    assert_non_null(lines);
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (!ends_with(entry->d_name, ".conf"))
            continue;
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        read_lines(path, lines);
        empty_folder(fixture);
        function(fixture, entry->d_name, lines);
        count++;
    }
    free(lines);
    closedir(entries);
    return count;
}

static void the_shipped_folder_loads_without_a_word(void **state)
{
    struct fixture *fixture = *state;
    char folder[512];
    shipped_folder(folder, sizeof folder);
    load_folder(fixture, folder);
    expect_count(fixture, 0);
    assert_int_equal(fixture->config->route_count, 1);
    assert_string_equal(fixture->config->routes[0].task, "report");
    assert_string_equal(fixture->config->routes[0].default_value, "pdf");
    assert_non_null(config_find_plugin(fixture->config, "export-pdf"));
    assert_non_null(config_find_plugin(fixture->config, "export-json"));
    assert_non_null(config_find_plugin(fixture->config, "export-docker"));
}

static void lines_are_short(struct fixture *fixture, const char *name, const struct lines *lines)
{
    (void)fixture;
    for (size_t i = 0; i < lines->count; i++)
        if (strlen(lines->text[i]) >= 190)
            fail_msg("%s:%zu is too long", name, i + 1);
}

static void every_line_is_below_190_bytes(void **state)
{
    assert_true(for_each_file(*state, lines_are_short) >= 11);
}

/* A plugin's file says a key of the table where the plugin is of no use without it: network = yes. */
static bool says(const struct lines *lines, const char *key)
{
    for (size_t i = 0; i < lines->count; i++) {
        bool commented;
        size_t start;
        size_t length = key_of(lines->text[i], &commented, &start);
        if (length > 0 && !commented && strlen(key) == length && !memcmp(lines->text[i], key, length))
            return true;
    }
    return false;
}

/* The whole file, uncommented, says what no file says. */
static void uncommented_is_the_default(struct fixture *fixture, const char *name, const struct lines *lines)
{
    struct lines *copy = malloc(sizeof *copy);
    assert_non_null(copy);
    *copy = *lines;
    for (size_t i = 0; i < copy->count; i++) {
        bool commented;
        size_t start;
        char section[256];
        if (((key_of(copy->text[i], &commented, &start) > 0) ||
             head_of(copy->text[i], &commented, section, sizeof section)) &&
            commented)
            uncomment(copy->text[i]);
    }
    write_lines(fixture, name, copy);
    free(copy);
    load(fixture);
    expect_count(fixture, 0);
    struct config_problems problems = {0};
    struct config *defaults = NULL;
    assert_int_equal(config_load(NULL, &defaults, &problems), 0);
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        char loaded[256];
        char wanted[256];
        loaded_value(fixture->config, &settings[i], loaded, sizeof loaded);
        loaded_value(defaults, &settings[i], wanted, sizeof wanted);
        assert_string_equal(loaded, wanted);
        if (*settings[i].default_text) {
            written_value(&settings[i], settings[i].default_text, wanted, sizeof wanted);
            assert_string_equal(loaded, wanted);
        }
        for (size_t j = 0; j < fixture->config->plugin_count && !strcmp(settings[i].section, "plugin"); j++) {
            struct config plugin = {.worker = fixture->config->plugins[j].worker};
            if (says(lines, settings[i].key))
                continue;
            loaded_value(&plugin, &settings[i], loaded, sizeof loaded);
            loaded_value(defaults, &settings[i], wanted, sizeof wanted);
            assert_string_equal(loaded, wanted);
        }
    }
    config_free(defaults);
    config_problems_clear(&problems);
}

static void each_file_uncommented_loads_with_the_defaults(void **state)
{
    for_each_file(*state, uncommented_is_the_default);
}

static bool file_has(const char *file, const char *section, const struct config_setting *setting)
{
    char folder[512];
    char path[1024];
    shipped_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/%s.conf", folder, file);
    struct lines *lines = malloc(sizeof *lines);
    assert_non_null(lines);
    read_lines(path, lines);
    char head[128];
    char wanted[256];
    char said[256];
    snprintf(said, sizeof said, "%s = ", setting->key);
    snprintf(head, sizeof head, "[%s]", section);
    snprintf(wanted, sizeof wanted, "# %s =%s%s", setting->key, *setting->default_text ? " " : "",
             setting->default_text);
    bool in_section = false;
    bool found = false;
    for (size_t i = 0; i < lines->count; i++) {
        in_section = in_section || !strcmp(lines->text[i], head);
        /* Its help, or part of it, stands above. */
        if (in_section && (!strcmp(lines->text[i], wanted) || !strncmp(lines->text[i], said, strlen(said))))
            found = i > 0 && !strncmp(lines->text[i - 1], "# ", 2);
    }
    free(lines);
    return found;
}

static void no_setting_is_missing(void **state)
{
    (void)state;
    static const char *const plugins[] = {"export-pdf", "export-json", "export-docker", "export-codesandbox",
                                          "export-stackblitz"};
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        const char *section = section_name(&settings[i]);
        if (!file_has(section, section, &settings[i]))
            fail_msg("conf.d/%s.conf has no line for %s", section, settings[i].key);
        for (size_t j = 0; j < 3 && !strcmp(section, "worker"); j++) {
            char head[64];
            snprintf(head, sizeof head, "plugin %s", plugins[j]);
            if (!file_has(plugins[j], head, &settings[i]))
                fail_msg("conf.d/%s.conf has no line for %s", plugins[j], settings[i].key);
        }
    }
}

/* The keys below a plugin's head are its own as far as the loader knows; its manifest tells. */
static void hold_against_manifest(struct fixture *fixture, const char *section)
{
    if (strncmp(section, "plugin ", 7) != 0 || !fixture->config)
        return;
    assert_int_equal(config_check_plugin(fixture->config, section + 7, NULL, 0, NULL, 0, NULL, &fixture->problems),
                     -1);
}

/* A plugin's own keys are in no table here, but in its manifest: tests/integration/cli.test.mjs breaks those. */
static bool is_the_plugins_own(const char *section, const char *key, size_t length)
{
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(settings[i].section, "plugin") && strlen(settings[i].key) == length &&
            !memcmp(settings[i].key, key, length))
            return false;
    return !strncmp(section, "plugin ", 7);
}

static void mangle_keys(struct fixture *fixture, const char *name, const struct lines *lines)
{
    struct lines *copy = malloc(sizeof *copy);
    assert_non_null(copy);
    char section[256] = "";
    for (size_t i = 0; i < lines->count; i++) {
        bool commented;
        size_t start;
        char head[256];
        if (head_of(lines->text[i], &commented, head, sizeof head)) {
            snprintf(section, sizeof section, "%s", head);
            continue;
        }
        size_t length = key_of(lines->text[i], &commented, &start);
        if (is_the_plugins_own(section, lines->text[i] + start, length))
            continue;
        for (size_t letter = 0; letter < length; letter++) {
            *copy = *lines;
            char *line = copy->text[i];
            if (commented)
                uncomment(line);
            /* A section that is commented out comes with its key. */
            for (size_t above = i; above > 0 && commented; above--) {
                char any[256];
                bool head_commented;
                if (head_of(copy->text[above - 1], &head_commented, any, sizeof any)) {
                    if (head_commented)
                        uncomment(copy->text[above - 1]);
                    break;
                }
            }
            char message[128];
            snprintf(message, sizeof message, "did you mean \"%.*s\"?", (int)length, line);
            memmove(line + letter, line + letter + 1, strlen(line + letter));
            write_lines(fixture, name, copy);
            load(fixture);
            hold_against_manifest(fixture, section);
            char place[128];
            snprintf(place, sizeof place, "/%s:%zu", name, i + 1);
            expect_error(fixture, place, message);
            expect_count(fixture, 1);
        }
    }
    free(copy);
}

static void every_key_of_every_line_can_lose_any_letter_and_is_found(void **state)
{
    for_each_file(*state, mangle_keys);
}

static void mangle_heads(struct fixture *fixture, const char *name, const struct lines *lines)
{
    struct lines *copy = malloc(sizeof *copy);
    assert_non_null(copy);
    for (size_t i = 0; i < lines->count; i++) {
        bool commented;
        char section[256];
        if (!head_of(lines->text[i], &commented, section, sizeof section) || commented)
            continue;
        *copy = *lines;
        memmove(copy->text[i] + 2, copy->text[i] + 3, strlen(copy->text[i] + 2));
        write_lines(fixture, name, copy);
        load(fixture);
        char place[128];
        char message[512];
        snprintf(place, sizeof place, "/%s:%zu", name, i + 1);
        snprintf(message, sizeof message, "did you mean [%s]?", section);
        expect_error(fixture, place, message);
        expect_count(fixture, 1);
    }
    free(copy);
}

static void every_section_can_lose_a_letter_and_is_found(void **state)
{
    for_each_file(*state, mangle_heads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_shipped_folder_loads_without_a_word),
        TEST(every_line_is_below_190_bytes),
        TEST(each_file_uncommented_loads_with_the_defaults),
        TEST(no_setting_is_missing),
        TEST(every_key_of_every_line_can_lose_any_letter_and_is_found),
        TEST(every_section_can_lose_a_letter_and_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
