/*
 * A unikernel that reads its disk `storage` as a tar archive (POSIX.1-1988 ustar), by
 * Solo5's interface alone, and writes the name and content of each file to the console.
 */
#include "solo5.h"

#define SECTOR 512

static void say(const char *text, size_t length)
{
    solo5_console_write(text, length);
}

/* The length of a field that ends with a NUL, unless it is full. */
static size_t length(const char *field, size_t most)
{
    size_t at = 0;
    while (at < most && field[at] != '\0')
        at++;
    return at;
}

/* The size of a file: octal digits. */
static uint64_t size(const char *field)
{
    uint64_t value = 0;
    for (int at = 0; at < 11 && field[at] >= '0' && field[at] <= '7'; at++)
        value = value * 8 + (uint64_t)(field[at] - '0');
    return value;
}

int solo5_app_main(const struct solo5_start_info *start __attribute__((unused)))
{
    static uint8_t sector[SECTOR];
    const char *header = (const char *)sector;
    solo5_handle_t disk;
    struct solo5_block_info info;

    if (solo5_block_acquire("storage", &disk, &info) != SOLO5_R_OK)
        return 1;
    if (info.block_size != SECTOR || info.capacity % SECTOR != 0)
        return 2;
    for (solo5_off_t at = 0; at < info.capacity;) {
        if (solo5_block_read(disk, at, sector, SECTOR) != SOLO5_R_OK)
            return 3;
        at += SECTOR;
        if (header[0] == '\0')
            break;
        say("file ", 5);
        say(header, length(header, 100));
        say(": ", 2);
        for (uint64_t left = size(header + 124); left > 0;) {
            if (solo5_block_read(disk, at, sector, SECTOR) != SOLO5_R_OK)
                return 4;
            uint64_t part = left < SECTOR ? left : SECTOR;
            say(header, part);
            left -= part;
            at += SECTOR;
        }
    }
    say("end of disk\n", 12);
    return SOLO5_EXIT_SUCCESS;
}
