#include "worker/loader.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <ltdl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOADER_ITEMS_MAX 256 /* tasks, options or secrets of one plugin */

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#elif defined(__i386__)
#define HOST_MACHINE EM_386
#elif defined(__arm__)
#define HOST_MACHINE EM_ARM
#elif defined(__riscv)
#define HOST_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define HOST_MACHINE EM_PPC64
#elif defined(__s390x__)
#define HOST_MACHINE EM_S390
#else
#error "name this machine's ELF number here"
#endif

static const char *machine_name(unsigned machine)
{
    switch (machine) {
    case EM_X86_64:
        return "x86-64";
    case EM_AARCH64:
        return "AArch64";
    case EM_386:
        return "i386";
    case EM_ARM:
        return "ARM";
    case EM_RISCV:
        return "RISC-V";
    case EM_PPC64:
        return "PowerPC 64";
    case EM_S390:
        return "S/390";
    default:
        return "another machine";
    }
}

static int check_not_writable(const char *path, const char *what, const struct stat *status, struct error *error)
{
    bool sticky = S_ISDIR(status->st_mode) && (status->st_mode & S_ISVTX);
    if ((status->st_mode & S_IWOTH) && !sticky)
        return error_set(error, "plugin_writable", false,
                         "%s: the %s may be written by anyone (mode %04o); run: chmod o-w '%s'", path, what,
                         (unsigned)status->st_mode & 07777u, path);
    if ((status->st_mode & S_IWGRP) && status->st_gid != 0 && status->st_gid != getegid())
        return error_set(error, "plugin_writable", false,
                         "%s: the %s may be written by group %u (mode %04o); run: chmod g-w '%s'", path, what,
                         (unsigned)status->st_gid, (unsigned)status->st_mode & 07777u, path);
    if (status->st_uid != 0 && status->st_uid != geteuid())
        return error_set(
            error, "plugin_writable", false,
            "%s: the %s belongs to user %u, who may change it at any time; it must belong to root or to the "
            "user that runs exportd; run: chown root '%s'",
            path, what, (unsigned)status->st_uid, path);
    return 0;
}

int loader_check_file(const char *path, struct error *error)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return error_set(error, "plugin_missing", false, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, "plugin_missing", false, "%s: not a regular file", path);
    if (check_not_writable(path, "file", &status, error) != 0)
        return -1;

    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 1;
    if (length == 0)
        length = 1;
    if (length >= sizeof folder)
        return error_set(error, "plugin_missing", false, "%s: the path is too long", path);
    memcpy(folder, slash ? path : ".", length);
    folder[length] = '\0';
    if (stat(folder, &status) != 0)
        return error_set(error, "plugin_missing", false, "%s: %s", folder, strerror(errno));
    return check_not_writable(folder, "folder", &status, error);
}

static int check_elf(const char *path, struct error *error)
{
    Elf64_Ehdr header;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, "plugin_missing", false, "%s: %s", path, strerror(errno));
    ssize_t count = read(fd, &header, sizeof header);
    struct stat status;
    bool has_size = fstat(fd, &status) == 0;
    close(fd);
    if (count < (ssize_t)EI_NIDENT + 4 || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return error_set(error, "plugin_not_shared_object", false,
                         "%s: not a shared object (no ELF header); build it with: cc -shared -fPIC", path);
    /* e_type and e_machine lie at the same place in 32-bit and 64-bit files. */
    if (header.e_machine != HOST_MACHINE ||
        header.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
        return error_set(error, "plugin_architecture", false,
                         "%s: made for %s, and this host runs on %s; build it here", path,
                         machine_name(header.e_machine), machine_name(HOST_MACHINE));
    /* Cut short by a copy that broke off, it would crash the dynamic linker. Section headers lie at a file's end. */
    uint64_t end = header.e_shoff + (uint64_t)header.e_shnum * header.e_shentsize;
    if (sizeof(void *) == 8 && count == (ssize_t)sizeof header && has_size && end > (uint64_t)status.st_size)
        return error_set(error, "plugin_not_shared_object", false,
                         "%s: cut short: %lld bytes, and its header speaks of %llu; copy it again", path,
                         (long long)status.st_size, (unsigned long long)end);
    if (header.e_type != ET_DYN)
        return error_set(error, "plugin_not_shared_object", false,
                         "%s: an ELF file, but not a shared object; build it with: cc -shared -fPIC", path);
    return 0;
}

/* libltdl keeps its own words only; the dynamic linker's say which of the causes it was. */
static int explain(const char *path, struct error *error)
{
    const char *cause = "the dynamic linker gave no reason";
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        cause = dlerror();
    if (cause && strstr(cause, "undefined symbol"))
        return error_set(error, "plugin_symbol_undefined", false,
                         "%s; link the library that defines it into the plugin", cause);
    if (cause && strstr(cause, "cannot open shared object file"))
        return error_set(error, "plugin_dependency_missing", false,
                         "%s: a library that it needs is missing: %s; install its package", path, cause);
    return error_set(error, "plugin_unloadable", false, "%s: %s", path, cause ? cause : "unknown cause");
}

static int check_block(const char *path, const struct exportd_block *block, struct error *error)
{
    if (block->magic != EXPORTD_ABI_MAGIC)
        return error_set(
            error, "plugin_no_block", false,
            "%s: its exportd_plugin_block doesn't begin with the magic word; define it with EXPORTD_PLUGIN()", path);
    if (block->abi_major != EXPORTD_ABI_MAJOR)
        return error_set(
            error, block->abi_major > EXPORTD_ABI_MAJOR ? "plugin_abi_too_new" : "plugin_abi_too_old", false,
            "%s: built for plugin ABI %u.%u, and this host speaks %d.%d; rebuild it, or install a host that fits",
            path, block->abi_major, block->abi_minor, EXPORTD_ABI_MAJOR, EXPORTD_ABI_MINOR);
    if (block->abi_minor > EXPORTD_ABI_MINOR)
        return error_set(error, "plugin_abi_too_new", false,
                         "%s: built for plugin ABI %u.%u, and this host speaks %d.%d; upgrade the host", path,
                         block->abi_major, block->abi_minor, EXPORTD_ABI_MAJOR, EXPORTD_ABI_MINOR);
    /* The least that version 1.0 had; a size above ours can only come with a newer minor, refused above. */
    if (block->block_size != sizeof *block || !block->plugin ||
        block->plugin_size < offsetof(struct exportd_plugin, destroy) + sizeof(void *) ||
        block->plugin_size > 65536 || block->task_size < offsetof(struct exportd_task, after) ||
        block->task_size > 4096 || block->option_size < sizeof(struct exportd_option) || block->option_size > 4096)
        return error_set(error, "plugin_invalid", false, "%s: the sizes in its block can't be right; rebuild it",
                         path);
    return 0;
}

/* Copies an array whose elements have the plugin's size into one with ours. name_offset: of the string that ends it
 * by NULL. */
static void *copy_items(const void *items, size_t item_size, size_t own_size, size_t name_offset, size_t *count)
{
    *count = 0;
    if (!items)
        return NULL;
    size_t total = 0;
    while (total < LOADER_ITEMS_MAX) {
        const char *name;
        memcpy(&name, (const char *)items + total * item_size + name_offset, sizeof name);
        if (!name)
            break;
        total++;
    }
    char *copy = calloc(total ? total : 1, own_size);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < total; i++)
        memcpy(copy + i * own_size, (const char *)items + i * item_size, item_size < own_size ? item_size : own_size);
    *count = total;
    return copy;
}

int loader_open(const char *path, struct loader_plugin *plugin, struct error *error)
{
    if (loader_check_file(path, error) != 0 || check_elf(path, error) != 0)
        return -1;
    if (lt_dlinit() != 0)
        return error_set(error, "plugin_unloadable", true, "libltdl can't be started: %s", lt_dlerror());
    lt_dlhandle handle = lt_dlopen(path);
    if (!handle)
        return explain(path, error);

    const struct exportd_block *block = lt_dlsym(handle, "exportd_plugin_block");
    if (!block)
        return error_set(
            error, "plugin_no_block", false,
            "%s: a shared object, but no exportd plugin: it exports no exportd_plugin_block; end its source "
            "with EXPORTD_PLUGIN(…)",
            path);
    if (check_block(path, block, error) != 0)
        return -1;

    memset(plugin, 0, sizeof *plugin);
    size_t size = block->plugin_size < sizeof plugin->plugin ? block->plugin_size : sizeof plugin->plugin;
    memcpy(&plugin->plugin, block->plugin, size);
    plugin->sdk_version = block->sdk_version;
    plugin->abi_major = block->abi_major;
    plugin->abi_minor = block->abi_minor;
    plugin->tasks = copy_items(plugin->plugin.tasks, block->task_size, sizeof(struct exportd_task),
                               offsetof(struct exportd_task, task), &plugin->task_count);
    plugin->options = copy_items(plugin->plugin.options, block->option_size, sizeof(struct exportd_option),
                                 offsetof(struct exportd_option, name), &plugin->option_count);
    if (!plugin->plugin.name || plugin->task_count == 0)
        return error_set(error, "plugin_invalid", false, "%s: it has no name or no task", path);
    for (size_t i = 0; i < plugin->task_count; i++)
        if (!plugin->tasks[i].run)
            return error_set(error, "plugin_invalid", false, "%s: its task \"%s\" has no function", path,
                             plugin->tasks[i].task);
    return 0;
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *task_manifest(const struct exportd_task *task)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "task", text_or_null(task->task), "option",
                     text_or_null(task->option), "value", text_or_null(task->value), "summary",
                     text_or_null(task->summary), "schema", text_or_null(task->schema), "after",
                     text_or_null(task->after), "needs_repro", (task->flags & EXPORTD_NEEDS_REPRO) != 0);
}

json_t *loader_manifest(const struct loader_plugin *plugin)
{
    json_t *tasks = json_array();
    json_t *options = json_array();
    json_t *grants = json_array();
    json_t *secrets = json_array();
    for (size_t i = 0; i < plugin->task_count; i++)
        json_array_append_new(tasks, task_manifest(&plugin->tasks[i]));
    for (size_t i = 0; i < plugin->option_count; i++) {
        const struct exportd_option *option = &plugin->options[i];
        json_array_append_new(options,
                              json_pack("{s:o, s:i, s:o, s:o, s:b}", "name", text_or_null(option->name), "type",
                                        (int)option->type, "default", text_or_null(option->default_value), "help",
                                        text_or_null(option->help), "required", option->required != 0));
    }
    if (plugin->plugin.grants & EXPORTD_GRANT_NETWORK)
        json_array_append_new(grants, json_string("network"));
    if (plugin->plugin.grants & EXPORTD_GRANT_EXEC)
        json_array_append_new(grants, json_string("exec"));
    if (plugin->plugin.grants & EXPORTD_GRANT_CACHE)
        json_array_append_new(grants, json_string("cache"));
    for (size_t i = 0; plugin->plugin.secrets && plugin->plugin.secrets[i] && i < LOADER_ITEMS_MAX; i++)
        json_array_append_new(secrets, json_string(plugin->plugin.secrets[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:[ii], s:o, s:o, s:o, s:o}", "name",
                     text_or_null(plugin->plugin.name), "version", text_or_null(plugin->plugin.version), "summary",
                     text_or_null(plugin->plugin.summary), "licence", text_or_null(plugin->plugin.licence), "sdk",
                     text_or_null(plugin->sdk_version), "abi", (int)plugin->abi_major, (int)plugin->abi_minor,
                     "tasks", tasks, "options", options, "grants", grants, "secrets", secrets);
}
