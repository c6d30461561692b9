/* branch_name.h: the rules of git check-ref-format for a branch. */
#include "branch_name.h"

#include <exportd/kit/text.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define REPLACEMENT 0xFFFDu

static const char *character_problem(const char *name)
{
    while (*name) {
        const char *before = name;
        uint32_t letter = exportd_text_next(&name);
        if (letter == REPLACEMENT && name - before == 1)
            return "is not UTF-8";
        if (letter < 0x20 || letter == 0x7F || (letter >= 0x80 && letter < 0xA0))
            return "has a control character in it";
        if (letter < 0x80 && strchr(" ~^:?*[\\", (int)letter))
            return "has one of the characters space ~ ^ : ? * [ \\ in it";
    }
    return NULL;
}

static const char *part_problem(const char *part, size_t length)
{
    if (length == 0)
        return "begins or ends with a slash, or has two in a row";
    if (part[0] == '.')
        return "has a part that begins with a dot";
    if (length >= 5 && memcmp(part + length - 5, ".lock", 5) == 0)
        return "has a part that ends with .lock";
    return NULL;
}

const char *branch_name_problem(const char *name)
{
    size_t length = strlen(name);
    if (length == 0)
        return "is empty";
    if (length > BRANCH_NAME_MAX)
        return "has more than 200 bytes";
    if (name[0] == '-')
        return "begins with a dash";
    if (strcmp(name, "@") == 0 || strcmp(name, "HEAD") == 0)
        return "is a name that git keeps for itself";
    if (strstr(name, "..") || strstr(name, "@{"))
        return "has .. or @{ in it";
    if (name[length - 1] == '.')
        return "ends with a dot";
    const char *problem = character_problem(name);
    for (const char *part = name; !problem && part;) {
        size_t part_length = strcspn(part, "/");
        problem = part_problem(part, part_length);
        part = part[part_length] ? part + part_length + 1 : NULL;
    }
    return problem;
}
