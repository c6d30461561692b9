#include "config/internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>

static bool is_loopback_v6(const struct in6_addr *address)
{
    if (IN6_IS_ADDR_V4MAPPED(address))
        return address->s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(address) != 0;
}

int config_parse_listen(const char *text, struct config_address *address, struct config_why *why)
{
    static const char form[] = "write address:port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080";
    const char *colon = strrchr(text, ':');
    if (!colon)
        return config_refuse(why, "is \"%.80s\", without a port; %s", text, form);
    int64_t port;
    if (config_parse_integer(colon + 1, &port) || port < 0 || port > 65535)
        return config_refuse(why, "is \"%.80s\", and \"%.20s\" is no port from 0 to 65535; %s", text, colon + 1,
                             form);
    char host[INET6_ADDRSTRLEN + 2];
    size_t length = (size_t)(colon - text);
    if (length == 0 || length >= sizeof host)
        return config_refuse(why, "is \"%.80s\", without an address; %s", text, form);
    memcpy(host, text, length);
    host[length] = '\0';

    struct in_addr v4;
    struct in6_addr v6;
    if (host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &v6) != 1)
            return config_refuse(why, "is \"%.80s\", and \"%s\" is no IPv6 address; %s", text, host + 1, form);
        address->loopback = is_loopback_v6(&v6);
    } else if (inet_pton(AF_INET, host, &v4) == 1) {
        address->loopback = (ntohl(v4.s_addr) >> 24) == 127;
    } else if (inet_pton(AF_INET6, host, &v6) == 1) {
        return config_refuse(why, "is \"%.80s\"; an IPv6 address stands in brackets: [%s]:%s", text, host, colon + 1);
    } else {
        return config_refuse(why, "is \"%.80s\", and \"%s\" is no IP address; %s", text, host, form);
    }
    address->port = (unsigned)port;
    return 0;
}

int config_check_network(const char *text, struct config_why *why)
{
    static const char form[] = "write addresses or CIDR blocks, such as 10.0.0.0/8, 192.168.1.7 or fd00::/8";
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    char host[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    if (length >= sizeof host)
        return config_refuse(why, "has \"%.80s\", which is no IP address; %s", text, form);
    memcpy(host, text, length);
    host[length] = '\0';
    int64_t bits = inet_pton(AF_INET, host, bytes) == 1 ? 32 : inet_pton(AF_INET6, host, bytes) == 1 ? 128 : 0;
    if (bits == 0)
        return config_refuse(why, "has \"%.80s\", which is no IP address; %s", text, form);
    int64_t prefix = bits;
    if (slash && (config_parse_integer(slash + 1, &prefix) || prefix < 0 || prefix > bits))
        return config_refuse(why, "has \"%.80s\", whose prefix is no number from 0 to %d; %s", text, (int)bits, form);
    for (int64_t bit = prefix; bit < bits; bit++)
        if (bytes[bit / 8] & (0x80 >> (bit % 8)))
            return config_refuse(why,
                                 "has \"%.80s\", which has bits beyond its prefix; write the block's first address, "
                                 "or the single address without /%d",
                                 text, (int)prefix);
    return 0;
}

int config_check_host_name(const char *text, struct config_why *why)
{
    unsigned char bytes[16];
    char host[INET6_ADDRSTRLEN];
    size_t length = strlen(text);
    if (text[0] == '[' && text[length - 1] == ']' && length - 2 < sizeof host) {
        memcpy(host, text + 1, length - 2);
        host[length - 2] = '\0';
        if (inet_pton(AF_INET6, host, bytes) == 1)
            return 0;
    }
    bool good = length <= 253 && text[0] != '.' && text[0] != '-';
    for (const char *at = text; good && *at; at++)
        good = isalnum((unsigned char)*at) || *at == '-' || *at == '.' || *at == '_';
    if (!good)
        return config_refuse(why,
                             "has \"%.80s\", which is no host name; write names such as exportd.example.org, "
                             "without http:// and without a port",
                             text);
    return 0;
}

int config_check_url(const char *text, struct config_why *why)
{
    size_t scheme = !strncmp(text, "http://", 7) ? 7 : !strncmp(text, "https://", 8) ? 8 : 0;
    bool good = scheme > 0 && (isalnum((unsigned char)text[scheme]) || text[scheme] == '[');
    for (const char *at = text; good && *at; at++)
        good = isgraph((unsigned char)*at) && *at != '"' && *at != '<' && *at != '>' && *at != '?' && *at != '#';
    if (!good)
        return config_refuse(why, "is \"%.80s\"; write a URL such as https://exportd.example.org, without ? and #",
                             text);
    return 0;
}
