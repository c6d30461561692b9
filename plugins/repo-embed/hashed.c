/*
 * embedder.h: hashed character n-grams.
 *
 * Every word of a text, and every part of an identifier, stands for itself and for the runs of 3 to 5 characters in
 * "<word>". Each of these is a feature, and its hash says which number of the vector it is added to, and with which
 * sign (Weinberger et al., 2009). A word that comes often counts by the logarithm of how often, a common one little.
 * So texts with the same words, or words of the same stem, are near each other; what words mean is not known here.
 */
#include "embedder.h"
#include "words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "hashed-ngrams/1"
#define FIRST_CAPACITY 1024
#define WORD_PLACES 4
#define WORD_PLACE_WEIGHT 0.5f /* 1 / sqrt(WORD_PLACES) */
#define GRAM_MIN 3
#define GRAM_MAX 5
#define COMMON_WEIGHT 0.15f
#define SHORT_WEIGHT 0.3f /* of a single letter or digit */
#define GRAMS_WEIGHT 0.7f /* of all n-grams of a word together, where the word itself has 1 */

/* A word of the text that is embedded. Small, so that those of a text stay near the processor. */
struct entry {
    uint64_t hash;
    uint32_t round; /* in which it was put here: others are empty */
    uint32_t count;
    uint32_t offset, length; /* of its bytes in the text */
};

struct hashed {
    struct entry *entries;
    size_t capacity; /* a power of 2 */
    uint32_t *used;  /* their places, in the order in which they came */
    size_t used_count;
    uint32_t round;
};

static uint64_t mix(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= 0xD6E8FEB86659FD93u;
    hash ^= hash >> 32;
    hash *= 0xD6E8FEB86659FD93u;
    return hash ^ hash >> 32;
}

static uint64_t step(uint64_t hash, char byte)
{
    return (hash ^ (unsigned char)byte) * 0x100000001B3u;
}

static void add(float *vector, size_t dimensions, uint64_t hash, float weight)
{
    uint64_t mixed = mix(hash);
    size_t place = (size_t)(((mixed >> 32) * dimensions) >> 32);
    vector[place] += mixed & 1 ? weight : -weight;
}

static void add_word(float *vector, size_t dimensions, const char *from, const struct entry *entry)
{
    const struct word word = {from + entry->offset, entry->length};
    char text[WORD_MAX + 2];
    size_t starts[WORD_MAX + 3], characters = 0;
    size_t length = words_lower(&word, text + 1);
    float weight = 1 + logf((float)entry->count);
    if (length == 1)
        weight *= SHORT_WEIGHT;
    else if (words_is_common(text + 1, length))
        weight *= COMMON_WEIGHT;
    /* In some places at once, so that two words that meet in one are still told apart by the others. */
    for (uint64_t place = 0; place < WORD_PLACES; place++)
        add(vector, dimensions, entry->hash + place * 0x9E3779B97F4A7C15u, weight * WORD_PLACE_WEIGHT);
    if (length < 2)
        return;
    text[0] = '<';
    text[length + 1] = '>';
    for (size_t i = 0; i < length + 2; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            starts[characters++] = i;
    starts[characters] = length + 2;
    size_t grams = 0;
    for (size_t n = GRAM_MIN; n <= GRAM_MAX && n <= characters; n++)
        grams += characters - n + 1;
    weight *= GRAMS_WEIGHT / sqrtf((float)(grams ? grams : 1));
    for (size_t i = 0; i + GRAM_MIN <= characters; i++) {
        uint64_t hash = 0xCBF29CE484222325u;
        size_t at = starts[i];
        for (size_t n = 1; n <= GRAM_MAX && i + n <= characters; n++) {
            for (; at < starts[i + n]; at++)
                hash = step(hash, text[at]);
            if (n >= GRAM_MIN)
                add(vector, dimensions, hash, weight);
        }
    }
}

static size_t place_of(const struct hashed *hashed, uint64_t hash)
{
    size_t place = (size_t)(hash ^ hash >> 29) & (hashed->capacity - 1);
    while (hashed->entries[place].round == hashed->round && hashed->entries[place].hash != hash)
        place = (place + 1) & (hashed->capacity - 1);
    return place;
}

/* A larger table, with the words that are in the one before. */
static int grow(struct hashed *hashed)
{
    struct hashed larger = {.capacity = hashed->capacity ? 2 * hashed->capacity : FIRST_CAPACITY, .round = 1};
    larger.entries = calloc(larger.capacity, sizeof *larger.entries);
    larger.used = calloc(larger.capacity, sizeof *larger.used);
    if (!larger.entries || !larger.used) {
        free(larger.entries);
        free(larger.used);
        return -1;
    }
    for (size_t i = 0; i < hashed->used_count; i++) {
        const struct entry *entry = &hashed->entries[hashed->used[i]];
        size_t place = place_of(&larger, entry->hash);
        larger.entries[place] = *entry;
        larger.entries[place].round = larger.round;
        larger.used[larger.used_count++] = (uint32_t)place;
    }
    free(hashed->entries);
    free(hashed->used);
    *hashed = larger;
    return 0;
}

static int count_word(struct hashed *hashed, const char *from, const struct word *word)
{
    uint64_t hash = 0x84222325CBF29CE4u;
    for (size_t i = 0; i < word->length; i++) {
        char byte = word->text[i];
        hash = step(hash, (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte));
    }
    if (2 * hashed->used_count >= hashed->capacity && grow(hashed) != 0)
        return -1;
    size_t place = place_of(hashed, hash);
    struct entry *entry = &hashed->entries[place];
    if (entry->round != hashed->round) {
        *entry = (struct entry){.hash = hash,
                                .round = hashed->round,
                                .offset = (uint32_t)(word->text - from),
                                .length = (uint32_t)word->length};
        hashed->used[hashed->used_count++] = (uint32_t)place;
    }
    entry->count++;
    return 0;
}

/* Empties the table. */
static void begin(struct hashed *hashed)
{
    hashed->used_count = 0;
    if (++hashed->round == 0 && hashed->capacity > 0) {
        memset(hashed->entries, 0, hashed->capacity * sizeof *hashed->entries);
        hashed->round = 1;
    }
}

static int embed_one(struct hashed *hashed, const struct embed_text *text, float *vector, size_t dimensions)
{
    const char *at = text->text, *end = at + text->size_bytes;
    struct word run, part = {0};
    begin(hashed);
    while (words_run(&at, end, &run)) {
        size_t offset = 0;
        while (words_part(&run, &offset, &part))
            if (count_word(hashed, text->text, &part) != 0)
                return -1;
        if (part.text > run.text && count_word(hashed, text->text, &run) != 0)
            return -1;
    }
    for (size_t i = 0; i < hashed->used_count; i++)
        add_word(vector, dimensions, text->text, &hashed->entries[hashed->used[i]]);
    embedder_normalise(vector, dimensions);
    return 0;
}

static int embed(struct embedder *embedder, const struct embed_text *texts, size_t count, float **vectors,
                 struct exportd_kit_error *error)
{
    *vectors = calloc(count, embedder->dimensions * sizeof **vectors);
    if (!*vectors)
        return exportd_kit_no_memory(error);
    for (size_t i = 0; i < count; i++) {
        if (embed_one(embedder->self, &texts[i], *vectors + i * embedder->dimensions, embedder->dimensions) != 0) {
            free(*vectors);
            *vectors = NULL;
            return exportd_kit_no_memory(error);
        }
    }
    return 0;
}

static void free_self(void *self)
{
    struct hashed *hashed = self;
    if (hashed) {
        free(hashed->entries);
        free(hashed->used);
    }
    free(hashed);
}

int hashed_open(struct embedder *embedder, size_t dimensions, struct exportd_kit_error *error)
{
    char size[24];
    *embedder = (struct embedder){
        .kind = "hashed-ngrams",
        .note = "hashed words and character n-grams: near are texts with the same words or stems of words, whatever "
                "they mean; set endpoint or vectors in [plugin repo-embed] for embeddings that know meanings",
        .dimensions = dimensions,
        .batch_count = 64,
        .batch_bytes = 256u << 10,
        .self = calloc(1, sizeof(struct hashed)),
        .embed = embed,
        .free_self = free_self,
    };
    if (!embedder->self)
        return exportd_kit_no_memory(error);
    snprintf(embedder->model, sizeof embedder->model, VERSION "-%zu", dimensions);
    snprintf(size, sizeof size, "%zu", dimensions);
    embedder_identify(embedder, (const char *const[]){VERSION, size, NULL});
    return 0;
}
