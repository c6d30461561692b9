/*
 * exportd migrate: brings the store's schema up to this program's. `exportd serve` does the same at its start; this
 * is for those who do it with another user's rights, or before the hosts are replaced.
 */
#include "base/memory.h"
#include "command/command.h"

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* root's files in a folder of the service's user would keep the service from starting. */
static void become_owner(const char *folder)
{
    struct stat status;
    if (geteuid() != 0 || stat(folder, &status) != 0 || status.st_uid == 0)
        return;
    if (setgroups(0, NULL) != 0 || setegid(status.st_gid) != 0 || seteuid(status.st_uid) != 0)
        fprintf(stderr, "exportd: warning: what is made in %s will belong to root\n", folder);
}

int command_migrate(int count, char **arguments)
{
    static const char usage[] =
        "usage: exportd migrate [-c DIR]\n\n"
        "Brings the store's schema up to this version: exportd's own tables, and exports and repros where they are\n"
        "missing. DATABASE_URL may name a user with more rights than the hosts have.\n";
    struct command_options options;
    struct error error = {0};
    int code = command_parse(count, arguments, "c", usage, &options);
    if (code < 0)
        code = command_no_operand(&options, count, arguments, usage);
    if (code >= 0)
        return code;
    struct config *config = command_load_config(options.conf_folder, true);
    if (!config)
        return EXIT_WRONG_USE;
    char *summary = NULL;
    struct store_options store = command_store_options(config);
    code = 0;
    become_owner(config->host.state);
    if (store_migrate(&store, &summary, &error) != 0) {
        command_print_error(&error);
        code = EXIT_JOB_FAILED;
    } else {
        printf("%s\n", summary);
    }
    free(summary);
    config_free(config);
    return code;
}
