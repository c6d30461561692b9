/*
 * What a server's answer means: its <Error> as a sentence with the mend.
 */
#include "artifact/s3_internal.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX 300

static const struct meaning {
    const char *server_code;
    const char *code;
    bool retryable;
    const char *mend;
} meanings[] = {
    {"SignatureDoesNotMatch", "s3_secret", false,
     "the secret key doesn't fit the access key; mend [s3] secret_key (S3_SECRET_KEY) or access_key, and [s3] "
     "region"},
    {"InvalidAccessKeyId", "s3_access_key", false,
     "the server knows no such access key; mend [s3] access_key (S3_ACCESS_KEY)"},
    {"AccessDenied", "s3_denied", false,
     "the keys are not allowed to; grant them s3:PutObject and s3:AbortMultipartUpload on the bucket"},
    {"NoSuchBucket", "s3_bucket", false, "there is no such bucket; make it, or mend [s3] bucket (S3_BUCKET)"},
    {"InvalidBucketName", "s3_bucket", false, "mend [s3] bucket (S3_BUCKET)"},
    {"PermanentRedirect", "s3_region", false,
     "the bucket lies elsewhere; set [s3] region and endpoint to those of the bucket"},
    {"TemporaryRedirect", "s3_region", true, "the bucket is being moved; set [s3] endpoint to that of its region"},
    {"AuthorizationHeaderMalformed", "s3_region", false, "set [s3] region (S3_REGION) to that of the bucket"},
    {"IllegalLocationConstraintException", "s3_region", false, "set [s3] region (S3_REGION) to that of the bucket"},
    {"RequestTimeTooSkewed", "s3_clock", true, "set this machine's clock, with NTP for example"},
    {"InvalidPart", "s3_broken", true, "the parts are sent anew"},
    {"InvalidPartOrder", "s3_broken", true, "the parts are sent anew"},
    {"NoSuchUpload", "s3_broken", true, "the server forgot the parts; they are sent anew"},
    {"BadDigest", "s3_broken", true, "the file was damaged on its way"},
    {"XAmzContentSHA256Mismatch", "s3_broken", true, "the file was damaged on its way"},
    {"IncompleteBody", "s3_broken", true, "the connection broke"},
    {"RequestTimeout", "s3_timeout", true, "the connection stalled"},
    {"OperationAborted", "s3_unavailable", true, "another operation on the object is under way"},
    {"SlowDown", "s3_unavailable", true, "the server asks for fewer requests"},
    {"EntityTooLarge", "s3_refused", false, "the artifact is larger than the server allows"},
    {"QuotaExceeded", "s3_refused", false, "the bucket is full"},
};

static void unescape(char *text)
{
    static const char *const entities[][2] = {
        {"&lt;", "<"},  {"&gt;", ">"},   {"&quot;", "\""}, {"&apos;", "'"},
        {"&#39;", "'"}, {"&#34;", "\""}, {"&amp;", "&"},
    };
    char *out = text;
    for (const char *c = text; *c;) {
        size_t i = 0, count = sizeof entities / sizeof entities[0];
        while (i < count && strncmp(c, entities[i][0], strlen(entities[i][0])) != 0)
            i++;
        *out++ = i < count ? entities[i][1][0] : *c;
        c += i < count ? strlen(entities[i][0]) : 1;
    }
    *out = '\0';
}

bool s3_answer_element(const char *xml, const char *name, char *value, size_t size)
{
    char open[64], close[64];
    value[0] = '\0';
    snprintf(open, sizeof open, "<%s>", name);
    snprintf(close, sizeof close, "</%s>", name);
    const char *begin = strstr(xml, open);
    const char *end = begin ? strstr(begin, close) : NULL;
    if (!end)
        return false;
    begin += strlen(open);
    if ((size_t)(end - begin) >= size)
        return false;
    memcpy(value, begin, (size_t)(end - begin));
    value[end - begin] = '\0';
    unescape(value);
    return true;
}

/* What the server says may be shown where it is short and shows none of what must stay secret. */
static bool may_be_shown(const struct config_s3 *config, const char *text)
{
    const char *const secrets[] = {config->access_key, config->secret_key, "X-Amz-", "AWS4-", NULL};
    for (const char *const *secret = secrets; *secret; secret++)
        if ((*secret)[0] && strstr(text, *secret))
            return false;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < ' ' || *c > '~')
            return false;
    return text[0] != '\0';
}

static const struct meaning *meaning_of(const char *server_code, long status)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (strcmp(meanings[i].server_code, server_code) == 0)
            return &meanings[i];
    static const struct meaning unavailable = {"", "s3_unavailable", true, "the server is overloaded or broken"};
    static const struct meaning redirect = {
        "", "s3_region", false, "redirects aren't followed; set [s3] endpoint and region to those of the bucket"};
    static const struct meaning denied = {"", "s3_denied", false,
                                          "the keys are not allowed to; mend [s3] access_key and secret_key"};
    static const struct meaning unknown = {"", "s3_bucket", false, "mend [s3] endpoint and bucket"};
    static const struct meaning refused = {"", "s3_refused", false, "see docs/artifacts.md"};
    if (status >= 500 || status == 429 || status == 408)
        return &unavailable;
    if (status >= 300 && status < 400)
        return &redirect;
    if (status == 401 || status == 403)
        return &denied;
    return status == 404 ? &unknown : &refused;
}

void s3_answer_error(const struct config_s3 *config, const struct s3_answer *answer, char server_code[ERROR_CODE_MAX],
                     struct error *error)
{
    char message[MESSAGE_MAX], endpoint[MESSAGE_MAX];
    bool is_error = strstr(answer->text, "<Error") != NULL;
    server_code[0] = '\0';
    if (!is_error || !s3_answer_element(answer->text, "Code", server_code, ERROR_CODE_MAX) ||
        !may_be_shown(config, server_code))
        server_code[0] = '\0';
    if (!is_error || !s3_answer_element(answer->text, "Message", message, sizeof message) ||
        !may_be_shown(config, message))
        message[0] = '\0';
    if (!is_error || !s3_answer_element(answer->text, "Endpoint", endpoint, sizeof endpoint) ||
        !may_be_shown(config, endpoint))
        endpoint[0] = '\0';
    const struct meaning *meaning = meaning_of(server_code, answer->status);
    bool retryable = meaning->retryable || (server_code[0] && answer->status >= 500) || answer->status == 429;
    /* An <Error> below a 200 is a failure of the server's own, unless it says more. */
    if (answer->status < 300 && strcmp(meaning->code, "s3_refused") == 0)
        retryable = true;
    error_set(error, retryable && !meaning->retryable ? "s3_unavailable" : meaning->code, retryable,
              "bucket %s: the server answered %ld%s%s%s%s%s: %s%s%s", config->bucket, answer->status,
              server_code[0] ? " " : "", server_code, message[0] ? " (" : "", message, message[0] ? ")" : "",
              meaning->mend, endpoint[0] ? "; it names the endpoint " : "", endpoint);
}
