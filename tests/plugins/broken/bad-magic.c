#include <exportd/plugin.h>

EXPORTD_EXPORT const struct exportd_block exportd_plugin_block = {.magic = 0x12345678};
