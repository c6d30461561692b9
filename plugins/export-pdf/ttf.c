/* ttf.h: a TrueType font file. */
#include "ttf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE_MAX_BYTES (64u << 20)
#define TABLE_COUNT_MAX 128
#define BMP_SIZE 0x10000u
#define EMBEDDING_RESTRICTED 0x0002u /* OS/2 fsType */

static uint32_t u16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static int s16(const uint8_t *bytes)
{
    return (int16_t)u16(bytes);
}

static uint32_t u32(const uint8_t *bytes)
{
    return u16(bytes) << 16 | u16(bytes + 2);
}

static int map_file(struct ttf_face *face, const char *path, char *message, size_t message_size)
{
    struct stat status;
    int result = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0) {
        snprintf(message, message_size, "%s", strerror(errno));
        goto out;
    }
    if (!S_ISREG(status.st_mode) || status.st_size < 64 || status.st_size > FILE_SIZE_MAX_BYTES) {
        snprintf(message, message_size, "it is no regular file of 64 bytes to %u MB", FILE_SIZE_MAX_BYTES >> 20);
        goto out;
    }
    void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        snprintf(message, message_size, "it can't be mapped: %s", strerror(errno));
        goto out;
    }
    face->data = data;
    face->size_bytes = (size_t)status.st_size;
    result = 0;
out:
    if (fd >= 0)
        close(fd);
    return result;
}

/* Where the table directory starts, or -1. */
static long directory_offset(const struct ttf_face *face, char *message, size_t message_size)
{
    uint32_t offset = 0;
    if (memcmp(face->data, "ttcf", 4) == 0)
        offset = u32(face->data + 12);
    if (offset > face->size_bytes - 12) {
        snprintf(message, message_size, "it is cut short");
        return -1;
    }
    uint32_t magic = u32(face->data + offset);
    if (magic == 0x4F54544Fu) { /* OTTO */
        snprintf(message, message_size, "it has CFF outlines; a TrueType font (with a glyf table) is needed");
        return -1;
    }
    if (magic != 0x00010000u && magic != 0x74727565u) {
        snprintf(message, message_size, "it is no TrueType font");
        return -1;
    }
    return (long)offset;
}

static struct ttf_table find_table(const struct ttf_face *face, size_t directory, const char *tag)
{
    size_t count = u16(face->data + directory + 4);
    if (count > TABLE_COUNT_MAX)
        count = TABLE_COUNT_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t record = directory + 12 + 16 * i;
        if (record + 16 > face->size_bytes)
            break;
        if (memcmp(face->data + record, tag, 4) != 0)
            continue;
        size_t offset = u32(face->data + record + 8);
        size_t size_bytes = u32(face->data + record + 12);
        if (offset > face->size_bytes || size_bytes > face->size_bytes - offset)
            break;
        return (struct ttf_table){face->data + offset, size_bytes};
    }
    return (struct ttf_table){NULL, 0};
}

/* Fills face->bmp from a cmap subtable of format 4. */
static void read_cmap_4(struct ttf_face *face, struct ttf_table table)
{
    const uint8_t *data = table.data;
    size_t segments_x2 = u16(data + 6) & ~1u;
    if (16 + 4 * segments_x2 > table.size_bytes)
        return;
    const uint8_t *ends = data + 14;
    const uint8_t *starts = ends + segments_x2 + 2;
    const uint8_t *deltas = starts + segments_x2;
    const uint8_t *offsets = deltas + segments_x2;
    for (size_t i = 0; i < segments_x2; i += 2) {
        uint32_t end = u16(ends + i);
        uint32_t delta = u16(deltas + i);
        uint32_t offset = u16(offsets + i);
        uint32_t start = u16(starts + i);
        for (uint32_t code_point = start; code_point <= end && code_point < 0xFFFF; code_point++) {
            uint32_t glyph = code_point;
            if (offset) {
                size_t at = (size_t)(offsets + i - data) + offset + 2 * (size_t)(code_point - start);
                if (at + 2 > table.size_bytes)
                    break;
                glyph = u16(data + at);
                if (!glyph)
                    continue;
            }
            glyph = (glyph + delta) & 0xFFFF;
            face->bmp[code_point] = glyph < face->glyph_count ? (uint16_t)glyph : 0;
        }
    }
}

static int read_cmap(struct ttf_face *face, struct ttf_table cmap)
{
    struct ttf_table narrow = {NULL, 0};
    if (cmap.size_bytes < 4)
        return -1;
    size_t count = u16(cmap.data + 2);
    for (size_t i = 0; i < count && 12 + 8 * i <= cmap.size_bytes; i++) {
        const uint8_t *record = cmap.data + 4 + 8 * i;
        uint32_t platform = u16(record);
        uint32_t encoding = u16(record + 2);
        size_t offset = u32(record + 4);
        if (offset + 16 > cmap.size_bytes)
            continue;
        struct ttf_table table = {cmap.data + offset, cmap.size_bytes - offset};
        uint32_t format = u16(table.data);
        if (format == 12 && (platform == 0 || (platform == 3 && encoding == 10)))
            face->wide_cmap = table;
        else if (format == 4 && (platform == 0 || (platform == 3 && encoding == 1)))
            narrow = table;
    }
    if (!narrow.data && !face->wide_cmap.data)
        return -1;
    face->bmp = calloc(BMP_SIZE, sizeof *face->bmp);
    if (!face->bmp)
        return -1;
    if (narrow.data)
        read_cmap_4(face, narrow);
    return 0;
}

/* The PostScript name, or the file's name, of safe characters only. */
static void read_name(struct ttf_face *face, struct ttf_table name)
{
    size_t length = 0;
    if (name.size_bytes >= 6) {
        size_t count = u16(name.data + 2);
        size_t strings = u16(name.data + 4);
        for (size_t i = 0; i < count && 6 + 12 * (i + 1) <= name.size_bytes && !length; i++) {
            const uint8_t *record = name.data + 6 + 12 * i;
            size_t at = strings + u16(record + 10);
            size_t size_bytes = u16(record + 8);
            if (u16(record + 6) != 6 || at + size_bytes > name.size_bytes)
                continue;
            for (size_t j = 0; j < size_bytes && length + 1 < sizeof face->name; j++)
                if (isalnum(name.data[at + j]) || name.data[at + j] == '-')
                    face->name[length++] = (char)name.data[at + j];
        }
    }
    if (!length) {
        const char *file = strrchr(face->path, '/');
        for (file = file ? file + 1 : face->path; *file && *file != '.' && length + 1 < sizeof face->name; file++)
            if (isalnum((unsigned char)*file) || *file == '-')
                face->name[length++] = *file;
    }
    face->name[length] = '\0';
}

static int read_tables(struct ttf_face *face, size_t directory, char *message, size_t message_size)
{
    struct ttf_table os2 = find_table(face, directory, "OS/2");
    struct ttf_table post = find_table(face, directory, "post");
    face->head = find_table(face, directory, "head");
    face->hhea = find_table(face, directory, "hhea");
    face->maxp = find_table(face, directory, "maxp");
    face->hmtx = find_table(face, directory, "hmtx");
    face->loca = find_table(face, directory, "loca");
    face->glyf = find_table(face, directory, "glyf");
    if (face->head.size_bytes < 54 || face->hhea.size_bytes < 36 || face->maxp.size_bytes < 32 || !face->glyf.data) {
        snprintf(message, message_size, "a table that it must have (head, hhea, maxp, glyf) is missing or cut short");
        return -1;
    }
    face->units_per_em = (int)u16(face->head.data + 18);
    face->long_loca = u16(face->head.data + 50) != 0;
    face->glyph_count = (uint16_t)u16(face->maxp.data + 4);
    face->long_metric_count = (uint16_t)u16(face->hhea.data + 34);
    if (face->units_per_em < 16 || face->units_per_em > 16384 || !face->glyph_count || !face->long_metric_count ||
        face->loca.size_bytes < ((size_t)face->glyph_count + 1) * (face->long_loca ? 4 : 2) ||
        face->hmtx.size_bytes < 4 * (size_t)face->long_metric_count) {
        snprintf(message, message_size, "its tables contradict each other");
        return -1;
    }
    if (os2.size_bytes >= 10 && (u16(os2.data + 8) & 0xF) == EMBEDDING_RESTRICTED) {
        snprintf(message, message_size, "its licence forbids embedding (OS/2 fsType)");
        return -1;
    }
    for (int i = 0; i < 4; i++)
        face->box[i] = s16(face->head.data + 36 + 2 * i);
    face->bold = (u16(face->head.data + 44) & 1) != 0;
    face->ascent = s16(face->hhea.data + 4);
    face->descent = s16(face->hhea.data + 6);
    face->cap_height = os2.size_bytes >= 90 && u16(os2.data) >= 2 ? s16(os2.data + 88) : face->ascent * 7 / 10;
    if (post.size_bytes >= 16) {
        face->italic_angle_degrees = s16(post.data + 4);
        face->fixed_pitch = u32(post.data + 12) != 0;
    }
    read_name(face, find_table(face, directory, "name"));
    if (read_cmap(face, find_table(face, directory, "cmap")) < 0) {
        snprintf(message, message_size, "it has no Unicode character map (cmap of format 4 or 12)");
        return -1;
    }
    return 0;
}

struct ttf_face *ttf_open(const char *path, char *message, size_t message_size)
{
    int opened = 0;
    struct ttf_face *face = calloc(1, sizeof *face);
    if (!face || !(face->path = strdup(path))) {
        snprintf(message, message_size, "out of memory");
        goto out;
    }
    if (map_file(face, path, message, message_size) < 0)
        goto out;
    long directory = directory_offset(face, message, message_size);
    if (directory < 0 || read_tables(face, (size_t)directory, message, message_size) < 0)
        goto out;
    opened = 1;
out:
    if (!opened) {
        ttf_close(face);
        face = NULL;
    }
    return face;
}

void ttf_close(struct ttf_face *face)
{
    if (!face)
        return;
    if (face->data)
        munmap((void *)(uintptr_t)face->data, face->size_bytes);
    free(face->bmp);
    free(face->path);
    free(face);
}

static uint16_t wide_glyph(const struct ttf_face *face, uint32_t code_point)
{
    const struct ttf_table *cmap = &face->wide_cmap;
    size_t high = cmap->data ? u32(cmap->data + 12) : 0;
    if (cmap->data && high > (cmap->size_bytes - 16) / 12)
        high = (cmap->size_bytes - 16) / 12;
    size_t low = 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const uint8_t *group = cmap->data + 16 + 12 * middle;
        if (code_point < u32(group)) {
            high = middle;
        } else if (code_point > u32(group + 4)) {
            low = middle + 1;
        } else {
            uint64_t glyph = (uint64_t)u32(group + 8) + code_point - u32(group);
            return glyph < face->glyph_count ? (uint16_t)glyph : 0;
        }
    }
    return 0;
}

uint16_t ttf_glyph(const struct ttf_face *face, uint32_t code_point)
{
    if (code_point < BMP_SIZE && face->bmp[code_point])
        return face->bmp[code_point];
    return wide_glyph(face, code_point);
}

int ttf_advance(const struct ttf_face *face, uint16_t glyph)
{
    size_t index = glyph < face->long_metric_count ? glyph : (size_t)face->long_metric_count - 1;
    return (int)u16(face->hmtx.data + 4 * index);
}

struct ttf_table ttf_outline(const struct ttf_face *face, uint16_t glyph)
{
    struct ttf_table none = {NULL, 0};
    if (glyph >= face->glyph_count)
        return none;
    const uint8_t *loca = face->loca.data;
    size_t start = face->long_loca ? u32(loca + 4 * (size_t)glyph) : 2 * (size_t)u16(loca + 2 * (size_t)glyph);
    size_t end =
        face->long_loca ? u32(loca + 4 * ((size_t)glyph + 1)) : 2 * (size_t)u16(loca + 2 * ((size_t)glyph + 1));
    if (start >= end || end > face->glyf.size_bytes || end - start < 10)
        return none;
    return (struct ttf_table){face->glyf.data + start, end - start};
}
