/*
 * embedder.h: the weighted mean of the vectors of a text's words.
 *
 * Each word counts by a / (a + p) (Arora et al., 2017), where p is how frequent it is, guessed by Zipf's law from its
 * rank in the file; how often it comes in the text counts by its logarithm. What all words have in common, the
 * weighted mean of the vectors of the file's most frequent words, is taken off first: without that all texts are near
 * each other (Mu and Viswanath, 2018).
 */
#include "embedder.h"
#include "vectors.h"
#include "words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "word-vectors/1"
#define SMOOTH 1e-3
#define CENTRE_WORDS 20000

struct seen {
    uint32_t rank, count, round;
};

struct means {
    const struct vectors *vectors;
    double harmonic; /* the sum of 1 / rank */
    float *centre, *vector;
    struct seen *seen; /* as many as a text can have words, a power of 2 */
    size_t capacity;
    uint32_t round;
};

static float weight_of(const struct means *means, size_t rank)
{
    double frequency = 1 / ((double)(rank + 1) * means->harmonic);
    return (float)(SMOOTH / (SMOOTH + frequency));
}

/* The rank of a word as it stands, in lower case, or without the s of a plural. */
static int64_t find(const struct vectors *vectors, const struct word *word)
{
    char lower[WORD_MAX];
    int64_t rank = vectors_find(vectors, word->text, word->length);
    if (rank >= 0)
        return rank;
    size_t length = words_lower(word, lower);
    rank = vectors_find(vectors, lower, length);
    return rank < 0 && length > 3 && lower[length - 1] == 's' ? vectors_find(vectors, lower, length - 1) : rank;
}

static void count(struct means *means, size_t rank)
{
    size_t place = (rank * 0x9E3779B1u) & (means->capacity - 1);
    while (means->seen[place].round == means->round && means->seen[place].rank != rank)
        place = (place + 1) & (means->capacity - 1);
    if (means->seen[place].round != means->round)
        means->seen[place] = (struct seen){.rank = (uint32_t)rank, .round = means->round};
    means->seen[place].count++;
}

static int make_room(struct means *means, size_t size_bytes)
{
    size_t capacity = means->capacity ? means->capacity : 1024;
    while (capacity < 2 * size_bytes)
        capacity *= 2;
    if (capacity > means->capacity || means->round == UINT32_MAX) {
        free(means->seen);
        means->seen = calloc(capacity, sizeof *means->seen);
        means->capacity = means->seen ? capacity : 0;
        means->round = 0;
    }
    means->round++;
    return means->seen ? 0 : -1;
}

static void count_words(struct means *means, const struct embed_text *text)
{
    const char *at = text->text, *end = at + text->size_bytes;
    struct word run, part = {0};
    while (words_run(&at, end, &run)) {
        size_t offset = 0;
        words_part(&run, &offset, &part);
        int64_t rank = find(means->vectors, &run);
        if (rank >= 0 && run.length > 1) {
            count(means, (size_t)rank);
        } else if (part.length < run.length) { /* an identifier that has no vector: its parts */
            for (offset = 0; words_part(&run, &offset, &part);)
                if (part.length > 1 && (rank = find(means->vectors, &part)) >= 0)
                    count(means, (size_t)rank);
        }
    }
}

static void add_up(struct means *means, float *out, size_t dimensions)
{
    for (size_t place = 0; place < means->capacity; place++) {
        const struct seen *seen = &means->seen[place];
        if (seen->round != means->round)
            continue;
        float weight = weight_of(means, seen->rank) * (1 + logf((float)seen->count));
        vectors_copy(means->vectors, seen->rank, means->vector);
        for (size_t i = 0; i < dimensions; i++)
            out[i] += weight * (means->vector[i] - means->centre[i]);
    }
    embedder_normalise(out, dimensions);
}

static int embed(struct embedder *embedder, const struct embed_text *texts, size_t text_count, float **vectors,
                 struct exportd_kit_error *error)
{
    struct means *means = embedder->self;
    size_t dimensions = embedder->dimensions;
    *vectors = calloc(text_count, dimensions * sizeof **vectors);
    for (size_t i = 0; *vectors && i < text_count; i++) {
        if (make_room(means, texts[i].size_bytes) != 0) {
            free(*vectors);
            *vectors = NULL;
        } else {
            count_words(means, &texts[i]);
            add_up(means, *vectors + i * dimensions, dimensions);
        }
    }
    return *vectors ? 0 : exportd_kit_no_memory(error);
}

static void find_centre(struct means *means)
{
    size_t dimensions = vectors_dimensions(means->vectors), words = vectors_count(means->vectors);
    double all = 0;
    words = words < CENTRE_WORDS ? words : CENTRE_WORDS;
    for (size_t rank = 0; rank < words; rank++) {
        double weight = weight_of(means, rank);
        vectors_copy(means->vectors, rank, means->vector);
        all += weight;
        for (size_t i = 0; i < dimensions; i++)
            means->centre[i] += (float)((means->vector[i] - means->centre[i]) * (weight / all));
    }
}

static void free_self(void *self)
{
    struct means *means = self;
    if (means) {
        free(means->centre);
        free(means->vector);
        free(means->seen);
    }
    free(means);
}

int words_open(struct embedder *embedder, const struct vectors *vectors, struct exportd_kit_error *error)
{
    struct means *means = calloc(1, sizeof *means);
    size_t dimensions = vectors_dimensions(vectors);
    *embedder = (struct embedder){
        .kind = "word-vectors",
        .note = "weighted means of static word vectors: near are texts about like things; the order of words is not "
                "seen, and words that the file lacks count nothing",
        .dimensions = dimensions,
        .batch_count = 64,
        .batch_bytes = 256u << 10,
        .self = means,
        .embed = embed,
        .free_self = free_self,
    };
    if (!means || !(means->centre = calloc(dimensions, sizeof(float))) ||
        !(means->vector = calloc(dimensions, sizeof(float))))
        return exportd_kit_no_memory(error);
    means->vectors = vectors;
    for (size_t rank = vectors_count(vectors); rank > 0; rank--)
        means->harmonic += 1 / (double)rank;
    find_centre(means);
    snprintf(embedder->model, sizeof embedder->model, "%s", vectors_name(vectors));
    embedder_identify(embedder, (const char *const[]){VERSION, vectors_name(vectors), vectors_stamp(vectors), NULL});
    return 0;
}
