/*
 * exportd reload: tells the running host to read conf.d and the plugins' folder again.
 */
#include "command/command.h"

#include <stdlib.h>

/* Each as place: message. */
static void print_lines(const json_t *items, const char *place, const char *message, const char *kind)
{
    size_t index;
    json_t *item;
    json_array_foreach(items, index, item)
    {
        const char *where = json_string_value(json_object_get(item, place));
        const char *what = json_string_value(json_object_get(item, message));
        char *shown = command_printable(what ? what : "");
        if (where && kind[0] == 'w')
            fprintf(stderr, "%s: %s: %s\n", where, kind, shown);
        else if (where)
            fprintf(stderr, "%s: %s\n", where, shown);
        else
            fprintf(stderr, "exportd: %s\n", shown);
        free(shown);
    }
}

static int explain(const json_t *answer, long status, const struct config *config)
{
    const char *detail = json_string_value(json_object_get(answer, "detail"));
    print_lines(json_object_get(answer, "problems"), "place", "message", "error");
    fprintf(stderr, "exportd: %s\n", detail ? detail : "the host answered with an error");
    if (status == 401 && config->http.token[0])
        fprintf(stderr, "exportd: the host was started with another [http] token; send it SIGHUP instead (systemctl "
                        "reload exportd)\n");
    return EXIT_JOB_FAILED;
}

int command_reload(int count, char **arguments)
{
    static const char usage[] =
        "usage: exportd reload [-c DIR] [--url URL] [--json]\n\n"
        "Has the running host read conf.d and the plugins' folder again. Jobs that run finish as they began; the "
        "next\n"
        "ones start by what is new. Where conf.d has a mistake nothing changes. What a host can't change while it\n"
        "runs (its address, its store, NATS, Redis, S3) is named, and waits for the next start.\n";
    struct command_options options;
    struct error error = {0};
    long status = 0;
    int code = command_parse(count, arguments, "cju", usage, &options);
    if (code < 0)
        code = command_no_operand(&options, count, arguments, usage);
    if (code >= 0)
        return code;
    struct config *config = command_load_config(options.conf_folder, true);
    if (!config) {
        fprintf(stderr, "exportd: nothing was reloaded\n");
        return EXIT_WRONG_USE;
    }
    json_t *answer = client_ask(config, options.url, "POST", "/reload", &status, &error);
    if (!answer) {
        command_print_error(&error);
        code = EXIT_WRONG_USE;
    } else if (options.json) {
        json_dumpf(answer, stdout, JSON_INDENT(2));
        putchar('\n');
        code = status == 200 ? 0 : EXIT_JOB_FAILED;
    } else if (status != 200) {
        code = explain(answer, status, config);
    } else {
        print_lines(json_object_get(answer, "warnings"), "place", "message", "warning");
        print_lines(json_object_get(answer, "failures"), "none", "error", "error");
        printf("reloaded: %lld plugins, %lld routes\n",
               (long long)json_integer_value(json_object_get(answer, "plugins")),
               (long long)json_integer_value(json_object_get(answer, "routes")));
        code = 0;
    }
    json_decref(answer);
    config_free(config);
    return code;
}
