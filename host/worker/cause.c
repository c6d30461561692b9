#include "worker/cause.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char *when(const struct cause_facts *facts)
{
    if (!facts->loaded)
        return " while it was loaded";
    return facts->in_job ? " in the middle of the job" : " between jobs";
}

static void describe_detail(const struct cause_facts *facts, char *detail, size_t size)
{
    detail[0] = '\0';
    if (!facts->has_crash)
        return;
    if (facts->crash.stack_overflow)
        snprintf(detail, size, ": its stack overflowed");
    else if (facts->crash.has_address)
        snprintf(detail, size, " at address 0x%llx%s", (unsigned long long)facts->crash.address,
                 facts->crash.address < 4096 ? " (a NULL pointer)" : "");
}

static bool memory_was_spent(const struct cause_facts *facts)
{
    return facts->has_crash && facts->spec->memory_bytes > 0 &&
           facts->crash.resident_bytes > (uint64_t)facts->spec->memory_bytes / 10 * 8;
}

static const char *signal_name(int number)
{
    const char *name = sigabbrev_np(number);
    return name ? name : "?";
}

void cause_describe(const struct cause_facts *facts, struct error *error)
{
    const char *name = facts->spec->name;
    char words[600] = "";
    if (facts->last_words && facts->last_words[0])
        snprintf(words, sizeof words, "; its last words: %s", facts->last_words);
    if (facts->signal == 0) {
        error_set(error, "worker_exited", true, "the plugin %s ended its process with exit code %d%s%s", name,
                  facts->exit_code, when(facts), words);
        return;
    }
    if (memory_was_spent(facts)) {
        error_set(error, "worker_memory", true,
                  "the plugin %s used up its memory (%lld MB) and died of SIG%s%s; raise [plugin %s] memory%s", name,
                  (long long)(facts->spec->memory_bytes >> 20), signal_name(facts->signal), when(facts), name, words);
        return;
    }
    if (facts->signal == SIGXFSZ) {
        error_set(error, "worker_disk", true,
                  "the plugin %s wrote a file beyond its limit of %lld MB%s; raise [plugin %s] disk", name,
                  (long long)(facts->spec->file_bytes >> 20), when(facts), name);
        return;
    }
    if (facts->signal == SIGKILL) {
        error_set(error, "worker_crashed", true,
                  "the plugin %s was killed (SIGKILL)%s, and not by exportd: the kernel may have been out of memory "
                  "(dmesg)%s",
                  name, when(facts), words);
        return;
    }
    char detail[128];
    describe_detail(facts, detail, sizeof detail);
    error_set(error, "worker_crashed", true, "the plugin %s crashed: SIG%s (%s)%s%s%s", name,
              signal_name(facts->signal), sigdescr_np(facts->signal) ? sigdescr_np(facts->signal) : "unknown signal",
              detail, when(facts), words);
}
