#include <exportd/plugin.h>

EXPORTD_EXPORT const struct exportd_block exportd_plugin_block = {
    .magic = EXPORTD_ABI_MAGIC, .abi_major = EXPORTD_ABI_MAJOR - 1, .abi_minor = 9};
