#include "base/clock.h"

#include <stdio.h>
#include <time.h>

int64_t clock_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

char *clock_format(int64_t time_ms, char text[CLOCK_TEXT_MAX])
{
    static _Thread_local char second[CLOCK_TEXT_MAX - 6]; /* the last one's: thousands of times may be in it */
    static _Thread_local time_t second_is;
    time_t seconds = (time_t)(time_ms / 1000);
    if (!second[0] || seconds != second_is) {
        struct tm parts;
        gmtime_r(&seconds, &parts);
        strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &parts);
        second_is = seconds;
    }
    snprintf(text, CLOCK_TEXT_MAX, "%s.%03dZ", second, (int)(time_ms % 1000));
    return text;
}
