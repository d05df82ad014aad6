// Runs the threads of a CUDA block as fibers, one at a time, in turn; see cuda_shim.h.
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

struct shim_dim3 {
    unsigned x, y, z;
};
shim_dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace {
constexpr std::size_t kStack = 1 << 20;
struct Fiber {
    ucontext_t context;
    void *stack;
    bool done;
};
std::vector<Fiber> fibers;
std::vector<std::uint64_t> mailbox;
std::vector<unsigned> block_arrivals, warp_arrivals;  // how many barriers each fiber has passed
ucontext_t scheduler;
unsigned current;
void (*body)(void *);
void *body_argument;

void enter() {
    body(body_argument);
    fibers[current].done = true;
    swapcontext(&fibers[current].context, &scheduler);
}

void yield() { swapcontext(&fibers[current].context, &scheduler); }

// Waits until every living fiber of the group has arrived as often as this one.
void barrier(std::vector<unsigned> &arrivals, unsigned first, unsigned last) {
    const unsigned self = current, mine = ++arrivals[self];
    for (;;) {
        bool all = true;
        for (unsigned i = first; i < last; ++i) all = all && (fibers[i].done || arrivals[i] >= mine);
        if (all) return;
        yield();
    }
}

void run_block(unsigned threads) {
    block_arrivals.assign(threads, 0);
    warp_arrivals.assign(threads, 0);
    mailbox.assign(threads, 0);
    for (unsigned i = 0; i < threads; ++i) {
        fibers[i].done = false;
        getcontext(&fibers[i].context);
        fibers[i].context.uc_stack.ss_sp = fibers[i].stack;
        fibers[i].context.uc_stack.ss_size = kStack;
        fibers[i].context.uc_link = nullptr;
        makecontext(&fibers[i].context, enter, 0);
    }
    for (unsigned left = threads; left > 0;) {
        left = 0;
        for (current = 0; current < threads; ++current) {
            if (fibers[current].done) continue;
            threadIdx = {current % blockDim.x, current / blockDim.x, 0};
            swapcontext(&scheduler, &fibers[current].context);
            left += !fibers[current].done;
        }
    }
}
}  // namespace

extern "C" {
unsigned shim_lane() { return current & 31u; }
void __syncthreads() { barrier(block_arrivals, 0, static_cast<unsigned>(fibers.size())); }
void shim_warp_barrier() {
    const unsigned first = current & ~31u, size = static_cast<unsigned>(fibers.size());
    barrier(warp_arrivals, first, first + 32 < size ? first + 32 : size);
}
std::uint64_t shim_exchange(std::uint64_t value, unsigned lane, bool) {
    const unsigned first = current & ~31u;
    mailbox[current] = value;
    shim_warp_barrier();
    const std::uint64_t got = first + lane < mailbox.size() ? mailbox[first + lane] : value;
    shim_warp_barrier();
    return got;
}
unsigned shim_ballot(int predicate) {
    const unsigned first = current & ~31u;
    mailbox[current] = predicate != 0;
    shim_warp_barrier();
    unsigned bits = 0;
    for (unsigned i = 0; i < 32 && first + i < mailbox.size(); ++i)
        bits |= static_cast<unsigned>(!fibers[first + i].done && mailbox[first + i]) << i;
    shim_warp_barrier();
    return bits;
}
int __syncthreads_count(int predicate) {
    mailbox[current] = predicate != 0;
    __syncthreads();
    int count = 0;
    for (unsigned i = 0; i < mailbox.size(); ++i) count += !fibers[i].done && mailbox[i];
    __syncthreads();
    return count;
}
int __syncthreads_or(int predicate) { return __syncthreads_count(predicate) != 0; }
void shim_launch(void (*kernel)(void *), void *argument, shim_dim3 grid, shim_dim3 block) {
    body = kernel;
    body_argument = argument;
    gridDim = grid;
    blockDim = block;
    const unsigned threads = block.x * block.y;
    fibers.resize(threads);
    for (Fiber &fiber : fibers)
        fiber.stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (unsigned y = 0; y < grid.y; ++y)
        for (unsigned x = 0; x < grid.x; ++x) {
            blockIdx = {x, y, 0};
            run_block(threads);
        }
    for (Fiber &fiber : fibers) munmap(fiber.stack, kStack);
    fibers.clear();
}
}
