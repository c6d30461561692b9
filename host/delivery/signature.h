/*
 * delivery/signature.h: signatures as Standard Webhooks 1.0 says (https://www.standardwebhooks.com).
 */
#ifndef EXPORTD_DELIVERY_SIGNATURE_H
#define EXPORTD_DELIVERY_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

#define SIGNATURE_TEXT_MAX 64

/* The value of webhook-signature for a message: "v1,<base64 of HMAC-SHA256 over id.timestamp.body>". secret: "whsec_"
 * and base64, or any text, whose bytes are then the key. Returns 0, or -1 where a whsec_ secret is no base64. */
int signature_make(const char *secret, const char *id, int64_t timestamp_s, const char *body, size_t length,
                   char text[SIGNATURE_TEXT_MAX]);

#endif
