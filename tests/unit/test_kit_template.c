/* The kit's templates: holes, filters, sections, and every mistake named with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <exportd/kit/template.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const values_text =
    "{\"title\": \"Größe <b>\", \"empty\": \"\", \"nothing\": null, \"yes\": true, \"no\": false, \"zero\": 0,"
    " \"count\": 20, \"score\": 0.35, \"bug\": {\"id\": \"20184\", \"url\": null, \"labels\": [\"js\", \"a|b\"]},"
    " \"steps\": [{\"action\": \"Open\", \"expected\": \"shown\"}, {\"action\": \"Press\"}],"
    " \"none\": [], \"object\": {}, \"deep\": [[1, 2], [3]], \"@playwright/test\": \"1.65.1\","
    " \"path\": {\"a-b\": {\"c_d\": \"x\"}}}";

static json_t *values(void)
{
    json_t *made = json_loads(values_text, 0, NULL);
    assert_non_null(made);
    return made;
}

static void check_with(const struct exportd_template_options *options, const char *text, const char *expected)
{
    struct exportd_kit_error error = {0};
    json_t *given = values();
    char *filled = exportd_template_fill(text, options, given, &error);
    if (!filled)
        fail_msg("%s: %s", text, error.message);
    assert_string_equal(filled, expected);
    free(filled);
    json_decref(given);
}

static void check(const char *text, const char *expected)
{
    const struct exportd_template_options options = {.name = "t"};
    check_with(&options, text, expected);
}

static void check_refused_with(const struct exportd_template_options *options, const char *text, const char *code,
                               const char *words)
{
    struct exportd_kit_error error = {0};
    json_t *given = values();
    char *filled = exportd_template_fill(text, options, given, &error);
    if (filled)
        fail_msg("%s made: %s", text, filled);
    assert_string_equal(error.code, code);
    if (!strstr(error.message, words))
        fail_msg("\"%s\" is not in: %s", words, error.message);
    json_decref(given);
}

static void check_refused(const char *text, const char *words)
{
    const struct exportd_template_options options = {.name = "t"};
    check_refused_with(&options, text, "template_invalid", words);
}

static void names_stand_for_their_values(void **state)
{
    (void)state;
    check("", "");
    check("no holes } }} { \\ \\n", "no holes } }} { \\ \\n");
    check("{{title}}|{{ bug.id }}|{{count}}|{{score}}|{{yes}}|{{no}}|{{zero}}",
          "Größe <b>|20184|20|0.35|true|false|0");
    check("[{{empty}}{{nothing}}{{bug.url}}{{bug.url.further}}]", "[]");
    check("{{bug.labels.0}} {{deep.0.1}} {{@playwright/test}} {{path.a-b.c_d}}", "js 2 1.65.1 x");
    check("{{title}}{{title}}", "Größe <b>Größe <b>");
}

static void a_backslash_keeps_the_braces(void **state)
{
    (void)state;
    check("\\{{title}}", "{{title}}");
    check("a \\{{b}} {{count}}", "a {{b}} 20");
    check("\\\\{{count}}", "\\20");
    check("\\\\\\{{count}}", "\\\\20"); /* only the last two count */
    check("$\\{{ x }}", "${{ x }}");
}

static void filters_apply_from_left_to_right(void **state)
{
    (void)state;
    check("{{title|lower}} {{title|upper}} {{title | slug }}", "größe <b> GRÖßE <B> gr-e-b");
    check("{{title|cut:3}}{{title|cut:0}}{{title|cut:99}}", "GröGröße <b>");
    check("{{title|upper|cut:1|lower}}", "g");
    check("{{nothing|default:a text}} {{empty|default:x|upper}} {{no|default:x}} {{none|default:x}}",
          "a text X false x");
    check("{{bug.url|default:}}|{{nothing|default: a \\| b \\} \\\\ \\n}}", "| a | b } \\ \n");
    check("{{nothing|default:\\}\\}}}", "}}");
    check("{{bug.labels|join}} {{bug.labels|join:;}} {{title|join}} {{none|join}}", "js, a|b js;a|b Größe <b> ");
    check("{{bug.labels|join:+|upper}}", "JS+A|B");
    check("{{title|json}} {{bug.labels|json}} {{nothing|json}} {{score|json}} {{title|lower|json}}",
          "\"Größe <b>\" [\"js\",\"a|b\"] null 0.35 \"größe <b>\"");
    check("{{empty|slug}}|{{title|cut:0|slug|default:test}}", "|test");
}

static void a_section_is_there_where_its_name_has_a_value(void **state)
{
    (void)state;
    check("{{#if title}}a{{/if}}{{#if yes}}b{{/if}}{{#if zero}}c{{/if}}", "abc");
    check("{{#if empty}}a{{/if}}{{#if nothing}}b{{/if}}{{#if no}}c{{/if}}{{#if none}}d{{/if}}{{#if object}}e{{/if}}",
          "");
    check("{{#if nothing}}a{{else}}b{{/if}} {{#if yes}}a{{else}}b{{/if}}", "b a");
    check("{{#if yes}}{{#if no}}1{{else}}2{{/if}}{{else}}3{{/if}}", "2");
}

static void a_list_gives_its_section_once_for_each_element(void **state)
{
    (void)state;
    check("{{#each steps}}{{index}}. {{this.action}} {{this.expected|default:-}}; {{/each}}",
          "1. Open shown; 2. Press -; ");
    check("{{#each none}}x{{this.whatever}}{{/each}}{{#each nothing}}x{{/each}}", "");
    check("{{#each bug.labels}}[{{this}} {{bug.id}}]{{/each}}", "[js 20184][a|b 20184]");
    check("{{#each deep}}{{index}}:{{#each this}}{{index}}={{this}} {{/each}};{{/each}}", "1:1=1 2=2 ;2:1=3 ;");
    check("{{#each steps}}{{#if this.expected}}yes{{else}}no{{/if}} {{/each}}", "yes no ");
}

static void a_line_with_a_sections_tag_alone_leaves_nothing(void **state)
{
    (void)state;
    check("a\n{{#if yes}}\nb\n{{/if}}\nc\n", "a\nb\nc\n");
    check("a\r\n  {{#each steps}}  \r\n- {{this.action}}\r\n\t{{/each}}\r\nc", "a\r\n- Open\r\n- Press\r\nc");
    check("{{! remark }}\na{{! b }}c\n  {{! last }}", "ac\n");
    check("{{#if no}}\na\n{{else}}\nb\n{{/if}}", "b\n");
    check("a {{#if yes}}\nb{{/if}}\n", "a \nb\n");
    check("{{title}}\n", "Größe <b>\n");
    check("{{! }\n}\n}}a", "a");
}

static void every_unknown_name_is_listed_with_its_line(void **state)
{
    (void)state;
    check_refused(
        "{{titel}}\n{{title}}\n{{#if no}}{{bug.idd}}{{/if}}\n\n{{steps.7.action}} {{title.x}} {{#each "
        "stps}}{{/each}}",
        "t: there is no {{titel}} in line 1, {{bug.idd}} in line 3, {{steps.7.action}} in line 5, {{title.x}} in "
        "line 5, {{stps}} in line 5; the names are: title, empty, ");
    check_refused("\n{{#each steps}}\n{{this.acton}}\n{{this.expected}}{{/each}}",
                  "t: there is no {{this.acton}} in line 3;");
    check_refused("{{this}} {{index}}", "{{this}} in line 1, {{index}} in line 1");
    check_refused("{{nothing2|default:x}}", "{{nothing2}} in line 1");
}

static void what_is_no_template_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"a\n{{title", "t:2: {{ has no }}"},
        {"{{}}", "t:1: {{…}} holds \"\"; write a name"},
        {"{{a b}}", "holds \"a b\""},
        {"{{a..b}}", "holds \"a..b\""},
        {"{{.a}}", "holds \".a\""},
        {"{{a.}}", "holds \"a.\""},
        {"{{a\033[31m}}", "holds \"a\\u{1B}[31m\""},
        {"\n\n{{title|lowr}}", "t:3: there is no filter \"lowr\"; the filters are: lower, upper"},
        {"{{title|}}", "there is no filter \"\""},
        {"{{title|lower:x}}", "the filter lower takes no text"},
        {"{{title|default}}", "the filter default needs a text"},
        {"{{title|cut:x}}", "the filter cut needs a whole number"},
        {"{{title|cut}}", "the filter cut needs a whole number"},
        {"{{#unless a}}{{/unless}}", "the sections are {{#if NAME}} and {{#each NAME}}"},
        {"{{#if}}{{/if}}", "holds \"\"; write a name"},
        {"\n{{#if title}}\n", "t:2: {{#if title}} has no end; add {{/if}}"},
        {"{{#each steps}}\n{{/if}}", "t:2: {{/if}} ends what line 1 began as {{#each steps}}; write {{/each}}"},
        {"{{/if}}", "no section is open there"},
        {"{{else}}", "{{else}} belongs into an {{#if NAME}}"},
        {"{{#if a}}{{else}}{{else}}{{/if}}", "{{else}} belongs into an {{#if NAME}}, once"},
        {"{{#each a}}{{else}}{{/each}}", "{{else}} belongs into"},
        {"\n{{steps}}", "t:2: {{steps}} is a list; go through it with {{#each}}"},
        {"{{bug}}", "{{bug}} is an object; name one of its members"},
        {"{{bug|upper}}", "{{bug}} is an object"},
        {"{{deep|join}}", "{{deep|join}}: the list has lists or objects in it"},
        {"{{#each title}}{{/each}}", "{{#each title}}: that is no list"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(cases[i].text, cases[i].words);
}

static void what_comes_out_is_bounded(void **state)
{
    (void)state;
    const struct exportd_template_options options = {.name = "t", .max_bytes = 10};
    check_with(&options, "{{bug.id}}12345", "2018412345");
    check_refused_with(&options, "{{bug.id}}123456", "template_too_large", "t makes more than 10 bytes");
    check_refused_with(&options, "12345678901", "template_too_large", "more than 10 bytes");
    char deep[40 * 24] = "";
    for (int i = 0; i < 33; i++)
        snprintf(deep + strlen(deep), sizeof deep - strlen(deep), "{{#if title}}");
    check_refused(deep, "more than 32 deep");
}

static void loops_in_loops_come_to_an_end(void **state)
{
    (void)state;
    struct exportd_kit_error error = {0};
    const struct exportd_template_options options = {0};
    json_t *list = json_array();
    for (int i = 0; i < 1000; i++)
        json_array_append_new(list, json_integer(i));
    json_t *given = json_pack("{s:o}", "l", list);
    char *filled = exportd_template_fill("{{#each l}}{{#each l}}{{#each l}}{{/each}}{{/each}}{{/each}}", &options,
                                         given, &error);
    assert_null(filled);
    assert_string_equal(error.code, "template_too_large");
    json_decref(given);
}

static char *bracket(const char *value, void *context)
{
    char *made = NULL;
    return asprintf(&made, "%s%s>", (const char *)context, value) < 0 ? NULL : made;
}

static char *repeat(const char *value, const char *argument, void *context)
{
    char *made = NULL;
    (void)context;
    return asprintf(&made, "%s%s%s", value, argument, value) < 0 ? NULL : made;
}

static void values_are_escaped_unless_a_callers_filter_did(void **state)
{
    (void)state;
    static const struct exportd_template_filter filters[] = {{"raw", repeat, 1}, {"twice", repeat, 0}, {0}};
    const struct exportd_template_options options = {
        .name = "t", .escape = bracket, .filters = filters, .context = "<"};
    check_with(&options, "a {{count}} {{count|raw}} {{count|twice:-}} {{count|twice|raw:+|lower}}",
               "a <20> 2020 <20-20> 2020+2020");
    check_with(&options, "{{bug.labels|join:/}} {{nothing}}", "<js/a|b> <>");
    check_refused_with(&options, "{{title|rw}}", "template_invalid", "join:TEXT, json, raw, twice");
    check_refused_with(&options, "{{steps|raw}}", "template_invalid", "{{steps}} is a list");
}

static void a_template_is_filled_more_than_once(void **state)
{
    (void)state;
    struct exportd_kit_error error = {0};
    const struct exportd_template_options options = {0};
    struct exportd_template *template_ = exportd_template_new("{{a}}", &options, &error);
    assert_non_null(template_);
    for (int i = 0; i < 3; i++) {
        json_t *given = json_pack("{s:i}", "a", i);
        char expected[2] = {(char)('0' + i), '\0'};
        char *filled = exportd_template_render(template_, given, &error);
        assert_string_equal(filled, expected);
        free(filled);
        json_decref(given);
    }
    exportd_template_free(template_);
    assert_null(exportd_template_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stand_for_their_values),
        cmocka_unit_test(a_backslash_keeps_the_braces),
        cmocka_unit_test(filters_apply_from_left_to_right),
        cmocka_unit_test(a_section_is_there_where_its_name_has_a_value),
        cmocka_unit_test(a_list_gives_its_section_once_for_each_element),
        cmocka_unit_test(a_line_with_a_sections_tag_alone_leaves_nothing),
        cmocka_unit_test(every_unknown_name_is_listed_with_its_line),
        cmocka_unit_test(what_is_no_template_is_refused_with_its_line),
        cmocka_unit_test(what_comes_out_is_bounded),
        cmocka_unit_test(loops_in_loops_come_to_an_end),
        cmocka_unit_test(values_are_escaped_unless_a_callers_filter_did),
        cmocka_unit_test(a_template_is_filled_more_than_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
