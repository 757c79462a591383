//! Watches what becomes of memory: the allocator of [`allocations`](super::allocations) asks here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::slice;

thread_local! {
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static WATCHED: Cell<Watched> = const { Cell::new(Watched::NOTHING) };
}

/// What became of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The bytes that were asked for.
    pub asked: usize,
    /// The bytes that were given back.
    pub back: usize,
    /// Whether somebody wrote to memory that had been given back, or gave it back once more.
    pub used_afterwards: bool,
}

/// What becomes of memory while `f` runs on this thread. What is given back meanwhile is kept until
/// `f` is over: who uses it all the same does no harm, and is found out.
pub fn memory(f: impl FnOnce()) -> Memory {
    WATCHED.set(Watched::NOTHING);
    WATCHING.set(true);
    f();
    WATCHING.set(false);
    let mut watched = WATCHED.get();
    for kept in watched.kept.into_iter().flatten() {
        watched.memory.used_afterwards |= kept.was_written();
        kept.free();
    }
    watched.memory
}

/// What is known of the memory that is being watched.
#[derive(Clone, Copy)]
struct Watched {
    memory: Memory,
    /// What was given back; as much as there is room for.
    kept: [Option<Kept>; 16],
}

/// Memory that was given back and is not freed yet: every byte of it is `FREED`.
#[derive(Clone, Copy)]
struct Kept {
    pointer: *mut u8,
    layout: Layout,
}

const FREED: u8 = 0xdd;

impl Kept {
    fn was_written(&self) -> bool {
        // SAFETY: `keep` has filled these bytes, and they are not freed yet.
        let bytes = unsafe { slice::from_raw_parts(self.pointer, self.layout.size()) };
        bytes.iter().any(|byte| *byte != FREED)
    }

    fn free(self) {
        // SAFETY: the promises are those of whoever gave it back.
        unsafe { System.dealloc(self.pointer, self.layout) }
    }
}

impl Watched {
    const NOTHING: Watched = Watched {
        memory: Memory { asked: 0, back: 0, used_afterwards: false },
        kept: [const { None }; 16],
    };

    /// Takes what is given back, if there is room for it.
    fn keep(&mut self, pointer: *mut u8, layout: Layout) -> bool {
        if self.kept.iter().flatten().any(|kept| kept.pointer == pointer) {
            self.memory.used_afterwards = true;
            return true;
        }
        self.memory.back += layout.size();
        let Some(room) = self.kept.iter_mut().find(|kept| kept.is_none()) else { return false };
        // SAFETY: it was given back, and nobody else has a right to these bytes any more.
        unsafe { pointer.write_bytes(FREED, layout.size()) };
        *room = Some(Kept { pointer, layout });
        true
    }
}

/// Does something with what is being watched on this thread, if anything is.
fn watching<R>(f: impl FnOnce(&mut Watched) -> R) -> Option<R> {
    // An error means that the thread is ending.
    if !WATCHING.try_with(Cell::get).unwrap_or(false) {
        return None;
    }
    WATCHED.with(|cell| {
        let mut watched = cell.get();
        let result = f(&mut watched);
        cell.set(watched);
        Some(result)
    })
}

/// So much was asked for.
pub(super) fn asked(layout: Layout) {
    watching(|watched| watched.memory.asked += layout.size());
}

/// This was given back: whether it is kept, and not to be freed now.
pub(super) fn keeps(pointer: *mut u8, layout: Layout) -> bool {
    watching(|watched| watched.keep(pointer, layout)) == Some(true)
}
