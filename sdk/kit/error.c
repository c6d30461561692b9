/* exportd/kit/bundle.h: what went wrong. */
#include <exportd/kit/bundle.h>

#include <stdarg.h>
#include <stdio.h>

int exportd_kit_fail(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
{
    va_list arguments;
    error->code = code;
    error->retryable = retryable;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

int exportd_kit_no_memory(struct exportd_kit_error *error)
{
    return exportd_kit_fail(error, "out_of_memory", 1, "not enough memory; raise memory of the plugin in conf.d");
}
