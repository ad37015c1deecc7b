#include <stdio.h>
#include <stdlib.h>

struct record {
	char name[8];
	char *next;
	int count;
};

/* Leaves addresses of the stack behind. */
static void work(void)
{
	void *some[64];

	for (int at = 0; at < 64; at++)
		some[at] = &some[at];
	if (some[0] == NULL)
		abort();
}

static void save(void)
{
	struct record records[8];

	for (int at = 0; at < 8; at++)
		records[at].count = at;
	fwrite(records, sizeof(records), 1, stdout);
}

int main(void)
{
	work();
	save();
	return 0;
}
