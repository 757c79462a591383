// [never-woken] a_sender_that_goes_away
//
// Sends what there is to send, and has no `Drop`. A thread that panics before it sends takes the
// sender with it, and whoever waits for the value waits for ever.

use std::mem::ManuallyDrop;

use under_await::ch05_handoff as layer;
pub use under_await::ch05_handoff::Receiver;

pub struct Sender<T>(ManuallyDrop<layer::Sender<T>>);

pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = layer::oneshot();
    (Sender(ManuallyDrop::new(sender)), receiver)
}

impl<T> Sender<T> {
    pub fn send(self, value: T) -> Result<(), T> {
        ManuallyDrop::into_inner(self.0).send(value)
    }

    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}
