#include "conformance/report.h"

#include "base/utf8.h"
#include "command/command.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[] = {"ok", "FAILED", "skipped"};

void report_begin(struct report *report, bool json, FILE *out)
{
    *report = (struct report){.json = json, .out = out, .checks = json_array()};
}

void report_add(struct report *report, enum report_verdict verdict, const char *check, const char *route,
                const char *format, ...)
{
    char text[2400];
    if (report->stopped)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    utf8_trim(text);
    char *plain = command_printable(text);
    const char *shown = plain ? plain : "";
    report->counts[verdict]++;
    json_array_append_new(report->checks, json_pack("{s:s, s:s, s:s*, s:s}", "check", check, "verdict",
                                                    verdict == REPORT_FAILED ? "failed" : words[verdict], "route",
                                                    route, "detail", shown));
    if (!report->json) {
        fprintf(report->out, "%-8s %-12s %s%s%s\n", words[verdict], check, route ? route : "", route ? ": " : "",
                shown);
        fflush(report->out);
    }
    free(plain);
}

void report_stop(struct report *report)
{
    if (!report->stopped)
        report_add(report, REPORT_FAILED, "interrupted", NULL, "the run was interrupted; start it again");
    report->stopped = true;
}

bool report_end(struct report *report, const char *file, const char *plugin)
{
    const int *counts = report->counts;
    if (report->json) {
        json_t *whole = json_pack("{s:s, s:s*, s:b, s:i, s:i, s:i, s:O}", "file", file, "plugin", plugin, "passed",
                                  counts[REPORT_FAILED] == 0, "ok", counts[REPORT_OK], "failed",
                                  counts[REPORT_FAILED], "skipped", counts[REPORT_SKIPPED], "checks", report->checks);
        json_dumpf(whole, report->out, JSON_INDENT(2));
        fputc('\n', report->out);
        json_decref(whole);
    } else {
        fprintf(report->out, "\n%s: %d ok, %d failed, %d skipped\n", plugin ? plugin : file, counts[REPORT_OK],
                counts[REPORT_FAILED], counts[REPORT_SKIPPED]);
    }
    json_decref(report->checks);
    return counts[REPORT_FAILED] == 0;
}
