/* Giving files to others, by every call there is for it, and looking whose they are. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void put(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (write(file, text, strlen(text)) < 0) perror(path);
    close(file);
}

static void whose(const char *what, const struct stat *meta) {
    printf("%s %d:%d %o\n", what, meta->st_uid, meta->st_gid, meta->st_mode & 07777);
}

static void look(const char *what, const char *path) {
    struct stat meta;
    if (stat(path, &meta)) printf("%s: %s\n", what, strerror(errno));
    else whose(what, &meta);
}

static void gave(const char *what, int result) {
    printf("%s: %s\n", what, result ? strerror(errno) : "done");
}

static void give(void) {
    struct stat meta;
    struct statx more;
    put("f", "x");
    look("at first", "f");
    chmod("f", 04755);
    gave("chown", chown("f", 100, 101));
    look("chown", "f");
    chmod("f", 06755);
    look("chmod", "f");
    chown("f", -1, 7);
    look("group alone", "f");
    symlink("f", "l");
    lchown("l", 5, 6);
    lstat("l", &meta);
    whose("lchown", &meta);
    look("through it", "l");
    chown("l", 3, 4);
    look("chown through it", "f");
    int file = open("f", O_RDONLY), folder = open("/build", O_RDONLY | O_DIRECTORY);
    chdir("/tmp");
    fchown(file, 8, 9);
    fstat(file, &meta);
    whose("fchown", &meta);
    fchownat(folder, "f", 10, 11, 0);
    fstatat(folder, "f", &meta, AT_SYMLINK_NOFOLLOW);
    whose("fchownat", &meta);
    fchownat(file, "", 12, 13, AT_EMPTY_PATH);
    statx(file, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &more);
    printf("statx %d:%d %o\n", more.stx_uid, more.stx_gid, more.stx_mode & 07777);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    chown(path, 14, 16);
    snprintf(path, sizeof path, "/dev/fd/%d", file);
    chown(path, -1, 15);
    chdir("/build");
    fflush(stdout);
    if (!fork()) { look("a child", "./f"); fflush(stdout); _exit(0); }
    wait(0);
    close(file);
    rename("f", "g");
    look("renamed", "g");
    link("g", "h");
    unlink("g");
    look("linked", "h");
    mkdir("d", 0755);
    chown("d", 16, 17);
    look("folder", "d/");
    gave("back", chown("d", 0, 0));
    look("back", "d");
    /* A new file may get the number of one that is gone. */
    int wrong = 0;
    for (int i = 0; i < 2000; i++) {
        unlink("h");
        put("h", "y");
        if (stat("h", &meta) || meta.st_uid) wrong++;
        chown("h", 18, 19);
    }
    printf("others' numbers %d\n", wrong);
    gave("nothing there", chown("gone", 1, 1));
    gave("nowhere", chown((char *)8, 1, 1));
    gave("read-only", chown("/probe", 1, 1));
    gave("the root", chown("/", 1, 1));
    for (int i = 0; i < 600; i++) {
        char other[64];
        snprintf(other, sizeof other, "/proc/1/fd/%d", i);
        if (!chown(other, 1, 1)) gave(other, 0);
    }
    if (!chown("/proc/1/root", 1, 1) || !chown("/proc/1/cwd/.", 1, 1)) gave("pid 1", 0);
    printf("into nowhere %ld\n", syscall(SYS_newfstatat, AT_FDCWD, "/build/h", (void *)8, 0));
    look("the rest", "/probe");
}

int owners(const char *verb) {
    if (!strcmp(verb, "give")) give();
    else return 0;
    return 1;
}
