//! What happens in a scene, as a table.

use std::thread;

use under_await::ledger::{Entry, Event, Ledger};

/// The longest trace that is shown line by line.
pub(crate) const LINES: usize = 16;

/// What happens in a scene, as a table. Every scene has a thread of its own, to begin afresh.
pub(crate) fn trace(scene: fn()) -> Result<String, String> {
    let record = move || {
        let ledger = Ledger::open();
        scene();
        Ledger::close();
        ledger
    };
    let ledger = thread::spawn(record).join().map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied().unwrap_or("the scene panicked");
        text.to_owned()
    })?;
    let entries = ledger.entries();
    if entries.is_empty() {
        return Err("nothing happens in the scene".to_owned());
    }
    Ok(table(&entries, ledger.lines() - entries.len() as u64))
}

/// The entries as a table of Markdown, and after them the number of those that were not kept.
pub(crate) fn table(entries: &[Entry], lost: u64) -> String {
    let mut table = "| | thread | who | what happens |\n|--:|:-:|---|---|\n".to_owned();
    let row = |step: usize, Entry { thread, who, event, .. }: &Entry| {
        let (step, thread) = (number(step as u64), char::from(b'A' + *thread as u8));
        format!("| {step} | {thread} | {who} | {} |\n", sentence(*event))
    };
    let mut at = 0;
    while at < entries.len() {
        let (length, times) = match entries.len() {
            ..=LINES => (1, 1),
            _ => repetition(&entries[at..]),
        };
        for (entry, step) in entries[at..at + length].iter().zip(at + 1..) {
            table += &row(step, entry);
        }
        if times > 1 {
            let again = number(times as u64 - 1);
            let these = ["this one", "these two", "these three", "these four"][length - 1];
            table += &format!("| … | | | {again} more like {these} |\n");
        }
        at += length * times;
    }
    if lost > 0 {
        table += &format!("| … | | | and ~{} lines more |\n", number(lost));
    }
    table
}

/// How many lines at the head of `entries` come again at once, and how often they are there in all.
pub(crate) fn repetition(entries: &[Entry]) -> (usize, usize) {
    let same = |a: &Entry, b: &Entry| (a.thread, a.who, a.event) == (b.thread, b.who, b.event);
    let times = |length: usize| {
        let mut lines = entries.iter().zip(entries.iter().cycle().take(length).cycle());
        let alike = lines.position(|(a, b)| !same(a, b)).unwrap_or(entries.len());
        alike / length
    };
    let found = (1..=4).map(|length| (length, times(length))).find(|(_, times)| *times >= 3);
    found.unwrap_or((1, 1))
}

/// `1234567` as `1,234,567`.
pub(crate) fn number(n: u64) -> String {
    match n {
        ..1000 => n.to_string(),
        _ => format!("{},{:03}", number(n / 1000), n % 1000),
    }
}

/// What happened, after the name of the one it happened to.
pub(crate) fn sentence(event: Event) -> &'static str {
    match event {
        Event::Poll => "is polled",
        Event::Pending => "answers `Pending`: not yet",
        Event::Ready => "answers `Ready`: done",
        Event::Clone => "is cloned: one owner more",
        Event::Wake => "is woken: a poll is worth while",
        Event::Drop => "is dropped: one owner less",
        Event::Park => "goes to sleep",
        Event::Unpark => "sleeps no longer",
        Event::Call(name) => name,
        Event::Note(note) => note,
    }
}
