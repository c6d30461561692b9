#include "base/backoff.h"

#include <sodium.h>

int64_t backoff_wait_ms(int64_t first_ms, int64_t most_ms, int attempts)
{
    int64_t wait_ms = first_ms;
    for (int i = 1; i < attempts && wait_ms < most_ms; i++)
        wait_ms *= 2;
    if (wait_ms > most_ms)
        wait_ms = most_ms;
    if (wait_ms < 2)
        return wait_ms;
    int64_t half_ms = wait_ms / 2 < UINT32_MAX ? wait_ms / 2 : UINT32_MAX - 1;
    return wait_ms - half_ms + (int64_t)randombytes_uniform((uint32_t)half_ms + 1);
}
