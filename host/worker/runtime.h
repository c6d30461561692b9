/*
 * worker/runtime.h: the worker's side of the road: one plugin, one job at a time.
 */
#ifndef EXPORTD_WORKER_RUNTIME_H
#define EXPORTD_WORKER_RUNTIME_H

/*
 * Reads CONFIGURE from fd, enters the sandbox, maps the plugin, answers READY or REFUSED, and then runs jobs until
 * the host closes the pair or SIGTERM comes. Returns the process's exit code.
 *
 * CONFIGURE: {"probe": bool, "plugin": path, "options": {name: text}, "secrets": {name: text}, "workspace": folder or
 * null, "read": [path], "network": bool, "exec": bool, "memory": bytes, "file": bytes, "sandbox": bool}
 */
int runtime_main(int fd);

#endif
