/* Lets a file system take no locks, as one that is mounted from elsewhere may.
 *
 * cc -shared -fPIC -DERROR=ENOSYS -o no_locks.so no_locks.c
 */
#include <errno.h>

int flock(int descriptor, int operation)
{
    (void)descriptor, (void)operation;
    errno = ERROR;
    return -1;
}
