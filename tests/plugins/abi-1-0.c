/* A plugin as one built it with the first header; nothing of today's is included. */
#include "../data/plugin-abi-1.0.h"

#define NAME "abi-1-0"
#define NEWER(job) ((void)(job), 0)
#include "abi_frozen.inc"
