/* A process that calls the driver as it is told: argv[1] is the library, each line of input is one command, and each is
   answered by "ok RESULT". Names come in hexadecimal, for they may hold anything.

     load PATH            cuModuleLoadData of a file          library PATH        cuLibraryLoadData of it
     call LOADER PATH     any other load                      find M HEX          cuModuleGetFunction -> number
     kernel L HEX         cuLibraryGetKernel -> number        function K          cuKernelGetFunction -> number
     name F               cuFuncGetName                       handle N            a handle that nobody looked up
     launch HOW F GX GY GZ BX BY BZ TIMES GAP_NS              graph HOW TIMES     HOW names the driver's function
     flood HOW TIMES      each with another handle, that nobody looked up
     time HOW F TIMES     launches in a row; RESULT is their nanoseconds of CPU
     alter HOW FUNCTION   its code: makes it writable, restores what stood there at the start, drops the page that was
                          written to, maps the file over it again, puts a jump there (hook), moves all of it with its
                          mapping, or copies it and takes the mapping away
     fork                 goes on as a child                  exec                runs anew */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 100000 };
static void *library, *modules[MANY], *functions[MANY];
static int loaded, found;
static char line[20000], text[10000];

static long moved_by; /* how far its code was moved */

static void *symbol(const char *name) {
    char *at = dlsym(library, name);
    if (!at) { fprintf(stderr, "no %s\n", name); exit(3); }
    return at + moved_by;
}

static char *content(const char *path) {
    static char *data;
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(4); }
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    data = calloc(1, size + 1);
    if (fread(data, 1, size, file) != (size_t)size) exit(5);
    fclose(file);
    return data;
}

static char *unhex(const char *hex) {
    int n = strlen(hex) / 2;
    for (int i = 0; i < n; i++) sscanf(hex + 2 * i, "%2hhx", (unsigned char *)text + i);
    text[n] = 0;
    return text;
}

static long now(int clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void launch(const char *how, void *at, void *f, unsigned *s) {
    unsigned config[14] = {s[0], s[1], s[2], s[3], s[4], s[5]};
    if (strstr(how, "Ex")) ((int (*)(void *, void *, void *, void *))at)(config, f, 0, 0);
    else if (strstr(how, "Grid")) ((int (*)(void *, int, int))at)(f, s[0], s[1]);
    else ((int (*)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void *, void *))at)(
        f, s[0], s[1], s[2], s[3], s[4], s[5], 0, 0, 0, 0);
}

static long many(int clock, const char *how, int f, unsigned *sizes, long times, long gap) {
    void *at = symbol(how);
    long start = now(clock);
    for (long i = 0; i < times; i++) {
        launch(how, at, functions[f], sizes);
        while (gap && now(clock) < start + gap * (i + 1)) if (gap > 200000) usleep(gap / 4000);
    }
    return now(clock) - start;
}

static long look_up(const char *by, void *in, const char *name) {
    return ((int (*)(void **, void *, const char *))symbol(by))(&functions[found], in, name) ? -1 : found++;
}

static long load(const char *by, void *what) {
    int (*at)(void **, void *, void *, void *, unsigned long, void *, void *, unsigned long) = symbol(by);
    return at(&modules[loaded], what, 0, 0, 0, 0, 0, 0) ? -1 : loaded++;
}

static long in_place_of_it(void) { return 0; }

/* Its code goes elsewhere: moved with its mapping, or copied and the mapping taken away. */
static long away(long at, const char *how) {
    long start, end, size;
    char row[5000];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(row, sizeof row, maps))
        if (sscanf(row, "%lx-%lx", &start, &end) == 2 && start <= at && at < end) break;
    fclose(maps);
    size = end - start;
    if (!strcmp(how, "move")) {
        void *to = mmap(0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mremap((void *)start, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to) return -1;
        moved_by = (long)to - start;
        return 0;
    }
    void *to = mmap(0, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(to, (void *)start, size);
    ((char *)to)[at - start] = 0x55; /* without a breakpoint that may stand there: nobody would handle it */
    if (munmap((void *)start, size)) return -1;
    moved_by = (long)to - start;
    return 0;
}

static long alter(const char *how, const char *function) {
    unsigned char *at = symbol(function), *page = (unsigned char *)((unsigned long)at & ~4095UL);
    unsigned char jump[12] = {0x48, 0xb8, [10] = 0xff, [11] = 0xe0}; /* mov $address,%rax; jmp *%rax */
    void *to = in_place_of_it;
    memcpy(jump + 2, &to, 8);
    if (!strcmp(how, "move") || !strcmp(how, "copy")) return away((long)at, how);
    if (!strcmp(how, "drop")) return madvise(page, 4096, MADV_DONTNEED);
    if (!strcmp(how, "again")) {
        long from = -1, start, end, offset, fd;
        char path[4000], row[5000];
        FILE *maps = fopen("/proc/self/maps", "r");
        while (from < 0 && fgets(row, sizeof row, maps))
            if (sscanf(row, "%lx-%lx %*s %lx %*s %*s %3999s", &start, &end, &offset, path) == 4 && start <= (long)page && (long)page < end)
                from = offset + (long)page - start;
        fclose(maps);
        fd = open(path, O_RDONLY);
        void *got = mmap(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, from);
        return got == page ? 0 : -1;
    }
    if (mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC)) return -1;
    if (!strcmp(how, "writable")) return 0;
    if (!strcmp(how, "restore")) *at = 0x55; /* push %rbp, with which GCC begins each without optimisation */
    else memcpy(at, jump, sizeof jump);
    return mprotect(page, 8192, PROT_READ | PROT_EXEC);
}

static long obey(char **argv) {
    char word[64], how[64], rest[19000];
    unsigned s[6] = {1, 1, 1, 1, 1, 1};
    long times, gap, f = 0, failed = -2;
    sscanf(line, "%63s", word);
    if (!strcmp(word, "load") && sscanf(line, "%*s %s", rest)) return load("cuModuleLoadData", content(rest));
    if (!strcmp(word, "library") && sscanf(line, "%*s %s", rest)) return load("cuLibraryLoadData", content(rest));
    if (!strcmp(word, "call") && sscanf(line, "%*s %63s %s", how, rest)) return load(how, content(rest));
    if (!strcmp(word, "find") && sscanf(line, "%*s %ld %s", &f, rest))
        return look_up("cuModuleGetFunction", modules[f], unhex(rest));
    if (!strcmp(word, "kernel") && sscanf(line, "%*s %ld %s", &f, rest))
        return look_up("cuLibraryGetKernel", modules[f], unhex(rest));
    if (!strcmp(word, "function") && sscanf(line, "%*s %ld", &f)) {
        int failure = ((int (*)(void **, void *))symbol("cuKernelGetFunction"))(&functions[found], functions[f]);
        return failure ? -1 : found++;
    }
    if (!strcmp(word, "name") && sscanf(line, "%*s %ld", &f)) {
        const char *name;
        return ((int (*)(const char **, void *))symbol("cuFuncGetName"))(&name, functions[f]);
    }
    if (!strcmp(word, "handle") && sscanf(line, "%*s %ld", &f)) return functions[found] = (void *)f, found++;
    if (!strcmp(word, "launch") && sscanf(line, "%*s %63s %ld %u %u %u %u %u %u %ld %ld", how, &f, s, s + 1, s + 2, s + 3,
                                          s + 4, s + 5, &times, &gap) == 10) return many(CLOCK_MONOTONIC, how, f, s, times, gap);
    if (!strcmp(word, "time") && sscanf(line, "%*s %63s %ld %ld", how, &f, &times)) return many(CLOCK_THREAD_CPUTIME_ID, how, f, s, times, 0);
    if (!strcmp(word, "flood") && sscanf(line, "%*s %63s %ld", how, &times)) {
        void *at = symbol(how);
        for (long i = 1; i <= times; i++) launch(how, at, (void *)i, s);
        return times;
    }
    if (!strcmp(word, "graph") && sscanf(line, "%*s %63s %ld", how, &times)) {
        for (long i = 0; i < times; i++) ((int (*)(void *, void *))symbol(how))(0, 0);
        return times;
    }
    if (!strcmp(word, "alter") && sscanf(line, "%*s %63s %s", how, rest)) return alter(how, rest);
    if (!strcmp(word, "fork")) {
        pid_t child = fork();
        if (child) { waitpid(child, 0, 0); exit(0); }
        return getpid();
    }
    if (!strcmp(word, "exec")) { execv("/proc/self/exe", argv); }
    return failed;
}

int main(int argc, char **argv) {
    if (argc < 2 || !(library = dlopen(argv[1], RTLD_NOW))) { fprintf(stderr, "%s\n", argc < 2 ? "usage" : dlerror()); return 2; }
    setvbuf(stdin, 0, _IONBF, 0); /* so that nothing is lost where it runs anew */
    printf("ok %d\n", getpid());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        printf("ok %ld\n", obey(argv));
        fflush(stdout);
    }
    return 0;
}
