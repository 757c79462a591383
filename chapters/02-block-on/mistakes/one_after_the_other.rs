// [never-polled] neither_waits_for_the_other
//
// Runs the first future to its end, and then the second. Both outputs are right, unless the first
// waits for something that the second does.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use under_await::ch02_block_on::block_on;

    pub fn block_on_two<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
        (block_on(a), block_on(b))
    }
}
