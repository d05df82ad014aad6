/* A stand-in for libnvidia-ml.so.1 that behaves as a control file says, for tests without a GPU.

   The file is named by HASHWARDEN_STAND_IN and read again when it changes. Lines:
     gpus N            GPUs                          mig G N      GPU G is cut into N instances
     lost G            GPU G is lost                 gpm 0        no GPM
     gone 1            the driver was unloaded       value K X    number X for the quantity K (see `number`)
     fail F CODE       function F answers CODE       fail F@G CODE   only on GPU G
     hang F MS         function F takes so long      pid P        a process on every GPU
     only P G          a process on GPU G
     metric ID X       GPM value                     refuse ID CODE  nvmlReturn of one GPM metric
     unknown ID        GPM refuses lists with a metric of this number or above
     shift BYTES       GPM entries lie elsewhere: another version of the struct
*/
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { OK = 0, BAD_ARGUMENT = 2, UNSUPPORTED = 3, NOT_FOUND = 6, SMALL = 7, UNLOADED = 9, LOST = 15, VERSION = 25 };
enum { LINES = 1024, PARTS = 8 };
typedef struct { int gpu, part; } Device;
typedef struct { double taken; } Sample;
typedef struct { unsigned id, result; double value; const char *names[3]; } Metric;
typedef struct { unsigned version, count; Sample *first, *second; Metric metrics[]; } Get;

static struct { char word[24], name[64]; double number; } lines[LINES];
int started_count;
static int many;
static struct timespec stamp;
static ino_t node;
static Device devices[16][PARTS + 1];

static void look(void) {
    const char *path = getenv("HASHWARDEN_STAND_IN");
    struct stat info;
    if (!path || stat(path, &info)) return;
    if (info.st_mtim.tv_sec == stamp.tv_sec && info.st_mtim.tv_nsec == stamp.tv_nsec && info.st_ino == node) return;
    FILE *file = fopen(path, "r");
    if (!file) return;
    stamp = info.st_mtim;
    node = info.st_ino;
    char text[160];
    for (many = 0; many < LINES && fgets(text, sizeof text, file);) {
        lines[many].number = 0;
        lines[many].name[0] = 0;
        if (sscanf(text, "%23s %63s %lf", lines[many].word, lines[many].name, &lines[many].number) >= 2) many++;
    }
    fclose(file);
}

/* The last line that begins so; its number, or the name as a number where the line has but two words. */
static int find(const char *word, const char *name, double *number) {
    int found = 0;
    for (int i = 0; i < many; i++)
        if (*lines[i].word == *word && !strcmp(lines[i].word, word) && (!name || !strcmp(lines[i].name, name))) {
            *number = name ? lines[i].number : atof(lines[i].name);
            found = 1;
        }
    return found;
}

static double number(const char *name, double otherwise) {
    double n = otherwise;
    find("value", name, &n);
    return n;
}

/* Seconds: the machine's, unless the test lets time pass itself. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return number("now", t.tv_sec + t.tv_nsec * 1e-9);
}

static double plain(const char *word, double otherwise) {
    double n = otherwise;
    find(word, NULL, &n);
    return n;
}

static int has(const char *word, int gpu) {
    for (int i = 0; i < many; i++)
        if (!strcmp(lines[i].word, word) && atoi(lines[i].name) == gpu) return 1;
    return 0;
}

/* What every function does first. */
static int enter(const char *function, const Device *device) {
    char one[96];
    double n;
    look();
    if (find("hang", function, &n)) {
        struct timespec t = {(time_t)(n / 1000), (long)((n - 1000 * (time_t)(n / 1000)) * 1e6)};
        nanosleep(&t, NULL);
    }
    if (plain("gone", 0)) return UNLOADED;
    if (!started_count && strcmp(function, "nvmlInitWithFlags")) return 1;
    if (device && has("lost", device->gpu)) return LOST;
    if (find("fail", function, &n)) return (int)n;
    if (device) {
        snprintf(one, sizeof one, "%s@%d", function, device->gpu);
        if (find("fail", one, &n)) return (int)n;
    }
    return OK;
}

#define BEGIN(device) do { int r = enter(__func__, device); if (r) return r; } while (0)
#define WHOLE(device) do { BEGIN(device); if ((device)->part >= 0) return UNSUPPORTED; } while (0)

int nvmlInitWithFlags(unsigned flags) { (void)flags; BEGIN(NULL); started_count++; return OK; }
int nvmlShutdown(void) { BEGIN(NULL); started_count--; return OK; }
const char *nvmlErrorString(int code) { (void)code; return "stand-in"; }
int nvmlSystemGetDriverVersion(char *t, unsigned n) { BEGIN(NULL); snprintf(t, n, "570.00.stand-in"); return OK; }
int nvmlSystemGetCudaDriverVersion(int *v) { BEGIN(NULL); *v = 12080; return OK; }
int nvmlDeviceGetCount_v2(unsigned *n) { BEGIN(NULL); *n = (unsigned)plain("gpus", 1); return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device) {
    BEGIN(NULL);
    if (index >= 16 || has("lost", (int)index)) return LOST;
    *device = &devices[index][0];
    **device = (Device){(int)index, -1};
    return OK;
}

static int instances(int gpu) {
    char name[16];
    double n = 0;
    snprintf(name, sizeof name, "%d", gpu);
    find("mig", name, &n);
    return (int)n;
}

int nvmlDeviceGetMigMode(Device *d, unsigned *current, unsigned *pending) {
    WHOLE(d);
    *current = *pending = instances(d->gpu) > 0;
    return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(Device *d, unsigned *n) { WHOLE(d); *n = PARTS - 1; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(Device *d, unsigned index, Device **part) {
    WHOLE(d);
    if ((int)index >= instances(d->gpu)) return NOT_FOUND;
    *part = &devices[d->gpu][index + 1];
    **part = (Device){d->gpu, (int)index};
    return OK;
}
int nvmlDeviceGetGpuInstanceId(Device *d, unsigned *id) {
    BEGIN(d);
    if (d->part < 0) return BAD_ARGUMENT;
    *id = number("same_instance", 0) ? 7 : (unsigned)d->part + 7;
    return OK;
}
int nvmlDeviceGetUUID(Device *d, char *text, unsigned n) {
    BEGIN(d);
    if (d->part < 0) snprintf(text, n, "GPU-0000000%d-stand-in", d->gpu);
    else snprintf(text, n, "MIG-%d-%d-stand-in", d->gpu, d->part);
    return OK;
}
int nvmlDeviceGetName(Device *d, char *text, unsigned n) {
    BEGIN(d);
    snprintf(text, n, d->part < 0 ? "Stand-in H100" : "Stand-in H100 MIG 1g.10gb");
    return OK;
}
int nvmlDeviceGetCudaComputeCapability(Device *d, int *major, int *minor) {
    BEGIN(d);
    *major = 9, *minor = 0;
    return OK;
}

int nvmlDeviceGetUtilizationRates(Device *d, unsigned *both) {
    WHOLE(d);
    both[0] = (unsigned)number("gpu", 97), both[1] = (unsigned)number("memory", 40);
    return OK;
}
int nvmlDeviceGetComputeMode(Device *d, unsigned *mode) { WHOLE(d); *mode = (unsigned)number("compute_mode", 0); return OK; }
int nvmlDeviceGetPowerUsage(Device *d, unsigned *mw) { WHOLE(d); *mw = (unsigned)number("power", 350000); return OK; }
int nvmlDeviceGetEnforcedPowerLimit(Device *d, unsigned *mw) { WHOLE(d); *mw = (unsigned)number("limit", 700000); return OK; }
int nvmlDeviceGetTotalEnergyConsumption(Device *d, uint64_t *mj) {
    WHOLE(d);
    double fixed = number("energy", -1);
    *mj = fixed >= 0 ? (uint64_t)fixed : (uint64_t)(now() * number("power", 350000));
    return OK;
}
int nvmlDeviceGetTemperature(Device *d, unsigned sensor, unsigned *c) {
    (void)sensor;
    WHOLE(d);
    *c = (unsigned)number("temperature", 61);
    return OK;
}
int nvmlDeviceGetFieldValues(Device *d, int n, char *fields) {
    WHOLE(d);
    for (int i = 0; i < n; i++) {
        char *field = fields + 40 * i; /* nvmlFieldValue_t: type at 24, result at 28, value at 32 */
        *(unsigned *)(field + 24) = 1;
        *(int *)(field + 28) = (int)number("field_result", 0);
        *(unsigned *)(field + 32) = (unsigned)number("memory_temperature", 70);
    }
    return OK;
}
int nvmlDeviceGetClockInfo(Device *d, unsigned type, unsigned *mhz) {
    WHOLE(d);
    *mhz = type == 1 ? (unsigned)number("sm_clock", 1410) : (unsigned)number("memory_clock", 2619);
    return OK;
}
int nvmlDeviceGetMaxClockInfo(Device *d, unsigned type, unsigned *mhz) { WHOLE(d); *mhz = type == 1 ? 1980 : 2619; return OK; }
int nvmlDeviceGetCurrentClocksThrottleReasons(Device *d, unsigned long long *bits) {
    WHOLE(d);
    *bits = (unsigned long long)number("reasons", 0);
    return OK; /* the newer name, ...EventReasons, is not exported: as in an older driver */
}
int nvmlDeviceGetMemoryInfo(Device *d, unsigned long long *three) {
    BEGIN(d);
    three[0] = 80ull << 30, three[2] = (unsigned long long)number("used_gib", 20) << 30, three[1] = three[0] - three[2];
    return OK;
}
int nvmlDeviceGetPcieThroughput(Device *d, unsigned way, unsigned *kb) { WHOLE(d); *kb = 2048 * (way + 1); return OK; }
int nvmlDeviceGetEncoderUtilization(Device *d, unsigned *used, unsigned *us) { WHOLE(d); *used = 0, *us = 100; return OK; }
int nvmlDeviceGetDecoderUtilization(Device *d, unsigned *used, unsigned *us) { WHOLE(d); *used = (unsigned)number("decoder", 5), *us = 100; return OK; }

typedef struct { unsigned pid; unsigned long long memory; unsigned gi, ci; } Process;
int nvmlDeviceGetComputeRunningProcesses_v3(Device *d, unsigned *n, Process *list) {
    BEGIN(d);
    unsigned room = list ? *n : 0, found = 0;
    for (int i = 0; i < many; i++)
        if (!strcmp(lines[i].word, "pid") || (!strcmp(lines[i].word, "only") && (int)lines[i].number == d->gpu)) {
            if (found < room) list[found] = (Process){(unsigned)atoi(lines[i].name), 1 << 20, 0, 0};
            found++;
        }
    *n = found;
    return found > room ? SMALL : OK;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(Device *d, unsigned *n, Process *list) { (void)list; BEGIN(d); *n = 0; return OK; }

typedef struct { unsigned pid; unsigned long long us; unsigned sm, memory, encoder, decoder; } Used;
int nvmlDeviceGetProcessUtilization(Device *d, Used *list, unsigned *n, unsigned long long since) {
    WHOLE(d);
    double used = number("process_sm", -1);
    unsigned long long us = (unsigned long long)(now() * 1e6);
    if (used < 0 || us <= since) return NOT_FOUND;
    if (!list) { *n = 2; return SMALL; }
    list[0] = (Used){41, us - 1, 11, 0, 0, 0};
    list[1] = (Used){42, us, (unsigned)used, 0, 0, 0};
    *n = 2;
    return OK;
}

int nvmlGpmQueryDeviceSupport(Device *d, unsigned *support) { WHOLE(d); support[1] = (unsigned)plain("gpm", 1); return OK; }
int nvmlGpmSampleAlloc(Sample **sample) { BEGIN(NULL); *sample = calloc(1, sizeof **sample); return OK; }
int nvmlGpmSampleFree(Sample *sample) { free(sample); return OK; }
int nvmlGpmSampleGet(Device *d, Sample *sample) { WHOLE(d); sample->taken = now(); return OK; }
int nvmlGpmMigSampleGet(Device *d, unsigned instance, Sample *sample) {
    WHOLE(d);
    if (instance < 7 || (int)instance >= 7 + instances(d->gpu)) return BAD_ARGUMENT;
    sample->taken = now();
    return OK;
}
int nvmlGpmMetricsGet(Get *get) {
    BEGIN(NULL);
    if (get->version != 1) return VERSION;
    if (get->second->taken - get->first->taken < 0.0999) return BAD_ARGUMENT;
    double unknown = plain("unknown", 1e9), n;
    for (unsigned i = 0; i < get->count; i++)
        if (get->metrics[i].id >= unknown) return BAD_ARGUMENT;
    char *entries = (char *)get->metrics + (int)plain("shift", 0);
    for (unsigned i = 0; i < get->count; i++) {
        Metric *metric = (Metric *)entries + i;
        unsigned id = get->metrics[i].id;
        char name[16];
        snprintf(name, sizeof name, "%u", id);
        metric->id = id;
        metric->result = find("refuse", name, &n) ? (unsigned)n : OK;
        metric->value = find("metric", name, &n) ? n : id % 100;
    }
    return OK;
}

/* Power limits outlive the process, as a driver's do: they lie beside the control file. */
static const char *limit_path(const Device *d, char *path, size_t n) {
    snprintf(path, n, "%s.limit%d", getenv("HASHWARDEN_STAND_IN"), d->gpu);
    return path;
}
int nvmlDeviceGetPowerManagementLimit(Device *d, unsigned *mw) {
    char path[512];
    WHOLE(d);
    *mw = (unsigned)number("limit", 700000);
    FILE *file = fopen(limit_path(d, path, sizeof path), "r");
    if (!file) return OK;
    int read = fscanf(file, "%u", mw);
    fclose(file);
    return read == 1 ? OK : BAD_ARGUMENT;
}
int nvmlDeviceGetPowerManagementLimitConstraints(Device *d, unsigned *least, unsigned *most) {
    WHOLE(d);
    *least = (unsigned)number("least_limit", 200000), *most = 700000;
    return OK;
}
int nvmlDeviceSetPowerManagementLimit(Device *d, unsigned mw) {
    char path[512];
    WHOLE(d);
    if (mw < (unsigned)number("least_limit", 200000) || mw > 700000) return BAD_ARGUMENT;
    if (number("deaf", 0)) return OK; /* says yes and does nothing */
    FILE *file = fopen(limit_path(d, path, sizeof path), "w");
    if (!file) return BAD_ARGUMENT;
    fprintf(file, "%u", mw - mw % (unsigned)number("limit_step", 1));
    fclose(file);
    return OK;
}
