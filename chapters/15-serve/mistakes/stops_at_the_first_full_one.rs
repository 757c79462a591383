// [waits-for-one] who_has_no_room_is_let_go
//
// Puts the message into one mailbox after the other, and leaves the loop at the first that is full. Who stands behind
// that one does not get it.

pub mod hub {
    pub use super::super::super::super::reference::subject::hub::*;

    use std::rc::Rc;

    use under_await::ch14_sync::Sender;
    use under_await::ch15_serve::resp::Reply;

    struct Client {
        mailbox: Option<Sender<Rc<[u8]>>>,
        channels: Vec<Vec<u8>>,
    }

    #[derive(Default)]
    pub struct Hub(Vec<Client>);

    impl Hub {
        pub fn enter(&mut self, mailbox: Sender<Rc<[u8]>>) -> u64 {
            self.0.push(Client { mailbox: Some(mailbox), channels: Vec::new() });
            self.0.len() as u64 - 1
        }

        pub fn subscribe(&mut self, id: u64, channels: &[Vec<u8>]) {
            self.0[id as usize].channels.extend_from_slice(channels);
        }

        pub fn listens(&self, id: u64) -> bool {
            self.0[id as usize].mailbox.is_some()
        }

        pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> Reply<'static> {
            let message = Rc::<[u8]>::from(message);
            let mut reached = 0;
            let listening = self.0.iter_mut().filter(|client| client.channels.iter().any(|name| name == channel));
            for client in listening {
                let Some(mailbox) = &client.mailbox else { continue };
                if mailbox.try_send(message.clone()).is_err() {
                    client.mailbox = None;
                    break;
                }
                reached += 1;
            }
            Reply::count(reached)
        }
    }
}
