/* options.h: what a request and conf.d ask of a report. */
#include "options.h"

#include <stdio.h>
#include <string.h>

static const struct section_name {
    const char *name;
    enum report_section section;
} section_names[] = {
    {"summary", SECTION_SUMMARY}, {"description", SECTION_DESCRIPTION}, {"steps", SECTION_STEPS},
    {"runs", SECTION_RUNS},       {"screenshots", SECTION_SCREENSHOTS}, {"test", SECTION_TEST},
    {"project", SECTION_PROJECT},
};

static int set_page(struct report_options *options, const char *name, char *message, size_t message_size)
{
    if (strcmp(name, "A4") == 0) {
        options->page_width = 595.28;
        options->page_height = 841.89;
    } else if (strcmp(name, "Letter") == 0) {
        options->page_width = 612;
        options->page_height = 792;
    } else {
        snprintf(message, message_size, "page is \"%.32s\"; expected A4 or Letter", name);
        return -1;
    }
    return 0;
}

static int set_colour(struct report_options *options, const char *text, char *message, size_t message_size)
{
    char *end;
    const char *digits = text[0] == '#' ? text + 1 : text;
    unsigned long value = strtoul(digits, &end, 16);
    if (strlen(digits) != 6 || *end || strspn(digits, "0123456789abcdefABCDEF") != 6) {
        snprintf(message, message_size, "colour is \"%.32s\"; expected six hex digits such as #2F5D8A", text);
        return -1;
    }
    options->colour = (uint32_t)value;
    return 0;
}

int options_of_plugin(struct exportd_job *self, struct report_options *options, char *message, size_t message_size)
{
    const char *page = exportd_option(self, "page");
    const char *colour = exportd_option(self, "colour");
    const char *organisation = exportd_option(self, "organisation");
    *options = (struct report_options){.sections = SECTION_ALL,
                                       .max_runs = 50,
                                       .max_steps = 500,
                                       .max_code_lines = 2000,
                                       .organisation = organisation && *organisation ? organisation : NULL};
    if (set_page(options, page && *page ? page : "A4", message, message_size) < 0 ||
        set_colour(options, colour && *colour ? colour : "#2F5D8A", message, message_size) < 0)
        return -1;
    return 0;
}

static int set_sections(struct report_options *options, const json_t *names, char *message, size_t message_size)
{
    const size_t count = sizeof section_names / sizeof *section_names;
    options->sections = 0;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        size_t j = 0;
        while (j < count && (!name || strcmp(name, section_names[j].name) != 0))
            j++;
        if (j == count) {
            snprintf(message, message_size,
                     "sections names \"%.32s\"; expected summary, description, steps, runs, screenshots, test or "
                     "project",
                     name ? name : "");
            return -1;
        }
        options->sections |= section_names[j].section;
    }
    return 0;
}

static void set_number(long *number, const json_t *data, const char *name)
{
    const json_t *value = json_object_get(data, name);
    if (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= 1000000)
        *number = (long)json_integer_value(value);
}

int options_of_request(const json_t *data, struct report_options *options, char *message, size_t message_size)
{
    const char *page = json_string_value(json_object_get(data, "page"));
    const char *colour = json_string_value(json_object_get(data, "colour"));
    const char *title = json_string_value(json_object_get(data, "title"));
    const char *prepared_for = json_string_value(json_object_get(data, "prepared_for"));
    const json_t *sections = json_object_get(data, "sections");

    if ((page && set_page(options, page, message, message_size) < 0) ||
        (colour && set_colour(options, colour, message, message_size) < 0) ||
        (json_is_array(sections) && set_sections(options, sections, message, message_size) < 0))
        return -1;
    if (json_is_false(json_object_get(data, "screenshots")))
        options->sections &= ~(unsigned int)SECTION_SCREENSHOTS;
    set_number(&options->max_runs, data, "max_runs");
    set_number(&options->max_steps, data, "max_steps");
    set_number(&options->max_code_lines, data, "max_code_lines");
    if (title && *title)
        options->title = title;
    if (prepared_for && *prepared_for)
        options->prepared_for = prepared_for;
    return 0;
}
