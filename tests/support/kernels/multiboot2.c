/* As recipes/unikernel/hello, but started by multiboot 2. */

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
