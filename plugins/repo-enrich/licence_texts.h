/*
 * licence_texts.h: how licences are known.
 *
 * Phrases are in the form to which licence_of_text() brings a text: lower case, letters and digits in words between
 * single blanks, "licence" spelt "license", all else left out.
 */
#ifndef REPO_ENRICH_LICENCE_TEXTS_H
#define REPO_ENRICH_LICENCE_TEXTS_H

#include <stddef.h>

#define LICENCE_PHRASES_MAX 12

struct licence_text {
    const char *spdx;
    /* All must be there. Of a short licence they are all of its text. */
    const char *phrases[LICENCE_PHRASES_MAX];
    size_t extra_words;             /* a short one: words beside the phrases, at the most */
    size_t least_words, most_words; /* a long one; 0: it is a short one */
};

extern const struct licence_text licence_texts[];
extern const size_t licence_texts_count;

#endif
