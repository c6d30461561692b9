/*
 * npy.h: a matrix of floats in NumPy's format, version 1.0: little-endian float32, row by row.
 */
#ifndef REPO_EMBED_NPY_H
#define REPO_EMBED_NPY_H

#include <stddef.h>

#define NPY_HEADER_BYTES 128

/* Writes the header of a file. Returns 0, or -1 with errno set. */
int npy_write_header(int fd, size_t rows, size_t columns);

/* Writes rows, from the one of this number on. Returns 0, or -1 with errno set. */
int npy_write_rows(int fd, size_t first, size_t rows, size_t columns, const float *values);

/* Reads rows. Returns 0, or -1 with errno set. */
int npy_read_rows(int fd, size_t first, size_t rows, size_t columns, float *values);

#endif
