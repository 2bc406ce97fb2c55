/* A CUDA driver and runtime without a GPU: device memory is the host's, kernels are counted and not run.

   The cu... functions are those that CuPy looks up in libcuda.so.1. CuPy's runtime module carries NVIDIA's own runtime
   inside; stub.py sends each of its cuda... functions here, to the function stub_<name without "cuda">, or to
   stub_nothing. Device memory is zeros until something is copied there, since kernels write nothing. A truth value
   is read as stub_all after "all", and elsewhere as the next bit of stub_any, whose last bit stays.
   With stub_not_zero a number that is 0 is read as the smallest that is not. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 4096, LONGEST = 240, DEVICES = 2, TO_DEVICE = 1, TO_HOST = 2, ON_DEVICE = 3 };

static struct { char name[LONGEST]; long times; } counters[NAMES];
static int used;
static int device;
static int context;
int stub_all = 1, stub_any, stub_not_zero;
static int after_all;

void stub_count(const char *kind, const char *what)
{
    char name[LONGEST];
    snprintf(name, sizeof name, "%s %s", kind, what);
    int i = 0;
    while (i < used && strcmp(counters[i].name, name)) i++;
    if (i == NAMES) abort();
    if (i == used) strcpy(counters[used++].name, name);
    counters[i].times++;
}

int stub_counter(int i, char *name, long *times)
{
    if (i >= used) return 0;
    strcpy(name, counters[i].name);
    *times = counters[i].times;
    return 1;
}

void stub_reset(void)
{
    memset(counters, 0, sizeof counters);
    used = 0;
}

/* The driver. */
int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuGetErrorName(int error, const char **name) { *name = "STUB"; return 0; }
int cuGetErrorString(int error, const char **text) { *text = "an error of the stub driver"; return 0; }
int cuCtxGetCurrent(void **current) { *current = &context; return 0; }
int cuCtxSetCurrent(void *current) { return 0; }
int cuCtxCreate_v2(void **made, unsigned flags, int number) { *made = &context; return 0; }
int cuCtxDestroy_v2(void *gone) { return 0; }
int cuCtxGetDevice(int *number) { *number = device; return 0; }
int cuDevicePrimaryCtxRelease_v2(int number) { return 0; }
int cuStreamGetCtx(void *stream, void **of) { *of = &context; return 0; }
int cuModuleLoadData(void **module, const void *image) { *module = &context; return 0; }
int cuModuleUnload(void *module) { return 0; }
int cuModuleGetFunction(void **function, void *module, const char *name) { *function = strdup(name); return 0; }
int cuFuncGetAttribute(int *value, int attribute, void *function) { *value = attribute == 0 ? 1024 : 32; return 0; }
int cuFuncSetAttribute(void *function, int attribute, int value) { return 0; }
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *function, int size, size_t shared)
{
    *blocks = 2;
    return 0;
}
int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared, void *stream, void **arguments, void **extra)
{
    stub_count("kernel", function);
    after_all = !strncmp(function, "cupy_all", 8);
    return 0;
}

/* The runtime. */
int stub_nothing(void) { return 0; }
int stub_GetDevice(int *number) { *number = device; return 0; }
int stub_GetDeviceCount(int *count) { *count = DEVICES; return 0; }
int stub_SetDevice(int number)
{
    enum { INVALID_DEVICE = 101 };
    if (number < 0 || number >= DEVICES) return INVALID_DEVICE;
    device = number;
    return 0;
}
int stub_DeviceGetAttribute(int *value, int attribute, int number)
{
    /* By CUDA's numbers, those of an H100 that CuPy asks for; 0 for all others. */
    static const struct { int attribute, value; } known[] = {
        {1, 1024},  /* threads in a block */ {2, 1024},        /* block, x */ {3, 1024},  /* block, y */
        {5, 2147483647}, /* grid, x */       {8, 49152},       /* shared bytes */ {10, 32}, /* warp */
        {16, 132},  /* multiprocessors */    {39, 2048},       /* threads in one */ {75, 9}, /* compute capability */
    };
    *value = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].attribute == attribute) *value = known[i].value;
    return 0;
}
int stub_DriverGetVersion(int *version) { *version = 13000; return 0; }
int stub_RuntimeGetVersion(int *version) { *version = 13000; return 0; }
const char *stub_GetErrorString(int error) { return "an error of the stub driver"; }
const char *stub_GetErrorName(int error) { return "STUB"; }
int stub_Malloc(void **memory, size_t bytes) { *memory = calloc(1, bytes + 512); return *memory ? 0 : 2; }
int stub_HostAlloc(void **memory, size_t bytes, unsigned flags) { return stub_Malloc(memory, bytes); }
int stub_Free(void *memory) { free(memory); return 0; }
int stub_FreeHost(void *memory) { free(memory); return 0; }
int stub_MemGetInfo(size_t *free_bytes, size_t *all) { *free_bytes = *all = (size_t)80 << 30; return 0; }
int stub_EventCreate(void **event) { *event = &context; return 0; }
int stub_EventCreateWithFlags(void **event, unsigned flags) { *event = &context; return 0; }
int stub_StreamCreate(void **stream) { *stream = &context; return 0; }
int stub_StreamCreateWithFlags(void **stream, unsigned flags) { *stream = &context; return 0; }
int stub_StreamIsCapturing(void *stream, int *whether) { *whether = 0; return 0; }
int stub_DeviceCanAccessPeer(int *whether, int number, int peer) { *whether = 1; return 0; }
int stub_DeviceGetPCIBusId(char *name, int length, int number)
{
    snprintf(name, length, "0000:%02d:00.0", number);
    return 0;
}
int stub_PointerGetAttributes(int *attributes, void *memory)
{
    /* type (device), device number, then the address as device and as host see it */
    memset(attributes, 0, 24);
    attributes[0] = 2;
    attributes[1] = device;
    memcpy(attributes + 2, &memory, sizeof memory);
    memcpy(attributes + 4, &memory, sizeof memory);
    return 0;
}
static void copy(void *to, const void *from, size_t bytes, int direction)
{
    static const char *const names[] = {"host to host", "to device", "to host", "on device", "any"};
    stub_count("copy", names[direction]);
    memmove(to, from, bytes);
    if (direction == TO_HOST && bytes == 1) {
        *(char *)to |= after_all ? stub_all : stub_any & 1;
        if (!after_all) stub_any >>= 1; /* -1 and 0 stay what they are */
    }
    if (direction == TO_HOST && (bytes == 4 || bytes == 8) && stub_not_zero) {
        static const char zero[8];
        if (!memcmp(to, zero, bytes)) *(char *)to = 1; /* an integer's 1, a floating-point number's least */
    }
}
int stub_MemcpyAsync(void *to, const void *from, size_t bytes, int direction, void *stream)
{
    copy(to, from, bytes, direction);
    return 0;
}
int stub_Memcpy(void *to, const void *from, size_t bytes, int direction)
{
    copy(to, from, bytes, direction);
    if (direction == TO_HOST) stub_count("wait", "copy");
    return 0;
}
int stub_MemsetAsync(void *memory, int value, size_t bytes, void *stream)
{
    stub_count("fill", "");
    memset(memory, value, bytes);
    return 0;
}
int stub_Memset(void *memory, int value, size_t bytes) { return stub_MemsetAsync(memory, value, bytes, NULL); }
int stub_StreamSynchronize(void *stream) { stub_count("wait", "stream"); return 0; }
int stub_DeviceSynchronize(void) { stub_count("wait", "device"); return 0; }
int stub_EventSynchronize(void *event) { stub_count("wait", "event"); return 0; }
