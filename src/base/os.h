/* SPDX-License-Identifier: MIT */
/*
 * What is asked of the operating system, one contract line per function.
 *
 * Functions that can fail return a value >= 0 or -errno, and never touch tine_last_error(): the caller knows what it
 * was about.  Each of them obeys tini_fault_arm(TINI_FAULT_SYSTEM).  All are safe after fork() in the child.
 */
#ifndef TINI_BASE_OS_H
#define TINI_BASE_OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* memory: address and length are page multiples */
int tini_os_map_shared(void *address, size_t length, int fd, off_t offset); /* read-write, MAP_FIXED_NOREPLACE, NORESERVE */
int tini_os_map_private(void **address, size_t length);                     /* anonymous, read-write, zero */
int tini_os_unmap(void *address, size_t length);
int tini_os_protect_none(void *address, size_t length);
int tini_os_advise(void *address, size_t length, int advice);

/* A descriptor that is not 0, 1 or 2: where the host has closed these, one of ours would be taken for its output.
 * Takes -errno too, and gives it back. */
int tini_os_above_standard(int fd);

/* files without a name */
int tini_os_memfd(const char *name);                        /* close-on-exec; the descriptor */
int tini_os_huge_tmpfs_file(size_t limit);                  /* a nameless file on a private huge=always tmpfs of at most
                                                               `limit` bytes, also through a user namespace */
int tini_os_truncate(int fd, off_t size);                   /* -EFBIG at RLIMIT_FSIZE, without SIGXFSZ */
int tini_os_allocate(int fd, off_t offset, off_t length);   /* fallocate: -ENOSPC or -ENOMEM, never a later SIGBUS */
int tini_os_punch(int fd, off_t offset, off_t length);      /* give pages back */
int tini_os_same_file(int fd, dev_t device, ino_t inode);   /* 1: fd is that file; 0: closed, or something else */
int tini_os_close(int fd);                                  /* -1 is taken */
ssize_t tini_os_read_file(const char *path, char *text, size_t size); /* at most size - 1 bytes and a NUL; bytes read */

/* processes */
pid_t tini_os_fork(void);                                   /* fork() of libc, with its atfork handlers: 0 in the child */
int tini_os_pidfd_open(pid_t pid);                          /* close-on-exec */
int tini_os_pidfd_signal(int pidfd, int signal);
int tini_os_pipe(int ends[2]);                              /* close-on-exec */
uint64_t tini_os_start_time(pid_t pid);                     /* field 22 of /proc/PID/stat; 0: no such process or a zombie */

/* threads */
int tini_os_thread(pthread_t *thread, void *(*main)(void *arg), void *arg); /* a thread with every signal blocked but those
                                                               that its own faults raise; 0 or -errno; NULL: detached */

#endif
