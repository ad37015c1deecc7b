/* The probe's verbs for a command that may use the network of the machine. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void told(const char *name, long result) {
    printf("%s: %s\n", name, result < 0 ? strerrorname_np(errno) : "done");
    fflush(stdout);
}

/* The body of the page `/` of a server on this machine. */
static void get(int port) {
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(server, (void *)&at, sizeof at)) return told("get", -1);
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    write(server, request, sizeof request - 1);
    static char answer[4096];
    size_t size = 0;
    ssize_t count;
    while ((count = read(server, answer + size, sizeof answer - 1 - size)) > 0) size += count;
    char *body = strstr(answer, "\r\n\r\n");
    printf("got %s\n", body ? body + 4 : "nothing");
}

/* Tries what a namespace that is shared with the machine would open. */
static void kinds(void) {
    int pair[2];
    told("tcp", socket(AF_INET, SOCK_STREAM, 0));
    told("udp", socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP));
    told("unix stream", socket(AF_UNIX, SOCK_STREAM, 0));
    told("unix datagram", socket(AF_UNIX, SOCK_DGRAM, 0));
    told("unix packet", socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    told("netlink", socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    told("packet", socket(AF_PACKET, SOCK_DGRAM, 0));
    told("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    told("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    told("raw with flags", socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP));
    told("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    told("sctp", socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
    told("pair of streams", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    told("pair of packets", socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    told("pair of datagrams", socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    told("pair of raw ones", socketpair(AF_UNIX, SOCK_RAW | SOCK_NONBLOCK, 0, pair));
}

/* Tries to reach the sockets called `name` in the abstract namespace through whatever
 * socket there is. Says nothing but what went through. */
static void abstract(const char *name) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    memcpy(at.sun_path + 1, name, length);
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + length;
    for (int kind = 0; kind < 16; kind++) {
        int pair[2] = {-1, -1};
        int one = socket(AF_UNIX, kind, 0);
        if (one >= 0 && !connect(one, (void *)&at, size)) told("connect", 0);
        if (one >= 0 && sendto(one, "x", 1, 0, (void *)&at, size) > 0) told("send", 0);
        if (socketpair(AF_UNIX, kind, 0, pair)) continue;
        /* Bytes that go to the other end went nowhere else. */
        ssize_t sent = sendto(pair[0], "x", 1, MSG_DONTWAIT, (void *)&at, size);
        char byte;
        if (sent > 0 && recv(pair[1], &byte, 1, MSG_DONTWAIT) != 1) told("send of a pair", 0);
        if (!connect(pair[0], (void *)&at, size)) told("connect of a pair", 0);
        close(pair[1]);
        if (!connect(pair[0], (void *)&at, size)) told("connect of half a pair", 0);
    }
    puts("tried");
}

int network(const char *verb, const char *one) {
    if (!strcmp(verb, "get")) get(atoi(one));
    else if (!strcmp(verb, "kinds")) kinds();
    else if (!strcmp(verb, "abstract")) abstract(one);
    else return 0;
    return 1;
}
