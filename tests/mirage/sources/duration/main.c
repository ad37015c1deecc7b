/* A unikernel that says a line, which stands in line.h, and ends. */
#include "line.h"
#include "solo5.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    static const char line[] = LINE "\n";

    (void)info;
    solo5_console_write(line, sizeof line - 1);
    return SOLO5_EXIT_SUCCESS;
}
