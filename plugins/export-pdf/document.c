/* document.h: pages, bookmarks, metadata and the saved file. */
#include "document.h"

#include "buffer.h"

#include <exportd/kit/text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INFO_TEXT_MAX_CHARACTERS 400

static void note_error(HPDF_STATUS error, HPDF_STATUS detail, void *data)
{
    struct document *document = data;
    if (document->state != DOCUMENT_FAILED)
        exportd_log(document->job, EXPORTD_ERROR, "libharu reports error 0x%04lX, detail %lu", (unsigned long)error,
                    (unsigned long)detail);
    document->state = DOCUMENT_FAILED;
}

struct document *document_new(struct exportd_job *job, struct typesetter *typesetter, double page_width,
                              double page_height, uint32_t accent)
{
    struct document *document = calloc(1, sizeof *document);
    if (!document)
        return NULL;
    document->job = job;
    document->typesetter = typesetter;
    document->palette = (struct palette){
        .ink = 0x1F2933,
        .soft = 0x52606D,
        .faint = 0x6B7785,
        .rule = 0xDDE3E9,
        .panel = 0xF5F7F9,
        .accent = accent,
        .good = 0x3F7D58,
        .bad = 0xB4443C,
        .warning = 0x9A6414,
        .neutral = 0x7B8794,
    };
    document->page_width = page_width;
    document->page_height = page_height;
    document->left = DOCUMENT_GUTTER_PT;
    document->right = page_width - DOCUMENT_GUTTER_PT;
    document->top = DOCUMENT_TOP_PT;
    document->bottom = page_height - DOCUMENT_BOTTOM_PT;
    document->pdf = HPDF_New(note_error, document);
    if (!document->pdf) {
        document_free(document);
        return NULL;
    }
    document->pdf->pdf_version = HPDF_VER_17;
    HPDF_SetCompressionMode(document->pdf, HPDF_COMP_TEXT);
    document_break(document);
    return document;
}

void document_free(struct document *document)
{
    if (!document)
        return;
    for (int slot = 0; slot < FONT_SLOT_COUNT; slot++)
        embed_free(document->embeds[slot]);
    if (document->pdf)
        HPDF_Free(document->pdf);
    free(document->pages);
    free(document);
}

void document_break(struct document *document)
{
    char stage[64];
    if (document->state != DOCUMENT_OPEN)
        return;
    if (exportd_cancelled(document->job)) {
        document->state = DOCUMENT_CANCELLED;
        return;
    }
    if (document->page_count == DOCUMENT_PAGES_MAX) {
        document->state = DOCUMENT_FULL;
        return;
    }
    if (document->page_count == document->page_capacity) {
        size_t capacity = document->page_capacity ? 2 * document->page_capacity : 16;
        struct document_page *pages = realloc(document->pages, capacity * sizeof *pages);
        if (!pages) {
            document->state = DOCUMENT_FAILED;
            return;
        }
        document->pages = pages;
        document->page_capacity = capacity;
    }
    HPDF_Page page = HPDF_AddPage(document->pdf);
    if (!page) {
        document->state = DOCUMENT_FAILED;
        return;
    }
    HPDF_Page_SetWidth(page, (HPDF_REAL)document->page_width);
    HPDF_Page_SetHeight(page, (HPDF_REAL)document->page_height);
    document->pages[document->page_count++] = (struct document_page){.page = page};
    document_turn_to(document, document->page_count - 1);
    document->y = document->top;
    /* How many there will be is not known; the fraction nears its end ever more slowly. */
    snprintf(stage, sizeof stage, "drawing page %zu", document->page_count);
    exportd_progress(document->job, 1.0 - 1.0 / (1.0 + 0.15 * (double)document->page_count), stage);
}

void document_turn_to(struct document *document, size_t page)
{
    if (page >= document->page_count)
        return;
    document->page = &document->pages[page];
    document->fill_known = 0;
}

void document_need(struct document *document, double height_pt)
{
    if (document->y + height_pt > document->bottom && document->y > document->top)
        document_break(document);
}

void document_space(struct document *document, double height_pt)
{
    if (document->y > document->top)
        document->y += height_pt;
}

/* UTF-8 as the text strings of PDF want it: big-endian UTF-16 with its mark. Long texts are cut. */
static HPDF_Binary new_string(struct document *document, const char *text)
{
    struct buffer utf16 = {0};
    HPDF_Binary string = NULL;
    uint32_t code_point;

    buffer_append_u16(&utf16, 0xFEFF);
    for (int i = 0; (code_point = exportd_text_next(&text)) != 0; i++) {
        if (i == INFO_TEXT_MAX_CHARACTERS) {
            buffer_append_u16(&utf16, 0x2026);
            break;
        }
        if (code_point < 0x20)
            code_point = ' ';
        if (code_point >= 0x10000) {
            buffer_append_u16(&utf16, 0xD7C0 + (code_point >> 10));
            code_point = 0xDC00 + (code_point & 0x3FF);
        }
        buffer_append_u16(&utf16, code_point);
    }
    if (!utf16.failed)
        string = HPDF_Binary_New(document->pdf->mmgr, utf16.data, (HPDF_UINT)utf16.size_bytes);
    buffer_free(&utf16);
    return string;
}

void document_bookmark(struct document *document, int depth, const char *title)
{
    if (document->state != DOCUMENT_OPEN)
        return;
    HPDF_Outline parent = NULL;
    for (int i = depth - 1; i >= 0 && !parent; i--)
        parent = document->parents[i];
    HPDF_Outline outline = HPDF_CreateOutline(document->pdf, parent, "", NULL);
    HPDF_Destination destination = HPDF_Page_CreateDestination(document->page->page);
    if (!outline || !destination) {
        document->state = DOCUMENT_FAILED;
        return;
    }
    HPDF_Dict_Add(outline, "Title", new_string(document, title));
    /* libharu insists on a zoom; 0 leaves the reader's as it is. */
    HPDF_Destination_SetXYZ(destination, 0, (HPDF_REAL)(document->page_height - document->y + 12), 1);
    HPDF_Real zoom = HPDF_Array_GetItem(destination, 4, HPDF_OCLASS_REAL);
    if (zoom)
        zoom->value = 0;
    HPDF_Outline_SetDestination(outline, destination);
    HPDF_Outline_SetOpened(outline, depth == 0 ? HPDF_TRUE : HPDF_FALSE);
    document->parents[depth] = outline;
    for (int i = depth + 1; i < 3; i++)
        document->parents[i] = NULL;
}

static void set_info(struct document *document, const struct document_info *info)
{
    HPDF_Doc pdf = document->pdf;
    const struct {
        const char *key;
        const char *value;
    } texts[] = {
        {"Title", info->title},       {"Author", info->author},           {"Subject", info->subject},
        {"Keywords", info->keywords}, {"Creator", "exportd, export-pdf"},
    };
    HPDF_Date date = {0};
    struct tm parts;
    time_t time_s = (time_t)info->time_s;

    if (gmtime_r(&time_s, &parts) && parts.tm_year >= 0 && parts.tm_year < 8000) {
        date.year = parts.tm_year + 1900;
        date.month = parts.tm_mon + 1;
        date.day = parts.tm_mday;
        date.hour = parts.tm_hour;
        date.minutes = parts.tm_min;
        date.seconds = parts.tm_sec < 60 ? parts.tm_sec : 59;
        date.ind = 'Z';
        HPDF_SetInfoDateAttr(pdf, HPDF_INFO_CREATION_DATE, date);
        HPDF_SetInfoDateAttr(pdf, HPDF_INFO_MOD_DATE, date);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].value && *texts[i].value && pdf->info)
            HPDF_Dict_Add(pdf->info, texts[i].key, new_string(document, texts[i].value));

    HPDF_Array id = HPDF_Array_New(pdf->mmgr);
    uint8_t bytes[16];
    for (int i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(info->id[i / 8] >> (56 - 8 * (i % 8)));
    HPDF_Array_Add(id, HPDF_Binary_New(pdf->mmgr, bytes, sizeof bytes));
    HPDF_Array_Add(id, HPDF_Binary_New(pdf->mmgr, bytes, sizeof bytes));
    HPDF_Dict_Add(pdf->trailer, "ID", id);

    HPDF_Dict preferences = HPDF_Dict_New(pdf->mmgr);
    HPDF_Dict_AddBoolean(preferences, "DisplayDocTitle", HPDF_TRUE);
    HPDF_Dict_Add(pdf->catalog, "ViewerPreferences", preferences);
    HPDF_Dict_Add(pdf->catalog, "Lang", HPDF_String_New(pdf->mmgr, "en", NULL));
    HPDF_SetPageMode(pdf, HPDF_PAGE_MODE_USE_OUTLINE);
}

int document_save(struct document *document, const struct document_info *info, const char *path, char *message,
                  size_t message_size)
{
    if (document->state == DOCUMENT_OPEN || document->state == DOCUMENT_FULL) {
        set_info(document, info);
        for (int slot = 0; slot < FONT_SLOT_COUNT; slot++)
            if (document->embeds[slot] && embed_finish(document->embeds[slot]) < 0)
                document->state = DOCUMENT_FAILED;
    }
    if (document->state == DOCUMENT_FAILED) {
        snprintf(message, message_size,
                 "the PDF could not be made: memory ran out, or libharu failed (its error is in "
                 "the log)");
        return -1;
    }
    if (HPDF_SaveToFile(document->pdf, path) != HPDF_OK) {
        snprintf(message, message_size, "the PDF could not be written to %s: is the disk full?", path);
        return -1;
    }
    return 0;
}
