/* npy.h: the header, and rows at their places. */
#include "npy.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the files that this writes are little-endian: turn the bytes of each number here first"
#endif

static int write_all(int fd, const char *bytes, size_t size, off_t offset)
{
    while (size > 0) {
        ssize_t part = pwrite(fd, bytes, size, offset);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return -1;
        bytes += part;
        offset += part;
        size -= (size_t)part;
    }
    return 0;
}

int npy_write_header(int fd, size_t rows, size_t columns)
{
    char header[NPY_HEADER_BYTES], shape[96];
    const size_t begin = 10, text = NPY_HEADER_BYTES - begin;
    int length = snprintf(shape, sizeof shape, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }",
                          rows, columns);
    if (length < 0 || (size_t)length >= sizeof shape) {
        errno = EOVERFLOW;
        return -1;
    }
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)text;
    header[9] = 0;
    memset(header + begin, ' ', text);
    memcpy(header + begin, shape, (size_t)length);
    header[NPY_HEADER_BYTES - 1] = '\n';
    return write_all(fd, header, sizeof header, 0);
}

static off_t place_of(size_t row, size_t columns)
{
    return (off_t)(NPY_HEADER_BYTES + row * columns * sizeof(float));
}

int npy_write_rows(int fd, size_t first, size_t rows, size_t columns, const float *values)
{
    return write_all(fd, (const char *)values, rows * columns * sizeof *values, place_of(first, columns));
}

int npy_read_rows(int fd, size_t first, size_t rows, size_t columns, float *values)
{
    char *at = (char *)values;
    off_t offset = place_of(first, columns);
    for (size_t left = rows * columns * sizeof *values; left > 0;) {
        ssize_t part = pread(fd, at, left, offset);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0) {
            errno = part == 0 ? EIO : errno;
            return -1;
        }
        at += part;
        offset += part;
        left -= (size_t)part;
    }
    return 0;
}
