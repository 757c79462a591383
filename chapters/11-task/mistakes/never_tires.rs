// [waits-for-one] starves_nobody
//
// As long as there is an item, it is given out. That is right for each single poll, but the task that
// takes the items never says `Pending`.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    use futures::stream::Stream;

    pub fn unhurried<S: Stream + Unpin>(stream: S) -> S {
        stream
    }
}
