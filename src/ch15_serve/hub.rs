//! # Layer 15, third part · a hub
//!
//! Channels of messages, as Redis has them: who publishes does not wait, and every subscriber has a
//! mailbox with room for so many. One that has no room left is let go.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use crate::ch14_sync::Sender;
use crate::ch15_serve::resp::Reply;

// ANCHOR: Hub
/// Who has subscribed to what.
#[derive(Debug, Default)]
pub struct Hub {
    /// The clients. One that is too slow is none any more.
    clients: BTreeMap<u64, Subscriber>,
    /// Which of them listen to a channel.
    channels: HashMap<Vec<u8>, BTreeSet<u64>>,
    /// The number that was given out last.
    latest: u64,
}

/// A client, as far as it may subscribe.
#[derive(Debug)]
struct Subscriber {
    /// Where its messages go.
    mailbox: Sender<Rc<[u8]>>,
    /// What it listens to.
    channels: BTreeSet<Vec<u8>>,
}
// ANCHOR_END: Hub

// ANCHOR: publish
impl Hub {
    /// `PUBLISH channel message`
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> Reply<'static> {
        let mut bytes = Vec::new();
        let words = [b"message", channel, message].map(|word| Reply::Bulk(Some(word)));
        Reply::Array(words.into()).write(&mut bytes);
        // ANCHOR: todo_15_5 into every mailbox; whoever has no room is let go; how many have it now
        let message = Rc::<[u8]>::from(bytes);
        let listening = self.channels.get(channel).into_iter().flatten().copied();
        let put = |id: &u64| self.clients[id].mailbox.try_send(message.clone()).is_ok();
        let (reached, slow) = listening.partition::<Vec<_>, _>(put);
        slow.into_iter().for_each(|id| self.leave(id));
        Reply::count(reached.len())
        // ANCHOR_END: todo_15_5
    }
}
// ANCHOR_END: publish

impl Hub {
    /// Gives a client its number.
    pub fn enter(&mut self, mailbox: Sender<Rc<[u8]>>) -> u64 {
        self.latest += 1;
        self.clients.insert(self.latest, Subscriber { mailbox, channels: BTreeSet::new() });
        self.latest
    }

    /// The client `id` is gone, or has to go: its mailbox ends.
    pub fn leave(&mut self, id: u64) {
        let Some(client) = self.clients.remove(&id) else { return };
        client.channels.iter().for_each(|channel| self.quit(id, channel));
    }

    /// `id` does not listen to `channel` any more.
    fn quit(&mut self, id: u64, channel: &[u8]) {
        let Some(listening) = self.channels.get_mut(channel) else { return };
        listening.remove(&id);
        if listening.is_empty() {
            self.channels.remove(channel);
        }
    }

    /// Whether the client `id` listens to anything.
    pub fn listens(&self, id: u64) -> bool {
        self.clients.get(&id).is_some_and(|client| !client.channels.is_empty())
    }

    /// `SUBSCRIBE channel …`
    pub fn subscribe(&mut self, id: u64, channels: &[Vec<u8>]) -> Reply<'static> {
        let mut told = Vec::new();
        for channel in channels {
            // It may have to go, and have asked for more before it heard of that.
            let Some(client) = self.clients.get_mut(&id) else { break };
            client.channels.insert(channel.clone());
            self.channels.entry(channel.clone()).or_default().insert(id);
            tell(&mut told, "subscribe", Some(channel), client.channels.len());
        }
        Reply::Bytes(told)
    }

    /// `UNSUBSCRIBE [channel …]`: without any, from all.
    pub fn unsubscribe(&mut self, id: u64, channels: &[Vec<u8>]) -> Reply<'static> {
        let Some(client) = self.clients.get_mut(&id) else { return Reply::Bytes(vec![]) };
        let all = client.channels.iter().cloned().collect::<Vec<_>>();
        let channels = if channels.is_empty() { &*all } else { channels };
        let mut told = Vec::new();
        for channel in channels {
            client.channels.remove(channel);
            tell(&mut told, "unsubscribe", Some(channel), client.channels.len());
        }
        if channels.is_empty() {
            tell(&mut told, "unsubscribe", None, 0);
        }
        channels.iter().for_each(|channel| self.quit(id, channel));
        Reply::Bytes(told)
    }
}

/// Adds what a client is told of a change in what it listens to.
fn tell(told: &mut Vec<u8>, change: &str, channel: Option<&[u8]>, left: usize) {
    let words = [Reply::Bulk(Some(change.as_bytes())), Reply::Bulk(channel), Reply::count(left)];
    Reply::Array(words.into()).write(told);
}
