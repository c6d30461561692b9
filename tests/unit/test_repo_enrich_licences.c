/* repo-enrich: licences, by their texts and by what is declared. */
#include "repo-enrich/licence.h"

#include "licence_support.h"
#include "support.h"

#include <string.h>
#include <unistd.h>

static void expect_licence(const char *text, const char *wanted)
{
    const char *found = licence_of_text(text, strlen(text));
    if (found && wanted ? strcmp(found, wanted) != 0 : found != wanted)
        fail_msg("%s: %.300s", found ? found : "none", text);
}

static void a_licence_is_known_by_all_that_it_says(void **state)
{
    (void)state;
    expect_licence("MIT License\n\nCopyright (c) 2020 J\xc3\xbcrgen & Co.\n\n" MIT, "MIT");
    expect_licence("/*\n * " MIT " */", "MIT");
    expect_licence(MIT "\nThe Software shall be used for Good, not Evil.\n", NULL);
    expect_licence("Not for commercial use.\n" MIT, NULL);
    expect_licence(MIT MIT, NULL);
    char *changed = strdup(MIT);
    memcpy(strstr(changed, "sell"), "lend", 4);
    expect_licence(changed, NULL);
    free(changed);
    expect_licence("", NULL);
    expect_licence("MIT", NULL);
}

static void the_licences_that_debian_ships_are_known(void **state)
{
    static const char *const files[][2] = {
        {"Apache-2.0", "Apache-2.0"}, {"GPL-2", "GPL-2.0"},   {"GPL-3", "GPL-3.0"},   {"LGPL-2.1", "LGPL-2.1"},
        {"LGPL-3", "LGPL-3.0"},       {"MPL-2.0", "MPL-2.0"}, {"CC0-1.0", "CC0-1.0"}, {"BSD", "BSD-3-Clause"},
        {"GFDL-1.3", NULL},           {"GPL-1", NULL},        {"Artistic", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[100];
        size_t size;
        snprintf(path, sizeof path, "/usr/share/common-licenses/%s", files[i][0]);
        if (access(path, R_OK) != 0)
            continue; /* not on Debian */
        char *text = support_read_file(path, &size);
        expect_licence(text, files[i][1]);
        if (files[i][1] && strcmp(files[i][0], "BSD") != 0) {
            char *worse = malloc(size + 100);
            snprintf(worse, size + 100, "\"Commons Clause\" License Condition\n%s", text);
            expect_licence(worse, NULL);
            expect_licence(text + size / 2, NULL);
            free(worse);
        }
        free(text);
    }
}

static void what_manifests_declare_becomes_an_expression(void **state)
{
    static const char *const cases[][2] = {
        {"MIT", "MIT"},
        {"mit", "MIT"},
        {"(MIT OR Apache-2.0)", "MIT OR Apache-2.0"},
        {"MIT/Apache-2.0", "MIT OR Apache-2.0"},
        {"(MIT OR ISC) AND Zlib", "(MIT OR ISC) AND Zlib"},
        {"GPL-2.0+", "GPL-2.0-or-later"},
        {"GPL-3.0-only WITH Classpath-exception-2.0", "GPL-3.0-only WITH Classpath-exception-2.0"},
        {"Apache License, Version 2.0", "Apache-2.0"},
        {"The MIT Licence", "MIT"},
        {"BSD", ""},
        {"UNLICENSED", ""},
        {"MIT OR", ""},
        {"(MIT", ""},
        {"MIT Apache-2.0", ""},
        {"", ""},
        {"LicenseRef-Own", "LicenseRef-Own"},
    };
    char out[160];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        licence_expression(cases[i][0], out, sizeof out);
        if (strcmp(out, cases[i][1]) != 0)
            fail_msg("%s: %s", cases[i][0], out);
    }
}

/* What is chosen: files as {"name": "spdx"}. */
static void expect_choice(const char *files, const char *declared, const char *source, const char *spdx,
                          const char *from, const char *versions_from)
{
    struct licence_evidence evidence = {.declared = declared, .declared_in = declared ? "package.json" : NULL};
    json_t *given = json_loads(files, 0, NULL), *value;
    const char *name;
    assert_non_null(given);
    json_object_foreach(given, name, value)
    {
        if (!evidence.files)
            evidence.files = json_array();
        json_array_append_new(evidence.files, json_pack("{s:s, s:O}", "file", name, "spdx", value));
    }
    if (source)
        licence_see_source(&evidence, source, strlen(source));
    json_t *chosen = licence_choose(&evidence);
    const char *found = json_string_value(json_object_get(chosen, "spdx"));
    const char *versions = json_string_value(json_object_get(chosen, "versions_from"));
    if (!spdx) {
        assert_true(json_is_null(chosen));
    } else if (!found || strcmp(found, spdx) != 0 || (versions == NULL) != (versions_from == NULL) ||
               (versions && strcmp(versions, versions_from) != 0)) {
        fail_msg("%s %s: %s, %s", files, declared ? declared : "", found ? found : "null", versions ? versions : "-");
    } else {
        assert_string_equal(json_string_value(json_object_get(chosen, "from")), from);
    }
    json_decref(chosen);
    json_decref(given);
    licence_clear(&evidence);
}

static void the_licence_is_chosen_honestly(void **state)
{
    const char *later =
        "/*\n * This is free software under the GNU General\n * Public License; either version 2, or (at "
        "your option)\n * any later version. */\n";
    (void)state;
    expect_choice("{}", NULL, NULL, NULL, NULL, NULL);
    expect_choice("{\"LICENSE\":\"MIT\"}", NULL, NULL, "MIT", "file", NULL);
    expect_choice("{\"LICENSE\":\"MIT\"}", "ISC", NULL, "MIT", "file", NULL);
    expect_choice("{\"LICENSE\":\"NOASSERTION\"}", "MIT", NULL, "NOASSERTION", "file", NULL);
    expect_choice("{\"LICENSE\":\"MIT\",\"LICENSE-3rdparty\":\"NOASSERTION\"}", NULL, NULL, "MIT", "file", NULL);
    expect_choice("{\"LICENSE-APACHE\":\"Apache-2.0\",\"LICENSE-MIT\":\"MIT\"}", "MIT/Apache-2.0", NULL,
                  "MIT OR Apache-2.0", "manifest", NULL);
    expect_choice("{\"LICENSE-APACHE\":\"Apache-2.0\",\"LICENSE-MIT\":\"MIT\"}", NULL, NULL, "NOASSERTION", "file",
                  NULL);
    expect_choice("{\"COPYING\":\"GPL-3.0\",\"COPYING.LESSER\":\"LGPL-3.0\"}", NULL, NULL, "LGPL-3.0", "file", NULL);
    expect_choice("{}", "MIT", NULL, "MIT", "manifest", NULL);
    expect_choice("{}", "our own", NULL, "NOASSERTION", "manifest", NULL);
    expect_choice("{}", NULL, "// SPDX-License-Identifier: BSD-2-Clause\n", "BSD-2-Clause", "headers", NULL);
    expect_choice("{}", NULL, "/* SPDX-License-Identifier: (MIT OR ISC) */\n", "MIT OR ISC", "headers", NULL);
    expect_choice("{\"COPYING\":\"GPL-2.0\"}", NULL, NULL, "GPL-2.0", "file", NULL);
    expect_choice("{\"COPYING\":\"GPL-2.0\"}", NULL, later, "GPL-2.0-or-later", "file", "notices");
    expect_choice("{\"COPYING\":\"GPL-2.0\"}", NULL, "// SPDX-License-Identifier: GPL-2.0-only\n", "GPL-2.0-only",
                  "file", "headers");
    expect_choice("{\"COPYING\":\"GPL-3.0\"}", "GPL-3.0-or-later", later, "GPL-3.0-or-later", "file", "manifest");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_licence_is_known_by_all_that_it_says),
        cmocka_unit_test(the_licences_that_debian_ships_are_known),
        cmocka_unit_test(what_manifests_declare_becomes_an_expression),
        cmocka_unit_test(the_licence_is_chosen_honestly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
