#include "base/program.h"
#include "command/command.h"

#include <exportd/kit/text.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void command_option_mistake(const char *command, int letter, char **arguments, const struct option *options)
{
    const char *given = arguments[optind - 1];
    bool is_long = strncmp(given, "--", 2) == 0;
    if (letter == ':' && is_long)
        fprintf(stderr, "exportd %s: %s needs a value\n", command, given);
    else if (letter == ':')
        fprintf(stderr, "exportd %s: -%c needs a value\n", command, optopt);
    else if (is_long && optopt != 0)
        fprintf(stderr, "exportd %s: %.*s takes no value\n", command, (int)strcspn(given, "="), given);
    else if (!is_long)
        fprintf(stderr, "exportd %s: there is no option -%c\n", command, optopt);
    else {
        const char *names[32];
        size_t count = 0;
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(given + 2, "="), given + 2);
        for (; count < sizeof names / sizeof names[0] && options[count].name; count++)
            names[count] = options[count].name;
        const char *nearest = config_nearest(name, names, count);
        fprintf(stderr, "exportd %s: there is no option --%s%s%s%s\n", command, name,
                nearest ? "; did you mean --" : "", nearest ? nearest : "", nearest ? "?" : "");
    }
}

int command_parse(int count, char **arguments, const char *known, const char *usage, struct command_options *options)
{
    static const struct option long_options[] = {
        {"conf", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"url", required_argument, NULL, 'u'},
        {"dead", no_argument, NULL, 'd'},
        {"state", required_argument, NULL, 's'},
        {"route", required_argument, NULL, 'r'},
        {"limit", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    memset(options, 0, sizeof *options);
    optind = 1;
    opterr = 0;
    int letter;
    while ((letter = getopt_long(count, arguments, ":c:ju:ds:r:n:h", long_options, NULL)) != -1) {
        if (letter == 'h') {
            printf("%s", usage);
            return 0;
        }
        if (letter == '?' || letter == ':' || !strchr(known, letter)) {
            if (letter == '?' || letter == ':')
                command_option_mistake(arguments[0], letter, arguments, long_options);
            else
                fprintf(stderr, "exportd %s: it doesn't take the option -%c\n", arguments[0], letter);
            fprintf(stderr, "%s", usage);
            return EXIT_WRONG_USE;
        }
        switch (letter) {
        case 'c':
            options->conf_folder = optarg;
            break;
        case 'j':
            options->json = true;
            break;
        case 'u':
            options->url = optarg;
            break;
        case 'd':
            options->dead = true;
            break;
        case 's':
            options->state = optarg;
            break;
        case 'r':
            options->route = optarg;
            break;
        default:
            options->limit = optarg;
        }
    }
    options->first_operand = optind;
    return -1;
}

int command_no_operand(const struct command_options *options, int count, char **arguments, const char *usage)
{
    if (options->first_operand >= count)
        return -1;
    fprintf(stderr, "exportd %s: \"%s\" is too much; a folder of configuration is named with -c\n%s", arguments[0],
            arguments[options->first_operand], usage);
    return EXIT_WRONG_USE;
}

char *command_printable(const char *text)
{
    char *plain = exportd_text_plain(text);
    for (char *c = plain; c && *c; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    return plain;
}

void command_print_error(const struct error *error)
{
    char *message = command_printable(error->message);
    fprintf(stderr, "exportd: %s: %s\n", error->code, message ? message : "out of memory");
    free(message);
}

void command_print_problems(const struct config_problems *problems, bool with_warnings)
{
    for (size_t i = 0; i < problems->count; i++)
        if (with_warnings || !problems->items[i].warning)
            fprintf(stderr, "%s: %s%s\n", problems->items[i].place, problems->items[i].warning ? "warning: " : "",
                    problems->items[i].message);
}

int command_read_config(const char *folder, struct config **config, struct config_problems *problems)
{
    char *found = folder ? NULL : program_file(NULL, EXPORTD_CONF_BELOW, EXPORTD_CONF_DIR);
    bool there = found && access(found, F_OK) == 0;
    int failed = config_load(there ? found : folder, config, problems);
    free(found);
    return failed;
}

struct config *command_load_config(const char *folder, bool quiet_warnings)
{
    struct config_problems problems = {0};
    struct config *config = NULL;
    command_read_config(folder, &config, &problems);
    command_print_problems(&problems, !quiet_warnings);
    config_problems_clear(&problems);
    return config;
}

struct store_options command_store_options(const struct config *config)
{
    return (struct store_options){
        .folder = config->host.state,
        .url = config->store.url,
        .lease_ms = config->store.lease_ms,
        .timeout_ms = config->store.timeout_ms,
        .queue_limit = config->jobs.queue_limit,
        .create = true,
    };
}
