/*
 * without landlock|seccomp|namespaces PROGRAM…: runs a program on a kernel that seems to lack a part of the sandbox,
 * by a filter that answers "no such call". (A program can't hide seccomp from itself with seccomp: there only the
 * question for it is answered so.)
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    if (count < 3)
        return 2;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int failed;
    if (strcmp(arguments[1], "landlock") == 0)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), 444 /* landlock_create_ruleset */, 0);
    else if (strcmp(arguments[1], "namespaces") == 0)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(unshare), 0);
    else
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 1,
                                  SCMP_A0(SCMP_CMP_EQ, 2 /* SECCOMP_GET_ACTION_AVAIL */));
    if (failed || seccomp_load(filter) != 0) {
        fprintf(stderr, "without: the filter can't be loaded\n");
        return 2;
    }
    seccomp_release(filter);
    execvp(arguments[2], arguments + 2);
    return 127;
}
