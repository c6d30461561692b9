/* repo-enrich: manifests of packages, and the TOML that some are written in. */
#include "repo-enrich/manifest.h"
#include "repo-enrich/toml.h"

#include "support.h"

#include <string.h>

static void expect_toml(const char *text, const char *wanted)
{
    size_t line;
    json_t *root = toml_read(text, strlen(text), &line);
    json_t *expected = json_loads(wanted, 0, NULL);
    assert_non_null(expected);
    if (!root)
        fail_msg("line %zu of %s", line, text);
    char *dump = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    if (!json_equal(root, expected))
        fail_msg("%s: %s", text, dump);
    free(dump);
    json_decref(root);
    json_decref(expected);
}

static void toml_is_read(void **state)
{
    (void)state;
    expect_toml("", "{}");
    expect_toml("a = 1\nb.c = \"x\" # y\n[t]\nd = [1, [2], {e = true}, ]\n",
                "{\"a\":1,\"b\":{\"c\":\"x\"},\"t\":{\"d\":[1,[2],{\"e\":true}]}}");
    expect_toml("\xef\xbb\xbf[a.'b.c']\r\nx = 'C:\\n'\r\n[[p]]\nn=1\n[[p]]\nn=2\n[p.q]\nr=1_000",
                "{\"a\":{\"b.c\":{\"x\":\"C:\\\\n\"}},\"p\":[{\"n\":1},{\"n\":2,\"q\":{\"r\":1000}}]}");
    expect_toml("a = \"\"\"\nx \\\n   y\\u00e9\\t\"\"\"\nb = '''\n'q' ''\n'''\nc = \"\"\"two\"\"\"\"\"\n",
                "{\"a\":\"x y\\u00e9\\t\",\"b\":\"'q' ''\\n\",\"c\":\"two\\\"\\\"\"}");
    expect_toml("d = 1979-05-27T07:32:00Z\nf = 1.5\ng = -7\nh = inf",
                "{\"d\":\"1979-05-27T07:32:00Z\",\"f\":\"1.5\",\"g\":-7,\"h\":\"inf\"}");
    expect_toml(
        "d = 1979-05-27 07:32:00\ne = [1979-05-27 00:32:00.5-07:00, 1979-05-27 , 1]\nf = 1979-05-27 # 07:32\n",
        "{\"d\":\"1979-05-27 07:32:00\",\"e\":[\"1979-05-27 00:32:00.5-07:00\",\"1979-05-27\",1],\"f\":"
        "\"1979-05-27\"}");
    expect_toml("a = { b = 1,\n c = 2 }\n\"k k\" . x = 1", "{\"a\":{\"b\":1,\"c\":2},\"k k\":{\"x\":1}}");
}

static void broken_and_hostile_toml_ends_with_its_line(void **state)
{
    static const struct {
        const char *text;
        size_t line;
    } cases[] = {
        {"a", 1},
        {"a =", 1},
        {"a = 1 2", 1},
        {"\n\na = \"x\n\"", 3},
        {"[a", 1},
        {"[a]]", 1},
        {"a = [1", 1},
        {"a = {b", 1},
        {"a = \"\\q\"", 1},
        {"= 1", 1},
        {"a = \"x", 1},
        {"a = '''x", 1},
        {"a = 1\n[a.b]", 2},
        {"a.b = 1\na = {", 2},
        {"a = \"\\ud800\"", 1},
        {"a = \xff", 1},
        {"[[a]]\n[a]]", 2},
        {"a = 1979-05-27 07", 1},
        {"a = 12 07:32:00", 1},
    };
    char *deep = malloc(200001);
    size_t line;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *root = toml_read(cases[i].text, strlen(cases[i].text), &line);
        if (!root || line != cases[i].line)
            fail_msg("%s: line %zu", cases[i].text, line);
        json_decref(root);
    }
    static const char *const seeds[] = {"[", "{a=", "a.", "[["};
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        size_t length = strlen(seeds[i]), at = 0;
        memcpy(deep, "a=", 2);
        for (at = i < 2 ? 2 : 0; at + length <= 200000; at += length)
            memcpy(deep + at, seeds[i], length);
        deep[at] = '\0';
        json_decref(toml_read(deep, at, &line));
        assert_int_equal(line, 1);
    }
    free(deep);
}

static void what_stands_before_broken_toml_is_kept(void **state)
{
    const char *text = "[a]\nb = 1\n[c]\nd = \"x\"\ne = = 2\nf = 3\n";
    size_t line;
    (void)state;
    json_t *root = toml_read(text, strlen(text), &line),
           *wanted = json_pack("{s:{s:i}, s:{s:s}}", "a", "b", 1, "c", "d", "x");
    assert_int_equal(line, 5);
    assert_true(json_equal(root, wanted));
    json_decref(root);
    json_decref(wanted);
}

/* A manifest's JSON; path is the file's. */
static json_t *manifest(const char *path, const char *text)
{
    struct tools tools;
    const char *slash = strrchr(path, '/');
    assert_int_equal(tools_init(&tools), 0);
    json_t *read = manifest_read(path, slash ? slash + 1 : path, text, strlen(text), 50, &tools);
    assert_non_null(read);
    tools_clear(&tools);
    return read;
}

/* Its dependencies as "name requirement scope", one a line. */
static void expect_dependencies(const char *path, const char *text, const char *name, const char *wanted)
{
    json_t *read = manifest(path, text), *dependency;
    char found[8000] = "";
    size_t index;
    json_array_foreach(json_object_get(read, "dependencies"), index, dependency)
    {
        size_t length = strlen(found);
        snprintf(found + length, sizeof found - length, "%s|%s|%s\n",
                 json_string_value(json_object_get(dependency, "name")),
                 json_string_value(json_object_get(dependency, "requirement")),
                 json_string_value(json_object_get(dependency, "scope")));
    }
    assert_string_equal(found, wanted);
    if (name)
        assert_string_equal(json_string_value(json_object_get(read, "name")), name);
    assert_null(json_object_get(read, "problem"));
    json_decref(read);
}

static void manifests_say_what_a_package_needs(void **state)
{
    (void)state;
    expect_dependencies(
        "package.json",
        "{\"name\":\"@a/b\",\"version\":\"1\",\"dependencies\":{\"x\":\"^1\"},\"devDependencies\":{\"y\":"
        "\"*\"},\"peerDependencies\":{\"z\":\">2\"},\"optionalDependencies\":{\"o\":1}}",
        "@a/b", "x|^1|runtime\ny|*|development\nz|>2|peer\no||optional\n");
    expect_dependencies(
        "Cargo.toml",
        "[package]\nname = \"c\"\nversion.workspace = true\n[dependencies]\na = \"1\"\nb = { version = "
        "\"2\", optional = true }\nc2 = { git = \"https://x/c\" }\nd.workspace = true\ne = {package = "
        "\"real\", path = \"../e\"}\n[dev-dependencies]\nt = \"*\"\n[target.'cfg(unix)'.build-"
        "dependencies]\ncc = \"1.0\"\n",
        "c",
        "a|1|runtime\nb|2|optional\nc2|git https://x/c|runtime\nd|workspace|runtime\nreal|path "
        "../e|runtime\nt|*|development\ncc|1.0|build\n");
    expect_dependencies(
        "pyproject.toml",
        "[build-system]\nrequires=['hatchling']\n[project]\nname='p'\ndependencies=['a>=1,<2; "
        "python_version<\"3\"','b[x,y] (~=1.0)','c @ https://e/c.whl']\n[project.optional-dependencies]"
        "\nt=['d']\n[dependency-groups]\ndev=['e', {include-group='t'}]\n",
        "p",
        "a|>=1,<2|runtime\nb|~=1.0|runtime\nc|@ https://e/c.whl|runtime\nd||optional\ne||development\n"
        "hatchling||build\n");
    expect_dependencies("x/pyproject.toml",
                        "[tool.poetry]\nname='p'\n[tool.poetry.dependencies]\npython='^3'\na='^1'\nb={version='2',"
                        "optional=true}\n[tool.poetry.group.test.dependencies]\npytest='*'\n",
                        "p", "a|^1|runtime\nb|2|optional\npytest|*|test\n");
    expect_dependencies("requirements-dev.txt",
                        "# words\na==1.0 # why\nb[c]>=2 ; os_name=='nt'\n-r other.txt\n--hash=x\n-e "
                        "git+https://e/x.git#egg=pkg\nhttps://e/y.zip\nz @ https://e/z.zip\n\nbad line here\nflask",
                        NULL,
                        "a|==1.0|development\nb|>=2|development\npkg|git+https://e/x.git|development\nz|@ "
                        "https://e/z.zip|development\nflask||development\n");
    expect_dependencies("setup.cfg",
                        "[metadata]\nname = s\nlicense = MIT\n[options]\ninstall_requires =\n  a>1\n  b\npackages = "
                        "find:\n[options.extras_require]\nt =\n  c\n",
                        "s", "a|>1|runtime\nb||runtime\nc||optional\n");
    expect_dependencies("setup.cfg",
                        "[options]\ninstall_requires =\n  a>1 # why\n  b # not c\n  # d\nsetup_requires = e>=2 # f\n",
                        NULL, "a|>1|runtime\nb||runtime\ne|>=2|build\n");
    expect_dependencies(
        "go.mod",
        "module example.org/m // x\n\ngo 1.21\nrequire one.org/a v1.0.0\nrequire (\n\tb.org/b/v2 v2.1.0 "
        "// indirect\n\tc.org/c v0.0.1\n)\nreplace (\n\tx => y v1\n)\n",
        "example.org/m", "one.org/a|v1.0.0|runtime\nb.org/b/v2|v2.1.0|indirect\nc.org/c|v0.0.1|runtime\n");
    expect_dependencies(
        "pom.xml",
        "<?xml version='1.0'?><project><parent><groupId>g.p</groupId><version>3</version></parent>"
        "<artifactId>m</artifactId><properties><v>1.2</v></properties><dependencyManagement>"
        "<dependencies><dependency><groupId>g</groupId><artifactId>b</artifactId><version>9</version>"
        "</dependency></dependencies></dependencyManagement><dependencies><dependency><groupId>g"
        "</groupId><artifactId>a</artifactId><version>${v}</version></dependency><dependency><groupId>g"
        "</groupId><artifactId>b</artifactId><scope>test</scope></dependency><dependency><groupId>"
        "${project.groupId}</groupId><artifactId>c</artifactId><version>${project.version}</version>"
        "<exclusions><exclusion><artifactId>no</artifactId></exclusion></exclusions></dependency>"
        "</dependencies></project>",
        "g.p:m", "g:a|1.2|runtime\ng:b|9|test\ng.p:c|3|runtime\n");
    expect_dependencies("build.gradle",
                        "dependencies {\n  implementation 'g:a:1'\n  testImplementation(\"g:b:2\")\n  api(project(':x"
                        "'))\n  compileOnly \"g:c\"\n}\n",
                        NULL, "g:a|1|runtime\ng:b|2|test\n:x||runtime\ng:c||provided\n");
    expect_dependencies(
        "build.gradle.kts",
        "  implementation group: \"g\", name: \"n\", version: \"1\"\n  testImplementation(group = 'h', name="
        "'m')\n  api name: 'b', group: 'a', version: v\n  kapt group: 'a'\n  api 'x:name:2'\n",
        NULL, "g:n|1|runtime\nh:m||test\na:b||runtime\nx:name|2|runtime\n");
    expect_dependencies(
        "composer.json",
        "{\"name\":\"v/p\",\"require\":{\"php\":\">=8\",\"ext-json\":\"*\",\"a/b\":\"^1\"},\"require-dev\""
        ":{\"c/d\":\"2\"}}",
        "v/p", "a/b|^1|runtime\nc/d|2|development\n");
    expect_dependencies("Gemfile",
                        "source 'x'\ngem 'rails', '~> 7'\ngroup :test do\n  gem \"rspec\"\nend\ngem 'pg', require: "
                        "false\n",
                        NULL, "rails|~> 7|runtime\nrspec||test\npg||runtime\n");
    expect_dependencies(
        "a.csproj",
        "<Project><PropertyGroup><PackageId>N</PackageId></PropertyGroup><ItemGroup><PackageReference "
        "Include=\"X\" Version=\"1\"/></ItemGroup></Project>",
        "N", "X|1|runtime\n");
    expect_dependencies(
        "b.csproj",
        "<Project><ItemGroup><PackageReference Include='xunit'>\n<Version> 2.4 </Version><PrivateAssets>all"
        "</PrivateAssets></PackageReference><PackageReference Include='Y'/><PackageReference Update='Z' "
        "Version='3'/></ItemGroup></Project>",
        NULL, "xunit|2.4|runtime\nY||runtime\n");
    expect_dependencies("CMakeLists.txt",
                        "project(thing VERSION 1.2 LANGUAGES C)\nfind_package(ZLIB 1.2 REQUIRED)\nFIND_PACKAGE("
                        "Threads)\nfind_package(${X})\n",
                        "thing", "ZLIB|1.2|build\nThreads||build\n");
}

static void broken_manifests_say_so_and_hostile_ones_are_bounded(void **state)
{
    static const struct {
        const char *path, *text, *problem;
    } cases[] = {
        {"package.json", "{\n\n x", "line 3 is no JSON"},
        {"package.json", "[]", "it is no object"},
        {"package.json", "{\"name\":\"\xff\"}", "line 1 is no JSON"},
        {"package.json", "{\n\"a\":1e999}", "line 2 has a number that can't be read"},
        {"package.json", "{\"\\u0000\":1}", "line 1 has a key with a NUL"},
        {"Cargo.toml", "[package]\nname = ", "line 2 is no TOML"},
        {"pom.xml", "<project><a></project>", "no XML"},
        {"pom.xml", "<!DOCTYPE p [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><project>&b;</project>",
         "declares entities"},
        {"pom.xml", "<!DOCTYPE p [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><project>&x;</project>",
         "declares entities"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *read = manifest(cases[i].path, cases[i].text);
        const char *problem = json_string_value(json_object_get(read, "problem"));
        if (!problem || !strstr(problem, cases[i].problem))
            fail_msg("%s: %s", cases[i].text, problem ? problem : "no problem");
        json_decref(read);
    }
    static const char *const fine[][2] = {
        {"package.json", "{\"name\":\"n\",\"a\":123456789012345678901234567890}"},
        {"package.json", "{\"name\":\"n\",\"a\":\"x\\u0000y\"}"},
    };
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        json_t *read = manifest(fine[i][0], fine[i][1]);
        assert_null(json_object_get(read, "problem"));
        assert_string_equal(json_string_value(json_object_get(read, "name")), "n");
        json_decref(read);
    }
    json_t *part = manifest("Cargo.toml", "[package]\nname = 'n'\n[dependencies]\na = '1'\nb =\nc = '2'\n");
    assert_string_equal(json_string_value(json_object_get(part, "name")), "n");
    assert_int_equal(json_array_size(json_object_get(part, "dependencies")), 1);
    assert_non_null(strstr(json_string_value(json_object_get(part, "problem")), "line 5"));
    json_decref(part);
    /* 50 dependencies are listed, as manifest() asks for. */
    char many[4000] = "{\"dependencies\":{\"a\":\"1\"";
    for (int i = 0; i < 80; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), ",\"p%d\":\"1\"", i);
    snprintf(many + strlen(many), sizeof many - strlen(many), "}}");
    json_t *read = manifest("package.json", many);
    assert_int_equal(json_array_size(json_object_get(read, "dependencies")), 50);
    assert_true(json_is_true(json_object_get(read, "truncated")));
    json_decref(read);
    char *deep = malloc(100001);
    memset(deep, '<', 100000);
    deep[100000] = '\0';
    for (size_t i = 0; i + 2 < 100000; i += 3)
        memcpy(deep + i, "<a>", 3);
    read = manifest("pom.xml", deep);
    assert_non_null(strstr(json_string_value(json_object_get(read, "problem")), "too deep"));
    json_decref(read);
    memset(deep, '[', 100000);
    json_decref(manifest("package.json", deep));
    free(deep);
    assert_true(json_is_null(manifest("sub/CMakeLists.txt", "add_library(x)\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(toml_is_read),
        cmocka_unit_test(what_stands_before_broken_toml_is_kept),
        cmocka_unit_test(broken_and_hostile_toml_ends_with_its_line),
        cmocka_unit_test(manifests_say_what_a_package_needs),
        cmocka_unit_test(broken_manifests_say_so_and_hostile_ones_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
