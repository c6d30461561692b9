/*
 * plugin/forward.h: routes that another host does ([upstream] tasks in conf.d).
 */
#ifndef EXPORTD_PLUGIN_FORWARD_H
#define EXPORTD_PLUGIN_FORWARD_H

#include "plugin/catalog.h"

/* Where there is an upstream: marks the routes that go there, and makes those that nothing here offers. With
 * simulate, the latter without an upstream too. */
void forward_add_routes(struct catalog *catalog);

/* The data of a request as the other host is to be given it (a new object): of a pipeline, each step's options under
 * the step's name. */
json_t *forward_data(const struct route *route, const json_t *data);

#endif
