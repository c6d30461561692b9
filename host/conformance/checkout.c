/*
 * A small repository for tasks that come behind acquire-user-repo, as that one leaves it: the files in the
 * workspace's folder "repo", without a history.
 */
#include "base/memory.h"
#include "base/tree.h"
#include "conformance/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ACQUIRE "acquire-user-repo"

static const struct {
    const char *path, *content;
} files[] = {
    {"README.md", "# Sample\n\nA small project.\n\n## Use\n\n    make\n"},
    {"LICENSE",
     "MIT License\n\nCopyright (c) 2025 the authors\n\nPermission is hereby granted, free of charge, to any "
     "person obtaining a copy of this software.\n"},
    {"Makefile",
     "all: dist/sample.txt\n\ndist/sample.txt: src/sample.txt\n\tmkdir -p dist\n\tcp src/sample.txt $@\n"},
    {"src/sample.txt", "Some text.\n"},
    {"src/sum.c", "/* Adds. */\nint sum(int one, int other)\n{\n    return one + other;\n}\n"},
    {"src/search.js",
     "export function search(list, word) {\n  return list.filter(entry => entry.includes(word));\n}\n"},
    {"tests/search.spec.js", "import { search } from '../src/search.js';\nsearch(['a'], 'a');\n"},
};

json_t *sample_previous(const struct route *route)
{
    if (!route->after || strcmp(route->after, ACQUIRE) != 0)
        return json_object();
    return json_pack("{s:s, s:s, s:s, s:s, s:i}", "url", "https://example.org/owner/sample", "commit",
                     "0123456789abcdef0123456789abcdef01234567", "branch", "main", "folder", "repo", "files",
                     (int)(sizeof files / sizeof files[0]));
}

static int write_one(const char *folder, const char *name, const char *content)
{
    char *path = memory_format("%s/%s", folder, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    mkdir(path, 0700); /* it may be there */
    *slash = '/';
    FILE *file = fopen(path, "we");
    int failed = !file || fputs(content, file) < 0 ? -1 : 0;
    if (file && fclose(file) != 0)
        failed = -1;
    free(path);
    return failed;
}

char *sample_workspace(const struct route *route, const char *scratch)
{
    if (!route->after || strcmp(route->after, ACQUIRE) != 0)
        return NULL;
    char *workspace = memory_format("%s/workspace", scratch);
    char *folder = memory_format("%s/repo", workspace);
    tree_remove(workspace);
    int failed = mkdir(workspace, 0700) != 0 || mkdir(folder, 0700) != 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && !failed; i++)
        failed = write_one(folder, files[i].path, files[i].content);
    free(folder);
    if (failed) {
        free(workspace);
        return NULL;
    }
    return workspace;
}
