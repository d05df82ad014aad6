/* A stand-in for libcuda.so.1, for tests of what watches calls of the driver: it exports the functions, hands out
   handles, and does nothing on any GPU. A module of the text "bad" cannot be loaded, a function of the name "absent"
   cannot be found. Handles of functions remember their names, as the driver does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { char *name; } Function;
typedef struct { unsigned grid[3], block[3], shared; void *stream, *attributes; unsigned count; } Config;
enum { OK = 0, BAD_IMAGE = 200, NOT_FOUND = 500 };

#define API __attribute__((visibility("default"), noinline))
#ifdef OBSERVED /* begins as functions of NVIDIA's driver were seen to: cmpl $number,address(%rip), and a jump */
__attribute__((visibility("hidden"))) int observers;
#define NOTHING if (observers == 0x321cba00) return NOT_FOUND
#else
#define NOTHING __asm__ volatile("") /* so that no two functions become one */
#endif

static int image(void **out, const char *data) {
    if (!strncmp(data, "bad", 3)) return BAD_IMAGE;
    *out = malloc(16);
    return OK;
}

static int find(void **out, const char *name) {
    if (!strcmp(name, "absent")) return NOT_FOUND;
    Function *made = malloc(sizeof *made);
    made->name = strdup(name);
    *out = made;
    return OK;
}

API int cuInit(unsigned flags) { return OK; }
API int cuDriverGetVersion(int *out) { return *out = 13000, OK; }
API int cuModuleLoad(void **out, const char *path) { NOTHING; return image(out, path); }
API int cuModuleLoadData(void **out, const void *data) { NOTHING; return image(out, data); }
API int cuModuleLoadDataEx(void **out, const void *data, unsigned n, int *o, void **v) { return image(out, data); }
API int cuModuleLoadFatBinary(void **out, const void *data) { NOTHING; return image(out, data); }
API int cuLibraryLoadData(void **out, const void *data, int *a, void **b, unsigned c, int *d, void **e, unsigned f) {
    return image(out, data);
}
API int cuLibraryLoadFromFile(void **out, const char *path, int *a, void **b, unsigned c, int *d, void **e, unsigned f) {
    return image(out, path);
}
API int cuModuleGetFunction(void **out, void *module, const char *name) { NOTHING; return find(out, name); }
API int cuLibraryGetKernel(void **out, void *library, const char *name) { NOTHING; return find(out, name); }
API int cuKernelGetFunction(void **out, Function *kernel) { NOTHING; return find(out, kernel->name); }
API int cuFuncGetName(const char **out, Function *function) { NOTHING; return *out = function->name, OK; }
API int cuKernelGetName(const char **out, Function *function) { NOTHING; return *out = function->name, OK; }

#define SIZES unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream
API int cuLaunchKernel(void *f, SIZES, void **p, void **extra) { NOTHING; return OK; }
API int cuLaunchKernel_ptsz(void *f, SIZES, void **p, void **extra) { NOTHING; return OK; }
API int cuLaunchCooperativeKernel(void *f, SIZES, void **p) { NOTHING; return OK; }
API int cuLaunchCooperativeKernel_ptsz(void *f, SIZES, void **p) { NOTHING; return OK; }
API int cuLaunchKernelEx(const Config *config, void *f, void **p, void **extra) { NOTHING; return OK; }
API int cuLaunchKernelEx_ptsz(const Config *config, void *f, void **p, void **extra) { NOTHING; return OK; }
API int cuLaunchGrid(void *f, int width, int height) { NOTHING; return OK; }
API int cuLaunch(void *f) { NOTHING; return OK; }
API int cuGraphLaunch(void *graph, void *stream) { NOTHING; return OK; }
API int cuGraphLaunch_ptsz(void *graph, void *stream) { NOTHING; return OK; }

/* Gives what is exported; of cuLaunchGrid another address, as a driver might. */
static int another(void *f, int width, int height) { return OK; }
API int cuGetProcAddress_v2(const char *name, void **out, int version, unsigned long flags, int *status) {
    char variant[128];
    void *self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    Dl_info info;
    if (!self && dladdr((void *)cuInit, &info)) self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    snprintf(variant, sizeof variant, "%s%s", name, flags == 2 ? "_ptsz" : "");
    *out = strcmp(variant, "cuLaunchGrid") ? dlsym(self, variant) : (void *)another;
    *status = !*out;
    return *out ? OK : NOT_FOUND;
}
