/* For the tests of pipelines: hands over the workspace, as the step before left it, as one tarball. */
#include <exportd/plugin.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static enum exportd_status peek(struct exportd_job *job, const json_t *data, json_t **result)
{
    const char *workspace = exportd_workspace(job);
    int status = -1;
    pid_t child = fork();
    (void)data;
    (void)result;
    if (child == 0) {
        if (chdir(workspace) == 0)
            execl("/bin/sh", "sh", "-c", "tar -cf peek.tar --exclude=peek.tar .", (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
        return exportd_fail(job, "tar_failed", 0, "tar: status %d, %s", status, strerror(errno));
    return exportd_artifact(job, "peek.tar", "peek.tar", "application/x-tar") == 0 ? EXPORTD_OK : EXPORTD_FAIL;
}

static const struct exportd_task tasks[] = {
    {.task = "peek",
     .summary = "Hands over the workspace",
     .schema = EXPORTD_JSON({"additionalProperties" : true}),
     .run = peek},
    {0},
};

EXPORTD_PLUGIN(.name = "peek", .version = "1.0.0", .summary = "Hands over the workspace, for the tests",
               .licence = "MIT", .tasks = tasks, .grants = EXPORTD_GRANT_EXEC)
