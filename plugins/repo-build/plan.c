/* plan.h: how a repository builds. */
#include "plan.h"

#include "program.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PACKAGE_BYTES_MAX ((size_t)4 << 20)
#define LOCK_BYTES 4096 /* of a lock file's beginning */

static const char *const system_names[] = {
    [PLAN_NONE] = "none",   [PLAN_NPM] = "npm",   [PLAN_PNPM] = "pnpm",       [PLAN_YARN] = "yarn",
    [PLAN_CMAKE] = "cmake", [PLAN_MAKE] = "make", [PLAN_COMMAND] = "command",
};

const char *plan_system_name(enum plan_system system)
{
    return system_names[system];
}

void plan_clear(struct plan *plan)
{
    for (size_t i = 0; i < plan->step_count; i++)
        for (char **argument = plan->steps[i].arguments; *argument; argument++)
            free(*argument);
    free(plan->build_folder);
    free(plan->install_folder);
    *plan = (struct plan){0};
}

const char *plan_text(const struct plan_step *step, char *out, size_t size)
{
    size_t length = 0;
    out[0] = '\0';
    for (char *const *argument = step->arguments; *argument && length + 1 < size; argument++) {
        int count = snprintf(out + length, size - length, "%s%s", length ? " " : "", *argument);
        length += count > 0 ? (size_t)count : 0;
    }
    output_trim(out);
    return out;
}

static bool has(const struct exportd_checkout *checkout, const char *name)
{
    char path[4096];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", checkout->folder, name);
    return lstat(path, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

/* arguments: ended by NULL; NULLs before count are left out. */
static struct plan_step *add_step(struct plan *plan, const char *const *arguments, size_t count)
{
    struct plan_step *step = &plan->steps[plan->step_count++];
    size_t filled = 0;
    for (size_t i = 0; i < count && filled < PLAN_ARGUMENTS_MAX; i++)
        if (arguments[i] && (step->arguments[filled] = strdup(arguments[i])))
            filled++;
    return step;
}

#define STEP(plan, ...)                                                                                              \
    add_step(plan, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static bool is_object_with_members(const json_t *package, const char *key)
{
    return json_object_size(json_object_get(package, key)) > 0;
}

static bool has_dependencies(const json_t *package)
{
    return is_object_with_members(package, "dependencies") || is_object_with_members(package, "devDependencies") ||
           is_object_with_members(package, "optionalDependencies") || json_object_get(package, "workspaces") != NULL;
}

/* Yarn's lock file of version 2 and later is YAML with this key. */
static bool is_berry(const struct exportd_checkout *checkout)
{
    struct exportd_kit_error ignored;
    size_t size;
    char *text = exportd_checkout_read(checkout, "yarn.lock", LOCK_BYTES, &size, &ignored);
    bool berry = text && strstr(text, "__metadata:") != NULL;
    free(text);
    return berry;
}

static enum plan_system find_manager(const struct exportd_checkout *checkout, const json_t *package)
{
    const char *named = json_string_value(json_object_get(package, "packageManager"));
    if (has(checkout, "pnpm-lock.yaml") || (named && strncmp(named, "pnpm@", 5) == 0))
        return PLAN_PNPM;
    if (has(checkout, "yarn.lock") || (named && strncmp(named, "yarn@", 5) == 0))
        return PLAN_YARN;
    return PLAN_NPM;
}

static void plan_install(const struct exportd_checkout *checkout, struct plan *plan)
{
    struct plan_step *step;
    if (plan->system == PLAN_PNPM)
        step = STEP(plan, "pnpm", "install", has(checkout, "pnpm-lock.yaml") ? "--frozen-lockfile" : NULL);
    else if (plan->system == PLAN_YARN && is_berry(checkout))
        step = STEP(plan, "yarn", "install", "--immutable");
    else if (plan->system == PLAN_YARN)
        step = STEP(plan, "yarn", "install", "--non-interactive",
                    has(checkout, "yarn.lock") ? "--frozen-lockfile" : NULL);
    else if (has(checkout, "package-lock.json") || has(checkout, "npm-shrinkwrap.json"))
        step = STEP(plan, "npm", "ci", "--no-audit", "--no-fund");
    else
        step = STEP(plan, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock");
    step->needs_network = true;
}

static json_t *read_package(const struct exportd_checkout *checkout, struct exportd_kit_error *error)
{
    size_t size;
    json_error_t where;
    char *text = exportd_checkout_read(checkout, "package.json", PACKAGE_BYTES_MAX, &size, error);
    if (!text)
        return NULL;
    json_t *package = json_loadb(text, size, 0, &where);
    free(text);
    if (!package)
        exportd_kit_fail(error, "package_invalid", 0, "package.json is no JSON: line %d: %s; mend it", where.line,
                         where.text);
    return package;
}

/* A system by its lock file, or the one that the request names. */
static int plan_node(const struct exportd_checkout *checkout, const struct plan_wish *wish, const json_t *package,
                     enum plan_system system, struct plan *plan)
{
    plan->system = system != PLAN_NONE ? system : find_manager(checkout, package);
    if (wish->install && has_dependencies(package) && !wish->has_modules)
        plan_install(checkout, plan);
    STEP(plan, system_names[plan->system], "run", wish->script);
    return 0;
}

/* The way from the folder that is built up to the workspace, "../": what is written there says nothing of this
 * machine. */
static void way_up(const struct exportd_checkout *checkout, const struct plan_wish *wish, char *out, size_t size)
{
    char *workspace = realpath(wish->workspace, NULL); /* as the checkout's folder is */
    size_t top = workspace ? strlen(workspace) : 0;
    const char *below = workspace && strncmp(checkout->folder, workspace, top) == 0 ? checkout->folder + top : "/";
    free(workspace);
    out[0] = '\0';
    for (; (below = strchr(below, '/')) && strlen(out) + 4 < size; below++)
        snprintf(out + strlen(out), size - strlen(out), "../");
}

static int plan_cmake(const struct exportd_checkout *checkout, const struct plan_wish *wish, struct plan *plan,
                      struct exportd_kit_error *error)
{
    char jobs[16], up[1024], build[1100], install[1100];
    plan->system = PLAN_CMAKE;
    snprintf(jobs, sizeof jobs, "%d", wish->jobs);
    way_up(checkout, wish, up, sizeof up);
    snprintf(build, sizeof build, "%sbuild", up);
    snprintf(install, sizeof install, "%sinstall", up);
    if (asprintf(&plan->build_folder, "%s/build", wish->workspace) < 0 ||
        asprintf(&plan->install_folder, "%s/install", wish->workspace) < 0)
        return exportd_kit_no_memory(error);
    STEP(plan, "cmake", "-S", ".", "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_INSTALL_PREFIX=/usr");
    STEP(plan, "cmake", "--build", build, "--parallel", jobs);
    STEP(plan, "cmake", "--install", build, "--prefix", install)->optional = true;
    return 0;
}

static void plan_makefile(const struct exportd_checkout *checkout, const struct plan_wish *wish, struct plan *plan)
{
    char jobs[16];
    plan->system = PLAN_MAKE;
    snprintf(jobs, sizeof jobs, "-j%d", wish->jobs);
    if (has(checkout, "configure") && !has(checkout, "Makefile"))
        STEP(plan, "sh", "./configure", "--prefix=/usr");
    STEP(plan, "make", jobs);
}

static bool has_makefile(const struct exportd_checkout *checkout)
{
    return has(checkout, "GNUmakefile") || has(checkout, "makefile") || has(checkout, "Makefile") ||
           has(checkout, "configure");
}

static enum plan_system system_by_name(const char *name)
{
    for (int system = PLAN_NPM; name && system <= PLAN_MAKE; system++)
        if (strcmp(system_names[system], name) == 0)
            return (enum plan_system)system;
    return PLAN_NONE;
}

static int find(const struct exportd_checkout *checkout, const struct plan_wish *wish, struct plan *plan,
                struct exportd_kit_error *error)
{
    enum plan_system wanted = system_by_name(wish->system);
    bool node = wanted == PLAN_NONE || wanted == PLAN_NPM || wanted == PLAN_PNPM || wanted == PLAN_YARN;
    json_t *package = node && has(checkout, "package.json") ? read_package(checkout, error) : NULL;
    if (node && has(checkout, "package.json") && !package)
        return -1;
    bool has_script = json_is_string(json_object_get(json_object_get(package, "scripts"), wish->script));
    int failed = 0;
    char quoted[220];
    if (has_script)
        failed = plan_node(checkout, wish, package, wanted, plan);
    else if ((wanted == PLAN_NONE || wanted == PLAN_CMAKE) && has(checkout, "CMakeLists.txt"))
        failed = plan_cmake(checkout, wish, plan, error);
    else if ((wanted == PLAN_NONE || wanted == PLAN_MAKE) && has_makefile(checkout))
        plan_makefile(checkout, wish, plan);
    else if (package)
        failed = exportd_kit_fail(error, "build_unknown", 0,
                                  "package.json has no script %s to build with; name another in script",
                                  exportd_bundle_quote(wish->script, quoted, sizeof quoted));
    else
        failed =
            exportd_kit_fail(error, "build_unknown", 0,
                             "there is nothing here to build with: no %s; name the folder that is to be built in "
                             "subfolder",
                             wanted == PLAN_CMAKE  ? "CMakeLists.txt"
                             : wanted == PLAN_MAKE ? "makefile or configure"
                             : wanted != PLAN_NONE ? "package.json"
                                                   : "package.json, CMakeLists.txt, configure or makefile");
    json_decref(package);
    return failed;
}

int plan_make(const struct exportd_checkout *checkout, const struct plan_wish *wish, struct plan *plan,
              struct exportd_kit_error *error)
{
    *plan = (struct plan){0};
    if (!wish->command)
        return find(checkout, wish, plan, error);
    plan->system = PLAN_COMMAND;
    STEP(plan, "sh", "-c", wish->command);
    return 0;
}
