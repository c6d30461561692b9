#include "command/command.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int count, char **arguments);
    const char *summary;
};

static const struct command commands[] = {
    {"run", command_run, "run one job here and now, without a server"},
    {"serve", command_serve, "start the host"},
    {"reload", command_reload, "have the running host take new configuration and plugins in"},
    {"check", command_check, "find every mistake in the configuration and the plugins"},
    {"plugins", command_plugins, "list the plugins and their routes"},
    {"inspect", command_inspect, "show all that a plugin offers and takes"},
    {"new", command_new, "write the folder of a new plugin, ready to be built"},
    {"test", command_test, "hold a plugin's .so against all that a host asks of it"},
    {"jobs", command_jobs, "list the host's jobs, or show one"},
    {"cancel", command_cancel, "cancel a job"},
    {"retry", command_retry, "run a failed or cancelled job again"},
    {"migrate", command_migrate, "bring the store's schema up to this version"},
    {"deliveries", command_deliveries, "list callbacks, or send one again"},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_usage(FILE *out)
{
    fprintf(out, "exportd turns a bug reproduction or a repository into what a team needs.\n\n"
                 "usage: exportd COMMAND [-h] ...\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\nA PDF of a bug, now:  exportd run report/pdf --repro bug.json -o out/\n");
}

int main(int count, char **arguments)
{
    if (sodium_init() < 0) {
        fprintf(stderr, "exportd: libsodium can't be started\n");
        return EXIT_WRONG_USE;
    }
    if (count < 2) {
        print_usage(stderr);
        return EXIT_WRONG_USE;
    }
    const char *name = arguments[1];
    if (strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("exportd %s\n", EXPORTD_VERSION);
        return 0;
    }
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i].name;
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(count - 1, arguments + 1);
    }
    const char *nearest = config_nearest(name, names, COMMAND_COUNT);
    fprintf(stderr, "exportd: there is no command \"%s\"%s%s%s; exportd -h lists them\n", name,
            nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    return EXIT_WRONG_USE;
}
