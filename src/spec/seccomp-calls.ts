// System calls by what they may do to others. Names of every architecture berth runs on, and of their
// 32-bit forms; a name that the machine's libseccomp does not know is skipped, and its call gets ENOSYS.

import type { CapabilityName } from "./capabilities.ts";

/** Blank-separated names. */
function calls(names: string): string[] {
  return names.trim().split(/\s+/);
}

/** Calls that act on the process itself, or whose permissions the kernel checks per object. */
export const ALLOWED_CALLS: readonly string[] = [
  // Files by name.
  ...calls(`access chmod chown chown32 creat faccessat faccessat2 fchmodat fchmodat2 fchownat fstatat64
    futimesat getcwd lchown lchown32 link linkat lstat lstat64 mkdir mkdirat mknod mknodat newfstatat
    oldlstat oldstat open openat openat2 readlink readlinkat rename renameat renameat2 rmdir stat stat64
    statfs statfs64 statx symlink symlinkat truncate truncate64 umask unlink unlinkat utime utimensat
    utimensat_time64 utimes chdir fchdir name_to_handle_at statmount listmount cachestat`),
  // Extended attributes.
  ...calls(`fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat
    llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat`),
  // Descriptors.
  ...calls(`_llseek close close_range copy_file_range dup dup2 dup3 fadvise64 fadvise64_64 fallocate fchmod
    fchown fchown32 fcntl fcntl64 fdatasync flock fstat fstat64 fstatfs fstatfs64 fsync ftruncate
    ftruncate64 getdents getdents64 ioctl lseek oldfstat pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev
    pwritev2 read readahead readdir readv sendfile sendfile64 splice sync sync_file_range sync_file_range2
    arm_sync_file_range syncfs tee vmsplice write writev memfd_create memfd_secret`),
  // Waiting for descriptors.
  ...calls(`_newselect epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd
    eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel
    io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit poll ppoll ppoll_time64
    pselect6 pselect6_time64 select signalfd signalfd4`),
  // Memory.
  ...calls(`brk madvise map_shadow_stack membarrier mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap
    mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease
    remap_file_pages`),
  // Processes and threads. clone has rules of its own.
  ...calls(`arch_prctl arm_fadvise64_64 breakpoint cacheflush capget capset execve execveat exit exit_group
    fork get_robust_list get_thread_area getcpu getpgid getpgrp getpid getppid getpriority getrlimit
    getrusage getsid gettid ioprio_get ioprio_set landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lsm_get_self_attr lsm_list_modules lsm_set_self_attr modify_ldt nice oldolduname
    olduname pidfd_open pidfd_send_signal prctl prlimit64 process_vm_readv process_vm_writev ptrace
    restart_syscall rseq seccomp set_robust_list set_thread_area set_tid_address set_tls setpgid
    setpriority setrlimit setsid sysinfo times ugetrlimit uname vfork wait4 waitid waitpid`),
  // Scheduling.
  ...calls(`sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield`),
  // Signals.
  ...calls(`kill pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sgetmask sigaction sigaltstack signal
    sigpending sigprocmask sigreturn sigsuspend ssetmask tgkill tkill`),
  // Time. Setting the clock with adjtimex needs CAP_SYS_TIME in the kernel; reading it does not.
  ...calls(`adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time
    timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
    timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64`),
  // Between processes.
  ...calls(`futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake ipc mq_getsetattr mq_notify
    mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget
    msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget`),
  // Sockets. socket has rules of its own; socketcall is how 32-bit x86 programs reach all of these.
  ...calls(`accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair`),
  // Identity. What may be set is decided by the capabilities of the container.
  ...calls(`getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getrandom getresgid
    getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid
    setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
    setreuid32 setuid setuid32`),
];

/** Calls that come with a capability; without every one of those that list it, EPERM. */
export const CAPABILITY_CALLS: readonly { capability: CapabilityName; names: readonly string[] }[] = [
  { capability: "DAC_READ_SEARCH", names: ["open_by_handle_at"] },
  {
    capability: "SYS_ADMIN",
    names: calls(`bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr
      move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname
      setns syslog umount umount2 unshare`),
  },
  { capability: "SYS_BOOT", names: ["reboot"] },
  { capability: "SYS_CHROOT", names: ["chroot"] },
  { capability: "SYS_MODULE", names: ["delete_module", "finit_module", "init_module"] },
  { capability: "SYS_PACCT", names: ["acct"] },
  { capability: "SYS_PTRACE", names: ["kcmp", "pidfd_getfd", "process_madvise"] },
  { capability: "SYS_RAWIO", names: ["ioperm", "iopl"] },
  { capability: "SYS_TIME", names: ["clock_settime", "clock_settime64", "settimeofday", "stime"] },
  { capability: "SYS_TTY_CONFIG", names: ["vhangup"] },
  {
    capability: "SYS_NICE",
    names: calls("get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node"),
  },
  { capability: "SYSLOG", names: ["syslog"] },
  { capability: "BPF", names: ["bpf"] },
  { capability: "PERFMON", names: ["perf_event_open"] },
];

/**
 * Denied whatever the container has: keyrings are not in namespaces, io_uring and userfaultfd have been
 * the way out of too many sandboxes, the others are the host's or long dead.
 */
export const DENIED_CALLS: readonly string[] = calls(`_sysctl add_key create_module get_kernel_syms
  io_uring_enter io_uring_register io_uring_setup kexec_file_load kexec_load keyctl nfsservctl pivot_root
  query_module request_key swapoff swapon sysfs userfaultfd uselib ustat vm86 vm86old`);
