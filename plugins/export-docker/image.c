/* image.h: which image a context is built on. */
#include "image.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define REFERENCE_MAX 255
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static int refuse(struct exportd_kit_error *error, const char *code, const char *what, const char *value,
                  const char *expected)
{
    char quoted[160];
    error->code = code;
    error->retryable = 0;
    snprintf(error->message, sizeof error->message, "%s is %s; expected %s", what,
             exportd_bundle_quote(value, quoted, sizeof quoted), expected);
    return -1;
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

int image_choose(const char *version, const struct context_options *options, char *out, size_t out_size,
                 struct exportd_kit_error *error)
{
    const char *distro = options->distro ? options->distro : usual_distro(version);
    size_t distro_length = strlen(distro);
    if (options->image) {
        if (!is_reference(options->image))
            return refuse(error, "option_invalid", "the option image", options->image,
                          "a reference such as registry.example/playwright:v1.65.1-noble");
        if (names_other_version(options->image, version)) {
            char expected[160];
            snprintf(
                expected, sizeof expected,
                "an image of Playwright %s, the version of the repro (the option playwright_version names another)",
                version);
            return refuse(error, "option_invalid", "the option image", options->image, expected);
        }
        snprintf(out, out_size, "%s", options->image);
        return 0;
    }
    if (distro_length == 0 || distro_length > 40 || strspn(distro, LETTERS ".-_") != distro_length)
        return refuse(error, "option_invalid", "the option distro", distro, "a name such as noble or jammy");
    if (!is_reference(options->registry) || strchr(options->registry, '@'))
        return refuse(error, "option_invalid", "registry in [plugin export-docker]", options->registry,
                      "a registry and a path, such as mcr.microsoft.com or mirror.example/mcr");
    int length = snprintf(out, out_size, "%s/playwright:v%s-%s", options->registry, version, distro);
    if (length < 0 || (size_t)length >= out_size)
        return refuse(error, "option_invalid", "registry in [plugin export-docker]", options->registry,
                      "a shorter one");
    return 0;
}

int image_check_npm_registry(const char *url, struct exportd_kit_error *error)
{
    size_t length = strlen(url);
    if ((strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0) || length > 512 ||
        strspn(url, LETTERS "-._~:/%") != length)
        return refuse(error, "option_invalid", "npm_registry in [plugin export-docker]", url,
                      "an address such as https://npm.example/");
    return 0;
}
