#include "manual.h"
#include "mdoc.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

const char *manual_type_name(json_int_t type)
{
    static const char *const names[] = {"text", "integer", "yes/no", "duration", "size", "path"};
    return type >= 0 && type < (json_int_t)(sizeof names / sizeof names[0]) ? names[type] : "text";
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* A line of its own: the macro .Ql with text, and what follows. */
static void quoted(FILE *out, const char *text, const char *after)
{
    fputs(".Ql", out);
    mdoc_argument(out, text);
    fprintf(out, "%s\n", after);
}

static void list(FILE *out, const json_t *items)
{
    size_t count = json_array_size(items);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(items, i));
        quoted(out, text ? text : "", i + 1 == count ? " ." : " ,");
    }
}

/* One option of a request, from its JSON Schema. */
static void route_option(const char *name, const json_t *schema, FILE *out)
{
    const json_t *choices = json_object_get(schema, "enum"), *fallback = json_object_get(schema, "default");
    fputs(".It Cm", out);
    mdoc_argument(out, name);
    fputs(" : Ar", out);
    mdoc_argument(out, *text_of(schema, "type") ? text_of(schema, "type") : "value");
    fputc('\n', out);
    mdoc_text(out, text_of(schema, "description"));
    if (json_array_size(choices) > 0) {
        fputs("One of\n", out);
        for (size_t i = 0; i < json_array_size(choices); i++) {
            char *text = json_dumps(json_array_get(choices, i), JSON_COMPACT | JSON_ENCODE_ANY);
            quoted(out, text, i + 1 == json_array_size(choices) ? " ." : " ,");
            free(text);
        }
    }
    if (fallback) {
        char *text = json_dumps(fallback, JSON_COMPACT | JSON_ENCODE_ANY);
        fputs("Default:\n", out);
        quoted(out, text, " .");
        free(text);
    }
}

static void route(const struct route *route, FILE *out)
{
    char *data =
        memory_format("\"%s\": \"%s\"", route->option ? route->option : "", route->value ? route->value : "");
    char *task = memory_format("\"task\": \"%s\"", route->task);
    const char *name;
    json_t *schema;
    bool any = false;
    fputs(".Ss The route", out);
    mdoc_argument(out, route->name);
    fputc('\n', out);
    mdoc_text(out, route->summary);
    fputs("A request names it by\n", out);
    quoted(out, task, route->option ? "" : " .");
    if (route->option) {
        fputs("with\n", out);
        quoted(out, data, "");
        fputs("in its data.\n", out);
    }
    if (route->needs_repro)
        fputs("It needs a repro.\n", out);
    if (route->after) {
        fputs("The host runs\n", out);
        quoted(out, route->after, "");
        fputs("first, so a request may hold that route's options as well.\n", out);
    }
    json_object_foreach(json_object_get(route->schema, "properties"), name, schema)
    {
        if (route->option && strcmp(name, route->option) == 0)
            continue;
        if (!any)
            fputs("Its options, in the request's data:\n.Bl -tag -width Ds\n", out);
        any = true;
        route_option(name, schema, out);
    }
    fputs(any ? ".El\n" : "It takes no options.\n", out);
    free(data);
    free(task);
}

static void settings(const struct plugin *plugin, FILE *out)
{
    const json_t *options = json_object_get(plugin->manifest, "options");
    size_t index;
    json_t *option;
    fprintf(
        out,
        ".Sh SETTINGS\nThe section\n.Bq plugin %s\nof\n.Pa /etc/exportd/conf.d/%s.conf\nholds what every plugin's "
        "section may,\nsee\n.Xr exportd.conf 5 ",
        plugin->name, plugin->name);
    fputs(json_array_size(options) > 0 ? ",\nand:\n.Bl -tag -width Ds\n" : ".\n", out);
    json_array_foreach(options, index, option)
    {
        fputs(".It Cm", out);
        mdoc_argument(out, text_of(option, "name"));
        fputs(" No = Ar", out);
        mdoc_argument(out, manual_type_name(json_integer_value(json_object_get(option, "type"))));
        fputc('\n', out);
        mdoc_text(out, text_of(option, "help"));
        if (json_is_true(json_object_get(option, "required")))
            fputs("It has to be given.\n", out);
        if (*text_of(option, "default")) {
            fputs("Default:\n", out);
            quoted(out, text_of(option, "default"), " .");
        }
    }
    if (json_array_size(options) > 0)
        fputs(".El\n", out);
}

void manual_plugin(const struct catalog *catalog, const struct plugin *plugin, FILE *out)
{
    const json_t *grants = json_object_get(plugin->manifest, "grants");
    const json_t *secrets = json_object_get(plugin->manifest, "secrets");
    char *name = memory_format("exportd-plugin-%s", plugin->name);
    mdoc_head(out, name, "7", text_of(plugin->manifest, "summary"));
    fprintf(out, ".Sh DESCRIPTION\n.Pa %s.so\nis a plugin of\n.Xr exportd 1 .\n", plugin->name);
    fputs(".Sh ROUTES\n", out);
    for (size_t i = 0; i < catalog->route_count; i++)
        if (catalog->routes[i]->plugin == plugin && !catalog->routes[i]->steps)
            route(catalog->routes[i], out);
    settings(plugin, out);
    fputs(".Sh GRANTS\n", out);
    fputs(json_array_size(grants) > 0 ? "The plugin asks for\n" : "The plugin asks for no grants.\n", out);
    list(out, grants);
    fputs(json_array_size(secrets) > 0 ? "The secrets that it knows:\n" : "It knows no secrets.\n", out);
    list(out, secrets);
    fputs("It gets what its section grants, and no more.\n.Sh SEE ALSO\n.Xr exportd 1 ,\n.Xr exportd.conf 5 ,\n"
          ".Xr exportd-plugin 7\n",
          out);
    free(name);
}
