/* A web server with one page, for a machine that does nothing else.
 *
 * One thread, no allocation, a fixed number of connections. Each has one
 * deadline for everything, so that a slow client holds its place for a few
 * seconds at most; while all places are taken, the kernel keeps others waiting.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PORT = 80,
	PLACES = 64,
	REQUEST_MAX = 4096,  /* request line and headers together */
	PATIENCE_MS = 10000, /* from accepting a connection to closing it */
};

#define PAGE "Hello from a Lunikernel!\n"
#define REPLY(status, extra, body) \
	"HTTP/1.1 " status "\r\n" \
	"Content-Type: text/plain; charset=utf-8\r\n" \
	"Connection: close\r\n" extra "\r\n" body

static const char ok_get[] = REPLY("200 OK", "Content-Length: 25\r\n", PAGE);
static const char ok_head[] = REPLY("200 OK", "Content-Length: 25\r\n", "");
static const char bad_request[] = REPLY("400 Bad Request", "", "bad request\n");
static const char not_found[] = REPLY("404 Not Found", "", "not found\n");
static const char not_found_head[] = REPLY("404 Not Found", "", "");
static const char not_allowed[] =
	REPLY("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "method not allowed\n");
static const char too_large[] =
	REPLY("431 Request Header Fields Too Large", "", "request too large\n");

_Static_assert(sizeof PAGE - 1 == 25, "Content-Length must be the page's length");

struct connection {
	int fd; /* -1: the place is free */
	long long deadline;
	size_t received;
	const char *reply; /* NULL: the request is still being read */
	size_t reply_left; /* 0 with a reply: waiting for the client to close */
	char request[REQUEST_MAX];
};

static struct connection connections[PLACES];

static long long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static bool begins_with(const char *text, size_t length, const char *prefix)
{
	size_t wanted = strlen(prefix);
	return length >= wanted && memcmp(text, prefix, wanted) == 0;
}

static void answer(struct connection *c, const char *reply)
{
	c->reply = reply;
	c->reply_left = strlen(reply);
}

/* Chooses the reply to a request whose headers are complete. */
static void route(struct connection *c)
{
	const char *line = c->request;
	size_t length = (size_t)((char *)memchr(line, '\n', c->received) - line);
	if (length > 0 && line[length - 1] == '\r')
		length--;

	const char *method_end = memchr(line, ' ', length);
	if (!method_end)
		return answer(c, bad_request);
	const char *path = method_end + 1;
	size_t rest = length - (size_t)(path - line);
	const char *path_end = memchr(path, ' ', rest);
	if (!path_end || !begins_with(path_end, rest - (size_t)(path_end - path), " HTTP/1."))
		return answer(c, bad_request);

	bool get = begins_with(line, length, "GET ");
	bool head = begins_with(line, length, "HEAD ");
	if (!get && !head)
		return answer(c, not_allowed);
	if (path_end - path != 1 || *path != '/')
		return answer(c, head ? not_found_head : not_found);
	answer(c, head ? ok_head : ok_get);
}

static void release(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
}

static bool is_transient(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static void receive(struct connection *c)
{
	char *free_space = c->request + c->received;
	ssize_t n = read(c->fd, free_space, sizeof c->request - c->received);
	if (n < 0 && is_transient())
		return;
	if (n <= 0)
		return release(c);
	c->received += (size_t)n;
	if (memmem(c->request, c->received, "\r\n\r\n", 4) || memmem(c->request, c->received, "\n\n", 2))
		route(c);
	else if (c->received == sizeof c->request)
		answer(c, too_large);
}

static void transmit(struct connection *c)
{
	ssize_t n = send(c->fd, c->reply, c->reply_left, MSG_NOSIGNAL);
	if (n < 0 && is_transient())
		return;
	if (n < 0)
		return release(c);
	c->reply += n;
	c->reply_left -= (size_t)n;
	/* Closing with unread input would reset the connection and could cost the
	 * client the reply: say that this is all, then wait for it to close. */
	if (c->reply_left == 0)
		shutdown(c->fd, SHUT_WR);
}

static void drain(struct connection *c)
{
	ssize_t n = read(c->fd, c->request, sizeof c->request);
	if (n == 0 || (n < 0 && !is_transient()))
		release(c);
}

static void proceed(struct connection *c)
{
	if (!c->reply)
		receive(c);
	else if (c->reply_left > 0)
		transmit(c);
	else
		drain(c);
}

static void admit(int listener, struct connection *c)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		/* The client has gone again, or the kernel is short of something: the
		 * listener stays readable then, so wait instead of asking at once. */
		if (!is_transient() && errno != ECONNABORTED)
			poll(NULL, 0, 100);
		return;
	}
	c->fd = fd;
	c->deadline = now_ms() + PATIENCE_MS;
	c->received = 0;
	c->reply = NULL;
	c->reply_left = 0;
}

static int listen_on(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int yes = 1;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((unsigned short)port),
		.sin_addr.s_addr = htonl(INADDR_ANY),
	};
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 128) < 0)
		return -1;
	return fd;
}

/* Waits for something to happen and lets every connection concerned proceed. */
static void serve_once(int listener)
{
	struct pollfd waiting[PLACES + 1];
	struct connection *vacant = NULL;
	long long now = now_ms(), timeout = -1;

	for (int i = 0; i < PLACES; i++) {
		struct connection *c = &connections[i];
		if (c->fd >= 0 && c->deadline <= now)
			release(c);
		if (c->fd < 0)
			vacant = c;
		else if (timeout < 0 || c->deadline - now < timeout)
			timeout = c->deadline - now;
		bool writing = c->reply && c->reply_left > 0;
		waiting[i] = (struct pollfd){.fd = c->fd, .events = writing ? POLLOUT : POLLIN};
	}
	waiting[PLACES] = (struct pollfd){.fd = vacant ? listener : -1, .events = POLLIN};

	if (poll(waiting, PLACES + 1, (int)timeout) <= 0)
		return;
	for (int i = 0; i < PLACES; i++)
		if (waiting[i].revents)
			proceed(&connections[i]);
	if (waiting[PLACES].revents)
		admit(listener, vacant);
}

int main(void)
{
	for (int i = 0; i < PLACES; i++)
		connections[i].fd = -1;
	int listener = listen_on(PORT);
	if (listener < 0) {
		fprintf(stderr, "hello: cannot listen on port %d: %s\n", PORT, strerror(errno));
		return 1;
	}
	printf("hello: serving http://0.0.0.0:%d/\n", PORT);
	fflush(stdout);
	for (;;)
		serve_once(listener);
}
