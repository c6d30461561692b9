/* export-pr's rules, one by one: which addresses get a token, which names git takes for a branch, and what is left of
 * a repro's words where they stand in a title, in Markdown and in a path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "export-pr/branch_name.c"
#include "export-pr/escape.c"
#include "export-pr/markdown.c"

#include <exportd/kit/remote.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* conf.d, as the tests have it. */
static const char *const conf[][2] = {
    {"github", "https://github.com"},
    {"enterprise", "https://git.example.org/hub/"},
    {"enterprise_api", "https://api.git.example.org:443/"},
    {"gitlab", "http://lab.example.org:8080"},
    {"gitea", "https://GITEA.example.org"},
    {"git", "https://plain.example.org/repos"},
    {"git_user", "bot"},
};
static bool has_tokens = true;

static const char *option(struct exportd_job *job, const char *name)
{
    (void)job;
    for (size_t i = 0; i < sizeof conf / sizeof *conf; i++)
        if (strcmp(conf[i][0], name) == 0)
            return conf[i][1];
    return NULL;
}

static const char *secret(struct exportd_job *job, const char *name)
{
    (void)job;
    return has_tokens ? name : NULL;
}

static const struct exportd_host host = {.size = sizeof host, .option = option, .secret = secret};
static struct exportd_job job = {.size = sizeof job, .host = &host, .id = "job", .route = "pr", .attempt = 1};

static void an_address_that_conf_d_names_is_found_in_every_form(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        enum exportd_remote_kind kind;
        const char *api, *path, *url, *token, *user;
    } cases[] = {
        {"https://github.com/owner/name", EXPORTD_REMOTE_GITHUB, "https://api.github.com", "owner/name",
         "https://github.com/owner/name.git", "GITHUB_TOKEN", "x-access-token"},
        {"https://GitHub.com:443/owner/name.git/", EXPORTD_REMOTE_GITHUB, "https://api.github.com", "owner/name",
         "https://github.com/owner/name.git", "GITHUB_TOKEN", "x-access-token"},
        {"git@github.com:owner/name.git", EXPORTD_REMOTE_GITHUB, "https://api.github.com", "owner/name",
         "https://github.com/owner/name.git", "GITHUB_TOKEN", "x-access-token"},
        {"ssh://git@github.com:22/owner/name", EXPORTD_REMOTE_GITHUB, "https://api.github.com", "owner/name",
         "https://github.com/owner/name.git", "GITHUB_TOKEN", "x-access-token"},
        {"owner/na.me-1_", EXPORTD_REMOTE_GITHUB, "https://api.github.com", "owner/na.me-1_",
         "https://github.com/owner/na.me-1_.git", "GITHUB_TOKEN", "x-access-token"},
        {"https://git.example.org/hub/owner/name", EXPORTD_REMOTE_GITHUB, "https://api.git.example.org:443",
         "owner/name", "https://git.example.org/hub/owner/name.git", "GITHUB_ENTERPRISE_TOKEN", "x-access-token"},
        {"http://lab.example.org:8080/group/sub/name", EXPORTD_REMOTE_GITLAB, "http://lab.example.org:8080/api/v4",
         "group/sub/name", "http://lab.example.org:8080/group/sub/name.git", "GITLAB_TOKEN", "x-access-token"},
        {"https://gitea.example.org/owner/name", EXPORTD_REMOTE_GITEA, "https://GITEA.example.org/api/v1",
         "owner/name", "https://GITEA.example.org/owner/name.git", "GITEA_TOKEN", "x-access-token"},
        {"https://plain.example.org/repos/deep/er/name.git", EXPORTD_REMOTE_GIT, NULL, "deep/er/name",
         "https://plain.example.org/repos/deep/er/name.git", "GIT_TOKEN", "bot"},
        {"https://plain.example.org/repos/~me/name", EXPORTD_REMOTE_GIT, NULL, "~me/name",
         "https://plain.example.org/repos/~me/name", "GIT_TOKEN", "bot"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct exportd_remote remote;
        struct exportd_kit_error error = {0};
        if (exportd_remote_find(&job, "export-pr", "repo_url", cases[i].given, &remote, &error) < 0)
            fail_msg("%s: %s", cases[i].given, error.message);
        assert_int_equal(remote.kind, cases[i].kind);
        if (cases[i].api)
            assert_string_equal(remote.api, cases[i].api);
        else
            assert_null(remote.api);
        assert_string_equal(remote.path, cases[i].path);
        assert_string_equal(remote.url, cases[i].url);
        assert_string_equal(remote.token, cases[i].token);
        assert_string_equal(remote.user, cases[i].user);
        exportd_remote_clear(&remote);
    }
}

static void every_other_address_is_refused_and_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *given, *code, *words;
    } cases[] = {
        {"", "repo_url_invalid", "no https URL"},
        {"name", "repo_url_invalid", "no https URL"},
        {"a/b/c", "repo_url_invalid", "no https URL"},
        {"../name", "repo_url_invalid", "no https URL"},
        {"/etc/passwd", "repo_url_invalid", "no https URL"},
        {"file:///srv/repo.git", "repo_url_invalid", "no https URL"},
        {"git://github.com/owner/name", "repo_url_invalid", "no https URL"},
        {"https://", "repo_url_invalid", "names no host"},
        {"https://me:hidden@github.com/owner/name", "repo_url_invalid", "a user or a password"},
        {"https://hidden@github.com/owner/name", "repo_url_invalid", "a user or a password"},
        {"https://github.com@evil.example/owner/name", "repo_url_invalid", "a user or a password"},
        {"https://github.com\\@evil.example/owner/name", "repo_url_invalid", "that no URL has"},
        {"https://github.com/owner/name?token=hidden", "repo_url_invalid", "a query or a fragment"},
        {"https://github.com/owner/name#x", "repo_url_invalid", "a query or a fragment"},
        {"https://github.com/owner/name\r\nX: y", "repo_url_invalid", "that no URL has"},
        {"https://github.com/owner", "repo_url_invalid", "names no repository of https://github.com"},
        {"https://github.com/owner/name/tree/main", "repo_url_invalid", "names no repository"},
        {"https://github.com/owner/../name", "repo_url_invalid", "names no repository"},
        {"https://github.com/owner/..", "repo_url_invalid", "names no repository"},
        {"https://github.com/owner/n%61me", "repo_url_invalid", "names no repository"},
        {"https://github.com/owner//name", "repo_url_invalid", "names no repository"},
        {"http://github.com/owner/name", "repo_url_invalid", "write https"},
        {"https://lab.example.org:8080/group/name", "repo_url_invalid", "write http"},
        {"https://lab.example.org/group/name", "remote_unknown", "\"lab.example.org\""},
        {"https://github.com.evil.example/owner/name", "remote_unknown", "\"github.com.evil.example\""},
        {"https://evil.example/github.com/owner", "remote_unknown",
         "add its address as enterprise, gitlab, gitea or git"},
        {"https://github.com:8443/owner/name", "remote_unknown", "\"github.com:8443\""},
        {"git@evil.example:owner/name", "remote_unknown", "\"evil.example\""},
        {"https://git.example.org/hubble/name", "remote_unknown", "\"git.example.org\""},
        {"https://plain.example.org/repos/../../x", "repo_url_invalid", "names no repository"},
        {"https://plain.example.org/reposit/x", "remote_unknown", "plain.example.org"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct exportd_remote remote;
        struct exportd_kit_error error = {0};
        if (exportd_remote_find(&job, "export-pr", "repo_url", cases[i].given, &remote, &error) == 0)
            fail_msg("%s was taken", cases[i].given);
        if (strcmp(error.code, cases[i].code) != 0 || !strstr(error.message, cases[i].words))
            fail_msg("%s: %s: %s", cases[i].given, error.code, error.message);
        assert_null(strstr(error.message, "hidden"));
        assert_false(error.retryable);
        exportd_remote_clear(&remote);
    }
}

static void a_forge_needs_a_token_and_a_plain_remote_does_not(void **state)
{
    (void)state;
    struct exportd_remote remote;
    struct exportd_kit_error error = {0};
    has_tokens = false;
    assert_int_equal(exportd_remote_find(&job, "export-pr", "repo_url", "owner/name", &remote, &error), -1);
    assert_string_equal(error.code, "token_missing");
    assert_non_null(strstr(error.message, "secrets = GITHUB_TOKEN"));
    exportd_remote_clear(&remote);
    assert_int_equal(
        exportd_remote_find(&job, "export-pr", "repo_url", "https://plain.example.org/repos/x", &remote, &error), 0);
    assert_null(remote.token);
    exportd_remote_clear(&remote);
    has_tokens = true;
}

/* What git itself says of refs/heads/NAME; -1 where there is no git. */
static int git_takes(const char *name)
{
    char ref[600];
    int status;
    snprintf(ref, sizeof ref, "refs/heads/%s", name);
    pid_t child = fork();
    if (child == 0) {
        execlp("git", "git", "check-ref-format", ref, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return !WIFEXITED(status) || WEXITSTATUS(status) == 127 ? -1 : WEXITSTATUS(status) == 0;
}

static void a_branchs_name_is_what_git_takes(void **state)
{
    (void)state;
    static const char *const names[] = {
        "bug-repro-1", "fix/a/b", "ünïcödé-🔎", "a.b",  "a@b",  "@a",    "a{b}",   "a;b$c'd\"",
        "x.locked",    "lock",    "",          ".a",   "a/.b", "a..b",  "a.lock", "a.lock/b",
        "a b",         "a~b",     "a^b",       "a:b",  "a?b",  "a*b",   "a[b",    "a\\b",
        "/a",          "a/",      "a//b",      "a.",   "a@{b", "a\tb",  "a\177b", "a/b.lock",
        "..",          "a/..",    "]",         "a/b.", "a/@",  "a,b=c",
    };
    static const char *const ours_alone[] = {"-a", "@", "HEAD"}; /* git takes them as references, not as branches */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int takes = git_takes(names[i]);
        if (takes >= 0 && takes != (branch_name_problem(names[i]) == NULL))
            fail_msg("\"%s\": git %s it, and here it %s", names[i], takes ? "takes" : "refuses",
                     branch_name_problem(names[i]) ? branch_name_problem(names[i]) : "is taken");
    }
    for (size_t i = 0; i < sizeof ours_alone / sizeof *ours_alone; i++)
        assert_non_null(branch_name_problem(ours_alone[i]));
    char name[BRANCH_NAME_MAX + 2];
    memset(name, 'a', sizeof name);
    name[BRANCH_NAME_MAX + 1] = '\0';
    assert_non_null(branch_name_problem(name));
    name[BRANCH_NAME_MAX] = '\0';
    assert_null(branch_name_problem(name));
    assert_non_null(branch_name_problem("a\377b"));
    assert_non_null(branch_name_problem("a\302\205b"));
}

static void check_text(char *made, const char *expected)
{
    assert_non_null(made);
    assert_string_equal(made, expected);
    free(made);
}

static void names_keep_to_their_segment(void **state)
{
    (void)state;
    check_text(escape_name("20184"), "20184");
    check_text(escape_name("../../etc/passwd"), "-.-etc-passwd");
    check_text(escape_name("..."), "");
    check_text(escape_name("a / b: c?"), "a-b-c-");
    check_text(escape_name(".git"), "git");
    check_text(escape_name("größe 東京"), "größe-東京");
    check_text(escape_name("a\nb\033[31mc"), "a-bc");
}

static void titles_ping_nobody_and_stay_on_their_line(void **state)
{
    (void)state;
    check_text(escape_title("plain words, 100% of them", 100), "plain words, 100% of them");
    check_text(escape_title("  a\n\n b\tc ", 100), "a b c");
    check_text(escape_title("@anna me@example.org #1 issue#2 !3 GH-4 RGH-5", 100),
               "@\u200banna me@example.org #\u200b1 issue#\u200b2 !\u200b3 GH-\u200b4 RGH-5");
    check_text(escape_title("see https://github.com/o/r/issues/1", 100), "see https:\u200b//github.com/o/r/issues/1");
    check_text(escape_title("\033[31mred\033[0m \u202egnp", 100), "red gnp");
    check_text(escape_title("東京駅まで", 3), "東京駅…");
}

static void a_shells_word_is_one_word(void **state)
{
    (void)state;
    check_text(escape_shell("tests/a.spec.js"), "tests/a.spec.js");
    check_text(escape_shell("a b"), "'a b'");
    check_text(escape_shell("it's $(x)"), "'it'\\''s $(x)'");
    check_text(escape_shell(""), "''");
}

static const char *const hostile[] = {
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![pixel](https://evil.example/x.png)",
    "[text](javascript:alert(1))",
    "[text](https://evil.example/ \"title\")",
    "<https://evil.example/>",
    "https://evil.example/ www.evil.example",
    "`code` **strong** _em_ ~~no~~ | a | b |",
    "# heading\n\n- list\n\n> quote\n\n1. one\n\n---\n\n===",
    "```\nfence",
    "````js\n```\n<b>\n````",
    "<!-- comment",
    "<details><summary>x",
    "&lt;b&gt; &amp; &#64;anna",
    "a\\",
    "[ref]: https://evil.example/\n\n[ref]",
    "\t indented",
    "+ plus\n= equals\n- minus",
    "12. twelve",
};

/* The kinds of node that a Markdown parser finds in text. */
static unsigned int kinds_in(const char *markdown, int *links)
{
    cmark_node *document = cmark_parse_document(markdown, strlen(markdown), CMARK_OPT_DEFAULT);
    cmark_iter *walk = cmark_iter_new(document);
    unsigned int odd = 0;
    *links = 0;
    for (cmark_event_type event; (event = cmark_iter_next(walk)) != CMARK_EVENT_DONE;) {
        cmark_node_type type = cmark_node_get_type(cmark_iter_get_node(walk));
        *links += type == CMARK_NODE_LINK || type == CMARK_NODE_IMAGE;
        bool is_html = type == CMARK_NODE_HTML_BLOCK || type == CMARK_NODE_HTML_INLINE;
        /* cmark's own, between two lists */
        odd += is_html && !strstr(cmark_node_get_literal(cmark_iter_get_node(walk)), "<!-- end list -->");
    }
    cmark_iter_free(walk);
    cmark_node_free(document);
    return odd;
}

/* What a reader sees of one paragraph, where it is that and nothing else. */
static char *seen(const char *markdown)
{
    cmark_node *document = cmark_parse_document(markdown, strlen(markdown), CMARK_OPT_DEFAULT);
    cmark_node *paragraph = cmark_node_first_child(document);
    char *text = NULL;
    if (paragraph && cmark_node_get_type(paragraph) == CMARK_NODE_PARAGRAPH && !cmark_node_next(paragraph)) {
        cmark_consolidate_text_nodes(document);
        cmark_node *only = cmark_node_first_child(paragraph);
        if (only && !cmark_node_next(only) && cmark_node_get_type(only) == CMARK_NODE_TEXT)
            text = strdup(cmark_node_get_literal(only));
    }
    cmark_node_free(document);
    return text;
}

/* Without the zero-width spaces, and on one line. */
static void fold(char *text)
{
    char *out = text;
    for (const char *at = text; *at; at++) {
        if (strncmp(at, ZERO_WIDTH_SPACE, strlen(ZERO_WIDTH_SPACE)) == 0)
            at += strlen(ZERO_WIDTH_SPACE) - 1;
        else if (!strchr(" \n\t", *at))
            *out++ = *at;
        else if (out > text && out[-1] != ' ')
            *out++ = ' ';
    }
    while (out > text && out[-1] == ' ')
        out--;
    *out = '\0';
}

static void a_line_shows_the_very_words_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        char *line = escape_line(hostile[i]);
        char *shown = seen(line);
        char *wanted = strdup(hostile[i]);
        if (!shown)
            fail_msg("%s is more than a paragraph of text", line);
        assert_null(strchr(line, '\n'));
        assert_null(strstr(line, "://"));
        fold(shown);
        fold(wanted);
        assert_string_equal(shown, wanted);
        free(wanted);
        free(shown);
        free(line);
    }
    check_text(escape_line("/close"), "\\/close");
    check_text(escape_line("@anna"), "@&#8203;anna");
}

static void markdown_keeps_its_shape_without_html_and_links(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        int links;
        char *made = escape_markdown(hostile[i]);
        assert_non_null(made);
        if (kinds_in(made, &links) > 0 || links > 0)
            fail_msg("%s became %s", hostile[i], made);
        free(made);
    }
    check_text(escape_markdown("Some **bold** words.\n\n1. one\n2. two\n\n```js\n@x #1 <b>\n```\n"),
               "Some **bold** words.\n\n1.  one\n2.  two\n\n<!-- end list -->\n\n``` js\n@x #1 <b>\n```");
    check_text(escape_markdown("Ask @anna, closes #12"), "Ask @\u200banna, closes \\#\u200b12");
    check_text(escape_markdown("/close\n/assign me"), "\u200b/close\n\u200b/assign me");
    check_text(escape_markdown(""), "");
}

static void a_fence_is_longer_than_those_inside(void **state)
{
    (void)state;
    check_text(escape_block("a\n", "sh"), "```sh\na\n```");
    check_text(escape_block("```\n````\nx", ""), "`````\n```\n````\nx\n`````");
    check_text(escape_code("a`b"), "`` a`b ``");
    check_text(escape_code(""), "");
    check_text(escape_link("https://example.org/a b<c>"), "<https://example.org/a%20b%3Cc%3E>");
    check_text(escape_link("javascript:alert(1)"), "javascript:alert(1)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_that_conf_d_names_is_found_in_every_form),
        cmocka_unit_test(every_other_address_is_refused_and_says_why),
        cmocka_unit_test(a_forge_needs_a_token_and_a_plain_remote_does_not),
        cmocka_unit_test(a_branchs_name_is_what_git_takes),
        cmocka_unit_test(names_keep_to_their_segment),
        cmocka_unit_test(titles_ping_nobody_and_stay_on_their_line),
        cmocka_unit_test(a_shells_word_is_one_word),
        cmocka_unit_test(a_line_shows_the_very_words_and_nothing_else),
        cmocka_unit_test(markdown_keeps_its_shape_without_html_and_links),
        cmocka_unit_test(a_fence_is_longer_than_those_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
