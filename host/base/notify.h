/*
 * base/notify.h: tells the service manager how the host is, by the protocol of sd_notify(3).
 *
 * One datagram of lines "NAME=value" to the socket that $NOTIFY_SOCKET names is all of that protocol, which systemd
 * promises to keep; so there is no libsystemd here, which would bring four compression and cryptography libraries
 * into the host for it. Without $NOTIFY_SOCKET every function does nothing. A message that can't be sent is dropped:
 * the manager finds out by its own time limits.
 */
#ifndef EXPORTD_BASE_NOTIFY_H
#define EXPORTD_BASE_NOTIFY_H

#include <stdint.h>
#include <uv.h>

/* After the start, and again after each reload. */
void notify_ready(void);

/* A reload begins; ends with notify_ready(). Carries the time that Type=notify-reload asks for. */
void notify_reloading(void);

/* The host stops, and may take so long. */
void notify_stopping(int64_t expected_ms);

/* One line for people, as systemctl status shows it. Line breaks in it become spaces. */
void notify_status(const char *text);

/* How often the manager wants to hear notify_alive(), in milliseconds; 0: it doesn't watch this process. */
int64_t notify_watchdog_interval(void);

void notify_alive(void);

/* Says notify_alive() twice in each interval from the loop, so that a loop that hangs is noticed. Initializes *timer
 * in any case; the caller closes it. It doesn't keep the loop running. */
void notify_keep_alive(uv_loop_t *loop, uv_timer_t *timer);

#endif
