/* exportd/kit/page.h: what a page says. Its looks are in project_page_style.c. */
#include "project_page_style.h"
#include "project_parts.h"

#include <errno.h>
#include <exportd/kit/page.h>
#include <exportd/kit/repro.h>
#include <exportd/kit/text.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TITLE_MAX_BYTES 300
#define LEFT_OUT_SHOWN 50

/* Writes text as it can stand between tags and in a double-quoted attribute. A CR has to be named, or the parser
 * makes it a line feed. */
static void put_text(FILE *out, const char *text)
{
    for (;;) {
        size_t plain = strcspn(text, "&<>\"\r");
        fwrite_unlocked(text, 1, plain, out);
        text += plain;
        switch (*text++) {
        case '\0':
            return;
        case '&':
            fputs_unlocked("&amp;", out);
            break;
        case '<':
            fputs_unlocked("&lt;", out);
            break;
        case '>':
            fputs_unlocked("&gt;", out);
            break;
        case '"':
            fputs_unlocked("&quot;", out);
            break;
        default:
            fputs_unlocked("&#13;", out);
        }
    }
}

/* The same for what people read: without terminal escapes and control characters. */
static void put_plain(FILE *out, const char *text)
{
    char *plain = exportd_text_plain(text);
    put_text(out, plain ? plain : "");
    free(plain);
}

void exportd_page_field(FILE *out, const char *name, const char *value)
{
    fputs_unlocked("<input type=\"hidden\" name=\"", out);
    put_text(out, name);
    fputs_unlocked("\" value=\"", out);
    put_text(out, value);
    fputs_unlocked("\">\n", out);
}

int exportd_page_check_address(const char *where, const char *address, struct exportd_kit_error *error)
{
    static const char host[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:[]";
    static const char path[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    const char *at = strncmp(address, "https://", 8) == 0  ? address + 8
                     : strncmp(address, "http://", 7) == 0 ? address + 7
                                                           : "";
    size_t length = strspn(at, host);
    char quoted[160];
    if (length > 0 && (at[length] == '\0' || at[length] == '/') && at[length + strspn(at + length, path)] == '\0' &&
        strlen(address) <= 512)
        return 0;
    return project_refuse(error, "option_invalid", "%s is %s; expected an address such as https://host.example",
                          where, exportd_bundle_quote(address, quoted, sizeof quoted));
}

/* The length of "https://host:port" in an address. */
static size_t origin_length(const char *address)
{
    const char *host = strstr(address, "://");
    return host ? (size_t)(host + 3 - address) + strcspn(host + 3, "/?#") : strlen(address);
}

static void put_hash(FILE *out, const char *text)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char base64[sodium_base64_ENCODED_LEN(crypto_hash_sha256_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    crypto_hash_sha256(hash, (const unsigned char *)text, strlen(text));
    sodium_bin2base64(base64, sizeof base64, hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL);
    fprintf(out, "'sha256-%s'", base64);
}

static void put_head(FILE *out, const struct exportd_page *page, const char *title)
{
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src ",
          out);
    put_hash(out, project_page_style);
    if (page->opens_itself) {
        fputs("; script-src ", out);
        put_hash(out, project_page_script);
    }
    fprintf(out, "; form-action %.*s; base-uri 'none'\">\n", (int)origin_length(page->action), page->action);
    fputs("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n<title>",
          out);
    put_text(out, title);
    fprintf(out, " · %s</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n", page->service, project_page_style);
}

/* The bug's id, as a link where it has an address on the web, and its severity. */
static void put_bug(FILE *out, const struct exportd_page *page)
{
    const char *id = exportd_repro_string(page->repro, "bug.id", "");
    const char *url = exportd_repro_string(page->repro, "bug.url", "");
    const char *severity = exportd_repro_string(page->repro, "bug.severity", "");
    int linked = strncasecmp(url, "https://", 8) == 0 || strncasecmp(url, "http://", 7) == 0;
    fputs("<p class=\"bug\"><span>Reproduction", out);
    fputs(*id || linked ? " of a bug</span> " : " of a bug</span>", out);
    if (linked) {
        fputs("<a rel=\"noopener noreferrer\" href=\"", out);
        put_plain(out, url);
        fputs("\"><bdi>", out);
        put_plain(out, *id ? id : "the report");
        fputs("</bdi></a> ", out);
    } else if (*id) {
        fputs("<b><bdi>", out);
        put_plain(out, id);
        fputs("</bdi></b> ", out);
    }
    if (*severity) {
        fputs("<i><bdi>", out);
        put_plain(out, severity);
        fputs("</bdi></i>", out);
    }
    fputs("</p>\n", out);
}

static void put_size(FILE *out, uint64_t bytes)
{
    if (bytes < 1000)
        fprintf(out, "%llu bytes", (unsigned long long)bytes);
    else if (bytes < 1000000)
        fprintf(out, "%.1f KB", (double)bytes / 1e3);
    else
        fprintf(out, "%.1f MB", (double)bytes / 1e6);
}

static void put_form(FILE *out, const struct exportd_page *page)
{
    const char *host = strstr(page->action, "://");
    host = host ? host + 3 : page->action;
    fputs("<form id=\"open\" method=\"post\" enctype=\"application/x-www-form-urlencoded\" accept-charset=\"utf-8\" "
          "action=\"",
          out);
    put_text(out, page->action);
    fputs("\">\n", out);
    page->fields(out, page->context);
    fprintf(out, "<button>Open in %s</button>\n", page->service);
    if (page->opens_itself)
        fputs("<p>It opens by itself. Press the button where scripts are off, or to open it again.</p>\n", out);
    fprintf(out, "<p>%zu file%s, ", page->files, page->files == 1 ? "" : "s");
    put_size(out, page->bytes);
    fprintf(out, ", %s sent to %.*s.</p>\n</form>\n", page->files == 1 ? "is" : "are", (int)strcspn(host, "/?#"),
            host);
}

/* Paragraphs: text with an empty line between. */
static void put_paragraphs(FILE *out, const char *text)
{
    char *plain = exportd_text_plain(text);
    for (const char *at = plain; at && *at;) {
        const char *end = strstr(at, "\n\n");
        char *paragraph = strndup(at, end ? (size_t)(end - at) : strlen(at));
        fputs("<p>", out);
        put_text(out, paragraph ? paragraph : "");
        fputs("</p>\n", out);
        free(paragraph);
        at = end ? end + 2 : NULL;
    }
    free(plain);
}

static void put_sections(FILE *out, const struct exportd_page *page)
{
    const struct exportd_page_section *section = page->sections;
    for (; section && section->heading; section++) {
        fputs("<section>\n<h2>", out);
        put_text(out, section->heading);
        fputs("</h2>\n", out);
        if (section->text)
            put_paragraphs(out, section->text);
        if (section->command) {
            fputs("<pre><code>", out);
            put_plain(out, section->command);
            fputs("</code></pre>\n", out);
        }
        fputs("</section>\n", out);
    }
}

static void put_left_out(FILE *out, const struct exportd_page *page)
{
    size_t count = json_array_size(page->left_out);
    if (count == 0)
        return;
    fprintf(out, "<section>\n<h2>Left out</h2>\n<p>%s can't take %s:</p>\n<ul>\n", page->service,
            count == 1 ? "this file" : "these files");
    for (size_t i = 0; i < count && i < LEFT_OUT_SHOWN; i++) {
        const json_t *file = json_array_get(page->left_out, i);
        fputs("<li><code><bdi>", out);
        put_plain(out, exportd_repro_string(file, "path", ""));
        fputs("</bdi></code>, ", out);
        put_plain(out, exportd_repro_string(file, "reason", ""));
        fputs("</li>\n", out);
    }
    if (count > LEFT_OUT_SHOWN)
        fprintf(out, "<li>and %zu more</li>\n", count - LEFT_OUT_SHOWN);
    fputs("</ul>\n</section>\n", out);
}

static void put_page(FILE *out, const struct exportd_page *page, const char *title)
{
    put_head(out, page, title);
    put_bug(out, page);
    fputs("<h1 dir=\"auto\">", out);
    put_text(out, title);
    fputs("</h1>\n<p class=\"lead\">", out);
    put_plain(out, page->lead);
    fputs("</p>\n", out);
    put_form(out, page);
    put_sections(out, page);
    put_left_out(out, page);
    fprintf(out, "<footer>Playwright %s. Made by exportd.</footer>\n</main>\n", page->project->playwright_version);
    if (page->opens_itself)
        fprintf(out, "<script>%s</script>\n", project_page_script);
    fputs("</body>\n</html>\n", out);
}

int exportd_page_write(const struct exportd_page *page, const char *path, struct exportd_kit_error *error)
{
    char *title = exportd_project_title(page->repro, TITLE_MAX_BYTES);
    FILE *out = title ? fopen(path, "wxe") : NULL;
    if (!title)
        return project_out_of_memory(error);
    int failed = !out;
    int problem = errno;
    if (out) {
        put_page(out, page, title);
        failed = ferror(out);
        failed = fclose(out) != 0 || failed;
        problem = errno;
        if (failed)
            unlink(path);
    }
    free(title);
    if (!failed)
        return 0;
    project_refuse(error, "page_not_written", "the page can't be written to the job's folder: %s", strerror(problem));
    error->retryable = 1;
    return -1;
}
