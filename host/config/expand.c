#include "config/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct growing {
    char *text;
    size_t length;
};

static int append(struct growing *growing, const char *text, size_t length)
{
    char *grown = realloc(growing->text, growing->length + length + 1);
    if (!grown)
        return -1;
    memcpy(grown + growing->length, text, length);
    growing->text = grown;
    growing->length += length;
    grown[growing->length] = '\0';
    return 0;
}

/* Takes what stands between ${ and }: NAME or NAME:-default. *value is borrowed from inside or the environment. */
static int look_up(char *inside, const char **value, struct config_why *why)
{
    char *otherwise = strstr(inside, ":-");
    if (otherwise) {
        *otherwise = '\0';
        otherwise += 2;
        if (strstr(otherwise, "${"))
            return config_refuse(why, "has ${%.80s:-%.80s: a default can't hold another ${}; write it out", inside,
                                 otherwise);
    }
    if (!config_is_secret_name(inside))
        return config_refuse(why,
                             "has ${%.80s}, which names no variable; write ${NAME} or ${NAME:-default} "
                             "(and $${ for ${ itself)",
                             inside);
    *value = getenv(inside);
    if (otherwise && (!*value || !**value))
        *value = otherwise;
    if (!*value)
        return config_refuse(why,
                             "needs the environment variable %.80s, which is not set; set it, or write "
                             "${%.80s:-default}",
                             inside, inside);
    return 0;
}

static int expand_braces(const char *raw, char **value, bool *used, struct config_why *why)
{
    struct growing growing = {0};
    if (append(&growing, "", 0))
        goto out_of_memory;
    while (*raw) {
        const char *dollar = strchrnul(raw, '$');
        if (append(&growing, raw, (size_t)(dollar - raw)))
            goto out_of_memory;
        raw = dollar;
        if (!strncmp(raw, "$${", 3)) {
            if (append(&growing, "${", 2))
                goto out_of_memory;
            raw += 3;
        } else if (!strncmp(raw, "${", 2)) {
            const char *end = strchr(raw, '}');
            if (!end) {
                config_refuse(why, "has a ${ without its }: \"%.80s\"; close it, or write $${ for ${ itself", raw);
                goto fail;
            }
            char *inside = strndup(raw + 2, (size_t)(end - raw - 2));
            if (!inside)
                goto out_of_memory;
            const char *found = "";
            int failed = look_up(inside, &found, why);
            if (!failed && append(&growing, found, strlen(found)))
                failed = config_refuse(why, "can't be kept: out of memory");
            free(inside);
            if (failed)
                goto fail;
            *used = true;
            raw = end + 1;
        } else if (*raw) {
            if (append(&growing, raw, 1))
                goto out_of_memory;
            raw++;
        }
    }
    *value = growing.text;
    return 0;
out_of_memory:
    config_refuse(why, "can't be kept: out of memory");
fail:
    free(growing.text);
    return -1;
}

int config_read_file(const char *path, size_t maximum, char **text, size_t *length, bool *world_readable,
                     bool *world_writable, struct config_why *why)
{
    int result = -1;
    char *content = NULL;
    size_t filled = 0;
    /* Without O_NONBLOCK a FIFO would hold the host up for good. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (file < 0 || fstat(file, &status)) {
        config_refuse(why, "can't be read: %s", strerror(errno));
        goto out;
    }
    if (!S_ISREG(status.st_mode)) {
        config_refuse(why, "is %s; a file is needed", S_ISDIR(status.st_mode) ? "a folder" : "no regular file");
        goto out;
    }
    content = malloc(maximum + 2);
    if (!content) {
        config_refuse(why, "can't be read: out of memory");
        goto out;
    }
    while (filled <= maximum) {
        ssize_t got = read(file, content + filled, maximum + 1 - filled);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            config_refuse(why, "can't be read: %s", strerror(errno));
            goto out;
        }
        filled += (size_t)got;
    }
    if (filled > maximum) {
        config_refuse(why, "holds more than %zu KiB, which is the most", maximum / 1024);
        goto out;
    }
    content[filled] = '\0';
    *text = content;
    content = NULL;
    *length = filled;
    *world_readable = (status.st_mode & S_IROTH) != 0;
    *world_writable = (status.st_mode & S_IWOTH) != 0;
    result = 0;
out:
    free(content);
    if (file >= 0)
        close(file);
    return result;
}

static int from_file(const char *path, char **value, struct config_why *why)
{
    if (path[0] != '/')
        return config_refuse(why, "is file:%.80s, a relative path; write an absolute one: file:/path", path);
    char *text = NULL;
    size_t length = 0;
    bool readable;
    bool writable;
    struct config_why cause;
    if (config_read_file(path, CONFIG_VALUE_FILE_MAX, &text, &length, &readable, &writable, &cause))
        return config_refuse(why, "is taken from the file %.200s, which %.300s", path, cause.text);
    int result = 0;
    if (memchr(text, '\0', length))
        result = config_refuse(why, "is taken from the file %.200s, which holds a NUL byte; it must be text", path);
    else if (!config_is_utf8(text, length))
        result = config_refuse(why, "is taken from the file %.200s, which is no valid UTF-8", path);
    if (result) {
        free(text);
        return -1;
    }
    if (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    if (length > 0 && text[length - 1] == '\r')
        text[--length] = '\0';
    *value = text;
    return 0;
}

int config_expand(const char *raw, bool braces, char **value, bool *literal, struct config_why *why)
{
    static const char prefix[] = "file:";
    bool is_file = !strncmp(raw, prefix, sizeof prefix - 1);
    const char *rest = is_file ? raw + sizeof prefix - 1 : raw;
    bool used = false;
    char *expanded = NULL;
    if (braces) {
        if (expand_braces(rest, &expanded, &used, why))
            return -1;
    } else {
        expanded = strdup(rest);
        if (!expanded)
            return config_refuse(why, "can't be kept: out of memory");
    }
    *literal = !is_file && !used;
    if (!is_file) {
        *value = expanded;
        return 0;
    }
    int result = from_file(expanded, value, why);
    free(expanded);
    return result;
}
