/* Serves one page to whoever asks, one after the other. */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char reply[] =
	"HTTP/1.1 200 OK\r\n"
	"Content-Type: text/plain\r\n"
	"Connection: close\r\n"
	"\r\n"
	"Hello from @NAME@\n";

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static void answer(int client)
{
	/* Nobody may keep the others waiting for longer than this. */
	struct timeval patience = { .tv_sec = 5 };
	char request[2048];

	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (recv(client, request, sizeof request, 0) > 0)
		send(client, reply, sizeof reply - 1, MSG_NOSIGNAL);
	close(client);
}

int main(void)
{
	struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_port = htons(80),
		.sin_addr.s_addr = htonl(INADDR_ANY),
	};
	int on = 1;
	int server = socket(AF_INET, SOCK_STREAM, 0);

	if (server < 0)
		return fail("socket");
	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(server, (struct sockaddr *)&here, sizeof here) != 0)
		return fail("bind");
	if (listen(server, 64) != 0)
		return fail("listen");
	puts("@NAME@: listening on port 80");
	fflush(stdout);
	for (;;) {
		int client = accept(server, NULL, NULL);
		if (client >= 0)
			answer(client);
	}
}
