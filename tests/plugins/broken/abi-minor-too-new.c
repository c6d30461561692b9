#include <exportd/plugin.h>

EXPORTD_EXPORT const struct exportd_block exportd_plugin_block = {
    .magic = EXPORTD_ABI_MAGIC, .abi_major = EXPORTD_ABI_MAJOR, .abi_minor = EXPORTD_ABI_MINOR + 1};
