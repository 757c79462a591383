//! Counts allocations, thread by thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::memory;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

/// How many allocations `f` makes on this thread.
pub fn allocations(f: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    f();
    COUNT.get() - before
}

/// How many bytes this thread has allocated and not freed. What another thread frees still counts.
pub fn allocated_bytes() -> i64 {
    BYTES.get()
}

/// The system's allocator, with a counter in front.
struct Counting;

#[global_allocator]
static GLOBAL: Counting = Counting;

// SAFETY: every call goes to `System` unchanged, though a `dealloc` may come later; what is done
// besides never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        memory::asked(layout);
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + layout.size() as i64));
        // SAFETY: the caller keeps the promises of `alloc`, and they are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if memory::keeps(pointer, layout) {
            return;
        }
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() - layout.size() as i64));
        // SAFETY: the caller keeps the promises of `dealloc`, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
