/*
 * exportd deliveries [retry ID].
 */
#include "artifact/artifact.h"
#include "base/memory.h"
#include "command/command.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: exportd deliveries [-c DIR] [--url URL] [--json] [--state STATE | --dead]\n"
                            "       exportd deliveries [-c DIR] [--url URL] retry ID…\n"
                            "\n"
                            "Lists callbacks and answers, or sends some again. STATE: waiting, delivered, dead. "
                            "--dead: those that were given up.\n";

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static int retry(const struct command_options *options, int count, char **arguments)
{
    int worst = 0;
    if (options->first_operand + 1 >= count) {
        fprintf(stderr, "exportd deliveries retry: name the delivery\n%s", usage);
        return EXIT_WRONG_USE;
    }
    for (int i = options->first_operand + 1; i < count; i++) {
        char *segment = artifact_url_segment(arguments[i]);
        char *path = memory_format("/deliveries/%s/retry", segment);
        int code;
        json_t *answer = client_ask_or_explain(options, "POST", path, &code);
        worst = code > worst ? code : worst;
        if (answer)
            printf("%s: is sent again\n", arguments[i]);
        json_decref(answer);
        free(path);
        free(segment);
    }
    return worst;
}

static void print_table(const json_t *deliveries)
{
    static const char *const heads[] = {"DELIVERY", "JOB", "STATUS", "ATTEMPTS", "NEXT", "TO", "LAST ERROR"};
    struct table *table = table_new(heads, 7);
    size_t index;
    json_t *delivery;
    json_array_foreach(deliveries, index, delivery)
    {
        char attempts[32];
        snprintf(attempts, sizeof attempts, "%d", (int)json_integer_value(json_object_get(delivery, "attempts")));
        const char *url = text_of(delivery, "url");
        const char *cells[] = {text_of(delivery, "id"),       text_of(delivery, "jobId"),
                               text_of(delivery, "status"),   attempts,
                               text_of(delivery, "nextAt"),   url ? url : text_of(delivery, "subject"),
                               text_of(delivery, "lastError")};
        table_add(table, cells);
    }
    table_print(table, stdout);
    table_free(table);
}

int command_deliveries(int count, char **arguments)
{
    struct command_options options;
    int code = command_parse(count, arguments, "cjuds", usage, &options);
    if (code >= 0)
        return code;
    if (options.first_operand < count && strcmp(arguments[options.first_operand], "retry") == 0)
        return retry(&options, count, arguments);
    if (options.first_operand < count) {
        fprintf(stderr, "exportd deliveries: \"%s\"?\n%s", arguments[options.first_operand], usage);
        return EXIT_WRONG_USE;
    }
    const char *state = options.dead ? "dead" : options.state;
    char *path = memory_format("/deliveries%s%s", state ? "?state=" : "", state ? state : "");
    json_t *answer = client_ask_or_explain(&options, "GET", path, &code);
    free(path);
    if (!answer)
        return code;
    if (options.json) {
        json_dumpf(answer, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print_table(json_object_get(answer, "deliveries"));
    }
    json_decref(answer);
    return 0;
}
