/* Injects a fault at the nth libc call that changes a file below a folder.
 *
 * Loaded with LD_PRELOAD, so that the calls of Python, SQLite and Arrow are all seen. It does nothing
 * until libc_faults_arm() is called, in the process that is to suffer.
 *
 * cc -shared -fPIC -O2 -o libc_faults.so libc_faults.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KILL, TORN, ONCE, FOR_GOOD };

static char folder[PATH_MAX];
static size_t length;
static int how, code;
static long at, seen;

void libc_faults_arm(const char *below, int fault, int number, long point)
{
    seen = 0;
    how = fault;
    code = number;
    at = point;
    length = strlen(below);
    memcpy(folder, below, length + 1);
}

long libc_faults_seen(void) { return seen; }

static int is_below(const char *path)
{
    return !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int of_descriptor(int descriptor)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return 0;
    path[n] = 0;
    return is_below(path);
}

static int of_path(int descriptor, const char *path)
{
    char here[PATH_MAX];
    if (path[0] == '/')
        return is_below(path);
    if (descriptor != AT_FDCWD)
        return of_descriptor(descriptor);
    return getcwd(here, sizeof here) && is_below(here);
}

/* Counts a call; dies here, or returns whether it has to fail, or (2) to write half and die. */
static int strikes(int is_write)
{
    long number = __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST);
    if (!at || number < at || (how != FOR_GOOD && number > at))
        return 0;
    if (how == KILL || (how == TORN && !is_write))
        kill(getpid(), SIGKILL);
    if (how == TORN)
        return 2;
    errno = code;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define CHANGE(is_ours, name, parameters, arguments)         \
    int name parameters                                      \
    {                                                        \
        if (length && (is_ours) && strikes(0))               \
            return -1;                                       \
        return REAL(name) arguments;                         \
    }
#define OPEN(name, directory, parameters, arguments)                               \
    int name parameters                                                            \
    {                                                                              \
        mode_t mode = 0;                                                           \
        if (flags & (O_CREAT | O_TMPFILE)) {                                       \
            va_list rest;                                                          \
            va_start(rest, flags);                                                 \
            mode = va_arg(rest, mode_t);                                           \
            va_end(rest);                                                          \
        }                                                                          \
        if (length && (flags & (O_CREAT | O_TRUNC)) && of_path(directory, path) && strikes(0)) \
            return -1;                                                             \
        return REAL(name) arguments;                                               \
    }
#define WRITE(name, descriptor, parameters, arguments, half)     \
    ssize_t name parameters                                      \
    {                                                            \
        if (length && of_descriptor(descriptor))                 \
            switch (strikes(size > 1)) {                         \
            case 1:                                              \
                return -1;                                       \
            case 2:                                              \
                REAL(name) half;                                 \
                kill(getpid(), SIGKILL);                         \
            }                                                    \
        return REAL(name) arguments;                             \
    }

OPEN(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, at_, (int at_, const char *path, int flags, ...), (at_, path, flags, mode))
OPEN(openat64, at_, (int at_, const char *path, int flags, ...), (at_, path, flags, mode))

WRITE(write, to, (int to, const void *from, size_t size), (to, from, size), (to, from, size / 2))
WRITE(pwrite, to, (int to, const void *from, size_t size, off_t where), (to, from, size, where),
      (to, from, size / 2, where))
WRITE(pwrite64, to, (int to, const void *from, size_t size, off64_t where), (to, from, size, where),
      (to, from, size / 2, where))
WRITE(sendfile, to, (int to, int from, off_t *where, size_t size), (to, from, where, size),
      (to, from, where, size / 2))
WRITE(sendfile64, to, (int to, int from, off64_t *where, size_t size), (to, from, where, size),
      (to, from, where, size / 2))
WRITE(copy_file_range, to,
      (int from, off64_t *begin, int to, off64_t *end, size_t size, unsigned flags),
      (from, begin, to, end, size, flags), (from, begin, to, end, size / 2, flags))

ssize_t writev(int to, const struct iovec *from, int count)
{
    if (length && of_descriptor(to) && strikes(0))
        return -1;
    return REAL(writev)(to, from, count);
}

CHANGE(of_descriptor(file), fsync, (int file), (file))
CHANGE(of_descriptor(file), fdatasync, (int file), (file))
CHANGE(of_descriptor(file), ftruncate, (int file, off_t size), (file, size))
CHANGE(of_descriptor(file), ftruncate64, (int file, off64_t size), (file, size))
CHANGE(of_path(AT_FDCWD, path), truncate, (const char *path, off_t size), (path, size))
CHANGE(of_path(AT_FDCWD, path), truncate64, (const char *path, off64_t size), (path, size))
CHANGE(of_path(AT_FDCWD, to), rename, (const char *from, const char *to), (from, to))
CHANGE(of_path(new, to), renameat, (int old, const char *from, int new, const char *to),
       (old, from, new, to))
CHANGE(of_path(AT_FDCWD, path), unlink, (const char *path), (path))
CHANGE(of_path(directory, path), unlinkat, (int directory, const char *path, int flags),
       (directory, path, flags))
CHANGE(of_path(AT_FDCWD, path), rmdir, (const char *path), (path))
CHANGE(of_path(AT_FDCWD, path), mkdir, (const char *path, mode_t mode), (path, mode))
CHANGE(of_path(directory, path), mkdirat, (int directory, const char *path, mode_t mode),
       (directory, path, mode))
CHANGE(of_path(AT_FDCWD, to), link, (const char *from, const char *to), (from, to))
CHANGE(of_path(new, to), linkat, (int old, const char *from, int new, const char *to, int flags),
       (old, from, new, to, flags))
CHANGE(of_path(AT_FDCWD, to), symlink, (const char *from, const char *to), (from, to))
CHANGE(of_path(directory, to), symlinkat, (const char *from, int directory, const char *to),
       (from, directory, to))
