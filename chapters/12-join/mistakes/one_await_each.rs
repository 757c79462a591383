// [waits-for-one] branches_take_turns
//
// Gives what it should, but polls the second future for the first time when the first one is done: it takes the
// time of both together. It is what you write without a macro.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    // ANCHOR: join
    macro_rules! join {
        ($($future:expr),+ $(,)?) => { ($($future.await,)+) };
    }
    // ANCHOR_END: join

    pub async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
        join!(a, b)
    }
}
