/*
 * What a plugin keeps from job to job: descriptors, memory, files. Many jobs in one worker, measured from outside.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "conformance/conformance.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOBS_MOST 240
#define JOBS_LEAST 12
#define TIME_LIMIT_MS 6000
#define SLOW_JOB_MS 1500
#define GROWTH_BYTES_PER_JOB 4096
#define GROWTH_BYTES_FREE ((int64_t)2 << 20) /* an allocator's own, and fragments */

struct measure {
    int descriptors; /* -1: can't be seen */
    int cause;       /* errno */
    int64_t resident_bytes;
};

/* Behind a launcher the worker is its child; 0 where the kernel doesn't say which. */
static int worker_of(int pid, bool launched)
{
    char path[64];
    int child = pid;
    if (!launched)
        return pid;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%d", &child) != 1) /* NOLINT(cert-err34-c): the kernel's own number */
        child = 0;                                /* there is no /proc/0: nothing can be counted */
    if (file)
        fclose(file);
    return child;
}

static struct measure take_measure(int pid, bool launched)
{
    struct measure measure = {.descriptors = -1};
    char path[64];
    int worker = worker_of(pid, launched);
    snprintf(path, sizeof path, "/proc/%d/fd", worker);
    DIR *entries = opendir(path);
    measure.cause = errno;
    if (entries) {
        measure.descriptors = 0;
        while (readdir(entries))
            measure.descriptors++;
        closedir(entries);
    }
    snprintf(path, sizeof path, "/proc/%d/statm", worker);
    FILE *file = fopen(path, "re");
    long long pages = 0;
    if (file && fscanf(file, "%*d %lld", &pages) == 1) /* NOLINT(cert-err34-c) */
        measure.resident_bytes = pages * sysconf(_SC_PAGESIZE);
    if (file)
        fclose(file);
    return measure;
}

struct series {
    int jobs;         /* that ended, all in one worker */
    int counted;      /* of those, after the warm-up */
    bool interrupted; /* a worker was lost, or a job refused */
    struct measure warm, last;
};

static void run_series(struct conformance *conformance, const struct route *route, struct trial *trial, bool launched,
                       struct series *series)
{
    json_t *data = conformance_data(conformance, route);
    int64_t began_ns = clock_monotonic_ns();
    int first_pid = 0, warm_jobs = 0;
    while (series->jobs < JOBS_MOST) {
        int64_t spent_ms = (clock_monotonic_ns() - began_ns) / 1000000;
        if (spent_ms > TIME_LIMIT_MS && series->jobs >= JOBS_LEAST && series->jobs >= 3 * warm_jobs && warm_jobs > 0)
            break;
        struct trial_end end = {0};
        struct error error = {0};
        if (conformance_job(conformance, trial, route, data, 0, &end, &error) != 0) {
            series->interrupted = true;
            break;
        }
        bool crashed = end.crashed;
        trial_end_clear(&end);
        int pid = trial_pid(trial);
        first_pid = first_pid ? first_pid : pid;
        if (crashed || pid == 0 || pid != first_pid) {
            series->interrupted = true;
            break;
        }
        series->jobs++;
        /* A third of the time, or of the jobs, is to warm up. */
        if (!warm_jobs && series->jobs >= JOBS_LEAST / 3 &&
            (series->jobs >= JOBS_MOST / 3 || spent_ms > TIME_LIMIT_MS / 3)) {
            warm_jobs = series->jobs;
            series->warm = take_measure(pid, launched);
        }
    }
    series->counted = series->jobs - warm_jobs;
    if (!series->interrupted)
        series->last = take_measure(trial_pid(trial), launched);
    json_decref(data);
}

static void judge_descriptors(struct report *report, const char *route, const struct series *series)
{
    int more = series->last.descriptors - series->warm.descriptors;
    if (series->last.descriptors < 0 || series->warm.descriptors < 0)
        report_add(report, REPORT_SKIPPED, "descriptors", route, "the worker's can't be counted: %s",
                   strerror(series->last.cause));
    else if (more > 2 && more * 8 >= series->counted)
        report_add(report, REPORT_FAILED, "descriptors", route,
                   "%d more are open after %d more jobs; close what each job opens, on its error paths too "
                   "(valgrind --track-fds=yes shows where)",
                   more, series->counted);
    else
        report_add(report, REPORT_OK, "descriptors", route, "%d open after %d jobs, %d of them since the first third",
                   series->last.descriptors - 2, series->jobs, more);
}

static void judge_memory(struct report *report, const char *route, const struct series *series)
{
    int64_t growth = series->last.resident_bytes - series->warm.resident_bytes;
    int64_t most = GROWTH_BYTES_FREE + (int64_t)series->counted * GROWTH_BYTES_PER_JOB;
#ifdef EXPORTD_SANITIZED
    (void)growth;
    (void)most;
    report_add(report, REPORT_SKIPPED, "memory", route,
               "exportd is built with AddressSanitizer, which keeps freed memory for a while");
#else
    if (series->warm.resident_bytes == 0 || series->last.resident_bytes == 0)
        report_add(report, REPORT_SKIPPED, "memory", route, "the worker's can't be read in /proc");
    else if (growth > most)
        report_add(
            report, REPORT_FAILED, "memory", route,
            "it grew by %lld KB in %d jobs, %lld KB each, and does not give them back; free what each job takes "
            "(exportd test --valgrind --input FILE shows where)",
            (long long)growth / 1024, series->counted, (long long)growth / 1024 / series->counted);
    else
        report_add(report, REPORT_OK, "memory", route, "%lld KB resident after %d jobs, %lld KB more in the last %d",
                   (long long)series->last.resident_bytes / 1024, series->jobs, (long long)growth / 1024,
                   series->counted);
#endif
}

void check_leaks(struct conformance *conformance, const struct route *route, const struct first_job *first)
{
    struct report *report = &conformance->report;
    struct trial_options options = conformance_trial(conformance);
    static const char *const checks[] = {"descriptors", "memory"};
    char why[400] = "";
    if (!first->usable)
        snprintf(why, sizeof why, "its first job says why: %s", first->ended);
    else if (options.spec.exec)
        snprintf(why, sizeof why, "with the exec grant a worker ends after each job, and all that it kept with it");
    else if (first->duration_ms > SLOW_JOB_MS)
        snprintf(why, sizeof why, "a job takes %lld ms: too few of them can be run for a verdict",
                 (long long)first->duration_ms);
    char *watch = NULL;
    if (!why[0] && geteuid() != 0) /* a worker hides its descriptors from all but root */
        options.launcher = watch = conformance_watch(conformance, "-");
    struct trial *trial = trial_new(&options);
    char *left = NULL;
    struct series series = {0};
    if (why[0] && first->usable) {
        struct trial_end end = {0};
        struct error error = {0};
        json_t *data = conformance_data(conformance, route);
        if (conformance_job(conformance, trial, route, data, 0, &end, &error) == 0)
            trial_end_clear(&end);
        json_decref(data);
    } else if (!why[0]) {
        run_series(conformance, route, trial, watch != NULL, &series);
        if (series.interrupted)
            snprintf(why, sizeof why, "its worker did not last: it was replaced after %d jobs", series.jobs);
    }
    trial_free(trial, &left);
    for (size_t i = 0; i < 2 && why[0]; i++)
        report_add(report, series.interrupted ? REPORT_FAILED : REPORT_SKIPPED, checks[i], route->name, "%s", why);
    if (!why[0]) {
        judge_descriptors(report, route->name, &series);
        judge_memory(report, route->name, &series);
    }
    if (left)
        report_add(report, REPORT_FAILED, "files", route->name,
                   "left beside the job's workspace, in the worker's folder (TMPDIR, HOME): %s; write below "
                   "exportd_workspace(job), or remove it before the task returns",
                   left);
    else if (first->usable)
        report_add(report, REPORT_OK, "files", route->name, "nothing is left in the worker's folder");
    else
        report_add(report, REPORT_SKIPPED, "files", route->name, "its first job says why: %s", first->ended);
    free(left);
    free(watch);
}
