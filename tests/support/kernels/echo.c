/* Started by multiboot 1: says the code of each key that comes, until `q`. */

#include <stdint.h>

#define MAGIC 0x1badb002u

__attribute__((section(".multiboot"), used))
static const uint32_t header[] = {MAGIC, 0, -MAGIC};

static uint8_t stack[16384] __attribute__((aligned(16), used));

__asm__(".globl _start\n"
        "_start:\n"
        "  mov $stack + 16384, %esp\n"
        "  call run\n");

static void out(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void say(const char *text) {
    for (; *text; text++) {
        while (!(in(0x3fd) & 0x20)) {
        }
        out(0x3f8, (uint8_t)*text);
    }
}

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
