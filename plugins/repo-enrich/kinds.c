/* kinds.h: whose work a file is. */
#include "kinds.h"

#include "value.h"

#include <ctype.h>
#include <string.h>

#define MINIFIED_LINE_BYTES 110 /* on average, as linguist has it */
#define MARK_BYTES 4096         /* in which a mark of a generator is looked for */

/* Folders, between blanks. */
static const char *const vendored_anywhere =
    "node_modules bower_components vendor vendors Vendor third_party third-party thirdparty Third_Party ThirdParty "
    "3rdparty 3rd_party 3rd-party extern external externals Extern External Externals dist cache testdata Carthage "
    "Pods .yarn .vscode .github .obsidian .teamcity flow-typed env ace-builds MathJax puphpet site-packages .venv "
    "venv "
    "__pycache__ xvba_modules jspm_packages .cargo";
static const char *const vendored_at_top = "deps dependencies Dependencies debian";
static const char *const documentation_anywhere = "Documentation documentation Groovydoc groovydoc Javadoc javadoc";
static const char *const documentation_at_top =
    "doc docs Doc Docs man Man examples Examples demo demos Demo Demos samples Samples";

static const char *const vendored_names =
    "configure config.guess config.sub aclocal.m4 libtool.m4 ltoptions.m4 ltsugar.m4 ltversion.m4 lt~obsolete.m4 "
    "ltmain.sh install-sh missing depcomp compile erlang.mk cpplint.py gradlew gradlew.bat mvnw mvnw.cmd Vagrantfile "
    "Jenkinsfile waf fabfile.py normalize.css animate.css bulma.css bulma.sass skeleton.css html5shiv.js Chart.js "
    "ckeditor.js prototype.js mootools.js pdf.worker.js modernizr.js .gitpod.Dockerfile dotnet-install.sh "
    "dotnet-install.ps1 proguard-rules.pro";
static const char *const generated_names =
    "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock bun.lockb deno.lock Cargo.lock go.sum "
    "go.work.sum composer.lock Gemfile.lock poetry.lock Pipfile.lock uv.lock pdm.lock mix.lock pubspec.lock "
    "Podfile.lock flake.lock packages.lock.json gradle.lockfile MODULE.bazel.lock .pnp.cjs .pnp.loader.mjs "
    "Package.resolved esy.lock glide.lock Gopkg.lock cabal.project.freeze";

static bool has_folder(const char *path, const char *words)
{
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1)
        if (value_is_one_of(path, (size_t)(slash - path), words))
            return true;
    return false;
}

static bool is_below(const char *path, const char *words)
{
    const char *slash = strchr(path, '/');
    return slash && value_is_one_of(path, (size_t)(slash - path), words);
}

/* test/fixtures/, spec/fixtures/, docs/_build/ … */
static bool is_in_pair(const char *path, const char *firsts, const char *seconds)
{
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        const char *next = strchr(slash + 1, '/');
        if (next && value_is_one_of(path, (size_t)(slash - path), firsts) &&
            value_is_one_of(slash + 1, (size_t)(next - slash - 1), seconds))
            return true;
    }
    return false;
}

static bool is_library(const char *name)
{
    static const char *const libraries[] = {"jquery",       "bootstrap",   "foundation",  "angular",  "react-", "d3.",
                                            "font-awesome", "fontawesome", "materialize", "tiny_mce", "cordova"};
    if (!value_ends(name, ".js") && !value_ends(name, ".css"))
        return false;
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (value_begins(name, libraries[i]) && !strchr(name, '-'))
            return true;
    return value_begins(name, "jquery-") || value_ends(name, ".min.js") || value_ends(name, ".min.css") ||
           value_ends(name, "-min.js") || value_ends(name, "-min.css");
}

static bool is_document(const char *name)
{
    static const char *const names[] = {"README",  "CHANGELOG", "CHANGES", "CONTRIBUTING", "COPYING",
                                        "INSTALL", "LICENSE",   "LICENCE", "CITATION"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length = strlen(names[i]);
        if (!value_begins(name, names[i]) || (name[length] && name[length] != '.'))
            continue;
        /* Linguist takes a readme.c for documentation, too. */
        const char *ending = strrchr(name, '.');
        return !ending || value_is_one_of(ending + 1, strlen(ending + 1),
                                          "md markdown mdown mdx rst txt adoc asciidoc org html htm rtf textile 1");
    }
    return false;
}

static bool is_generated_name(const char *name)
{
    static const char *const endings[] = {
        ".pb.go",        ".pb.cc",        ".pb.h",    "_pb2.py",       "_pb2_grpc.py",
        "_pb.js",        "_pb.d.ts",      ".g.dart",  ".freezed.dart", ".designer.cs",
        ".designer.vb",  ".js.map",       ".css.map", ".nib",          ".xcworkspacedata",
        ".generated.cs", ".g.cs",         ".g.i.cs",  ".feature.cs",   "_generated.go",
        ".gen.go",       ".generated.ts", ".snap"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (value_ends(name, endings[i]))
            return true;
    return value_is_one_of(name, strlen(name), generated_names);
}

enum kind kind_of_path(const char *path, const char *name)
{
    if (has_folder(path, vendored_anywhere) || is_below(path, vendored_at_top) ||
        value_is_one_of(name, strlen(name), vendored_names) || value_ends(name, ".d.ts") || is_library(name) ||
        is_in_pair(path, "test tests Test Tests spec specs Spec Specs", "fixtures") ||
        is_in_pair(path, "doc docs",
                   "_build _theme _themes _templates _static build theme themes templates static") ||
        is_in_pair(path, "gradle .mvn", "wrapper"))
        return KIND_VENDORED;
    if (is_generated_name(name))
        return KIND_GENERATED;
    if (is_below(path, documentation_at_top) || has_folder(path, documentation_anywhere) || is_document(name))
        return KIND_DOCUMENTATION;
    return KIND_OWN;
}

static bool is_minified(const char *content, size_t size)
{
    size_t lines = 1;
    for (const char *at = content; (at = memchr(at, '\n', (size_t)(content + size - at))); at++)
        lines++;
    return size > 1024 && size / lines > MINIFIED_LINE_BYTES;
}

/* The line in which a word stands holds another as well. */
static bool line_has(const char *content, size_t size, const char *word, const char *other)
{
    const char *at = memmem(content, size, word, strlen(word));
    if (!at)
        return false;
    const char *end = memchr(at, '\n', (size_t)(content + size - at));
    return memmem(at, (size_t)((end ? end : content + size) - at), other, strlen(other)) != NULL;
}

bool kind_is_generated(const char *name, const char *content, size_t size)
{
    static const char *const marks[] = {"\x40generated",           "Generated by the protocol buffer compiler",
                                        "<auto-generated",         "/* Generated by Cython",
                                        "Autogenerated by Thrift", "!!! This file is autogenerated",
                                        "# Generated by Django"};
    size_t head = size < MARK_BYTES ? size : MARK_BYTES;
    if (line_has(content, head, "Code generated ", "DO NOT EDIT"))
        return true;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (memmem(content, head, marks[i], strlen(marks[i])))
            return true;
    if (value_ends(name, ".js") || value_ends(name, ".css") || value_ends(name, ".mjs") || value_ends(name, ".cjs"))
        return is_minified(content, size) || memmem(content, head, "//# sourceMappingURL=", 21);
    if (value_ends(name, ".c") || value_ends(name, ".h"))
        return memmem(content, head, "/* A Bison parser, made by", 26) ||
               memmem(content, head, "A lexical scanner generated by flex", 35);
    return false;
}
