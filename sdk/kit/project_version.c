/* exportd/kit/project.h: which version of Playwright a repro ran with. */
#include "project_parts.h"

#include <ctype.h>
#include <exportd/kit/repro.h>
#include <stdio.h>
#include <string.h>

#define VERSION_MAX 48

static const char *read_number(const char *at)
{
    if (*at == '0')
        return at + 1;
    if (!isdigit((unsigned char)*at))
        return NULL;
    while (isdigit((unsigned char)*at))
        at++;
    return at;
}

/* Identifiers of digits, letters and hyphens between dots, none empty, no number with a leading zero. */
static int is_prerelease(const char *at)
{
    do {
        size_t length = strspn(at, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
        if (length == 0 || (length > 1 && *at == '0' && strspn(at, "0123456789") == length))
            return 0;
        at += length;
    } while (*at == '.' && *++at);
    return *at == '\0' && at[-1] != '.';
}

int exportd_project_is_exact_version(const char *version)
{
    const char *at = version;
    if (strlen(version) > VERSION_MAX)
        return 0;
    for (int part = 0; part < 3; part++) {
        at = read_number(at);
        if (!at || (part < 2 && *at++ != '.'))
            return 0;
    }
    return *at == '\0' || (*at == '-' && is_prerelease(at + 1));
}

/* "v1.2.3", "=1.2.3" and what `playwright --version` prints, "Version 1.2.3", name one version too. */
static const char *without_prefix(const char *version)
{
    version += strspn(version, " ");
    if (strncmp(version, "Version ", 8) == 0)
        version += 8;
    return version + (*version == 'v' || *version == '=');
}

static const char *lock_version(const json_t *lock)
{
    const json_t *packages = json_object_get(lock, "packages");
    const json_t *entry = json_object_get(packages, "node_modules/" PROJECT_TEST_PACKAGE);
    if (!entry)
        entry = json_object_get(json_object_get(lock, "dependencies"), PROJECT_TEST_PACKAGE);
    return json_string_value(json_object_get(entry, "version"));
}

static const char *package_version(const json_t *package)
{
    static const char *const sections[] = {"devDependencies", "dependencies", "optionalDependencies"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        const char *version =
            json_string_value(json_object_get(json_object_get(package, sections[i]), PROJECT_TEST_PACKAGE));
        if (version)
            return version;
    }
    return NULL;
}

int project_version(struct exportd_project *project, const json_t *repro, const json_t *package, const char *lock,
                    const char *version_option, struct exportd_kit_error *error)
{
    json_t *lock_root = lock ? json_loads(lock, 0, NULL) : NULL;
    const struct {
        const char *where;
        const char *version;
    } candidates[] = {
        {"the option playwright_version", version_option && *version_option ? version_option : NULL},
        {"/dependencies/@playwright~1test",
         json_string_value(json_object_get(json_object_get(repro, "dependencies"), PROJECT_TEST_PACKAGE))},
        {"/environment/playwright", exportd_repro_string(repro, "environment.playwright", NULL)},
        {"package.json", package_version(package)},
        {"package-lock.json", lock_version(lock_root)},
    };
    char quoted[96];
    char inexact[256] = "";
    int status = -1;

    for (size_t i = 0; i < sizeof candidates / sizeof *candidates && status < 0; i++) {
        if (!candidates[i].version)
            continue;
        const char *version = without_prefix(candidates[i].version);
        exportd_bundle_quote(candidates[i].version, quoted, sizeof quoted);
        if (exportd_project_is_exact_version(version)) {
            snprintf(project->playwright_version, sizeof project->playwright_version, "%s", version);
            snprintf(project->playwright_from, sizeof project->playwright_from, "%s", candidates[i].where);
            if (*inexact)
                exportd_bundle_add_note(project->bundle, "Playwright is %s as in %s, since %s is no exact version",
                                        version, candidates[i].where, inexact);
            status = 0;
        } else if (i == 0) {
            break;
        } else if (!*inexact) {
            snprintf(inexact, sizeof inexact, "%s in %s", quoted, candidates[i].where);
        }
    }
    if (status < 0 && candidates[0].version)
        project_refuse(error, "playwright_version_unknown",
                       "the option playwright_version is %s; expected one exact version, such as 1.65.1", quoted);
    else if (status < 0 && *inexact)
        project_refuse(
            error, "playwright_version_unknown",
            "the Playwright version is %s, which is not one exact version, and the image must be of the very "
            "version that reproduced the bug; name it there or in the option playwright_version",
            inexact);
    else if (status < 0)
        project_refuse(
            error, "playwright_version_unknown",
            "nothing says which Playwright version reproduced the bug: looked at "
            "/dependencies/@playwright~1test, /environment/playwright and package.json of the repro; name it "
            "in one of them or in the option playwright_version");
    json_decref(lock_root);
    return status;
}
