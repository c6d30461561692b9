/*
 * Speaks to the running host over its own HTTP door.
 */
#include "base/memory.h"
#include "command/command.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)256 << 20)

struct answer {
    char *text;
    size_t length;
};

static size_t keep(char *bytes, size_t size, size_t count, void *client)
{
    struct answer *answer = client;
    size_t length = size * count;
    if (answer->length + length > ANSWER_MAX)
        return 0;
    answer->text = memory_resized(answer->text, answer->length + length + 1, 1);
    memcpy(answer->text + answer->length, bytes, length);
    answer->length += length;
    answer->text[answer->length] = '\0';
    return length;
}

/* Where the host listens: as told, else as the running host wrote it down, else as configured. */
static char *host_url(const struct config *config, const char *url)
{
    if (url)
        return memory_text(url);
    char *path = memory_format("%s/address", config->host.state);
    FILE *file = fopen(path, "re");
    free(path);
    char line[300] = "";
    if (file) {
        if (!fgets(line, sizeof line, file))
            line[0] = '\0';
        fclose(file);
        line[strcspn(line, "\n")] = '\0';
    }
    return memory_format("http://%s", line[0] ? line : config->http.listen);
}

json_t *client_ask(const struct config *config, const char *url, const char *method, const char *path, long *status,
                   struct error *error)
{
    struct answer answer = {NULL, 0};
    char *base = host_url(config, url);
    char *whole = memory_format("%s%s", base, path);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = NULL;
    char cause[CURL_ERROR_SIZE] = "";
    if (config->http.token[0]) {
        char *header = memory_format("Authorization: Bearer %s", config->http.token);
        headers = curl_slist_append(headers, header);
        free(header);
    }
    curl_easy_setopt(curl, CURLOPT_URL, whole);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, cause);
    /* A reload waits for every plugin's probe. */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, strcmp(path, "/reload") == 0 ? 300L : 30L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    json_t *value = NULL;
    if (code != CURLE_OK)
        error_set(error, "host_unreachable", true,
                  "no host answers at %s: %s; start one with: exportd serve, or name another with --url", base,
                  cause[0] ? cause : curl_easy_strerror(code));
    else if (!(value = json_loadb(answer.text ? answer.text : "", answer.length, 0, NULL)))
        error_set(error, "host_unreachable", false, "what answers at %s isn't exportd; name the host with --url",
                  base);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    free(answer.text);
    free(whole);
    free(base);
    return value;
}

json_t *client_ask_or_explain(const struct command_options *options, const char *method, const char *path,
                              int *exit_code)
{
    struct error error = {0};
    long status = 0;
    *exit_code = EXIT_WRONG_USE;
    struct config *config = command_load_config(options->conf_folder, true);
    if (!config)
        return NULL;
    json_t *answer = client_ask(config, options->url, method, path, &status, &error);
    config_free(config);
    if (!answer) {
        command_print_error(&error);
        return NULL;
    }
    if (status < 200 || status > 299) {
        const char *detail = json_string_value(json_object_get(answer, "detail"));
        fprintf(stderr, "exportd: %s\n", detail ? detail : "the host answered with an error");
        *exit_code = EXIT_JOB_FAILED;
        json_decref(answer);
        return NULL;
    }
    *exit_code = 0;
    return answer;
}
