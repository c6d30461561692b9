/* picture.h: screenshots as objects of the PDF. */
#include "picture.h"

#include "buffer.h"
#include "jpeg.h"

#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PNG_HEADER_BYTES 33 /* signature and IHDR */

static uint32_t u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

struct png {
    uint32_t width, height;
    unsigned int depth, colour_type, interlace;
    const uint8_t *palette;
    size_t palette_entries;
    int transparent;
    struct buffer data; /* of all IDAT chunks */
};

static int complain(char *reason, size_t reason_size, const char *text)
{
    snprintf(reason, reason_size, "%s", text);
    return -1;
}

/* Adds an image object with what every kind has. */
static HPDF_Dict new_image(HPDF_Doc pdf, uint32_t width, uint32_t height, unsigned int depth)
{
    HPDF_Dict image = HPDF_DictStream_New(pdf->mmgr, pdf->xref);
    if (!image)
        return NULL;
    image->header.obj_class |= HPDF_OSUBCLASS_XOBJECT;
    HPDF_Dict_AddName(image, "Type", "XObject");
    HPDF_Dict_AddName(image, "Subtype", "Image");
    HPDF_Dict_AddNumber(image, "Width", (HPDF_INT32)width);
    HPDF_Dict_AddNumber(image, "Height", (HPDF_INT32)height);
    HPDF_Dict_AddNumber(image, "BitsPerComponent", (HPDF_INT32)depth);
    return image;
}

/* Reads the chunks, checking each one's sum. */
static int read_chunks(struct png *png, const uint8_t *data, size_t size_bytes, char *reason, size_t reason_size)
{
    size_t at = 8;
    for (;;) {
        if (size_bytes - at < 12)
            return complain(reason, reason_size, "the PNG is cut short");
        const uint32_t length = u32(data + at);
        const uint8_t *type = data + at + 4;
        if (length > size_bytes - at - 12)
            return complain(reason, reason_size, "the PNG is cut short");
        if (crc32(crc32(0, NULL, 0), type, length + 4) != u32(type + 4 + length))
            return complain(reason, reason_size, "the PNG is damaged (a checksum does not match)");
        if (memcmp(type, "IDAT", 4) == 0) {
            buffer_append(&png->data, type + 4, length);
        } else if (memcmp(type, "PLTE", 4) == 0) {
            png->palette = type + 4;
            png->palette_entries = length / 3;
        } else if (memcmp(type, "tRNS", 4) == 0) {
            png->transparent = 1;
        } else if (memcmp(type, "IEND", 4) == 0) {
            break;
        }
        at += 12 + (size_t)length;
    }
    if (png->data.failed || !png->data.size_bytes)
        return complain(reason, reason_size, "the PNG has no picture data");
    return 0;
}

static unsigned int channels_of(const struct png *png)
{
    return png->colour_type == 2 ? 3 : 1;
}

/* Whether the compressed data unpack to just the rows that the header announces, each with a known filter. */
static int check_rows(const struct png *png, char *reason, size_t reason_size)
{
    const size_t row_bytes = ((size_t)png->width * channels_of(png) * png->depth + 7) / 8 + 1;
    const size_t expected = row_bytes * png->height;
    uint8_t *window = malloc(65536);
    z_stream stream = {.next_in = png->data.data, .avail_in = (unsigned int)png->data.size_bytes};
    size_t total = 0;
    size_t next_filter = 0;
    int status = Z_OK;

    if (!window || inflateInit(&stream) != Z_OK) {
        free(window);
        return complain(reason, reason_size, "there is not enough memory for it");
    }
    while (status == Z_OK && total <= expected) {
        stream.next_out = window;
        stream.avail_out = 65536;
        status = inflate(&stream, Z_NO_FLUSH);
        const size_t got = 65536 - stream.avail_out;
        for (; next_filter < total + got; next_filter += row_bytes)
            if (window[next_filter - total] > 4)
                status = Z_DATA_ERROR;
        total += got;
    }
    inflateEnd(&stream);
    free(window);
    if (status != Z_STREAM_END || total != expected)
        return complain(reason, reason_size, "the PNG is damaged (its rows can't be unpacked)");
    return 0;
}

static HPDF_STATUS write_filter(HPDF_Dict image, HPDF_Stream stream)
{
    return HPDF_Stream_WriteStr(stream, image->attr);
}

static void free_filter(HPDF_Dict image)
{
    free(image->attr);
}

/* Data that are deflated already, rows with PNG's filters or (predictor 1) without. libharu would compress once more
 * whatever it calls a FlateDecode stream, so the filter is written by hand. */
static int set_deflated(HPDF_Dict image, const struct buffer *data, unsigned int predictor, unsigned int channels,
                        unsigned int depth, uint32_t width)
{
    char *filter = NULL;
    if (asprintf(&filter,
                 "/Filter /FlateDecode\n/DecodeParms <</Predictor %u /Colors %u /BitsPerComponent %u /Columns %u>>\n",
                 predictor, channels, depth, width) < 0)
        return -1;
    image->attr = filter;
    image->write_fn = write_filter;
    image->free_fn = free_filter;
    return HPDF_Stream_Write(image->stream, data->data, (HPDF_UINT)data->size_bytes) == HPDF_OK ? 0 : -1;
}

/* The PNG's data as they are: PDF knows deflate and PNG's filters. */
static int pass_png(HPDF_Doc pdf, const struct png *png, struct picture *picture, char *reason, size_t reason_size)
{
    if (check_rows(png, reason, reason_size) < 0)
        return -1;
    HPDF_Dict image = new_image(pdf, png->width, png->height, png->depth);
    if (!image || set_deflated(image, &png->data, 15, channels_of(png), png->depth, png->width) < 0)
        return complain(reason, reason_size, "there is not enough memory for it");
    if (png->colour_type == 3) {
        HPDF_Array space = HPDF_Array_New(pdf->mmgr);
        HPDF_Array_AddName(space, "Indexed");
        HPDF_Array_AddName(space, "DeviceRGB");
        HPDF_Array_AddNumber(space, (HPDF_INT32)png->palette_entries - 1);
        HPDF_Array_Add(space, HPDF_Binary_New(pdf->mmgr, (HPDF_BYTE *)(uintptr_t)png->palette,
                                              (HPDF_UINT)(3 * png->palette_entries)));
        HPDF_Dict_Add(image, "ColorSpace", space);
    } else {
        HPDF_Dict_AddName(image, "ColorSpace", png->colour_type == 2 ? "DeviceRGB" : "DeviceGray");
    }
    picture->object = image;
    return 0;
}

/* Deflates at once, so that of many pictures only one is in memory whole. */
static void deflate_pixels(struct buffer *deflated, const uint8_t *pixels, size_t size_bytes)
{
    uint8_t window[16384];
    z_stream stream = {.next_in = (uint8_t *)(uintptr_t)pixels, .avail_in = (unsigned int)size_bytes};
    int status = Z_OK;
    if (deflateInit(&stream, Z_DEFAULT_COMPRESSION) != Z_OK) {
        deflated->failed = 1;
        return;
    }
    while (status == Z_OK) {
        stream.next_out = window;
        stream.avail_out = sizeof window;
        status = deflate(&stream, Z_FINISH);
        buffer_append(deflated, window, sizeof window - stream.avail_out);
    }
    deflated->failed |= status != Z_STREAM_END;
    deflateEnd(&stream);
}

/* The PNG decoded and laid on white. */
static int decode_png(HPDF_Doc pdf, const uint8_t *data, size_t size_bytes, struct picture *picture, char *reason,
                      size_t reason_size)
{
    static const png_color white = {255, 255, 255};
    png_image png = {.version = PNG_IMAGE_VERSION};
    struct buffer deflated = {0};
    uint8_t *pixels = NULL;
    int result = -1;

    if (!png_image_begin_read_from_memory(&png, data, size_bytes)) {
        snprintf(reason, reason_size, "the PNG is damaged (%s)", png.message);
        goto out;
    }
    png.format = PNG_FORMAT_RGB;
    pixels = malloc(PNG_IMAGE_SIZE(png));
    if (!pixels || !png_image_finish_read(&png, &white, pixels, 0, NULL)) {
        snprintf(reason, reason_size, "the PNG is damaged (%s)", pixels ? png.message : "out of memory");
        goto out;
    }
    deflate_pixels(&deflated, pixels, PNG_IMAGE_SIZE(png));
    HPDF_Dict image = deflated.failed ? NULL : new_image(pdf, png.width, png.height, 8);
    if (!image || set_deflated(image, &deflated, 1, 3, 8, png.width) < 0) {
        complain(reason, reason_size, "there is not enough memory for it");
        goto out;
    }
    HPDF_Dict_AddName(image, "ColorSpace", "DeviceRGB");
    picture->object = image;
    result = 0;
out:
    buffer_free(&deflated);
    free(pixels);
    png_image_free(&png);
    return result;
}

static int check_size(uint32_t width, uint32_t height, uint64_t pixels_max, char *reason, size_t reason_size)
{
    if (width && height && width <= 65000 && height <= 65000 && (uint64_t)width * height <= pixels_max)
        return 0;
    snprintf(reason, reason_size, "its size of %u × %u pixels is beyond the limit of %u megapixels", width, height,
             (unsigned int)(pixels_max >> 20));
    return -1;
}

static int load_png(HPDF_Doc pdf, const uint8_t *data, size_t size_bytes, struct picture *picture, char *reason,
                    size_t reason_size)
{
    struct png png = {0};
    int result = -1;

    if (size_bytes < PNG_HEADER_BYTES || memcmp(data + 12, "IHDR", 4) != 0 || u32(data + 8) != 13)
        return complain(reason, reason_size, "the PNG is cut short");
    png.width = u32(data + 16);
    png.height = u32(data + 20);
    png.depth = data[24];
    png.colour_type = data[25];
    png.interlace = data[28];
    if (check_size(png.width, png.height, PICTURE_PIXELS_MAX, reason, reason_size) < 0 ||
        read_chunks(&png, data, size_bytes, reason, reason_size) < 0)
        goto out;
    const int grey_or_rgb = (png.colour_type == 0 && png.depth <= 8) || (png.colour_type == 2 && png.depth == 8);
    const int indexed =
        png.colour_type == 3 && png.depth <= 8 && png.palette_entries > 0 && png.palette_entries <= 256;
    const int depth_is_known = png.depth == 1 || png.depth == 2 || png.depth == 4 || png.depth == 8;
    if ((grey_or_rgb || indexed) && depth_is_known && !png.interlace && !png.transparent) {
        result = pass_png(pdf, &png, picture, reason, reason_size);
    } else if (check_size(png.width, png.height, PICTURE_DECODED_PIXELS_MAX, reason, reason_size) == 0) {
        buffer_free(&png.data);
        result = decode_png(pdf, data, size_bytes, picture, reason, reason_size);
    }
    picture->width = png.width;
    picture->height = png.height;
out:
    buffer_free(&png.data);
    return result;
}

/* Walks a JPEG's markers to its frame header. */
static int load_jpeg(HPDF_Doc pdf, const uint8_t *data, size_t size_bytes, struct picture *picture, char *reason,
                     size_t reason_size)
{
    size_t at = 2;
    int adobe = 0;
    while (at + 4 <= size_bytes && data[at] == 0xFF) {
        const unsigned int marker = data[at + 1];
        if (marker == 0xFF) {
            at++;
            continue;
        }
        const size_t length = (size_t)data[at + 2] << 8 | data[at + 3];
        if (length < 2 || length > size_bytes - at - 2 || marker == 0xDA)
            break;
        if (marker == 0xEE && length >= 14 && memcmp(data + at + 4, "Adobe", 5) == 0)
            adobe = 1;
        if (marker >= 0xC0 && marker <= 0xC2 && length >= 8) {
            const uint32_t height = (uint32_t)data[at + 5] << 8 | data[at + 6];
            const uint32_t width = (uint32_t)data[at + 7] << 8 | data[at + 8];
            const unsigned int components = data[at + 9];
            if (check_size(width, height, PICTURE_PIXELS_MAX, reason, reason_size) < 0)
                return -1;
            if (data[at + 4] != 8 || (components != 1 && components != 3 && components != 4))
                return complain(reason, reason_size, "this kind of JPEG can't be shown; save it as PNG");
            if (jpeg_check(data, size_bytes, reason, reason_size) < 0)
                return -1;
            HPDF_Dict image = new_image(pdf, width, height, 8);
            if (!image || HPDF_Stream_Write(image->stream, data, (HPDF_UINT)size_bytes) != HPDF_OK)
                return complain(reason, reason_size, "there is not enough memory for it");
            HPDF_Dict_AddName(image, "ColorSpace",
                              components == 1   ? "DeviceGray"
                              : components == 3 ? "DeviceRGB"
                                                : "DeviceCMYK");
            if (components == 4 && adobe) { /* Adobe's are inverted */
                HPDF_Array decode = HPDF_Array_New(pdf->mmgr);
                for (int i = 0; i < 8; i++)
                    HPDF_Array_AddNumber(decode, !(i & 1));
                HPDF_Dict_Add(image, "Decode", decode);
            }
            image->filter = HPDF_STREAM_FILTER_DCT_DECODE;
            *picture = (struct picture){image, width, height};
            return 0;
        }
        at += 2 + length;
    }
    return complain(reason, reason_size, "the JPEG is damaged (it has no frame that can be shown)");
}

int picture_load(HPDF_Doc pdf, const void *data, size_t size_bytes, struct picture *picture, char *reason,
                 size_t reason_size)
{
    const uint8_t *bytes = data;
    *picture = (struct picture){0};
    if (!size_bytes)
        return complain(reason, reason_size, "its file is empty");
    if (size_bytes >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        return load_png(pdf, bytes, size_bytes, picture, reason, reason_size);
    if (size_bytes >= 4 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0)
        return load_jpeg(pdf, bytes, size_bytes, picture, reason, reason_size);
    if (size_bytes >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0)
        return complain(reason, reason_size, "WebP pictures can't be put into a PDF; save it as PNG or JPEG");
    return complain(reason, reason_size, "it is neither PNG nor JPEG");
}
