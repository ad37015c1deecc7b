/* As recipes/unikernel/hello, but started by multiboot 2. */

#include <stdint.h>

#define MAGIC 0xe85250d6u

__attribute__((section(".multiboot"), used, aligned(8)))
static const uint32_t header[] = {
    MAGIC, 0, 24, -(MAGIC + 24),
    0, 8, /* the tag that ends the list */
};

/* What the loader hands over: tags, each at a multiple of 8 bytes. */
struct tag {
    uint32_t type, size;
    union {
        char text[1];
        struct {
            uint32_t start, end;
            char text[1];
        } module;
    };
};

static uint8_t stack[16384] __attribute__((aligned(16), used));

__asm__(".globl _start\n"
        "_start:\n"
        "  mov $stack + 16384, %esp\n"
        "  push %ebx\n"
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

__attribute__((used)) void run(uint32_t info) {
    const struct tag *tag = (const struct tag *)(info + 8);
    for (; tag->type != 0; tag = (const struct tag *)((uint32_t)tag + ((tag->size + 7) & ~7u))) {
        if (tag->type == 1) {
            say("two: command line `");
            say(tag->text);
            say("`\n");
        } else if (tag->type == 3) {
            say("two: module `");
            say(tag->module.text);
            say("`: ");
            for (uint32_t at = tag->module.start; at < tag->module.end; at++) {
                char letter[2] = {*(const char *)at, 0};
                say(letter);
            }
        }
    }
    say("two: done\n");
    out(0x64, 0xfe);
    for (;;) {
        __asm__ volatile("hlt");
    }
}
