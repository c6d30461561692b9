/* exportd/kit/project.h: which image a project runs in. */
#include "project_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define REFERENCE_MAX 255
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static int refuse(struct exportd_kit_error *error, const char *what, const char *value, const char *expected)
{
    char quoted[160];
    return project_refuse(error, "option_invalid", "%s is %s; expected %s", what,
                          exportd_bundle_quote(value, quoted, sizeof quoted), expected);
}

/* The characters of an image reference or a part of one, none of which means anything to a Dockerfile, to YAML or to
 * a shell; and no reference without a name. */
static int is_reference(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= REFERENCE_MAX && isalnum((unsigned char)text[0]) &&
           isalnum((unsigned char)text[length - 1]) && strspn(text, LETTERS "._/:@-") == length &&
           !strstr(text, "//") && !strstr(text, "..") && !strstr(text, "::");
}

/* Whether a tag that begins as a version ("v1.2.3-noble") begins as another one. */
static int names_other_version(const char *image, const char *version)
{
    const char *slash = strrchr(image, '/');
    const char *tag = strchr(slash ? slash : image, ':');
    size_t length = strlen(version);
    int parts[3];
    if (!tag)
        return 0;
    tag += tag[1] == 'v' ? 2 : 1;
    if (!isdigit((unsigned char)*tag) || sscanf(tag, "%9d.%9d.%9d", &parts[0], &parts[1], &parts[2]) != 3)
        return 0;
    return strncmp(tag, version, length) != 0 || (tag[length] && !strchr("-@", tag[length]));
}

/* Playwright's images were first made on noble with 1.46, on jammy with 1.24. */
static const char *usual_distro(const char *version)
{
    int major = 0;
    int minor = 0;
    if (sscanf(version, "%9d.%9d", &major, &minor) != 2 || major != 1)
        return "noble";
    return minor >= 46 ? "noble" : minor >= 24 ? "jammy" : "focal";
}

static int take_image(const char *version, const char *image, char *out, size_t out_size,
                      struct exportd_kit_error *error)
{
    if (!is_reference(image))
        return refuse(error, "the option image", image,
                      "a reference such as registry.example/playwright:v1.65.1-noble");
    if (names_other_version(image, version)) {
        char expected[160];
        snprintf(expected, sizeof expected,
                 "an image of Playwright %s, the version of the repro (the option playwright_version names another)",
                 version);
        return refuse(error, "the option image", image, expected);
    }
    snprintf(out, out_size, "%s", image);
    return 0;
}

int exportd_project_image_choose(const char *version, const struct exportd_project_image *wanted, char *out,
                                 size_t out_size, struct exportd_kit_error *error)
{
    const char *distro = wanted->distro ? wanted->distro : usual_distro(version);
    size_t distro_length = strlen(distro);
    char registry[96];
    if (wanted->image)
        return take_image(version, wanted->image, out, out_size, error);
    if (distro_length == 0 || distro_length > 40 || strspn(distro, LETTERS ".-_") != distro_length)
        return refuse(error, "the option distro", distro, "a name such as noble or jammy");
    snprintf(registry, sizeof registry, "registry in [plugin %s]", wanted->plugin);
    if (!is_reference(wanted->registry) || strchr(wanted->registry, '@'))
        return refuse(error, registry, wanted->registry,
                      "a registry and a path, such as mcr.microsoft.com or mirror.example/mcr");
    int length = snprintf(out, out_size, "%s/playwright:v%s-%s", wanted->registry, version, distro);
    if (length < 0 || (size_t)length >= out_size)
        return refuse(error, registry, wanted->registry, "a shorter one");
    return 0;
}
