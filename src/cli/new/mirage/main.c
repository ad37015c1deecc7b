/* A unikernel: all there is besides Solo5, whose calls are in solo5.h. */
#include "solo5.h"

static void say(const char *text)
{
    size_t length = 0;

    while (text[length] != '\0')
        length++;
    solo5_console_write(text, length);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    say("@NAME@: ");
    say(info->cmdline);
    say("\n");
    return SOLO5_EXIT_SUCCESS;
}
