/* Artifacts are taken from a workspace that a stranger filled; and such folders are removed whole. */
#include "support.h"

#include "artifact/artifact.h"
#include "base/memory.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sodium.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char *folder, *workspace, *target;
    struct error error;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->folder = support_make_folder();
    fixture->workspace = memory_format("%s/workspace", fixture->folder);
    fixture->target = memory_format("%s/artifacts", fixture->folder);
    assert_int_equal(mkdir(fixture->workspace, 0700), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    support_remove_folder(fixture->folder);
    free(fixture->workspace);
    free(fixture->target);
    free(fixture);
    return 0;
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char *path = memory_format("%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    free(path);
}

static json_t *collect(struct fixture *fixture, const char *path, const char *name, int64_t max_bytes)
{
    const struct artifact_limits limits = {.max_count = 2, .max_bytes = max_bytes};
    json_t *wanted = json_pack("[{s:s, s:s, s:s}]", "path", path, "name", name, "media_type", "text/plain");
    error_clear(&fixture->error);
    json_t *taken = artifact_collect(fixture->workspace, wanted, fixture->target, "http://host/artifacts/job/",
                                     &limits, &fixture->error);
    json_decref(wanted);
    return taken;
}

static void a_file_is_taken_with_its_hash(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->workspace, "hello.txt", "hello\n");
    json_t *taken = collect(fixture, "hello.txt", "greeting.txt", 100);
    assert_non_null(taken);
    json_t *wanted =
        json_pack("[{s:s, s:s, s:i, s:s, s:s}]", "name", "greeting.txt", "url",
                  "http://host/artifacts/job/greeting.txt", "bytes", 6, "sha256",
                  "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", "media_type", "text/plain");
    assert_true(json_equal(taken, wanted));
    char *path = memory_format("%s/greeting.txt", fixture->target);
    assert_int_equal(access(path, R_OK), 0);
    free(path);
    json_decref(wanted);
    json_decref(taken);
}

static void assert_refused(struct fixture *fixture, const char *path, const char *name, const char *code)
{
    assert_null(collect(fixture, path, name, 100));
    assert_string_equal(fixture->error.code, code);
    assert_int_equal(access(fixture->target, F_OK), -1); /* nothing half done is left */
}

static void what_leads_out_of_the_workspace_is_refused(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->folder, "secret", "outside");
    char *link_path = memory_format("%s/link", fixture->workspace);
    char *folder_link = memory_format("%s/up", fixture->workspace);
    char *fifo = memory_format("%s/fifo", fixture->workspace);
    char *twin = memory_format("%s/twin", fixture->workspace);
    char *secret = memory_format("%s/secret", fixture->folder);
    assert_int_equal(symlink(secret, link_path), 0);
    assert_int_equal(symlink("..", folder_link), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(link(secret, twin), 0);
    static const char *const paths[] = {"link", "up/secret", "../secret", "/etc/passwd",
                                        "fifo", "twin",      "nothing",   "."};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_refused(fixture, paths[i], "x.txt", "artifact_invalid");
    free(link_path);
    free(folder_link);
    free(fifo);
    free(twin);
    free(secret);
}

static void names_and_limits_are_held_to(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->workspace, "f", "0123456789");
    static const char *const names[] = {"", ".", "..", ".hidden", "a/b", "a b", "ä", "a\nb"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_refused(fixture, "f", names[i], "artifact_invalid");
    assert_null(collect(fixture, "f", "f", 9));
    assert_string_equal(fixture->error.code, "artifact_too_large");
    json_t *taken = collect(fixture, "f", "f", 10);
    assert_non_null(taken);
    json_decref(taken);
}

static void ids_make_safe_folders_and_urls(void **state)
{
    (void)state;
    char *plain = artifact_folder("/root", "job-1");
    char *hostile = artifact_folder("/root", "../../etc");
    char *url = artifact_url_segment("a/b ö%");
    assert_string_equal(plain, "/root/job-1");
    assert_true(strncmp(hostile, "/root/~", 7) == 0 && !strchr(hostile + 7, '/') && !strchr(hostile, '.'));
    assert_string_equal(url, "a%2Fb%20%C3%B6%25");
    free(plain);
    free(hostile);
    free(url);
}

static void folders_that_are_to_lie_apart_are_marked_where_the_file_system_can(void **state)
{
    struct fixture *fixture = *state;
    int flags = 0;
    tree_spread("/nonexistent/folder"); /* says nothing */
    int fd = open(fixture->workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) {
        close(fd);
        skip();
    }
    int marked = flags | FS_TOPDIR_FL;
    bool can = ioctl(fd, FS_IOC_SETFLAGS, &marked) == 0;
    if (can)
        assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
    tree_spread(fixture->workspace);
    assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
    close(fd);
    if (!can)
        skip();
    assert_int_equal(flags, marked);
}

static void a_tree_of_a_thousand_levels_is_removed(void **state)
{
    struct fixture *fixture = *state;
    int at = open(fixture->workspace, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(mkdirat(at, "d", 0700), 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(openat(next, "file", O_WRONLY | O_CREAT, 0400));
        close(at);
        at = next;
    }
    close(at);
    assert_int_equal(tree_remove(fixture->workspace), 0);
    assert_int_equal(access(fixture->workspace, F_OK), -1);
    assert_int_equal(tree_remove(fixture->workspace), 0); /* what isn't there is removed */
}

static void links_are_removed_and_not_followed(void **state)
{
    struct fixture *fixture = *state;
    char *kept = memory_format("%s/kept", fixture->folder);
    char *link_path = memory_format("%s/link", fixture->workspace);
    assert_int_equal(mkdir(kept, 0700), 0);
    write_file(kept, "file", "x");
    assert_int_equal(symlink(kept, link_path), 0);
    assert_int_equal(tree_remove(fixture->workspace), 0);
    char *file = memory_format("%s/file", kept);
    assert_int_equal(access(file, F_OK), 0);
    free(file);
    free(link_path);
    free(kept);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_taken_with_its_hash),
        TEST(what_leads_out_of_the_workspace_is_refused),
        TEST(names_and_limits_are_held_to),
        TEST(ids_make_safe_folders_and_urls),
        TEST(a_tree_of_a_thousand_levels_is_removed),
        TEST(folders_that_are_to_lie_apart_are_marked_where_the_file_system_can),
        TEST(links_are_removed_and_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
