/*
 * lz_string.h: text as CodeSandbox takes it in a link.
 *
 * The form is that of getParameters() in npm codesandbox-import-utils: lz-string's compressToBase64 over the text's
 * UTF-16 units, then "+" as "-", "/" as "_", and no "=" at the end, so that it can stand in a query as it is.
 */
#ifndef EXPORT_CODESANDBOX_LZ_STRING_H
#define EXPORT_CODESANDBOX_LZ_STRING_H

/* Compresses UTF-8 (an ill-formed byte counts as U+FFFD). Returns a new string (free it), or NULL when out of memory.
 */
char *lz_string_compress(const char *text);

#endif
