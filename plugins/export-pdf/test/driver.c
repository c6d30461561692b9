/*
 * Runs export-pdf without the host: driver PLUGIN.so REPRO.json OUT-FOLDER [-d DATA-JSON] [-o KEY=VALUE]… [-n TIMES]
 * Prints the result and the CPU time of each run; exit 1 where the task failed.
 */
#include <exportd/kit/harness.h>

#include <time.h>

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Into the folder, before the harness removes its own. */
static void keep_artifacts(const struct exportd_harness *harness, const char *folder)
{
    size_t index, size = 0;
    json_t *artifact;
    json_array_foreach(harness->artifacts, index, artifact)
    {
        const char *name = json_string_value(json_object_get(artifact, "name"));
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        char *bytes = exportd_harness_read(harness, name, &size);
        FILE *file = bytes ? fopen(path, "wb") : NULL;
        if (!file || fwrite(bytes, 1, size, file) != size)
            fprintf(stderr, "%s can't be written\n", path);
        if (file)
            fclose(file);
        free(bytes);
    }
}

int main(int argc, char **argv)
{
    struct exportd_harness harness;
    json_error_t error;
    json_t *data = NULL;
    int times = 1;

    if (argc < 4) {
        fprintf(stderr, "usage: %s PLUGIN.so REPRO.json OUT-FOLDER [-d JSON] [-o KEY=VALUE]... [-n TIMES] [-c N]\n",
                argv[0]);
        return 2;
    }
    if (exportd_harness_load(&harness, argv[1]) != 0) {
        fprintf(stderr, "%s\n", harness.fault);
        return 2;
    }
    for (int i = 4; i + 1 < argc; i += 2) {
        char *equals = strchr(argv[i + 1], '=');
        if (strcmp(argv[i], "-d") == 0) {
            data = json_loads(argv[i + 1], 0, &error);
        } else if (strcmp(argv[i], "-o") == 0 && equals) {
            *equals = '\0';
            exportd_harness_option(&harness, argv[i + 1], equals + 1);
        } else if (strcmp(argv[i], "-n") == 0) {
            times = (int)strtol(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "-c") == 0) {
            harness.cancel_after = (int)strtol(argv[i + 1], NULL, 10);
        }
    }
    json_t *repro = json_load_file(argv[2], 0, &error);
    if (!repro) {
        fprintf(stderr, "%s: %s\n", argv[2], error.text);
        exportd_harness_close(&harness);
        return 2;
    }
    if (!data)
        data = json_object();
    json_object_set_new(data, "repro", repro);

    double before = cpu_ms();
    enum exportd_status status = exportd_harness_start(&harness);
    fprintf(stderr, "init: %.1f ms\n", cpu_ms() - before);
    for (int i = 0; i < times && status == EXPORTD_OK; i++) {
        json_t *result = NULL;
        before = cpu_ms();
        status = exportd_harness_run(&harness, "report/pdf", data, &result);
        fprintf(stderr, "run %d: %.1f ms of CPU\n", i + 1, cpu_ms() - before);
        if (result && i + 1 == times) {
            json_dumpf(result, stdout, 0);
            putchar('\n');
        }
        json_decref(result);
    }
    keep_artifacts(&harness, argv[3]);
    if (status != EXPORTD_OK)
        fprintf(stderr, "failed: %s: %s\n", harness.fail_code, harness.fail_message);
    if (harness.fault[0])
        fprintf(stderr, "fault: %s\n", harness.fault);
    json_decref(data);
    exportd_harness_close(&harness);
    return status == EXPORTD_OK ? 0 : 1;
}
