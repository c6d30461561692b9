/* fault.h: what went wrong. */
#include "fault.h"

#include <stdarg.h>
#include <stdio.h>

int fault_set(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
{
    va_list arguments;
    error->code = code;
    error->retryable = retryable;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

int fault_memory(struct exportd_kit_error *error)
{
    return fault_set(error, "out_of_memory", 1, "not enough memory for the repository; raise memory in conf.d");
}
