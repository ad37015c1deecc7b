/* A kernel that says hello, and what it was given, and ends. It is started by
   multiboot: by QEMU, or by GRUB. No operating system, no library, no file. */

#include <stdint.h>

#define MULTIBOOT_MAGIC 0x1badb002u
#define MULTIBOOT_FLAGS 3u /* modules on whole pages; how much memory there is */

/* What the loader looks for, within the first 8192 bytes. */
__attribute__((section(".multiboot"), used))
static const uint32_t multiboot_header[] = {
    MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS),
};

/* What the loader hands over: the beginning of it, as far as it is used here. */
struct multiboot_info {
    uint32_t flags, memory_lower, memory_upper, boot_device, cmdline;
    uint32_t module_count, modules;
};
struct module {
    uint32_t start, end, cmdline, reserved;
};

static uint8_t stack[16384] __attribute__((aligned(16), used));

/* The processor is in protected mode here, with no stack. */
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

/* The first serial port: every cloud and hypervisor shows it. */
static void say(const char *text) {
    for (; *text; text++) {
        while (!(in(0x3fd) & 0x20)) {
        }
        out(0x3f8, (uint8_t)*text);
    }
}

static const char *text_at(uint32_t address) {
    return (const char *)address;
}

__attribute__((used)) void run(const struct multiboot_info *info) {
    say("hello: started by multiboot with `");
    say(text_at(info->cmdline));
    say("`\n");
    const struct module *modules = (const struct module *)info->modules;
    for (uint32_t index = 0; index < info->module_count; index++) {
        say("hello: a module `");
        say(text_at(modules[index].cmdline));
        say("`: ");
        for (uint32_t at = modules[index].start; at < modules[index].end; at++) {
            char letter[2] = {*text_at(at), 0};
            say(letter);
        }
    }
    say("hello: done\n");
    /* The keyboard controller resets the machine, which ends QEMU with -no-reboot. */
    out(0x64, 0xfe);
    for (;;) {
        __asm__ volatile("hlt");
    }
}
