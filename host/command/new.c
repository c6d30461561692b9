/*
 * exportd new NAME: a folder with a plugin that builds, tests and packages itself, copied from the SDK's template.
 *
 * A file of the template is called after what it becomes, with .in behind it: "plugin" becomes the name, "gitignore"
 * gets its dot. @NAME@, @ROUTE@, @TASK@ and @SELECT@ are filled in.
 */
#include "base/memory.h"
#include "base/program.h"
#include "base/tree.h"
#include "command/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_LONGEST 60
#define FILE_LARGEST ((off_t)1 << 20)
#define DEPTH_MOST 4

static const char usage[] =
    "usage: exportd new NAME [--route ROUTE] [-d FOLDER]\n"
    "\n"
    "Writes a folder with a plugin: source, settings, test, CMake and packaging. It builds at once.\n"
    "  NAME           of the plugin: a-z, 0-9 and -, as my-export\n"
    "  --route ROUTE  the route that it offers: a task (the default: NAME), or TASK/OPTION=VALUE where an option\n"
    "                 selects among plugins, as report/format=html\n"
    "  -d FOLDER      where to; there must be none yet. Default: NAME in this folder\n";

struct recipe {
    const char *name, *folder, *route_text;
    char *template_folder;
    char *task, *select, *route; /* what fills @TASK@, @SELECT@ and @ROUTE@ */
};

static bool is_word(const char *text, const char *more)
{
    size_t length = strlen(text);
    if (length == 0 || length > NAME_LONGEST || text[0] < 'a' || text[0] > 'z' || text[length - 1] == '-')
        return false;
    for (const char *c = text; *c; c++)
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9') && *c != '-' && !strchr(more, *c))
            return false;
    return true;
}

static int check_name(const char *name, struct error *error)
{
    static const char *const taken[] = {"all",  "clean",   "dl",      "edit_cache",    "exportd",
                                        "help", "install", "package", "rebuild_cache", "test"};
    if (!is_word(name, ""))
        return error_set(error, "name_invalid", false,
                         "\"%.80s\" can't be a plugin's name, nor a package's: use a-z, 0-9 and -, beginning with a "
                         "letter, %d at the most, as my-export",
                         name, NAME_LONGEST);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcmp(name, taken[i]) == 0)
            return error_set(error, "name_invalid", false,
                             "\"%s\" means something to CMake, or to exportd: take another name, as my-%s", name,
                             name);
    return 0;
}

/* "report/format=html", or "report/html" of a task whose selecting option is known. */
static int read_route(struct recipe *recipe, struct error *error)
{
    const char *given = recipe->route_text ? recipe->route_text : recipe->name;
    const char *slash = strchr(given, '/');
    char *task = slash ? memory_bytes(given, (size_t)(slash - given)) : memory_text(given);
    const char *equals = slash ? strchr(slash, '=') : NULL;
    const char *value = equals ? equals + 1 : slash ? slash + 1 : NULL;
    const char *known = strcmp(task, "report") == 0 ? "format" : strcmp(task, "sandbox") == 0 ? "platform" : NULL;
    char *option = equals ? memory_bytes(slash + 1, (size_t)(equals - slash - 1)) : memory_text(known);
    recipe->task = task;
    if (slash && !option)
        error_set(error, "route_invalid", false,
                  "--route %.100s: say which option selects it: --route %.60s/OPTION=%.60s", given, task, value);
    else if (!is_word(task, "_") || (slash && (!is_word(option, "_") || !is_word(value, "_"))))
        error_set(
            error, "route_invalid", false,
            "--route %.100s: a task, an option and its value may hold a-z 0-9 - _ only, beginning with a letter, "
            "as report/format=html",
            given);
    recipe->route = slash ? memory_format("%s/%s", task, value ? value : "") : memory_text(task);
    recipe->select =
        slash && option ? memory_format(" .option = \"%s\", .value = \"%s\",", option, value) : memory_text("");
    free(option);
    return error_is_set(error) ? -1 : 0;
}

/* NULL with error set. */
static char *find_template(struct error *error)
{
    char *folder = program_file("template", EXPORTD_TEMPLATE_BELOW, EXPORTD_TEMPLATE_DIR);
    char *sign = memory_format("%s/plugin.c.in", folder ? folder : EXPORTD_TEMPLATE_DIR);
    if (access(sign, R_OK) != 0) {
        error_set(error, "template_missing", false, "%s: %s; install the SDK (exportd-dev, or exportd-devel)", sign,
                  strerror(errno));
        free(folder);
        folder = NULL;
    }
    free(sign);
    return folder;
}

static int fill(const struct recipe *recipe, const char *text, FILE *out)
{
    const struct {
        const char *key, *value;
    } words[] = {
        {"@NAME@", recipe->name}, {"@ROUTE@", recipe->route}, {"@TASK@", recipe->task}, {"@SELECT@", recipe->select}};
    const size_t count = sizeof words / sizeof words[0];
    while (*text) {
        size_t i = 0;
        while (i < count && strncmp(text, words[i].key, strlen(words[i].key)) != 0)
            i++;
        if (i < count) {
            fputs(words[i].value, out);
            text += strlen(words[i].key);
        } else {
            fputc(*text++, out);
        }
    }
    return ferror(out) ? -1 : 0;
}

static char *read_text(const char *path, struct error *error)
{
    struct stat status;
    char *text = NULL;
    FILE *file = fopen(path, "re");
    if (!file || fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > FILE_LARGEST) {
        error_set(error, "template_missing", false, "%s can't be read: %s; install the SDK again", path,
                  file ? "no regular file, or too large" : strerror(errno));
    } else {
        text = memory_zeroed(1, (size_t)status.st_size + 1);
        if (fread(text, 1, (size_t)status.st_size, file) != (size_t)status.st_size)
            error_set(error, "template_missing", false, "%s can't be read; install the SDK again", path);
    }
    if (file)
        fclose(file);
    return text;
}

static int write_file(const struct recipe *recipe, const char *from, const char *to, struct error *error)
{
    char *text = read_text(from, error);
    int fd = error_is_set(error) ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!error_is_set(error)) {
        int failed = out ? fill(recipe, text, out) : -1;
        int cause = errno;
        if (out && fclose(out) != 0) {
            failed = -1;
            cause = errno;
        }
        if (failed)
            error_set(error, "output_failed", false, "%s can't be written: %s", to, strerror(cause));
    }
    free(text);
    return error_is_set(error) ? -1 : 0;
}

/* What a file of the template is called in the new folder. New. */
static char *own_name(const struct recipe *recipe, const char *name)
{
    static const char plugin[] = "plugin.";
    size_t length = strlen(name) - 3; /* .in */
    if (strncmp(name, plugin, sizeof plugin - 1) == 0)
        return memory_format("%s.%.*s", recipe->name, (int)(length - (sizeof plugin - 1)), name + sizeof plugin - 1);
    return memory_format("%s%.*s", strncmp(name, "git", 3) == 0 ? "." : "", (int)length, name);
}

static int copy_folder(const struct recipe *recipe, const char *from, const char *to, int depth, struct error *error)
{
    DIR *entries = opendir(from);
    if (!entries)
        return error_set(error, "template_missing", false, "%s: %s", from, strerror(errno));
    if (mkdir(to, 0777) != 0)
        error_set(error, "output_failed", false, "%s can't be made: %s", to, strerror(errno));
    for (struct dirent *entry; !error_is_set(error) && (entry = readdir(entries));) {
        const char *name = entry->d_name;
        size_t length = strlen(name);
        struct stat status;
        if (name[0] == '.')
            continue;
        char *path = memory_format("%s/%s", from, name);
        char *target = NULL;
        if (stat(path, &status) == 0 && S_ISDIR(status.st_mode) && depth < DEPTH_MOST) {
            target = memory_format("%s/%s", to, name);
            copy_folder(recipe, path, target, depth + 1, error);
        } else if (length > 3 && strcmp(name + length - 3, ".in") == 0) {
            char *own = own_name(recipe, name);
            target = memory_format("%s/%s", to, own);
            write_file(recipe, path, target, error);
            free(own);
        }
        free(target);
        free(path);
    }
    closedir(entries);
    return error_is_set(error) ? -1 : 0;
}

static int parse_arguments(struct recipe *recipe, int count, char **arguments)
{
    static const struct option long_options[] = {{"route", required_argument, NULL, 'r'},
                                                 {"folder", required_argument, NULL, 'd'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {NULL, 0, NULL, 0}};
    optind = 1;
    opterr = 0;
    int letter;
    while ((letter = getopt_long(count, arguments, ":r:d:h", long_options, NULL)) != -1) {
        switch (letter) {
        case 'r':
            recipe->route_text = optarg;
            break;
        case 'd':
            recipe->folder = optarg;
            break;
        case 'h':
            printf("%s", usage);
            return 0;
        default:
            command_option_mistake(arguments[0], letter, arguments, long_options);
            fprintf(stderr, "%s", usage);
            return EXIT_WRONG_USE;
        }
    }
    if (optind + 1 != count) {
        fprintf(stderr, "exportd new: name one plugin\n%s", usage);
        return EXIT_WRONG_USE;
    }
    recipe->name = arguments[optind];
    if (!recipe->folder)
        recipe->folder = recipe->name;
    return -1;
}

static int make(struct recipe *recipe, struct error *error)
{
    struct stat status;
    if (check_name(recipe->name, error) != 0 || read_route(recipe, error) != 0)
        return EXIT_WRONG_USE;
    if (lstat(recipe->folder, &status) == 0) {
        error_set(error, "folder_exists", false, "%s is there already; name another folder with -d, or remove it",
                  recipe->folder);
        return EXIT_WRONG_USE;
    }
    recipe->template_folder = find_template(error);
    if (!recipe->template_folder)
        return EXIT_WRONG_USE;
    if (copy_folder(recipe, recipe->template_folder, recipe->folder, 0, error) == 0)
        return 0;
    tree_remove(recipe->folder); /* it was not there before */
    return EXIT_JOB_FAILED;
}

int command_new(int count, char **arguments)
{
    struct recipe recipe = {0};
    struct error error = {0};
    int code = parse_arguments(&recipe, count, arguments);
    if (code >= 0)
        return code;
    code = make(&recipe, &error);
    if (error_is_set(&error))
        command_print_error(&error);
    else
        printf("%s: the plugin %s with the route %s. Next:\n\n"
               "    cd %s\n"
               "    cmake -S . -B build && cmake --build build\n"
               "    ctest --test-dir build --output-on-failure\n\n"
               "README.md has the rest.\n",
               recipe.folder, recipe.name, recipe.route, recipe.folder);
    free(recipe.template_folder);
    free(recipe.task);
    free(recipe.select);
    free(recipe.route);
    return code;
}
