// [stuck] the_first_error_is_the_end
//
// Waits for all branches, and looks for errors only then. If the branch that did not fail waits for the one
// that did, or for nothing at all, there is no end.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    pub async fn try_both<A, B, E>(
        a: impl Future<Output = Result<A, E>>,
        b: impl Future<Output = Result<B, E>>,
    ) -> Result<(A, B), E> {
        let (a, b) = both(a, b).await;
        Ok((a?, b?))
    }
}
