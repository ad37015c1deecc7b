/* Started by multiboot 1: says the code of each key that comes, until `q`. */

#define MAGIC 0x1badb002u

__attribute__((section(".multiboot"), used))
static const uint32_t header[] = {MAGIC, 0, -MAGIC};

__attribute__((used)) void run(void) {
    static const char digits[] = "0123456789abcdef";
    /* Without an end of the line: what waits for keys says so like that. */
    say("\033[1mecho\033[0m: ready\necho> ");
    for (uint8_t key = 0; key != 'q';) {
        while (!(in(0x3fd) & 1)) {
        }
        key = in(0x3f8);
        char code[] = {'<', digits[key >> 4], digits[key & 15], '>', 0};
        say(code);
    }
    say("\necho: done\n");
    out(0x64, 0xfe);
    for (;;) {
        __asm__ volatile("hlt");
    }
}
