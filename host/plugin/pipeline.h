/*
 * plugin/pipeline.h: routes that conf.d makes out of others, and what a request for one is made of.
 *
 * A request's data holds options for all steps: each step gets those that its schema names, and what an object of the
 * step's own name holds ("build-assets": {"command": …}) goes to that step alone. Checked, it becomes
 * {"steps": [options of each], "routes": [their names], "repro"…}, which is what the store keeps. A pipeline may have
 * other steps when the job runs: each finds its options by its name.
 */
#ifndef EXPORTD_PLUGIN_PIPELINE_H
#define EXPORTD_PLUGIN_PIPELINE_H

#include "plugin/catalog.h"

/* Adds a route for each [pipeline NAME] of the configuration. One with a step that no plugin offers is a warning, and
 * is left out; a name that a plugin's route has, or a pipeline as a step, is an error. */
void pipeline_add_routes(struct catalog *catalog, struct config_problems *problems);

/* Puts before each route that names one (.after) the route that has to come first: a pipeline takes its place, under
 * its name and with the result of its last step. Where that one isn't there or is disabled, the route is left out,
 * with a warning. After pipeline_add_routes(), whose steps are as they are written. */
void pipeline_imply(struct catalog *catalog, struct config_problems *problems);

/* Holds a request's data against the steps' schemas, and changes it to what the store keeps. where: what a message
 * calls data. Returns 0, or -1 (options_invalid). */
int pipeline_check_data(const struct route *route, json_t *data, const char *where, struct error *error);

/* Whether a job's data (as the store keeps it) is what pipeline_check_data() makes. */
bool pipeline_made(const char *data, size_t length);

/* The data for one step, a new text (free it): its options, the repro where it needs one, and "previous", the result
 * of the step before (or NULL). NULL with error set where data isn't of this pipeline as it is now. */
char *pipeline_step_data(const struct route *route, const json_t *data, size_t step, json_t *previous,
                         struct error *error);

/* Adds the artifacts that a step named to those of the steps before: [{"path", "name", …}]. Where two have one name,
 * the later one's gets the step's name before its own. artifacts may be NULL. */
void pipeline_add_artifacts(json_t *all, const char *step, const json_t *artifacts);

#endif
