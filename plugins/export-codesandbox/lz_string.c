/* lz_string.h: LZ78 with phrases of UTF-16 units, whose codes grow by a bit whenever they no longer fit. */
#include "lz_string.h"

#include <exportd/kit/text.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LETTER_BITS 6
#define UNITS 65536

/* The codes with a meaning of their own: a new unit of 8 bits follows, one of 16 bits, the end. */
enum { CODE_UNIT_8 = 0, CODE_UNIT_16 = 1, CODE_END = 2, CODE_FIRST = 3 };

/* A phrase is a phrase and one unit more; slots is a hash table of such pairs, code 0 where it is free. */
struct slot {
    uint32_t prefix;
    uint32_t code;
    uint16_t unit;
};

struct packer {
    uint32_t units[UNITS]; /* the code of the phrase of that unit alone, or 0 */
    struct slot *slots;
    size_t slot_count; /* a power of two */
    size_t phrases;
    uint32_t next_code;
    uint32_t until_wider; /* codes to come before they are a bit wider */
    unsigned int width;   /* of a code, in bits */

    char *out;
    size_t length;
    size_t capacity;
    unsigned int letter; /* bits that are not out yet */
    unsigned int letter_bits;
    int failed; /* out of memory */
};

static void put_letter(struct packer *packer)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if (packer->length + 1 >= packer->capacity) {
        size_t capacity = packer->capacity ? 2 * packer->capacity : 1024;
        char *grown = realloc(packer->out, capacity);
        if (!grown) {
            packer->failed = 1;
            return;
        }
        packer->out = grown;
        packer->capacity = capacity;
    }
    packer->out[packer->length++] = alphabet[packer->letter];
}

/* The lowest bit goes first. */
static void put_bits(struct packer *packer, uint32_t value, unsigned int width)
{
    for (unsigned int i = 0; i < width && !packer->failed; i++) {
        packer->letter = packer->letter << 1 | (value & 1);
        value >>= 1;
        if (++packer->letter_bits == LETTER_BITS) {
            put_letter(packer);
            packer->letter = packer->letter_bits = 0;
        }
    }
}

static void count_code(struct packer *packer)
{
    if (--packer->until_wider == 0)
        packer->until_wider = 1u << packer->width++;
}

static size_t slot_of(const struct packer *packer, uint32_t prefix, uint16_t unit)
{
    uint64_t key = (uint64_t)prefix << 16 | unit;
    size_t at = (size_t)((key * 0x9E3779B97F4A7C15u) >> 20) & (packer->slot_count - 1);
    while (packer->slots[at].code && (packer->slots[at].prefix != prefix || packer->slots[at].unit != unit))
        at = (at + 1) & (packer->slot_count - 1);
    return at;
}

/* Keeps half of the slots free. */
static int grow(struct packer *packer)
{
    struct slot *old = packer->slots;
    size_t old_count = packer->slot_count;
    if (old && packer->phrases < old_count / 2)
        return 0;
    packer->slot_count = old_count ? 2 * old_count : 4096;
    packer->slots = calloc(packer->slot_count, sizeof *packer->slots);
    if (!packer->slots) {
        packer->slots = old;
        packer->slot_count = old_count;
        return -1;
    }
    for (size_t i = 0; i < old_count; i++)
        if (old[i].code)
            packer->slots[slot_of(packer, old[i].prefix, old[i].unit)] = old[i];
    free(old);
    return 0;
}

/* A phrase as it is written: a unit that was never written before, or a code. */
struct phrase {
    uint32_t code;
    uint16_t unit;
    int is_new;
};

static void put_phrase(struct packer *packer, const struct phrase *phrase)
{
    if (phrase->is_new) {
        put_bits(packer, phrase->unit < 256 ? CODE_UNIT_8 : CODE_UNIT_16, packer->width);
        put_bits(packer, phrase->unit, phrase->unit < 256 ? 8 : 16);
        count_code(packer);
    } else {
        put_bits(packer, phrase->code, packer->width);
    }
    count_code(packer);
}

/* The phrase of a unit alone; the first time it is new. */
static struct phrase phrase_of(struct packer *packer, uint16_t unit)
{
    int is_new = packer->units[unit] == 0;
    if (is_new)
        packer->units[unit] = packer->next_code++;
    return (struct phrase){.code = packer->units[unit], .unit = unit, .is_new = is_new};
}

/* Makes the phrase longer by a unit where that one is known; else writes it, and begins the next with the unit. */
static void take_unit(struct packer *packer, struct phrase *phrase, uint16_t unit)
{
    if (!phrase->code) {
        *phrase = phrase_of(packer, unit);
        return;
    }
    /* lz-string gives a new unit its code before that of the phrase which it ends. */
    struct phrase next = phrase_of(packer, unit);
    size_t at = slot_of(packer, phrase->code, unit);
    if (packer->slots[at].code) {
        *phrase = (struct phrase){.code = packer->slots[at].code};
        return;
    }
    put_phrase(packer, phrase);
    packer->slots[at] = (struct slot){.prefix = phrase->code, .unit = unit, .code = packer->next_code++};
    packer->phrases++;
    if (grow(packer) < 0)
        packer->failed = 1;
    *phrase = next;
}

static void take_text(struct packer *packer, const char *text)
{
    struct phrase phrase = {0};
    while (*text && !packer->failed) {
        uint32_t code_point = exportd_text_next(&text);
        if (code_point >= 0x10000) {
            take_unit(packer, &phrase, (uint16_t)(0xD800 + ((code_point - 0x10000) >> 10)));
            if (!packer->failed)
                take_unit(packer, &phrase, (uint16_t)(0xDC00 + ((code_point - 0x10000) & 0x3FF)));
        } else {
            take_unit(packer, &phrase, (uint16_t)code_point);
        }
    }
    if (phrase.code)
        put_phrase(packer, &phrase);
}

char *lz_string_compress(const char *text)
{
    struct packer *packer = calloc(1, sizeof *packer);
    if (!packer)
        return NULL;
    packer->next_code = CODE_FIRST;
    packer->until_wider = 2;
    packer->width = 2;
    if (grow(packer) == 0) {
        take_text(packer, text);
        put_bits(packer, CODE_END, packer->width);
        do /* one bit at the least follows the end */
            put_bits(packer, 0, 1);
        while (packer->letter_bits && !packer->failed);
    } else {
        packer->failed = 1;
    }
    char *out = packer->out;
    if (packer->failed) {
        free(out);
        out = NULL;
    } else {
        out[packer->length] = '\0';
    }
    free(packer->slots);
    free(packer);
    return out;
}
