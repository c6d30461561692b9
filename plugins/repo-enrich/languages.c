/* languages.h: a file's language. */
#include "languages.h"

#include "value.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define ENDING_MAX 24

static const char *find(const struct language_entry *entries, size_t count, const char *key)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(key, entries[middle].key);
        if (order == 0)
            return entries[middle].language;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static bool has(const char *content, size_t size, const char *word)
{
    return memmem(content, size, word, strlen(word)) != NULL;
}

static bool has_one_of(const char *content, size_t size, const char *const *words)
{
    for (; *words; words++)
        if (has(content, size, *words))
            return true;
    return false;
}

/* What decides between the languages of an ending: the first whose words are there; without words, the one that is
 * left.
 */
struct choice {
    const char *ending;
    const char *words[9];
    const char *language; /* NULL: none that is counted */
};

static const struct choice choices[] = {
    {"h", {"@interface", "@protocol", "@property", "#import", "NS_ENUM"}, "Objective-C"},
    {"h", {"\nclass ", "\nnamespace ", "\ntemplate", "std::", "\nusing ", " public:", "\npublic:"}, "C++"},
    {"h", {0}, LANGUAGE_OF_HEADERS},
    {"m", {"#import", "@interface", "@implementation", "#include", "@end"}, "Objective-C"},
    {"m", {"function ", "\n%", "%%", "end\n"}, "MATLAB"},
    {"m", {0}, "Objective-C"},
    {"v", {"endmodule", "`timescale", "`define"}, "Verilog"},
    {"v", {"Require ", "Theorem ", "Lemma ", "Proof.", "Definition "}, "Rocq Prover"},
    {"v", {"fn ", "module "}, "V"},
    {"d", {"import ", "module ", "void main", "@safe"}, "D"},
    {"d", {0}, NULL}, /* what a compiler wrote for make */
    {"pl", {"use strict", "use warnings", "#!", "sub ", "my $", "use "}, "Perl"},
    {"pl", {":- ", ":-\n"}, "Prolog"},
    {"pl", {0}, "Perl"},
    {"cls", {"VERSION 1.0 CLASS", "Attribute VB_Name"}, "VBA"},
    {"cls", {"\\ProvidesClass", "\\LoadClass", "\\NeedsTeXFormat"}, "TeX"},
    {"cls", {" class ", "global with", "@isTest"}, "Apex"},
    {"t", {"use strict", "use Test", "use warnings", "#!"}, "Perl"},
};

static bool choose(const char *ending, const char *content, size_t size, const char **language)
{
    bool known = false;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (strcmp(choices[i].ending, ending) != 0)
            continue;
        known = true;
        *language = choices[i].language;
        if (!choices[i].words[0] || has_one_of(content, size, choices[i].words))
            return true;
    }
    if (known)
        *language = NULL;
    return known;
}

/* The longest ending that is known: of "a.blade.php", "blade.php". Writes it, in lower case. */
static bool find_ending(const char *name, char ending[ENDING_MAX], const char **language)
{
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t length = strlen(dot + 1);
        if (length == 0 || length >= ENDING_MAX)
            continue;
        for (size_t i = 0; i <= length; i++)
            ending[i] = (char)tolower((unsigned char)dot[1 + i]);
        *language = find(language_endings, language_endings_count, ending);
        if (*language)
            return true;
    }
    return false;
}

static const char *last_ending(const char *name, char ending[ENDING_MAX])
{
    const char *dot = strrchr(name, '.');
    size_t length = dot ? strlen(dot + 1) : 0;
    if (length == 0 || length >= ENDING_MAX)
        return NULL;
    for (size_t i = 0; i <= length; i++)
        ending[i] = (char)tolower((unsigned char)dot[1 + i]);
    return ending;
}

/* "#!/usr/bin/env -S python3.11 -u": python. */
static const char *by_program(const char *content, size_t size)
{
    char program[40];
    if (size < 3 || memcmp(content, "#!", 2) != 0)
        return NULL;
    const char *at = content + 2, *end = memchr(content, '\n', size);
    for (end = end ? end : content + size; at < end;) {
        at += strspn(at, " \t");
        size_t length = strcspn(at, " \t\r\n");
        if (length == 0 || at >= end)
            return NULL;
        const char *slash = memrchr(at, '/', length);
        const char *word = slash ? slash + 1 : at;
        size_t word_length = (size_t)(at + length - word);
        at += length;
        if (*word == '-' || memchr(word, '=', word_length) || (word_length == 3 && memcmp(word, "env", 3) == 0))
            continue;
        while (word_length > 0 && strchr("0123456789.-", word[word_length - 1]))
            word_length--;
        if (word_length == 0 || word_length >= sizeof program)
            return NULL;
        memcpy(program, word, word_length);
        program[word_length] = '\0';
        return find(language_programs, language_programs_count, program);
    }
    return NULL;
}

static bool is_manual(const char *ending, const char *content, size_t size)
{
    return ending && ending[0] >= '1' && ending[0] <= '9' && !ending[1] &&
           (has(content, size, ".TH ") || has(content, size, ".Dd ") || has(content, size, ".so "));
}

bool language_may_be(const char *name)
{
    char ending[ENDING_MAX];
    const char *language = find(language_names, language_names_count, name), *last = last_ending(name, ending);
    if (language || !last || choose(ending, "", 0, &language) || (isdigit((unsigned char)*last) && !last[1]))
        return true;
    return find_ending(name, ending, &language);
}

const char *language_of(const char *name, const char *content, size_t size)
{
    char ending[ENDING_MAX];
    const char *language = find(language_names, language_names_count, name);
    if (language)
        return language;
    const char *last = last_ending(name, ending);
    if (last && choose(last, content, size, &language))
        return language;
    if (is_manual(last, content, size))
        return "Roff";
    if (value_begins(name, "Dockerfile.") || value_begins(name, "Containerfile."))
        return "Dockerfile";
    if (!find_ending(name, ending, &language))
        return last ? NULL : by_program(content, size);
    /* Translations of Qt, window layouts and others are XML under endings that programs have. */
    bool xml = size > 5 && (memcmp(content, "<?xml", 5) == 0 || memcmp(content, "<TS ", 4) == 0);
    return xml && !value_is_one_of(ending, strlen(ending), "html htm xht xhtml xsl xslt vue svelte") ? NULL
                                                                                                     : language;
}

const char *language_named(const char *name, size_t length)
{
    for (size_t i = 0; i < language_endings_count; i++)
        if (strlen(language_endings[i].language) == length &&
            strncasecmp(language_endings[i].language, name, length) == 0)
            return language_endings[i].language;
    static const char *const others[] = {"C", "Objective-C", "MATLAB",   "Verilog",
                                         "D", "Prolog",      "Makefile", "Dockerfile"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strlen(others[i]) == length && strncasecmp(others[i], name, length) == 0)
            return others[i];
    return NULL;
}
