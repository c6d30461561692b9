/*
 * branch_name.h: the rules of git check-ref-format for a branch.
 */
#ifndef EXPORT_PR_BRANCH_NAME_H
#define EXPORT_PR_BRANCH_NAME_H

#define BRANCH_NAME_MAX 200

/* NULL where name is a valid name of a branch (without refs/heads/), else what is wrong with it. */
const char *branch_name_problem(const char *name);

#endif
