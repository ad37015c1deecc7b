/* What the conformance suite runs inside a sandbox: one static program that needs
 * nothing else in the root. Each verb prints what it finds; several are divided by
 * arguments that are a lone comma. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
extern int around(const char *verb, const char *one);
extern int network(const char *verb, const char *one);
extern int owners(const char *verb);

static void say(const char *name, long result) {
    printf("%s: %s\n", name, result < 0 ? strerrorname_np(errno) : "done");
    fflush(stdout);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void show(void) {
    struct utsname name;
    uname(&name);
    char cwd[4096];
    getcwd(cwd, sizeof cwd);
    mode_t mask = umask(0);
    umask(mask);
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof cpus, &cpus);
    printf("uid %d %d\ngid %d %d\n", getuid(), geteuid(), getgid(), getegid());
    printf("pid %d\nparent %d\nsession leader %d\n", getpid(), getppid(), getsid(0) == getpid());
    printf("host %s\ndomain %s\n", name.nodename, name.domainname);
    printf("cwd %s\numask %03o\ncpus %d\n", cwd, mask, CPU_COUNT(&cpus));
    printf("no new privileges %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    printf("seccomp %d\n", prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) printf("fd %d\n", fd);
    char byte;
    printf("stdin %zd\n", read(0, &byte, 1));
    for (int number = 1; number < 32; number++)
        if (signal(number, SIG_DFL) == SIG_IGN) printf("ignored signal %d\n", number);
}

static void environment(void) {
    size_t count = 0;
    while (environ[count]) count++;
    qsort(environ, count, sizeof *environ, by_text);
    for (size_t i = 0; i < count; i++) puts(environ[i]);
}

static void list(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) return say(path, -1);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) puts(entry->d_name);
    closedir(folder);
}

static void status(const char *path) {
    struct stat meta;
    if (lstat(path, &meta)) return say(path, -1);
    printf("%s %o %d:%d %ld\n", path, meta.st_mode, meta.st_uid, meta.st_gid, (long)meta.st_mtime);
}

static void cat(const char *path) {
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0) return say(path, -1);
    char buffer[4096];
    ssize_t got;
    fflush(stdout);
    while ((got = read(fd, buffer, sizeof buffer)) > 0)
        if (write(1, buffer, got) < 0) break;
    if (got < 0) say(path, -1);
    close(fd);
}

static int put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0) return -1;
    ssize_t wrote = write(fd, text, strlen(text));
    int saved = errno;
    close(fd);
    errno = saved;
    return wrote < 0 ? -1 : 0;
}

static void touch(char *at, long bytes) {
    for (long i = 0; i < bytes; i += 4096) at[i] = 1;
}

/* Everything that a command could try in order to get out or to change the machine. */
static void escape(void) {
    say("mount", mount("none", "/tmp", "tmpfs", 0, ""));
    say("remount", mount("none", "/proc/sys", "", MS_REMOUNT | MS_BIND, ""));
    say("umount", umount2("/proc/kcore", MNT_DETACH));
    say("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    say("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    say("pivot_root", syscall(SYS_pivot_root, ".", "."));
    say("chroot", chroot("/tmp"));
    say("unshare user", unshare(CLONE_NEWUSER));
    say("unshare mount", unshare(CLONE_NEWNS));
    say("setns", setns(0, 0));
    say("clone user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    say("clone net", syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0));
    say("clone3", syscall(SYS_clone3, 0, 0));
    say("ptrace", ptrace(PTRACE_ATTACH, 1, 0, 0));
    say("kill 1", kill(1, SIGKILL));
    /* None of these would change anything but how pid 1 is treated. */
    char settings[64] = {64};
    say("limit 1", syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, 0, 0));
    say("schedule 1", syscall(SYS_sched_setscheduler, 1, SCHED_OTHER, settings + 1));
    say("parameters 1", syscall(SYS_sched_setparam, 1, settings + 1));
    say("attributes 1", syscall(SYS_sched_setattr, 1, settings, 0));
    say("cpus 1", syscall(SYS_sched_setaffinity, 1, sizeof settings, memset(settings, -1, sizeof settings)));
    say("priority 1", syscall(SYS_setpriority, PRIO_PROCESS, 1, 0));
    say("priority user", syscall(SYS_setpriority, PRIO_USER, 0, 0));
    say("disk priority 1", syscall(SYS_ioprio_set, 1, 1, 0));
    say("disk priority user", syscall(SYS_ioprio_set, 3, 0, 0));
    say("clone untraced", syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0));
    say("mknod", mknod("/build/disk", S_IFBLK | 0600, makedev(8, 0)));
    say("chown", chown("/build", 1, 1));
    say("setuid", setuid(1));
    say("host name", sethostname("x", 1));
    struct timespec time = {0, 0};
    say("clock", clock_settime(CLOCK_REALTIME, &time));
    say("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0x01234567, 0));
    say("bpf", syscall(SYS_bpf, 0, 0, 0));
    say("perf", syscall(SYS_perf_event_open, 0, 0, 0, 0, 0));
    say("userfaultfd", syscall(SYS_userfaultfd, 0));
    say("io_uring", syscall(SYS_io_uring_setup, 1, 0));
    say("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
    say("add_key", syscall(SYS_add_key, "user", "x", "x", 1, -3));
    say("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0));
    say("module", syscall(SYS_init_module, 0, 0, ""));
    say("syslog", syscall(SYS_syslog, 10, 0, 0));
    say("handle", syscall(SYS_open_by_handle_at, 0, 0, 0));
    say("memfd", syscall(SYS_memfd_create, "x", 0));
    say("personality", syscall(SYS_personality, 0x0400000));
    say("raw socket", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    say("packet socket", socket(AF_PACKET, SOCK_RAW, 0));
    say("vsock", socket(40, SOCK_STREAM, 0));
    char key = 'x';
    say("TIOCSTI", ioctl(0, TIOCSTI, &key));
    say("TIOCSTI high", syscall(SYS_ioctl, 0L, 0x100000000L | TIOCSTI, &key));
#ifdef __x86_64__
    say("x32", syscall(0x40000000 | SYS_getpid));
#endif
    say("pid 1 root", open("/proc/1/root/etc", O_RDONLY));
    say("pid 1 memory", open("/proc/1/mem", O_RDWR));
    say("pid 1 files", opendir("/proc/1/fd") ? 0 : -1);
    say("sysctl", put("/proc/sys/kernel/hostname", "x"));
    say("core pattern", put("/proc/sys/kernel/core_pattern", "|/x"));
    say("device folder", put("/dev/x", "x"));
    say("terminal", open("/dev/tty", O_RDWR));
    say("sys", open("/sys", O_RDONLY));
    say("parent", open("/../build/../../../escape-probe", O_RDONLY));
    /* The classic way out of a chroot: a descriptor of the outside and many steps up. */
    for (int i = 0; i < 100; i++) chdir("..");
    say("after many steps up", open("probe", O_RDONLY));
    chdir("/build");
}

static void connect_to(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    say("loopback", connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&at, sizeof at));
    at.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1, which exists nowhere */
    say("elsewhere", connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&at, sizeof at));
}

static void serve_oneself(void) {
    int server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(server, (void *)&at, size);
    listen(server, 1);
    getsockname(server, (void *)&at, &size);
    say("own server", connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&at, size));
}

static void make_socket(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strncpy(at.sun_path, path, sizeof at.sun_path - 1);
    say("socket", bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&at, sizeof at));
}

static void eat(long mebibytes, int flags) {
    long bytes = mebibytes << 20;
    char *memory = mmap(0, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return say("eat", -1);
    touch(memory, bytes);
    say("eat", 0);
    sleep(1);
}

static void hold_memory_file(long mebibytes) {
    int fd = open("/dev/shm/x", O_RDWR | O_CREAT, 0600);
    static char chunk[1 << 20];
    for (long i = 0; i < mebibytes; i++)
        if (write(fd, chunk, sizeof chunk) < 0) break;
    say("fill", 0);
    sleep(1);
}

static void nest(const char *name, int levels) {
    for (int i = 0; i < levels; i++) {
        if (mkdir(name, 0777) || chdir(name)) return say("nest", -1);
    }
    chdir("/build");
}

/* Many processes for a moment, again and again: each round starts as many as it may,
 * tells them to end, and waits for the last. Prints how many there were at most, the
 * first one included, and whether there were ever fewer than could be wished for. */
static void blink(int rounds) {
    enum { WISH = 2000 };
    int most = 0, refused = 0;
    while (rounds-- > 0) {
        int gate[2], started = 0;
        pipe(gate);
        for (pid_t child; started < WISH; started++) {
            if ((child = fork()) < 0) { refused = errno == EAGAIN; break; }
            if (!child) { char byte; close(gate[1]); read(gate[0], &byte, 1); _exit(0); }
        }
        if (started + 1 > most) most = started + 1;
        close(gate[0]);
        close(gate[1]);
        while (wait(0) > 0) {}
    }
    printf("most %d, refused %d\n", most, refused);
}

/* Each process starts two more and ends at once; the first stays. */
static void flare(void) {
    fflush(stdout);
    if (fork()) { for (;;) sleep(1); }
    while (!fork() || !fork()) {}
    _exit(0);
}

static int run(int count, char **words) {
    const char *verb = words[0], *one = count > 1 ? words[1] : "", *two = count > 2 ? words[2] : "";
    if (!strcmp(verb, "exit")) { fflush(stdout); _exit(atoi(one)); }
    else if (!strcmp(verb, "say")) puts(one);
    else if (!strcmp(verb, "error")) { fflush(stdout); fprintf(stderr, "%s\n", one); }
    else if (!strcmp(verb, "signal")) { fflush(stdout); kill(getpid(), atoi(one)); }
    else if (!strcmp(verb, "show")) show();
    else if (!strcmp(verb, "env")) environment();
    else if (!strcmp(verb, "ls")) list(one);
    else if (!strcmp(verb, "stat")) status(one);
    else if (!strcmp(verb, "cat")) cat(one);
    else if (!strcmp(verb, "write")) { if (put(one, two)) say(one, -1); }
    else if (!strcmp(verb, "mkdir")) { if (mkdir(one, 0777)) say(one, -1); }
    else if (!strcmp(verb, "rm")) { if (remove(one)) say(one, -1); }
    else if (!strcmp(verb, "symlink")) { if (symlink(one, two)) say(two, -1); }
    else if (!strcmp(verb, "link")) { if (link(one, two)) say(two, -1); }
    else if (!strcmp(verb, "chmod")) { if (chmod(two, strtol(one, 0, 8))) say(two, -1); }
    else if (!strcmp(verb, "nest")) nest(one, atoi(two));
    else if (!strcmp(verb, "mkfifo")) { if (mkfifo(one, 0600)) say(one, -1); }
    else if (!strcmp(verb, "socket")) make_socket(one);
    else if (!strcmp(verb, "badname")) { if (put("out/bad\xff", "x")) say("badname", -1); }
    else if (!strcmp(verb, "connect")) connect_to(atoi(one));
    else if (!strcmp(verb, "serve")) serve_oneself();
    else if (!strcmp(verb, "escape")) escape();
    else if (!strcmp(verb, "eat")) eat(atol(one), MAP_PRIVATE);
    else if (!strcmp(verb, "eat-shared")) eat(atol(one), MAP_SHARED);
    else if (!strcmp(verb, "fill-shm")) hold_memory_file(atol(one));
    else if (!strcmp(verb, "sleep")) { fflush(stdout); sleep(atoi(one)); }
    else if (!strcmp(verb, "background")) {
        fflush(stdout);
        if (!fork()) { setsid(); for (;;) sleep(1); }
    } else if (!strcmp(verb, "family")) {
        for (int i = 0; i < atoi(one); i++)
            if (!fork()) { long mine = atol(two) << 20; touch(malloc(mine), mine); sleep(30); _exit(0); }
        sleep(30);
    } else if (!strcmp(verb, "bomb")) {
        fflush(stdout);
        for (;;) if (fork() < 0) sleep(1);
    } else if (!strcmp(verb, "blink")) blink(atoi(one));
    else if (!strcmp(verb, "flare")) flare();
    else if (!strcmp(verb, "flood")) {
        for (long i = 0; i < atol(one) / 8; i++) printf("%07ld\n", i);
        fflush(stdout);
    } else if (!strcmp(verb, "yell")) {
        static char noise[1 << 16];
        memset(noise, 'y', sizeof noise);
        for (;;) if (write(1, noise, sizeof noise) < 0) _exit(1);
    } else if (!around(verb, one) && !network(verb, one) && !owners(verb)) { printf("no verb %s\n", verb); return 2; }
    fflush(stdout);
    return 0;
}

int main(int count, char **words) {
    int from = 1, code = 0;
    for (int i = 1; i <= count && code == 0; i++)
        if (i == count || !strcmp(words[i], ",")) {
            if (i > from) code = run(i - from, words + from);
            from = i + 1;
        }
    return code;
}
