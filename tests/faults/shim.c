/* Counts, logs, shortens or fails the file system calls for one directory, or kills the process at one of them.
 *
 * Loaded with LD_PRELOAD. Nothing happens before arm() is called. After that, every call for a path below `watched` is
 * numbered from 1. If `reading` is 0, only writing calls are counted; if it is 1, only reading calls.
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { NOTHING, FAIL, FAIL_FROM, KILL_BEFORE, KILL_AFTER };

static char watched[PATH_MAX];
static int action, error_number, reading, log_fd = -1;
static long point, calls;
static size_t largest;

void arm(const char *directory, long at, int what, int error, int reads, long most, int log)
{
    snprintf(watched, sizeof watched, "%s", directory);
    point = at, action = what, error_number = error, reading = reads, log_fd = log;
    largest = most > 0 ? (size_t)most : 0;
    calls = 0;
}

long counted(void) { return __atomic_load_n(&calls, __ATOMIC_SEQ_CST); }

static int concerns(const char *path)
{
    return watched[0] && path && strncmp(path, watched, strlen(watched)) == 0;
}

static int path_of(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = watched[0] ? readlink(link, path, PATH_MAX - 1) : -1;
    if (length < 0)
        return 0;
    path[length] = 0;
    return concerns(path);
}

/* Returns the whole path of a name that is looked up below an open directory. */
static const char *below(int directory, const char *path, char *whole)
{
    char link[64];
    if (!watched[0] || !path || path[0] == '/' || directory == AT_FDCWD)
        return path;
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, whole, PATH_MAX - 1);
    if (length < 0)
        return path;
    snprintf(whole + length, PATH_MAX - length, "/%s", path);
    return whole;
}

static void note(const char *call, const char *path, const char *other, long long offset, const void *data, size_t size)
{
    if (log_fd < 0)
        return;
    struct stat status;
    char line[3 * PATH_MAX];
    long long inode = path && stat(path, &status) == 0 ? (long long)status.st_ino : 0;
    int length = snprintf(line, sizeof line, "%s\t%lld\t%s\t%s\t%lld\t%zu\n", call, inode, path ? path : "",
                          other ? other : "", offset, size);
    syscall(SYS_write, log_fd, line, length);
    if (size)
        syscall(SYS_write, log_fd, data, size);
}

/* Returns whether the call should fail, with errno set. Sets `*last` if the process should be killed after the call. */
static int struck(int *last)
{
    long number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    *last = 0;
    if (action == KILL_BEFORE && number == point)
        kill(getpid(), SIGKILL);
    if (action == KILL_AFTER && number == point)
        *last = 1;
    if ((action == FAIL && number == point) || (action == FAIL_FROM && number >= point)) {
        errno = error_number;
        return 1;
    }
    return 0;
}

static void done(int last)
{
    if (last)
        kill(getpid(), SIGKILL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define AROUND(relevant, type, call)                                                                                   \
    int last = 0;                                                                                                      \
    int mine = (relevant);                                                                                             \
    if (mine && struck(&last))                                                                                         \
        return -1;                                                                                                     \
    type result = call;                                                                                                \
    int kept = errno;

#define LEAVE(...)                                                                                                     \
    if (mine && result >= 0)                                                                                           \
        note(__VA_ARGS__);                                                                                             \
    done(last);                                                                                                        \
    errno = kept;                                                                                                      \
    return result;

#define WRITES(path) (!reading && concerns(path))

#define OPENING(name)                                                                                                  \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                                                      \
        va_end(rest);                                                                                                  \
        int writing = (flags & (O_CREAT | O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY;                                \
        AROUND(concerns(path) && (writing ? !reading : reading), int, REAL(name)(path, flags, mode))                   \
        LEAVE(flags & O_CREAT ? "create" : "open", path, 0, 0, 0, 0)                                                   \
    }

#define OPENING_AT(name)                                                                                               \
    int name(int directory, const char *path, int flags, ...)                                                          \
    {                                                                                                                  \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                                                      \
        va_end(rest);                                                                                                  \
        int writing = (flags & (O_CREAT | O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY;                                \
        char buffer[PATH_MAX];                                                                                         \
        const char *whole = below(directory, path, buffer);                                                            \
        AROUND(concerns(whole) && (writing ? !reading : reading), int, REAL(name)(directory, path, flags, mode))       \
        LEAVE(flags & O_CREAT ? "create" : "open", whole, 0, 0, 0, 0)                                                  \
    }

OPENING(open)
OPENING(open64)
OPENING_AT(openat)
OPENING_AT(openat64)

ssize_t write(int fd, const void *data, size_t size)
{
    char path[PATH_MAX];
    int below = path_of(fd, path);
    if (below && largest && size > largest)
        size = largest;
    off_t at = below ? lseek(fd, 0, SEEK_CUR) : 0;
    AROUND(below && !reading, ssize_t, REAL(write)(fd, data, size))
    LEAVE("write", path, 0, at, data, (size_t)result)
}

#define WRITING_AT(name, offset_type)                                                                                  \
    ssize_t name(int fd, const void *data, size_t size, offset_type at)                                                \
    {                                                                                                                  \
        char path[PATH_MAX];                                                                                           \
        int below = path_of(fd, path);                                                                                 \
        if (below && largest && size > largest)                                                                        \
            size = largest;                                                                                            \
        AROUND(below && !reading, ssize_t, REAL(name)(fd, data, size, at))                                             \
        LEAVE("write", path, 0, at, data, (size_t)result)                                                              \
    }

WRITING_AT(pwrite, off_t)
WRITING_AT(pwrite64, off64_t)

ssize_t read(int fd, void *data, size_t size)
{
    char path[PATH_MAX];
    int below = path_of(fd, path);
    if (below && largest && size > largest)
        size = largest;
    AROUND(below && reading, ssize_t, REAL(read)(fd, data, size))
    done(last);
    errno = kept;
    return result;
}

#define READING_AT(name, offset_type)                                                                                  \
    ssize_t name(int fd, void *data, size_t size, offset_type at)                                                      \
    {                                                                                                                  \
        char path[PATH_MAX];                                                                                           \
        int below = path_of(fd, path);                                                                                 \
        if (below && largest && size > largest)                                                                        \
            size = largest;                                                                                            \
        AROUND(below && reading, ssize_t, REAL(name)(fd, data, size, at))                                              \
        done(last);                                                                                                    \
        errno = kept;                                                                                                  \
        return result;                                                                                                 \
    }

READING_AT(pread, off_t)
READING_AT(pread64, off64_t)

#define ON_FD(name, label, parameters, arguments, at)                                                                  \
    int name parameters                                                                                                \
    {                                                                                                                  \
        char path[PATH_MAX];                                                                                           \
        AROUND(path_of(fd, path) && !reading, int, REAL(name) arguments)                                               \
        LEAVE(label, path, 0, at, 0, 0)                                                                                \
    }

ON_FD(fsync, "fsync", (int fd), (fd), 0)
ON_FD(fdatasync, "fsync", (int fd), (fd), 0)
ON_FD(ftruncate, "truncate", (int fd, off_t size), (fd, size), size)
ON_FD(ftruncate64, "truncate", (int fd, off64_t size), (fd, size), size)
ON_FD(fchmod, "chmod", (int fd, mode_t mode), (fd, mode), 0)
ON_FD(futimens, "utime", (int fd, const struct timespec times[2]), (fd, times), 0)
ON_FD(fsetxattr, "setxattr", (int fd, const char *name, const void *value, size_t size, int flags),
      (fd, name, value, size, flags), 0)
ON_FD(fremovexattr, "setxattr", (int fd, const char *name), (fd, name), 0)
ON_FD(fchown, "chown", (int fd, uid_t user, gid_t group), (fd, user, group), 0)

#define ON_PATH(name, label, parameters, arguments)                                                                    \
    int name parameters                                                                                                \
    {                                                                                                                  \
        AROUND(WRITES(path), int, REAL(name) arguments)                                                                \
        LEAVE(label, path, 0, 0, 0, 0)                                                                                 \
    }

ON_PATH(unlink, "unlink", (const char *path), (path))
ON_PATH(chmod, "chmod", (const char *path, mode_t mode), (path, mode))
ON_PATH(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode))
ON_PATH(rmdir, "rmdir", (const char *path), (path))

#define ON_PATH_AT(name, label, parameters, arguments)                                                                 \
    int name parameters                                                                                                \
    {                                                                                                                  \
        char buffer[PATH_MAX];                                                                                         \
        const char *whole = below(directory, path, buffer);                                                            \
        AROUND(WRITES(whole), int, REAL(name) arguments)                                                               \
        LEAVE(label, whole, 0, 0, 0, 0)                                                                                \
    }

ON_PATH_AT(unlinkat, "unlink", (int directory, const char *path, int flags), (directory, path, flags))
ON_PATH_AT(mkdirat, "mkdir", (int directory, const char *path, mode_t mode), (directory, path, mode))
ON_PATH_AT(fchmodat, "chmod", (int directory, const char *path, mode_t mode, int flags), (directory, path, mode, flags))
ON_PATH_AT(utimensat, "utime", (int directory, const char *path, const struct timespec times[2], int flags),
           (directory, path, times, flags))
ON_PATH(setxattr, "setxattr", (const char *path, const char *name, const void *value, size_t size, int flags),
        (path, name, value, size, flags))

#define TWO_PATHS(name, label, parameters, arguments)                                                                  \
    int name parameters                                                                                                \
    {                                                                                                                  \
        AROUND(WRITES(path) || WRITES(other), int, REAL(name) arguments)                                               \
        LEAVE(label, other, path, 0, 0, 0)                                                                             \
    }

TWO_PATHS(rename, "rename", (const char *path, const char *other), (path, other))
TWO_PATHS(link, "link", (const char *path, const char *other), (path, other))

#define TWO_PATHS_AT(name, label, parameters, arguments)                                                               \
    int name parameters                                                                                                \
    {                                                                                                                  \
        char first[PATH_MAX], second[PATH_MAX];                                                                        \
        const char *old = below(from, path, first), *new = below(to, other, second);                                   \
        AROUND(WRITES(old) || WRITES(new), int, REAL(name) arguments)                                                  \
        LEAVE(label, new, old, 0, 0, 0)                                                                                \
    }

TWO_PATHS_AT(renameat, "rename", (int from, const char *path, int to, const char *other), (from, path, to, other))
TWO_PATHS_AT(linkat, "link", (int from, const char *path, int to, const char *other, int flags),
             (from, path, to, other, flags))
