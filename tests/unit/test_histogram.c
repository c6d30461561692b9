/* Histograms as Prometheus reads them: buckets that hold all below, a sum and a count. */
#include "support.h"

#include "base/histogram.h"

#include <string.h>

static char *text_of(const struct histogram *histogram, const char *labels)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    histogram_write(histogram, out, "x", labels);
    fclose(out);
    return text;
}

static void a_bucket_holds_what_is_at_most_its_bound(void **state)
{
    (void)state;
    struct histogram counts = {.kind = HISTOGRAM_COUNTS};
    static const double values[] = {1, 2, 3, 4, 5000};
    for (size_t i = 0; i < 5; i++)
        histogram_add(&counts, values[i]);
    char *text = text_of(&counts, "");
    assert_non_null(
        strstr(text, "x_bucket{le=\"1\"} 1\nx_bucket{le=\"2\"} 2\nx_bucket{le=\"4\"} 4\nx_bucket{le=\"8\"} 4\n"));
    assert_non_null(strstr(text, "x_bucket{le=\"4096\"} 4\nx_bucket{le=\"+Inf\"} 5\nx_sum 5010\nx_count 5\n"));
    free(text);
}

static void labels_stand_before_the_bound(void **state)
{
    (void)state;
    struct histogram seconds = {0};
    histogram_add(&seconds, 0.0051);
    char *text = text_of(&seconds, "route=\"docker\"");
    assert_non_null(
        strstr(text, "x_bucket{route=\"docker\",le=\"0.005\"} 0\nx_bucket{route=\"docker\",le=\"0.01\"} 1\n"));
    assert_non_null(strstr(text, "x_sum{route=\"docker\"} 0.0051\nx_count{route=\"docker\"} 1\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_holds_what_is_at_most_its_bound),
        cmocka_unit_test(labels_stand_before_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
