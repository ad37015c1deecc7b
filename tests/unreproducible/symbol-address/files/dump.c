#include <stdio.h>

int main(void)
{
	int here = 0;

	printf("puts %p\nhere %p\n", (void *)puts, (void *)&here);
	return 0;
}
