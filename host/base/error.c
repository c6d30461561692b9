#include "base/error.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

int error_set(struct error *error, const char *code, bool retryable, const char *format, ...)
{
    if (!error || error->code[0])
        return -1;
    snprintf(error->code, sizeof error->code, "%s", code);
    utf8_trim(error->code);
    error->retryable = retryable;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    utf8_trim(error->message);
    return -1;
}

void error_prefix(struct error *error, const char *format, ...)
{
    if (!error || !error->code[0])
        return;
    char message[ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof message)
        return;
    snprintf(message + length, sizeof message - (size_t)length, "%s", error->message);
    utf8_trim(message);
    memcpy(error->message, message, sizeof message);
}

bool error_is_set(const struct error *error)
{
    return error->code[0] != '\0';
}

void error_clear(struct error *error)
{
    memset(error, 0, sizeof *error);
}
