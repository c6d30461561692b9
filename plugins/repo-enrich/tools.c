/* tools.h: tools by their traces. */
#include "tools.h"

#include "value.h"

#include <stdbool.h>
#include <string.h>

#define TOOLS_MAX 60
#define FILES_MAX 50
#define NAME_MAX_BYTES 120
#define SIGN_MAX 60

enum how {
    NAME,   /* the whole name */
    PREFIX, /* the name's beginning */
    SUFFIX, /* the name's end */
    TOP,    /* the whole path */
    BELOW,  /* the path's beginning */
};

enum what {
    TEST,
    MANAGER,
    BUILDER,
    CI,
    CONTAINER,
};

static const struct trace {
    enum what what;
    enum how how;
    const char *text;
    const char *tool;
} traces[] = {
    {TEST, PREFIX, "playwright.config.", "playwright"},
    {TEST, PREFIX, "playwright-ct.config.", "playwright"},
    {TEST, PREFIX, "jest.config.", "jest"},
    {TEST, PREFIX, "vitest.config.", "vitest"},
    {TEST, PREFIX, "vitest.workspace.", "vitest"},
    {TEST, PREFIX, ".mocharc", "mocha"},
    {TEST, PREFIX, "cypress.config.", "cypress"},
    {TEST, NAME, "cypress.json", "cypress"},
    {TEST, PREFIX, "karma.conf.", "karma"},
    {TEST, PREFIX, "ava.config.", "ava"},
    {TEST, PREFIX, "wdio.conf.", "webdriverio"},
    {TEST, NAME, "pytest.ini", "pytest"},
    {TEST, NAME, "conftest.py", "pytest"},
    {TEST, NAME, "phpunit.xml", "phpunit"},
    {TEST, NAME, "phpunit.xml.dist", "phpunit"},
    {TEST, NAME, ".rspec", "rspec"},
    {TEST, SUFFIX, "_test.go", "go test"},
    {TEST, SUFFIX, ".bats", "bats"},
    {TEST, SUFFIX, ".feature", "cucumber"},
    {MANAGER, NAME, "package-lock.json", "npm"},
    {MANAGER, NAME, "npm-shrinkwrap.json", "npm"},
    {MANAGER, NAME, "yarn.lock", "yarn"},
    {MANAGER, NAME, "pnpm-lock.yaml", "pnpm"},
    {MANAGER, NAME, "bun.lock", "bun"},
    {MANAGER, NAME, "bun.lockb", "bun"},
    {MANAGER, NAME, "deno.lock", "deno"},
    {MANAGER, NAME, "poetry.lock", "poetry"},
    {MANAGER, NAME, "Pipfile.lock", "pipenv"},
    {MANAGER, NAME, "uv.lock", "uv"},
    {MANAGER, NAME, "pdm.lock", "pdm"},
    {MANAGER, NAME, "environment.yml", "conda"},
    {MANAGER, NAME, "Cargo.lock", "cargo"},
    {MANAGER, NAME, "go.sum", "go"},
    {MANAGER, NAME, "composer.lock", "composer"},
    {MANAGER, NAME, "Gemfile.lock", "bundler"},
    {MANAGER, NAME, "mix.lock", "mix"},
    {MANAGER, NAME, "pubspec.lock", "pub"},
    {MANAGER, NAME, "Podfile.lock", "cocoapods"},
    {MANAGER, NAME, "Package.resolved", "swift"},
    {MANAGER, NAME, "packages.lock.json", "nuget"},
    {MANAGER, NAME, "vcpkg.json", "vcpkg"},
    {MANAGER, NAME, "conanfile.txt", "conan"},
    {MANAGER, NAME, "conanfile.py", "conan"},
    {MANAGER, NAME, "flake.lock", "nix"},
    {BUILDER, NAME, "CMakeLists.txt", "cmake"},
    {BUILDER, NAME, "meson.build", "meson"},
    {BUILDER, NAME, "Makefile", "make"},
    {BUILDER, NAME, "GNUmakefile", "make"},
    {BUILDER, NAME, "makefile", "make"},
    {BUILDER, NAME, "configure.ac", "autotools"},
    {BUILDER, NAME, "BUILD.bazel", "bazel"},
    {BUILDER, NAME, "MODULE.bazel", "bazel"},
    {BUILDER, NAME, "WORKSPACE", "bazel"},
    {BUILDER, NAME, "build.gradle", "gradle"},
    {BUILDER, NAME, "build.gradle.kts", "gradle"},
    {BUILDER, NAME, "pom.xml", "maven"},
    {BUILDER, NAME, "build.xml", "ant"},
    {BUILDER, NAME, "build.sbt", "sbt"},
    {BUILDER, NAME, "build.zig", "zig"},
    {BUILDER, NAME, "Cargo.toml", "cargo"},
    {BUILDER, NAME, "go.mod", "go"},
    {BUILDER, NAME, "SConstruct", "scons"},
    {BUILDER, NAME, "Rakefile", "rake"},
    {BUILDER, NAME, "Taskfile.yml", "task"},
    {BUILDER, NAME, "justfile", "just"},
    {BUILDER, NAME, "Justfile", "just"},
    {BUILDER, NAME, "mix.exs", "mix"},
    {BUILDER, NAME, "tsconfig.json", "tsc"},
    {BUILDER, PREFIX, "webpack.config.", "webpack"},
    {BUILDER, PREFIX, "vite.config.", "vite"},
    {BUILDER, PREFIX, "rollup.config.", "rollup"},
    {BUILDER, PREFIX, "next.config.", "next"},
    {BUILDER, PREFIX, "nuxt.config.", "nuxt"},
    {BUILDER, PREFIX, "gulpfile.", "gulp"},
    {BUILDER, PREFIX, "Gruntfile.", "grunt"},
    {BUILDER, PREFIX, "tsup.config.", "tsup"},
    {BUILDER, NAME, "turbo.json", "turborepo"},
    {BUILDER, NAME, "nx.json", "nx"},
    {BUILDER, NAME, "lerna.json", "lerna"},
    {BUILDER, NAME, "angular.json", "angular"},
    {BUILDER, NAME, "tox.ini", "tox"},
    {BUILDER, NAME, "noxfile.py", "nox"},
    {BUILDER, NAME, "setup.py", "setuptools"},
    {CI, BELOW, ".github/workflows/", "github-actions"},
    {CI, BELOW, ".gitea/workflows/", "gitea-actions"},
    {CI, BELOW, ".forgejo/workflows/", "forgejo-actions"},
    {CI, TOP, ".gitlab-ci.yml", "gitlab-ci"},
    {CI, TOP, ".circleci/config.yml", "circleci"},
    {CI, TOP, ".travis.yml", "travis"},
    {CI, PREFIX, "azure-pipelines", "azure-pipelines"},
    {CI, NAME, "Jenkinsfile", "jenkins"},
    {CI, BELOW, ".woodpecker/", "woodpecker"},
    {CI, TOP, ".woodpecker.yml", "woodpecker"},
    {CI, TOP, ".woodpecker.yaml", "woodpecker"},
    {CI, TOP, ".drone.yml", "drone"},
    {CI, BELOW, ".buildkite/", "buildkite"},
    {CI, TOP, "appveyor.yml", "appveyor"},
    {CI, TOP, ".appveyor.yml", "appveyor"},
    {CI, TOP, "bitbucket-pipelines.yml", "bitbucket-pipelines"},
    {CI, TOP, ".cirrus.yml", "cirrus"},
    {CI, BELOW, ".teamcity/", "teamcity"},
    {CI, BELOW, ".builds/", "sourcehut"},
    {CI, TOP, ".build.yml", "sourcehut"},
    {CONTAINER, NAME, "Dockerfile", "docker"},
    {CONTAINER, PREFIX, "Dockerfile.", "docker"},
    {CONTAINER, SUFFIX, ".dockerfile", "docker"},
    {CONTAINER, NAME, "Containerfile", "docker"},
    {CONTAINER, PREFIX, "docker-compose", "compose"},
    {CONTAINER, NAME, "compose.yaml", "compose"},
    {CONTAINER, NAME, "compose.yml", "compose"},
    {CONTAINER, NAME, "devcontainer.json", "devcontainer"},
    {CONTAINER, NAME, "Chart.yaml", "helm"},
    {CONTAINER, NAME, "kustomization.yaml", "kustomize"},
    {CONTAINER, NAME, "skaffold.yaml", "skaffold"},
};

int tools_init(struct tools *tools)
{
    *tools = (struct tools){json_array(), json_array(), json_array(), json_array(), json_array()};
    return tools->test_frameworks && tools->package_managers && tools->build_tools && tools->ci && tools->containers
               ? 0
               : -1;
}

void tools_clear(struct tools *tools)
{
    json_decref(tools->test_frameworks);
    json_decref(tools->package_managers);
    json_decref(tools->build_tools);
    json_decref(tools->ci);
    json_decref(tools->containers);
    *tools = (struct tools){0};
}

static json_t *find(json_t *list, const char *name)
{
    size_t index;
    json_t *tool;
    json_array_foreach(list, index, tool)
    {
        if (strcmp(json_string_value(json_object_get(tool, "name")), name) == 0)
            return tool;
    }
    return NULL;
}

static void found(json_t *list, const char *name, const char *from)
{
    if (find(list, name) || json_array_size(list) >= TOOLS_MAX)
        return;
    json_array_append_new(list, json_pack("{s:s, s:o}", "name", name, "from", value_path(from)));
}

/* With all its files. */
static void found_file(json_t *list, const char *name, json_t *file)
{
    json_t *tool = find(list, name);
    if (!tool) {
        tool = json_pack("{s:s, s:[]}", "name", name, "files");
        json_array_append_new(list, tool);
    }
    json_t *files = json_object_get(tool, "files");
    if (json_array_size(files) < FILES_MAX)
        json_array_append(files, file);
    json_decref(file);
}

static bool leaves(const struct trace *trace, const char *path, const char *name)
{
    switch (trace->how) {
    case NAME:
        return strcmp(name, trace->text) == 0;
    case PREFIX:
        return strncmp(name, trace->text, strlen(trace->text)) == 0;
    case SUFFIX:
        return value_ends(name, trace->text);
    case TOP:
        return strcmp(path, trace->text) == 0;
    case BELOW:
        return strncmp(path, trace->text, strlen(trace->text)) == 0 &&
               (value_ends(path, ".yml") || value_ends(path, ".yaml"));
    }
    return false;
}

void tools_see_path(struct tools *tools, const char *path, const char *name)
{
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
        const struct trace *trace = &traces[i];
        if (!leaves(trace, path, name))
            continue;
        if (trace->what == TEST)
            found(tools->test_frameworks, trace->tool, path);
        else if (trace->what == MANAGER)
            found(tools->package_managers, trace->tool, path);
        else if (trace->what == BUILDER)
            found(tools->build_tools, trace->tool, path);
        else if (trace->what == CI)
            found_file(tools->ci, trace->tool, json_pack("{s:o}", "file", value_path(path)));
        else
            found_file(tools->containers, trace->tool, value_path(path));
    }
}

/* What stands in a source file that is a test. A single quote stands for a double one, too. */
static const struct sign {
    const char *language, *text, *tool;
} signs[] = {
    {"JavaScript", "'node:test'", "node:test"},
    {"TypeScript", "'node:test'", "node:test"},
    {"JavaScript", "from '@playwright/test'", "playwright"},
    {"JavaScript", "require('@playwright/test')", "playwright"},
    {"TypeScript", "from '@playwright/test'", "playwright"},
    {"TypeScript", "require('@playwright/test')", "playwright"},
    {"JavaScript", "from 'vitest'", "vitest"},
    {"TypeScript", "from 'vitest'", "vitest"},
    {"JavaScript", "'@jest/globals'", "jest"},
    {"TypeScript", "'@jest/globals'", "jest"},
    {"TypeScript", "bun:test", "bun test"},
    {"Python", "import unittest", "unittest"},
    {"Python", "from unittest", "unittest"},
    {"Python", "import pytest", "pytest"},
    {"Rust", "#[test]", "cargo test"},
    {"Rust", "#[cfg(test)]", "cargo test"},
    {"Java", "import org.junit.jupiter", "junit"},
    {"Java", "import org.junit.", "junit"},
    {"Kotlin", "import org.junit.", "junit"},
    {"Java", "import org.testng.", "testng"},
    {"C", "#include <cmocka.h>", "cmocka"},
    {"C", "#include <check.h>", "check"},
    {"C", "unity.h\"", "unity"},
    {"C++", "gtest/gtest.h", "googletest"},
    {"C++", "catch2/catch", "catch2"},
    {"C++", "catch.hpp", "catch2"},
    {"C++", "doctest.h", "doctest"},
    {"C++", "boost/test/", "boost.test"},
    {"C#", "using Xunit", "xunit"},
    {"C#", "using NUnit", "nunit"},
    {"Ruby", "require 'minitest", "minitest"},
    {"Elixir", "use ExUnit.Case", "exunit"},
    {"Swift", "import XCTest", "xctest"},
    {"PHP", "PHPUnit\\Framework\\TestCase", "phpunit"},
    {"Perl", "use Test::More", "test::more"},
    {"Dart", "package:test/test.dart", "dart test"},
};

static bool has_sign(const char *content, size_t size, const char *text)
{
    char other[SIGN_MAX];
    size_t length = strlen(text);
    if (memmem(content, size, text, length))
        return true;
    if (!strchr(text, '\'') || length >= sizeof other)
        return false;
    for (size_t i = 0; i < length; i++)
        other[i] = text[i] == '\'' ? '"' : text[i];
    return memmem(content, size, other, length) != NULL;
}

void tools_see_source(struct tools *tools, const char *path, const char *language, const char *content, size_t size)
{
    /* Tests say so by their path, but for Rust, where they stand beside the code. */
    if (!strcasestr(path, "test") && !strcasestr(path, "spec") && strcmp(language, "Rust") != 0)
        return;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (strcmp(signs[i].language, language) == 0 && !find(tools->test_frameworks, signs[i].tool) &&
            has_sign(content, size, signs[i].text))
            found(tools->test_frameworks, signs[i].tool, path);
}

static const struct {
    const char *ecosystem, *package, *tool;
} packages[] = {
    {"npm", "@playwright/test", "playwright"},
    {"npm", "playwright", "playwright"},
    {"npm", "jest", "jest"},
    {"npm", "vitest", "vitest"},
    {"npm", "mocha", "mocha"},
    {"npm", "cypress", "cypress"},
    {"npm", "ava", "ava"},
    {"npm", "tap", "tap"},
    {"npm", "tape", "tape"},
    {"npm", "uvu", "uvu"},
    {"npm", "jasmine", "jasmine"},
    {"npm", "karma", "karma"},
    {"npm", "qunit", "qunit"},
    {"npm", "nightwatch", "nightwatch"},
    {"npm", "puppeteer", "puppeteer"},
    {"npm", "webdriverio", "webdriverio"},
    {"npm", "testcafe", "testcafe"},
    {"npm", "@testing-library/react", "testing-library"},
    {"npm", "@testing-library/dom", "testing-library"},
    {"pypi", "pytest", "pytest"},
    {"pypi", "nose", "nose"},
    {"pypi", "hypothesis", "hypothesis"},
    {"pypi", "playwright", "playwright"},
    {"pypi", "pytest-playwright", "playwright"},
    {"pypi", "selenium", "selenium"},
    {"pypi", "behave", "behave"},
    {"pypi", "robotframework", "robotframework"},
    {"cargo", "criterion", "criterion"},
    {"cargo", "proptest", "proptest"},
    {"go", "github.com/stretchr/testify", "testify"},
    {"go", "github.com/onsi/ginkgo/v2", "ginkgo"},
    {"maven", "junit:junit", "junit"},
    {"maven", "org.junit.jupiter:junit-jupiter", "junit"},
    {"maven", "org.junit.jupiter:junit-jupiter-api", "junit"},
    {"maven", "org.junit.jupiter:junit-jupiter-engine", "junit"},
    {"maven", "org.testng:testng", "testng"},
    {"maven", "org.spockframework:spock-core", "spock"},
    {"maven", "org.mockito:mockito-core", "mockito"},
    {"maven", "org.springframework.boot:spring-boot-starter-test", "spring-boot-test"},
    {"composer", "phpunit/phpunit", "phpunit"},
    {"composer", "pestphp/pest", "pest"},
    {"rubygems", "rspec", "rspec"},
    {"rubygems", "minitest", "minitest"},
    {"rubygems", "cucumber", "cucumber"},
    {"nuget", "xunit", "xunit"},
    {"nuget", "NUnit", "nunit"},
    {"nuget", "MSTest.TestFramework", "mstest"},
    {"cmake", "GTest", "googletest"},
    {"cmake", "Catch2", "catch2"},
    {"cmake", "cmocka", "cmocka"},
    {"cmake", "doctest", "doctest"},
};

void tools_see_dependency(struct tools *tools, const char *ecosystem, const char *package, const char *file)
{
    for (size_t i = 0; i < sizeof packages / sizeof *packages; i++)
        if (strcmp(packages[i].ecosystem, ecosystem) == 0 && strcmp(packages[i].package, package) == 0)
            found(tools->test_frameworks, packages[i].tool, file);
}

void tools_name_workflow(struct tools *tools, const char *path, const char *text)
{
    size_t index;
    json_t *file;
    const char *at = text;
    while (strncmp(at, "name:", 5) != 0) {
        at = strchr(at, '\n');
        if (!at)
            return;
        at++;
    }
    at += 5;
    at += strspn(at, " \t");
    size_t length = strcspn(at, "\r\n");
    const char quote = *at;
    const char *end = quote == '"' || quote == '\'' ? memchr(at + 1, quote, length > 0 ? length - 1 : 0) : NULL;
    if (end) {
        at++;
        length = (size_t)(end - at);
    } else if ((end = memmem(at, length, " #", 2))) {
        length = (size_t)(end - at);
    }
    json_array_foreach(json_object_get(find(tools->ci, "github-actions"), "files"), index, file)
    {
        if (strcmp(json_string_value(json_object_get(file, "file")), path) == 0)
            json_object_set_new(file, "name", value_text(at, length, NAME_MAX_BYTES));
    }
}
