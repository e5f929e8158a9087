"""Numbers of the system calls that a filter names, per architecture, and calls that no image may make.

Taken from the kernel's own headers (asm/unistd_64.h, asm/unistd_32.h, asm-generic/unistd.h); a call without a number
on an architecture does not exist there. What is denied follows the default profile of docker, whose other rules depend
on capabilities that containers here do not have:
https://github.com/moby/profiles/blob/main/seccomp/default_linux.go
"""

from collections.abc import Mapping
from types import MappingProxyType

ARCHITECTURES = ("x86_64", "i386", "aarch64")
"""The columns of the table."""

AUDIT_ARCH: Mapping[str, int] = MappingProxyType({"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7})
"""https://github.com/torvalds/linux/blob/master/include/uapi/linux/audit.h"""

NATIVE: Mapping[str, tuple[str, ...]] = MappingProxyType({"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64",)})
"""Machine, as uname says it, to the architectures whose programs its kernel runs and this table knows."""

NEWEST = 470
"""From the next number on, nobody knew the calls when this table was made: they are answered ENOSYS, as docker does.
The bit that marks calls of x32 is far above."""

_TABLE = """
access 21 33 -
acct 163 51 89
add_key 248 286 217
adjtimex 159 124 171
alarm 37 27 -
bpf 321 357 280
chdir 80 12 49
chmod 90 15 -
chown 92 182 -
chown32 - 212 -
chroot 161 61 51
clock_settime 227 264 112
clock_settime64 - 404 -
clone 56 120 220
clone3 435 435 435
connect 42 362 203
creat 85 8 -
delete_module 176 129 106
execve 59 11 221
execveat 322 358 281
faccessat 269 307 48
faccessat2 439 439 439
fanotify_init 300 338 262
fchmodat 268 306 53
fchmodat2 452 452 452
fchownat 260 298 54
file_getattr 468 468 468
file_setattr 469 469 469
finit_module 313 350 273
fsconfig 431 431 431
fsmount 432 432 432
fsopen 430 430 430
fspick 433 433 433
fstatat64 - 300 -
futimesat 261 299 -
getdents 78 141 -
getdents64 217 220 61
getxattr 191 229 8
getxattrat 464 464 464
init_module 175 128 105
inotify_add_watch 254 292 27
io_uring_enter 426 426 426
io_uring_register 427 427 427
io_uring_setup 425 425 425
ioperm 173 101 -
iopl 172 110 -
kcmp 312 349 272
kexec_file_load 320 - 294
kexec_load 246 283 104
keyctl 250 288 219
lchown 94 16 -
lchown32 - 198 -
lgetxattr 192 230 9
link 86 9 -
linkat 265 303 37
listxattr 194 232 11
listxattrat 465 465 465
llistxattr 195 233 12
lookup_dcookie 212 253 18
lremovexattr 198 236 15
lsetxattr 189 227 6
lstat 6 107 -
lstat64 - 196 -
migrate_pages 256 294 238
mkdir 83 39 -
mkdirat 258 296 34
mknod 133 14 -
mknodat 259 297 33
mount 165 21 40
mount_setattr 442 442 442
move_mount 429 429 429
move_pages 279 317 239
name_to_handle_at 303 341 264
newfstatat 262 - 79
oldlstat - 84 -
oldstat - 18 -
open 2 5 -
open_by_handle_at 304 342 265
open_tree 428 428 428
open_tree_attr 467 467 467
openat 257 295 56
openat2 437 437 437
perf_event_open 298 336 241
pivot_root 155 217 41
quotactl 179 131 60
quotactl_fd 443 443 443
readlink 89 85 -
readlinkat 267 305 78
reboot 169 88 142
removexattr 197 235 14
removexattrat 466 466 466
rename 82 38 -
renameat 264 302 38
renameat2 316 353 276
request_key 249 287 218
rmdir 84 40 -
setitimer 38 104 103
setns 308 346 268
settimeofday 164 79 170
setxattr 188 226 5
setxattrat 463 463 463
stat 4 106 -
stat64 - 195 -
statfs 137 99 43
statfs64 - 268 -
statx 332 383 291
stime - 25 -
swapoff 168 115 225
swapon 167 87 224
symlink 88 83 -
symlinkat 266 304 36
sysfs 139 135 -
syslog 103 103 116
timer_create 222 259 107
truncate 76 92 45
truncate64 - 193 -
umount - 22 -
umount2 166 52 39
unlink 87 10 -
unlinkat 263 301 35
unshare 272 310 97
uselib 134 86 -
userfaultfd 323 374 282
utime 132 30 -
utimensat 280 320 88
utimensat_time64 - 412 -
utimes 235 271 -
vhangup 153 111 58
vm86 - 166 -
vm86old - 113 -
"""


def _parse(table: str) -> dict[str, dict[str, int]]:
    numbers: dict[str, dict[str, int]] = {architecture: {} for architecture in ARCHITECTURES}
    for line in table.split("\n"):
        name, *columns = line.split() or ("",)
        for architecture, number in zip(ARCHITECTURES, columns, strict=bool(name)):
            if number != "-":
                numbers[architecture][name] = int(number)
    return numbers


NUMBERS: Mapping[str, Mapping[str, int]] = MappingProxyType(_parse(_TABLE))
"""Architecture to name to number."""

NOT_IMPLEMENTED = ("clone3", "io_uring_enter", "io_uring_register", "io_uring_setup")
"""Answered ENOSYS, so that programs fall back: io_uring opens files where no tracer sees it, and clone3 hides its flags
in memory that a filter cannot read."""

NAMESPACE_FLAGS = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET: clone with one of them is denied."""

_DENIED = """
" acct add_key adjtimex bpf clock_settime clock_settime64 delete_module fanotify_init finit_module
fsconfig fsmount fsopen fspick init_module ioperm iopl kcmp kexec_file_load kexec_load keyctl
lookup_dcookie migrate_pages mount mount_setattr move_mount move_pages open_by_handle_at open_tree
open_tree_attr perf_event_open pivot_root quotactl quotactl_fd reboot request_key setns settimeofday
stime swapoff swapon sysfs syslog umount umount2 unshare uselib userfaultfd vhangup vm86 vm86old
"""

DENIED = tuple(_DENIED.split())
"""Answered EPERM."""
