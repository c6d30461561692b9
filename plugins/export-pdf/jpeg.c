/* jpeg.h: whether a JPEG can be decoded to its end. */
#include "jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#define MEMORY_MAX_BYTES (64L << 20)
#define SCANS_MAX 100 /* a progressive JPEG may ask for endless passes over its pixels */

struct check {
    struct jpeg_error_mgr errors; /* first, so that libjpeg's pointer to it is one to this */
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char text[JMSG_LENGTH_MAX];
};

static void fail(j_common_ptr common)
{
    struct check *check = (struct check *)common->err;
    common->err->format_message(common, check->text);
    longjmp(check->failed, 1);
}

/* Warnings, which are damage that libjpeg would paper over. */
static void warn(j_common_ptr common, int level)
{
    if (level < 0)
        fail(common);
}

static void limit_scans(j_common_ptr common)
{
    struct check *check = (struct check *)common->err;
    if (common->is_decompressor && ((j_decompress_ptr)common)->input_scan_number > SCANS_MAX) {
        snprintf(check->text, sizeof check->text, "more than %d scans", SCANS_MAX);
        longjmp(check->failed, 1);
    }
}

static void stay_silent(j_common_ptr common)
{
    (void)common;
}

/* Decodes and throws away; comes back through check->failed where that can't be done. */
static void decode(struct jpeg_decompress_struct *jpeg, const void *data, size_t size_bytes)
{
    jpeg_mem_src(jpeg, data, (unsigned long)size_bytes);
    jpeg_read_header(jpeg, TRUE);
    jpeg->dct_method = JDCT_IFAST;
    jpeg->do_fancy_upsampling = FALSE;
    jpeg_start_decompress(jpeg);
    JSAMPARRAY row = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE,
                                             jpeg->output_width * (JDIMENSION)jpeg->output_components, 1);
    while (jpeg->output_scanline < jpeg->output_height)
        jpeg_read_scanlines(jpeg, row, 1);
    jpeg_finish_decompress(jpeg);
}

int jpeg_check(const void *data, size_t size_bytes, char *reason, size_t reason_size)
{
    struct jpeg_decompress_struct jpeg = {0};
    struct check check = {.text = ""};
    volatile int result = -1;

    jpeg.err = jpeg_std_error(&check.errors);
    check.errors.error_exit = fail;
    check.errors.emit_message = warn;
    check.errors.output_message = stay_silent;
    check.progress.progress_monitor = limit_scans;
    if (setjmp(check.failed) == 0) {
        jpeg_create_decompress(&jpeg);
        jpeg.mem->max_memory_to_use = MEMORY_MAX_BYTES;
        jpeg.progress = &check.progress;
        decode(&jpeg, data, size_bytes);
        result = 0;
    } else {
        snprintf(reason, reason_size, "the JPEG is damaged (%s)", check.text);
    }
    jpeg_destroy_decompress(&jpeg);
    return result;
}
