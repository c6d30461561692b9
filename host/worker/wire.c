#include "worker/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int write_all(int fd, struct iovec *parts, int count)
{
    while (count > 0) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        ssize_t written = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        size_t left = (size_t)written;
        while (count > 0 && left >= parts->iov_len) {
            left -= parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + left;
            parts->iov_len -= left;
        }
    }
    return 0;
}

int wire_send2(int fd, uint32_t type, uint64_t lease, const void *first, size_t first_length, const void *second,
               size_t second_length)
{
    struct wire_header header = {.length = (uint32_t)(first_length + second_length), .type = type, .lease = lease};
    struct iovec parts[3] = {
        {.iov_base = &header, .iov_len = sizeof header},
        {.iov_base = (void *)(uintptr_t)first, .iov_len = first_length},
        {.iov_base = (void *)(uintptr_t)second, .iov_len = second_length},
    };
    return write_all(fd, parts, 3);
}

int wire_send(int fd, uint32_t type, uint64_t lease, const void *payload, size_t length)
{
    return wire_send2(fd, type, lease, payload, length, NULL, 0);
}

/* What is there, at the most length bytes: all that is small comes by the reader's buffer. */
static ssize_t read_some(struct wire_reader *reader, char *buffer, size_t length)
{
    if (reader->start == reader->end) {
        if (length >= sizeof reader->bytes)
            return recv(reader->fd, buffer, length, 0);
        ssize_t count = recv(reader->fd, reader->bytes, sizeof reader->bytes, 0);
        if (count <= 0)
            return count;
        reader->start = 0;
        reader->end = (size_t)count;
    }
    size_t there = reader->end - reader->start;
    size_t taken = length < there ? length : there;
    memcpy(buffer, reader->bytes + reader->start, taken);
    reader->start += taken;
    return (ssize_t)taken;
}

/* Returns 1 when length bytes were read, 0 at the end of the stream before the first, -1 on an error. */
static int read_all(struct wire_reader *reader, void *buffer, size_t length, bool may_be_interrupted)
{
    size_t done = 0;
    while (done < length) {
        ssize_t count = read_some(reader, (char *)buffer + done, length - done);
        if (count > 0) {
            done += (size_t)count;
            continue;
        }
        if (count < 0 && errno == EINTR && !(may_be_interrupted && done == 0))
            continue;
        if (count == 0 && done == 0)
            return 0;
        if (count == 0)
            errno = EPIPE;
        return -1;
    }
    return 1;
}

int wire_receive(struct wire_reader *reader, struct wire_header *header, char **payload, size_t max_length)
{
    int got = read_all(reader, header, sizeof *header, true);
    if (got <= 0)
        return got;
    if (header->length > max_length) {
        errno = EMSGSIZE;
        return -1;
    }
    char *buffer = malloc((size_t)header->length + 1);
    if (!buffer)
        return -1;
    if (header->length > 0 && read_all(reader, buffer, header->length, false) != 1) {
        free(buffer);
        return -1;
    }
    buffer[header->length] = '\0';
    *payload = buffer;
    return 1;
}

void wire_folder_name(char name[WIRE_FOLDER_MAX], uint64_t turn, uint32_t salt)
{
    snprintf(name, WIRE_FOLDER_MAX, "job-%" PRIu64 "-%08" PRIx32, turn, salt); /* tree_spread() goes by the name */
}
