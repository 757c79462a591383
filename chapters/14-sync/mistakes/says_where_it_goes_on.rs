// [wrong-result] who_is_slow_is_told
//
// Goes on to the first message that is there, and gives out its number in place of how many were missed.
// For a subscriber from the beginning that has got nothing yet, the two are the same.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    type Inner<T> = super::super::super::super::reference::subject::extend::Subscriber<T>;
    type Sends<T> = super::super::super::super::reference::subject::extend::Broadcast<T>;

    pub struct Broadcast<T>(Sends<T>);
    pub struct Subscriber<T>(Inner<T>, u64);

    impl<T: Clone> Broadcast<T> {
        pub fn new(room: usize) -> Self {
            Broadcast(Sends::new(room))
        }

        pub fn send(&self, message: T) {
            self.0.send(message);
        }

        pub fn subscribe(&self) -> Subscriber<T> {
            Subscriber(self.0.subscribe(), 0)
        }
    }

    impl<T: Clone> Subscriber<T> {
        pub async fn recv(&mut self) -> Result<T, RecvError> {
            let got = self.0.recv().await;
            self.1 += match got {
                Ok(_) => 1,
                Err(RecvError::Lagged(missed)) => missed,
                Err(RecvError::Closed) => 0,
            };
            got.map_err(|why| match why {
                RecvError::Lagged(_) => RecvError::Lagged(self.1),
                RecvError::Closed => RecvError::Closed,
            })
        }
    }
}
