/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

   What runs in the kernel when a process calls libcuda: it counts, and tells names of functions that were looked up.

   Built by launches_build.py into launches_programs.py; nodes need no compiler. The licence is the double one that the
   kernel asks for before it lets a program read the memory of the process that called it.
   Records are read by launches_tables.py and launches_events.py, which know these structs. */

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define PROBE(name) SEC("probe/" #name) int name(struct regs *r)
#define INLINE static inline __attribute__((always_inline))

static void *(*const find)(void *map, const void *key) = (void *)1;
static long (*const put)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const erase)(void *map, const void *key) = (void *)3;
static u64 (*const pid_and_thread)(void) = (void *)14;
static long (*const read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*const read_text)(void *to, u32 size, const void *from) = (void *)114;
static u64 (*const nanoseconds)(void) = (void *)125; /* since boot, as field 22 of /proc/PID/stat */
static long (*const ring_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static void *(*const ring_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const ring_submit)(void *data, u64 flags) = (void *)132;
static void (*const ring_discard)(void *data, u64 flags) = (void *)133;

/* Arguments 0 to 5, the seventh, and the result, by the calling convention. */
#if defined(TARGET_X86_64)
struct regs {
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, flags, rsp, ss;
};
#define ARG0(r) ((r)->rdi)
#define ARG1(r) ((r)->rsi)
#define ARG2(r) ((r)->rdx)
#define ARG3(r) ((r)->rcx)
#define ARG4(r) ((r)->r8)
#define ARG5(r) ((r)->r9)
#define RESULT(r) ((r)->rax)
INLINE u32 seventh(struct regs *r) {
    u32 value = 1;
    read_user(&value, sizeof value, (void *)(r->rsp + 8));
    return value;
}
#elif defined(TARGET_AARCH64)
struct regs {
    u64 x[31], sp, pc, state;
};
#define ARG0(r) ((r)->x[0])
#define ARG1(r) ((r)->x[1])
#define ARG2(r) ((r)->x[2])
#define ARG3(r) ((r)->x[3])
#define ARG4(r) ((r)->x[4])
#define ARG5(r) ((r)->x[5])
#define RESULT(r) ((r)->x[0])
INLINE u32 seventh(struct regs *r) { return r->x[6]; }
#endif

/* Maps: their kinds and sizes are in launches_tables.py; here they are only names. */
SEC("maps") int control;  /* [0]: whether launches count now */
SEC("maps") int lost;     /* [0]: of loads, [1]: of bursts, [2]: of the ring, [3]: names that could not be read */
SEC("maps") int calls;    /* by thread: arguments of the call that it is in */
SEC("maps") int launches; /* by process and function */
SEC("maps") int loads;    /* by process, always */
SEC("maps") int bursts;   /* by process, while launches count */
SEC("maps") int ring;     /* what was looked up */

/* No map: its address is a number that is put in when the program is loaded for one library. One file may be probed
   twice, where containers of one image show it under two inodes; both probes run at each call, and only those of the
   library that a process was first seen with may count. */
SEC("maps") int library;
#define LIBRARY ((u64)&library)

enum { LOST_LOADS, LOST_BURSTS, LOST_RING, LOST_NAMES };
enum { NAMED = 1, ALIAS = 2 };
enum { MOST_FUNCTIONS = 4096, MOST_NAMES = 32768 }; /* of one process: in a burst; between two looks at `loads` */
enum { MOST_THREADS_LOG2 = 40, GAP_SHIFT = 5 };

struct function { u32 pid, zero; u64 handle; };
struct launch { u64 count, threads, first, last, gaps, squares, library; }; /* gaps in 2^GAP_SHIFT ns */
struct load { u64 count, names, first, last; };
struct burst { u64 graphs, dropped, functions, first, library; };
struct call { u64 a, b, c; };
struct head { u32 kind, pid; u64 time, handle, other; u32 size, zero; };

#define SMALL 208
#define MIDDLE 984
#define LARGE 4096
struct small { struct head head; char name[SMALL]; };
struct middle { struct head head; char name[MIDDLE]; };
struct large { struct head head; char name[LARGE]; };

INLINE void add(u64 *to, u64 value) { __sync_fetch_and_add(to, value); }

INLINE void lose(u32 which) {
    u64 *count = find(&lost, &which);
    if (count) add(count, 1);
}

INLINE int counting(void) {
    u32 zero = 0;
    u64 *on = find(&control, &zero);
    return on && *on;
}

INLINE struct load *load_of(u32 pid) {
    struct load fresh = {.first = nanoseconds()}, *found = find(&loads, &pid);
    if (found) return found;
    put(&loads, &pid, &fresh, 1 /* only if it is not there */);
    found = find(&loads, &pid);
    if (!found) lose(LOST_LOADS);
    return found;
}

INLINE struct burst *burst_of(u32 pid) {
    struct burst fresh = {.first = nanoseconds(), .library = LIBRARY}, *found = find(&bursts, &pid);
    if (found) return found;
    put(&bursts, &pid, &fresh, 1);
    found = find(&bursts, &pid);
    if (!found) lose(LOST_BURSTS);
    return found;
}

/* One process may not fill the table for all: beyond MOST_FUNCTIONS its launches are only counted as dropped. */
INLINE struct launch *begin(struct function *key, u64 now) {
    struct burst *burst = burst_of(key->pid);
    if (!burst || burst->library != LIBRARY) return 0;
    struct launch fresh = {.first = now, .last = now, .library = LIBRARY};
    if (burst->functions < MOST_FUNCTIONS && !put(&launches, key, &fresh, 1)) add(&burst->functions, 1);
    struct launch *found = find(&launches, key);
    if (!found) add(&burst->dropped, 1);
    return found;
}

INLINE void launched(u64 handle, u64 threads) {
    struct function key = {.pid = pid_and_thread() >> 32, .handle = handle};
    u64 now = nanoseconds();
    struct launch *seen = find(&launches, &key);
    if (!seen) seen = begin(&key, now);
    if (!seen || seen->library != LIBRARY) return;
    u64 last = seen->last;
    u64 gap = now > last ? (now - last) >> GAP_SHIFT : 0;
    seen->last = now;
    add(&seen->count, 1);
    add(&seen->threads, threads);
    add(&seen->gaps, gap);
    add(&seen->squares, gap * gap);
}

/* A launch that the driver will refuse may ask for anything: sums must not overflow. */
INLINE u64 volume(u32 gx, u32 gy, u32 gz, u32 bx, u32 by, u32 bz) {
    const u64 most = 1ull << MOST_THREADS_LOG2;
    u64 blocks = (u64)gx * (gy & 0xffff) * (gz & 0xffff);
    u64 threads = (u64)(bx & 0xfff) * (by & 0xfff) * (bz & 0xfff);
    if (blocks > 1ull << 52 || threads > 1024) return blocks && threads ? most : 0;
    return blocks * threads > most ? most : blocks * threads;
}

/* cuLaunchKernel(function, gx, gy, gz, bx, by, bz, ...), and the cooperative one. */
PROBE(launch) {
    if (counting()) launched(ARG0(r), volume(ARG1(r), ARG2(r), ARG3(r), ARG4(r), ARG5(r), seventh(r)));
    return 0;
}

/* cuLaunchKernelEx(config, function, ...): the configuration begins with the six sizes. */
PROBE(launch_config) {
    u32 size[6] = {};
    if (!counting()) return 0;
    if (read_user(size, sizeof size, (void *)ARG0(r))) lose(LOST_NAMES);
    launched(ARG1(r), volume(size[0], size[1], size[2], size[3], size[4], size[5]));
    return 0;
}

/* cuLaunchGrid(function, width, height), of old: its block was set before, so that only blocks are known. */
PROBE(launch_grid) {
    if (counting()) launched(ARG0(r), volume(ARG1(r), ARG2(r), 1, 1, 1, 1));
    return 0;
}

/* cuLaunch(function). */
PROBE(launch_one) {
    if (counting()) launched(ARG0(r), 1);
    return 0;
}

PROBE(graph) {
    if (!counting()) return 0;
    struct burst *burst = burst_of(pid_and_thread() >> 32);
    if (burst && burst->library == LIBRARY) add(&burst->graphs, 1);
    return 0;
}

/* At the entry of a load or a look-up: what is asked, for the registers are gone at its return. */
PROBE(enter) {
    u64 thread = pid_and_thread();
    struct call call = {ARG0(r), ARG1(r), ARG2(r)};
    put(&calls, &thread, &call, 0);
    return 0;
}

INLINE int left(struct regs *r, struct call *call) {
    u64 thread = pid_and_thread();
    struct call *found = find(&calls, &thread);
    if (!found) return 0;
    *call = *found;
    erase(&calls, &thread);
    return (u32)RESULT(r) == 0;
}

/* At the return of a load. */
PROBE(load) {
    struct call call;
    if (!left(r, &call)) return 0;
    struct load *load = load_of(pid_and_thread() >> 32);
    if (!load) return 0;
    add(&load->count, 1);
    load->last = nanoseconds();
    return 0;
}

INLINE int may_name(u32 pid) {
    struct load *load = load_of(pid);
    if (!load) return 0;
    add(&load->names, 1);
    return load->names <= MOST_NAMES;
}

INLINE void say_large(struct head *head, u64 name) {
    struct large *large = ring_reserve(&ring, sizeof(struct large), 0);
    if (!large) return lose(LOST_RING);
    long size = read_text(large->name, LARGE, (void *)name);
    large->head = *head;
    large->head.size = size < 0 ? 0 : size;
    ring_submit(large, 0);
}

INLINE void say_middle(struct head *head, u64 name) {
    struct middle *middle = ring_reserve(&ring, sizeof(struct middle), 0);
    if (!middle) return lose(LOST_RING);
    long size = read_text(middle->name, MIDDLE, (void *)name);
    middle->head = *head;
    middle->head.size = size < 0 ? 0 : size;
    if (size < MIDDLE) return ring_submit(middle, 0);
    ring_discard(middle, 0);
    say_large(head, name);
}

/* Short names cost little room in the ring, long ones are told all the same. */
INLINE void say(u64 handle, u64 name) {
    struct small small = {.head = {.kind = NAMED, .pid = pid_and_thread() >> 32, .handle = handle}};
    if (!may_name(small.head.pid)) return lose(LOST_RING);
    small.head.time = nanoseconds();
    long size = read_text(small.name, SMALL, (void *)name);
    if (size <= 0) return lose(LOST_NAMES);
    if (size >= SMALL) return say_middle(&small.head, name);
    small.head.size = size;
    if (ring_output(&ring, &small, sizeof small.head + (size & 0xff), 0)) lose(LOST_RING);
}

/* cuModuleGetFunction(&handle, module, name), cuLibraryGetKernel(&handle, library, name). */
PROBE(named) {
    struct call call;
    u64 handle = 0;
    if (!left(r, &call)) return 0;
    if (read_user(&handle, sizeof handle, (void *)call.a)) lose(LOST_NAMES);
    else say(handle, call.c);
    return 0;
}

/* cuFuncGetName(&name, handle), cuKernelGetName(&name, handle). */
PROBE(told) {
    struct call call;
    u64 name = 0;
    if (!left(r, &call)) return 0;
    if (read_user(&name, sizeof name, (void *)call.a)) lose(LOST_NAMES);
    else say(call.b, name);
    return 0;
}

/* cuKernelGetFunction(&handle, kernel): another handle of the same. */
PROBE(alias) {
    struct call call;
    struct head head = {.kind = ALIAS, .pid = pid_and_thread() >> 32};
    if (!left(r, &call)) return 0;
    head.other = call.b;
    head.time = nanoseconds();
    if (read_user(&head.handle, sizeof head.handle, (void *)call.a)) lose(LOST_NAMES);
    else if (!may_name(head.pid) || ring_output(&ring, &head, sizeof head, 0)) lose(LOST_RING);
    return 0;
}
