/* licence.h: which licence it is, by all that was seen. */
#include "licence.h"

#include "value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPRESSION_BYTES 160

/* Ids that an expression may be made of. */
static const char *const ids =
    "0BSD AFL-3.0 AGPL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 Artistic-1.0 Artistic-2.0 Beerware "
    "BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause BSD-2-Clause-Patent BSD-3-Clause BSD-3-Clause-Clear BSD-4-Clause "
    "BSL-1.0 "
    "BUSL-1.1 CC-BY-3.0 CC-BY-4.0 CC-BY-NC-4.0 CC-BY-NC-SA-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 CDDL-1.0 CDDL-1.1 "
    "CECILL-2.1 CPL-1.0 ECL-2.0 Elastic-2.0 EPL-1.0 EPL-2.0 EUPL-1.1 EUPL-1.2 GFDL-1.3 GPL-2.0 GPL-2.0-only "
    "GPL-2.0-or-later GPL-3.0 GPL-3.0-only GPL-3.0-or-later HPND ICU IJG ISC JSON LGPL-2.0 LGPL-2.0-only "
    "LGPL-2.0-or-later LGPL-2.1 LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0 LGPL-3.0-only LGPL-3.0-or-later Libpng MIT "
    "MIT-0 MPL-1.1 MPL-2.0 MS-PL MS-RL MulanPSL-2.0 NCSA ODbL-1.0 OFL-1.1 OpenSSL OSL-3.0 PHP-3.01 PostgreSQL "
    "PSF-2.0 "
    "Python-2.0 Ruby Sleepycat SSPL-1.0 Unicode-3.0 Unicode-DFS-2016 Unlicense UPL-1.0 Vim W3C WTFPL X11 Zlib "
    "ZPL-2.1 "
    "curl blessing CC-PDDC Classpath-exception-2.0 LLVM-exception GCC-exception-3.1 OpenSSL-exception";

/* Names in common use, as words in lower case. */
static const struct {
    const char *name, *spdx;
} names[] = {
    {"mit license", "MIT"},
    {"the mit license", "MIT"},
    {"the mit license mit", "MIT"},
    {"mit licensed", "MIT"},
    {"expat license", "MIT"},
    {"apache", "Apache-2.0"},
    {"apache 2", "Apache-2.0"},
    {"apache 2 0", "Apache-2.0"},
    {"apache2", "Apache-2.0"},
    {"apache v2", "Apache-2.0"},
    {"apache license 2 0", "Apache-2.0"},
    {"apache license version 2 0", "Apache-2.0"},
    {"the apache license version 2 0", "Apache-2.0"},
    {"the apache software license version 2 0", "Apache-2.0"},
    {"apache software license", "Apache-2.0"},
    {"apache software license 2 0", "Apache-2.0"},
    {"isc license", "ISC"},
    {"isc license iscl", "ISC"},
    {"bsd 2 clause", "BSD-2-Clause"},
    {"bsd 2 clause license", "BSD-2-Clause"},
    {"simplified bsd license", "BSD-2-Clause"},
    {"bsd 3 clause", "BSD-3-Clause"},
    {"bsd 3 clause license", "BSD-3-Clause"},
    {"new bsd license", "BSD-3-Clause"},
    {"gplv2", "GPL-2.0"},
    {"gnu general public license v2 gplv2", "GPL-2.0"},
    {"gnu general public license v2 or later gplv2", "GPL-2.0-or-later"},
    {"gplv3", "GPL-3.0"},
    {"gnu general public license v3 gplv3", "GPL-3.0"},
    {"gnu general public license v3 or later gplv3", "GPL-3.0-or-later"},
    {"gnu affero general public license v3", "AGPL-3.0"},
    {"gnu lesser general public license v3 lgplv3", "LGPL-3.0"},
    {"mozilla public license 2 0 mpl 2 0", "MPL-2.0"},
    {"mozilla public license version 2 0", "MPL-2.0"},
    {"mpl 2 0", "MPL-2.0"},
    {"eclipse public license 2 0", "EPL-2.0"},
    {"eclipse public license v2 0", "EPL-2.0"},
    {"boost software license 1 0 bsl 1 0", "BSL-1.0"},
    {"the unlicense unlicense", "Unlicense"},
    {"the unlicense", "Unlicense"},
    {"python software foundation license", "PSF-2.0"},
};

static void by_name(const char *declared, char *out, size_t out_size)
{
    char words[EXPRESSION_BYTES];
    size_t length = 0;
    bool blank = false;
    for (const char *at = declared; *at && length < sizeof words - 2; at++) {
        char letter = (char)tolower((unsigned char)*at);
        if (!isalnum((unsigned char)letter)) {
            blank = length > 0;
            continue;
        }
        if (blank)
            words[length++] = ' ';
        blank = false;
        words[length++] = letter;
    }
    words[length] = '\0';
    for (char *at = words; (at = strstr(at, "licence")); at += 7)
        at[5] = 's';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, words) == 0)
            snprintf(out, out_size, "%s", names[i].spdx);
}

/* One word of an expression, in the form that SPDX has now: "GPL-3.0+" is GPL-3.0-or-later. */
static bool add_id(const char *word, size_t length, char *out, size_t out_size)
{
    char id[64];
    bool later = length > 0 && word[length - 1] == '+';
    length -= later;
    if (length == 0 || length >= sizeof id)
        return false;
    memcpy(id, word, length);
    id[length] = '\0';
    bool known = strncmp(id, "LicenseRef-", 11) == 0;
    for (const char *at = ids; !known && *at;) {
        size_t one = strcspn(at, " ");
        if (one == length && strncasecmp(at, id, length) == 0) {
            known = true;
            memcpy(id, at, length);
        }
        at += one;
        at += *at == ' ';
    }
    size_t used = strlen(out);
    const char *behind = !later ? "" : strstr(id, "GPL-") ? "-or-later" : "+";
    return known && snprintf(out + used, out_size - used, "%s%s", id, behind) < (int)(out_size - used);
}

static bool add_text(const char *text, char *out, size_t out_size)
{
    size_t used = strlen(out);
    return snprintf(out + used, out_size - used, "%s", text) < (int)(out_size - used);
}

/* "A OR (B AND C)", and Cargo's old "A/B". False where it is no expression. */
static bool read_expression(const char *at, char *out, size_t out_size)
{
    bool operand = true; /* is what has to come next */
    int depth = 0;
    *out = '\0';
    for (at += strspn(at, " \t"); *at; at += strspn(at, " \t")) {
        size_t length = strcspn(at, " \t()/");
        bool fine;
        if (*at == '(' && operand) {
            depth++;
            length = 1;
            fine = add_text("(", out, out_size);
        } else if (*at == ')' && !operand && depth > 0) {
            depth--;
            length = 1;
            fine = add_text(")", out, out_size);
        } else if (*at == '/' && !operand) {
            length = 1;
            operand = true;
            fine = add_text(" OR ", out, out_size);
        } else if (!operand && (length == 2 || length == 3 || length == 4)) {
            bool either = length == 2 && strncasecmp(at, "or", 2) == 0;
            bool both = length == 3 && strncasecmp(at, "and", 3) == 0;
            bool with = length == 4 && strncasecmp(at, "with", 4) == 0;
            operand = true;
            fine = (either || both || with) && add_text(either ? " OR " : both ? " AND " : " WITH ", out, out_size);
        } else {
            fine = operand && add_id(at, length, out, out_size);
            operand = false;
        }
        if (!fine)
            return false;
        at += length;
    }
    return !operand && depth == 0;
}

void licence_expression(const char *declared, char *out, size_t out_size)
{
    char expression[EXPRESSION_BYTES];
    *out = '\0';
    if (!read_expression(declared, expression, sizeof expression)) {
        by_name(declared, out, out_size);
        return;
    }
    size_t length = strlen(expression);
    /* Brackets around all of it say nothing, where there are no others. */
    bool around = *expression == '(' && strchr(expression, ')') == expression + length - 1;
    snprintf(out, out_size, "%.*s", (int)(length - 2 * around), expression + around);
}

static bool names_id(const char *expression, const char *id)
{
    size_t length = strlen(id);
    for (const char *at = expression; (at = strstr(at, id)); at++)
        if ((at == expression || strchr(" (", at[-1])) && (!at[length] || strchr(" )+-", at[length])))
            return true;
    return false;
}

/* COPYING, LICENSE.md: the one that goes where there are others (LICENSE-3rdparty). */
static bool is_main(const char *file)
{
    static const char *const files[] = {"LICENSE", "LICENCE", "COPYING", "UNLICENSE"};
    static const char *const endings[] = {"", ".md", ".txt", ".rst", ".lesser"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (size_t k = 0; k < sizeof endings / sizeof *endings; k++)
            if (value_begins(file, files[i]) && strcasecmp(file + strlen(files[i]), endings[k]) == 0)
                return true;
    return false;
}

struct pick {
    const char *spdx, *file; /* borrowed */
    bool several, unknown;
    char declared[EXPRESSION_BYTES]; /* as an expression, or "" */
};

static void pick_file(const json_t *files, struct pick *pick)
{
    bool mains = false;
    for (size_t i = 0; i < json_array_size(files); i++)
        mains = mains || is_main(json_string_value(json_object_get(json_array_get(files, i), "file")));
    for (size_t i = 0; i < json_array_size(files); i++) {
        const char *file = json_string_value(json_object_get(json_array_get(files, i), "file"));
        const char *spdx = json_string_value(json_object_get(json_array_get(files, i), "spdx"));
        if (mains && !is_main(file))
            continue;
        if (strcmp(spdx, "NOASSERTION") == 0) {
            pick->unknown = true;
            continue;
        }
        /* The LGPL comes with the GPL whose terms it refers to. */
        bool lesser = pick->spdx && ((strcmp(spdx, "LGPL-3.0") == 0 && strcmp(pick->spdx, "GPL-3.0") == 0) ||
                                     (strcmp(spdx, "GPL-3.0") == 0 && strcmp(pick->spdx, "LGPL-3.0") == 0));
        pick->several = pick->several || (pick->spdx && !lesser && strcmp(pick->spdx, spdx) != 0);
        if (!pick->spdx || (lesser && *spdx == 'L')) {
            pick->spdx = spdx;
            pick->file = file;
        }
    }
}

/* Nonzero where what is declared names every licence whose text is there. */
static bool declares_all(const json_t *files, const char *declared)
{
    for (size_t i = 0; i < json_array_size(files); i++) {
        const char *spdx = json_string_value(json_object_get(json_array_get(files, i), "spdx"));
        if (strcmp(spdx, "NOASSERTION") != 0 && !names_id(declared, spdx))
            return false;
    }
    return *declared != '\0';
}

/* "-only" or "-or-later" behind a GNU licence, by what says so; *from: what that was. NULL where nothing does. */
static const char *find_versions(const struct licence_evidence *evidence, const char *spdx, const char *declared,
                                 const char **from)
{
    static const char *const endings[] = {"-only", "-or-later"};
    size_t length = strlen(spdx);
    const char *expression, *found = NULL;
    json_t *count;
    for (size_t i = 0; i < 2; i++)
        if (strncmp(declared, spdx, length) == 0 && strcmp(declared + length, endings[i]) == 0) {
            *from = "manifest";
            return endings[i];
        }
    json_object_foreach(evidence->headers, expression, count)
    {
        for (size_t i = 0; i < 2; i++)
            if (strncmp(expression, spdx, length) == 0 && strcmp(expression + length, endings[i]) == 0) {
                if (found && found != endings[i])
                    return NULL;
                found = endings[i];
            }
    }
    *from = found ? "headers" : "notices";
    if (found)
        return found;
    if ((evidence->later > 0) == (evidence->only > 0))
        return NULL;
    return evidence->later > 0 ? "-or-later" : "-only";
}

static json_t *describe(const struct licence_evidence *evidence, const char *spdx, const char *from, const char *file,
                        const char *declared)
{
    char whole[EXPRESSION_BYTES + 16];
    const char *versions = NULL, *versions_from = NULL;
    if (strstr(spdx, "GPL-") && !strchr(spdx, ' ') && !strstr(spdx, "-only") && !strstr(spdx, "-or-later"))
        versions = find_versions(evidence, spdx, declared, &versions_from);
    snprintf(whole, sizeof whole, "%s%s", spdx, versions ? versions : "");
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s?}", "spdx", whole, "from", from, "file",
                     file ? json_string(file) : json_null(), "declared", value_string(evidence->declared, 200),
                     "files", evidence->files ? json_incref(evidence->files) : json_array(), "versions_from",
                     versions ? versions_from : NULL);
}

json_t *licence_choose(const struct licence_evidence *evidence)
{
    struct pick pick = {0};
    pick_file(evidence->files, &pick);
    if (evidence->declared)
        licence_expression(evidence->declared, pick.declared, sizeof pick.declared);
    if (pick.spdx && !pick.several && !pick.unknown)
        return describe(evidence, pick.spdx, "file", pick.file, pick.declared);
    if (pick.several && !pick.unknown && declares_all(evidence->files, pick.declared))
        return describe(evidence, pick.declared, "manifest", evidence->declared_in, "");
    if (json_array_size(evidence->files) > 0)
        return describe(evidence, "NOASSERTION", "file",
                        json_string_value(json_object_get(json_array_get(evidence->files, 0), "file")), "");
    if (evidence->declared)
        return describe(evidence, *pick.declared ? pick.declared : "NOASSERTION", "manifest", evidence->declared_in,
                        "");
    if (json_object_size(evidence->headers) == 0)
        return json_null();
    bool one = json_object_size(evidence->headers) == 1;
    const char *first = json_object_iter_key(json_object_iter(evidence->headers));
    return describe(evidence, one ? first : "NOASSERTION", "headers", NULL, "");
}
