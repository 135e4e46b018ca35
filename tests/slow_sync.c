/* Loaded into a process by LD_PRELOAD: to bring a file to the disk takes TEST_SYNC_MS milliseconds longer, as on a slow disk.
   Without headers: any compiler will do. */
typedef struct { long sec, nsec; } timespec_t;

extern char *getenv(const char *name);
extern int atoi(const char *text);
extern int nanosleep(const timespec_t *length, timespec_t *left);
extern void *dlsym(void *handle, const char *name);

#define NEXT ((void *)-1L) /* RTLD_NEXT */

static void wait(void)
{
    const char *told = getenv("TEST_SYNC_MS");
    int ms = told ? atoi(told) : 0;
    timespec_t length = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&length, 0);
}

int fdatasync(int descriptor)
{
    static int (*real)(int);
    if (!real) real = dlsym(NEXT, "fdatasync");
    wait();
    return real(descriptor);
}

int fsync(int descriptor)
{
    static int (*real)(int);
    if (!real) real = dlsym(NEXT, "fsync");
    wait();
    return real(descriptor);
}
