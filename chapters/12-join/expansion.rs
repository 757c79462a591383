//! What `futures::join!(book, music)` is, once the macro has run: with shorter names, and with `pin!`
//! where the macro pins by hand.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures::future::maybe_done;

// ANCHOR: expanded
pub(crate) async fn expanded<B: Future, M: Future>(book: B, music: M) -> (B::Output, M::Output) {
    let mut book = pin!(maybe_done(book));
    let mut music = pin!(maybe_done(music));
    poll_fn(|cx| {
        let mut all_done = true;
        all_done &= book.as_mut().poll(cx).is_ready();
        all_done &= music.as_mut().poll(cx).is_ready();
        if !all_done {
            return Poll::Pending;
        }
        let outputs = (book.as_mut().take_output(), music.as_mut().take_output());
        Poll::Ready((outputs.0.unwrap(), outputs.1.unwrap()))
    })
    .await
}
// ANCHOR_END: expanded
