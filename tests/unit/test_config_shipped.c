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

/* The comment right above a line, its lines joined. */
static void comment_above(const struct lines *lines, size_t line, char *text, size_t size)
{
    size_t first = line;
    while (first > 0 && !strncmp(lines->text[first - 1], "# ", 2))
        first--;
    text[0] = '\0';
    for (size_t i = first; i < line; i++) {
        size_t length = strlen(text);
        snprintf(text + length, size - length, "%s%s", i > first ? " " : "", lines->text[i] + 2);
    }
}

/* A plugin's file may say more of a setting that every plugin has, in sentences behind the table's. */
static bool is_help(const char *comment, const char *help, bool may_go_on)
{
    size_t length = strlen(help);
    return !strncmp(comment, help, length) && (!comment[length] || (may_go_on && comment[length] == ' '));
}

static void expect_setting(const char *name, const struct lines *lines, const struct config_setting *setting,
                           bool of_plugin)
{
    char wanted[256];
    char said[256];
    char comment[1024];
    snprintf(said, sizeof said, "%s = ", setting->key);
    snprintf(wanted, sizeof wanted, "# %s =%s%s", setting->key, *setting->default_text ? " " : "",
             setting->default_text);
    for (size_t i = 0; i < lines->count; i++) {
        if (strcmp(lines->text[i], wanted) != 0 && !(of_plugin && !strncmp(lines->text[i], said, strlen(said))))
            continue;
        comment_above(lines, i, comment, sizeof comment);
        if (!is_help(comment, setting->help, of_plugin))
            fail_msg("%s:%zu: the comment above %s is \"%s\"; the table says \"%s\"", name, i + 1, setting->key,
                     comment, setting->help);
        return;
    }
    fail_msg("%s has no line for %s; it should be \"%s\"", name, setting->key, wanted);
}

/* Files of sections that the table has not. */
static bool is_outside_the_table(const char *section)
{
    return !strncmp(section, "route ", 6) || !strncmp(section, "pipeline ", 9) || !strcmp(section, "secrets");
}

static void says_what_the_table_says(struct fixture *fixture, const char *name, const struct lines *lines)
{
    (void)fixture;
    char section[256] = "";
    bool commented = true;
    for (size_t i = 0; i < lines->count && commented; i++)
        if (!head_of(lines->text[i], &commented, section, sizeof section))
            commented = true;
    bool of_plugin = !strncmp(section, "plugin ", 7);
    if (is_outside_the_table(section))
        return;
    size_t count;
    size_t of_section = 0;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(section_name(&settings[i]), of_plugin ? "worker" : section) != 0)
            continue;
        of_section++;
        expect_setting(name, lines, &settings[i], of_plugin);
    }
    if (of_section == 0)
        fail_msg("%s: the table has no section [%s]", name, section);
}

static void every_comment_is_the_tables_help(void **state)
{
    for_each_file(*state, says_what_the_table_says);
}

static void every_section_of_the_table_has_its_file(void **state)
{
    (void)state;
    char folder[512];
    char path[1024];
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    shipped_folder(folder, sizeof folder);
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s.conf", folder, section_name(&settings[i]));
        assert_int_equal(access(path, R_OK), 0);
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
        TEST(every_comment_is_the_tables_help),
        TEST(every_section_of_the_table_has_its_file),
        TEST(every_key_of_every_line_can_lose_any_letter_and_is_found),
        TEST(every_section_can_lose_a_letter_and_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
