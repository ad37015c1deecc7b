/* The probe's verbs that print what builds must not depend on, and those that try what
 * a traced program may do. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static void clocks(void) {
    struct timespec at;
    struct timeval day;
    struct timezone zone = {7, 7};
    printf("time %ld\n", (long)time(0));
    gettimeofday(&day, 0);
    printf("gettimeofday %ld\n", (long)day.tv_sec);
    clock_gettime(CLOCK_REALTIME, &at);
    printf("realtime %ld\n", (long)at.tv_sec);
    clock_gettime(CLOCK_REALTIME_COARSE, &at);
    printf("coarse %ld\n", (long)at.tv_sec);
    clock_gettime(CLOCK_TAI, &at);
    printf("tai %ld\n", (long)at.tv_sec);
    time_t place = 0;
    long told = syscall(SYS_time, &place);
    printf("call-time %ld\n", told == place ? told : -1);
    syscall(SYS_gettimeofday, &day, &zone);
    printf("call-gettimeofday %ld\n", zone.tz_minuteswest || day.tv_usec > 999999 ? -1 : (long)day.tv_sec);
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &at);
    printf("call-realtime %ld\n", (long)at.tv_sec);
}

/* What is not to move with the date. */
static void other_clocks(void) {
    struct timespec at, before, after;
    clock_gettime(CLOCK_MONOTONIC, &at);
    printf("monotonic %ld\n", (long)at.tv_sec);
    printf("bad place %ld\n", syscall(SYS_clock_gettime, CLOCK_REALTIME, 8L) ? (long)errno : 0L);
    printf("bad clock %ld\n", syscall(SYS_clock_gettime, 77, &at) ? (long)errno : 0L);
    clock_gettime(CLOCK_REALTIME, &before);
    usleep(2000);
    clock_gettime(CLOCK_REALTIME, &after);
    long passed = (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec;
    printf("goes on %d\n", passed >= 2000000 && passed < 5000000000L);
}

static void names(void) {
    /* The call must write no more than its structure. */
    struct { struct utsname name; char behind[16]; } room;
    memset(&room, 'x', sizeof room);
    uname(&room.name);
    printf("release %s\nsystem %s %s %s\n", room.name.release, room.name.sysname, room.name.nodename,
           room.name.machine);
    for (size_t i = 0; i < sizeof room.behind; i++)
        if (room.behind[i] != 'x') puts("written beyond");
    syscall(SYS_uname, &room.name);
    printf("call-release %s\n", room.name.release);
}

static void addresses(void) {
    int local;
    printf("code %p\nstack %p\nheap %p\nmapped %p\n", (void *)addresses, (void *)&local, malloc(1),
           mmap(0, 1 << 22, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static void numbers(const char *path) {
    struct stat meta;
    if (lstat(path, &meta)) printf("%s: %s\n", path, strerrorname_np(errno));
    else printf("inode %lu\ndevice %lu\n", (unsigned long)meta.st_ino, (unsigned long)meta.st_dev);
}

static void terminal(void) {
    struct termios mode;
    const char *term = getenv("TERM");
    for (int fd = 0; fd < 3; fd++) printf("%d %s\n", fd, isatty(fd) ? "terminal" : "none");
    int own = open("/dev/tty", O_RDWR);
    printf("own %s\n", own >= 0 ? "yes" : strerrorname_np(errno));
    if (!tcgetattr(1, &mode)) printf("changes output %d\n", !!(mode.c_oflag & OPOST));
    if (own >= 0) printf("foreground %d\n", tcgetpgrp(own) == getpgrp());
    printf("TERM %s\n", term ? term : "");
}

static struct timespec soon(int clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    at.tv_nsec += 200000000;
    if (at.tv_nsec >= 1000000000) { at.tv_nsec -= 1000000000; at.tv_sec++; }
    return at;
}

static struct timespec begun;
static void begin(void) { clock_gettime(CLOCK_MONOTONIC, &begun); }
static void waited(const char *name, int fine) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double passed = now.tv_sec - begun.tv_sec + (now.tv_nsec - begun.tv_nsec) / 1e9;
    const char *verdict = passed < 0.15 ? "too short" : passed > 5 ? "too long" : "in time";
    printf("%s %s%s\n", name, verdict, fine ? "" : " and wrong");
    fflush(stdout);
}

static void nothing(int number) { (void)number; }

static void *lock_in_time(void *lock) {
    struct timespec at = soon(CLOCK_REALTIME);
    return (void *)(long)pthread_mutex_timedlock(lock, &at);
}

/* Each waits for a moment 0.2 seconds from now. */
static void waits(void) {
    struct timespec at;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, inherits;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&lock);
    begin(); at = soon(CLOCK_REALTIME);
    waited("condition", pthread_cond_timedwait(&condition, &lock, &at) == ETIMEDOUT);
    begin(); at = soon(CLOCK_REALTIME);
    waited("mutex", pthread_mutex_timedlock(&lock, &at) == ETIMEDOUT);
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&inherits, &kind);
    pthread_mutex_lock(&inherits);
    pthread_t other;
    void *result = 0;
    begin();
    pthread_create(&other, 0, lock_in_time, &inherits);
    pthread_join(other, &result);
    waited("inheriting mutex", result == (void *)(long)ETIMEDOUT);
    sem_t semaphore;
    sem_init(&semaphore, 0, 0);
    begin(); at = soon(CLOCK_REALTIME);
    waited("semaphore", sem_timedwait(&semaphore, &at) == -1 && errno == ETIMEDOUT);
    begin(); at = soon(CLOCK_REALTIME);
    waited("sleep", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, 0) == 0);
    begin(); at = soon(CLOCK_MONOTONIC);
    waited("steady sleep", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, 0) == 0);
    struct itimerspec when = {0};
    uint64_t count = 0;
    int fd = timerfd_create(CLOCK_REALTIME, 0);
    begin(); when.it_value = soon(CLOCK_REALTIME);
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, 0);
    waited("timer descriptor", read(fd, &count, sizeof count) == sizeof count && count == 1);
    fd = timerfd_create(CLOCK_MONOTONIC, 0);
    begin(); when.it_value = soon(CLOCK_MONOTONIC);
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, 0);
    waited("steady timer descriptor", read(fd, &count, sizeof count) == sizeof count && count == 1);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, 0);
    timer_t timer;
    int number = 0;
    timer_create(CLOCK_REALTIME, 0, &timer);
    begin(); when.it_value = soon(CLOCK_REALTIME);
    timer_settime(timer, TIMER_ABSTIME, &when, 0);
    waited("timer", sigwait(&set, &number) == 0 && number == SIGALRM);
    sigprocmask(SIG_UNBLOCK, &set, 0);
    /* A wait that a signal interrupts in the middle goes on to the same moment. */
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, 0);
    struct itimerval alarms = {{0, 30000}, {0, 30000}};
    setitimer(ITIMER_REAL, &alarms, 0);
    begin(); at = soon(CLOCK_REALTIME);
    while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, 0) == EINTR);
    waited("interrupted sleep", 1);
    begin(); at = soon(CLOCK_REALTIME);
    int done;
    while ((done = sem_timedwait(&semaphore, &at)) == -1 && errno == EINTR);
    waited("interrupted semaphore", done == -1 && errno == ETIMEDOUT);
    memset(&alarms, 0, sizeof alarms);
    setitimer(ITIMER_REAL, &alarms, 0);
    /* What is over is over. */
    at.tv_sec = 1; at.tv_nsec = 0;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    begun.tv_sec -= 1;
    waited("past", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, 0) == 0);
}

static void *tell_time(void *name) {
    printf("%s %ld\n", (char *)name, (long)time(0));
    fflush(stdout);
    return 0;
}

static void *start_again(void *name) {
    execl("/probe", "/probe", "year", name, (char *)0);
    return 0;
}

static int ended(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static volatile int caught;
static void catch(int number) { caught += number == SIGUSR1; }

/* Threads, processes, programs and signals. */
static void lives(void) {
    pthread_t thread;
    pthread_create(&thread, 0, tell_time, "thread");
    pthread_join(thread, 0);
    pid_t child = fork();
    if (!child) { tell_time("fork"); _exit(3); }
    printf("fork ended %d\n", ended(child));
    fflush(stdout);
    child = vfork();
    if (!child) { execl("/probe", "/probe", "year", "vfork", (char *)0); _exit(1); }
    printf("vfork ended %d\n", ended(child));
    fflush(stdout);
    child = fork();
    if (!child) {
        pthread_create(&thread, 0, start_again, "program-of-a-thread");
        for (;;) pause();
    }
    printf("program of a thread ended %d\n", ended(child));
    /* It ends only when told to: one that had ended would not be seen to have gone on. */
    int status = 0, end[2];
    char byte;
    if (pipe(end)) return;
    child = fork();
    if (!child) { raise(SIGSTOP); close(end[1]); _exit(read(end[0], &byte, 1) == 0 ? 7 : 1); }
    waitpid(child, &status, WUNTRACED);
    printf("stopped %d\n", WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    usleep(50000);
    printf("still %d\n", waitpid(child, &status, WNOHANG) == 0);
    kill(child, SIGCONT);
    waitpid(child, &status, WCONTINUED);
    printf("continued %d\n", !!WIFCONTINUED(status));
    close(end[0]);
    close(end[1]);
    printf("then ended %d\n", ended(child));
    signal(SIGUSR1, catch);
    for (int i = 0; i < 3; i++) raise(SIGUSR1);
    printf("caught %d\n", caught);
    child = fork();
    if (!child) { *(volatile int *)8 = 1; _exit(0); }
    printf("fault %d\n", ended(child));
    child = fork();
    if (!child) for (;;) pause();
    kill(child, SIGKILL);
    printf("killed %d\n", ended(child));
    signal(SIGTRAP, catch);
    child = fork();
    if (!child) { signal(SIGTRAP, SIG_DFL); raise(SIGTRAP); _exit(0); }
    printf("trap %d\n", ended(child));
    printf("own trap %d\n", raise(SIGTRAP));
    /* More words than a page of memory holds, and none of the kernel's code behind them. */
    char *words[3000] = {"/probe", "year", "many-words"};
    for (int i = 3; i < 2999; i++) words[i] = "word";
    fflush(stdout);
    child = fork();
    if (!child) { execv("/probe", words); _exit(1); }
    printf("many words ended %d\n", ended(child));
}

/* Returns 0 for a verb that is not one of these. */
int around(const char *verb, const char *one) {
    if (!strcmp(verb, "clocks")) clocks();
    else if (!strcmp(verb, "other-clocks")) other_clocks();
    else if (!strcmp(verb, "year")) tell_time((void *)one);
    else if (!strcmp(verb, "names")) names();
    else if (!strcmp(verb, "addresses")) addresses();
    else if (!strcmp(verb, "numbers")) numbers(one);
    else if (!strcmp(verb, "terminal?")) terminal();
    else if (!strcmp(verb, "waits")) waits();
    else if (!strcmp(verb, "lives")) lives();
    else if (!strcmp(verb, "vdso?")) printf("kernel code %d\n", getauxval(AT_SYSINFO_EHDR) != 0);
    else if (!strcmp(verb, "clock-bomb")) for (;;) time(0);
    else return 0;
    return 1;
}
