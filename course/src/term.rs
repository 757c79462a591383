//! What readers see: colours where there is a terminal, and a line for what takes long.
//!
//! Everything is written with its colours; `anstream` takes them out again where the output is no
//! terminal, or where `NO_COLOR` is set.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};

/// Headings.
pub(crate) const BOLD: Style = Style::new().bold();
/// What is there for completeness.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What passes, and what the reference adds.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What does not pass, and what the reference lacks.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// What to type.
pub(crate) const TYPE: Style = AnsiColor::Cyan.on_default();

/// How wide running text is set, in columns.
pub(crate) const WIDTH: usize = 80;

/// `text` in a style.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints `text` and a line end to standard output.
pub(crate) fn say(text: impl Display) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints running text and a line end to standard error, if there is anybody to read it.
pub(crate) fn note(text: impl Display) {
    let text = text.to_string();
    let text = if io::stderr().is_terminal() { wrapped(&text, WIDTH) } else { text };
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Running text for standard output: in lines of its own on a terminal, as it is elsewhere.
pub(crate) fn prose(text: &str) -> String {
    if io::stdout().is_terminal() { wrapped(text, WIDTH) } else { text.to_owned() }
}

/// Running text in lines of at most `width` columns. Paragraphs stay apart; lines that are indented,
/// fenced or quoted stay as they are, and an item of a list begins a line. Code in backticks is not
/// broken, and neither is what no-break spaces hold together.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let (mut lines, mut fenced, mut open) = (Vec::<String>::new(), false, false);
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        let verbatim = fenced || fence || line.starts_with("    ") || line.starts_with('>');
        fenced ^= fence;
        if verbatim || line.trim().is_empty() {
            lines.push(line.trim_end().to_owned());
            open = false;
            continue;
        }
        open &= !line.trim_start().starts_with("- ");
        for word in code_held_together(line).split(' ').filter(|word| !word.is_empty()) {
            match lines.last_mut() {
                Some(last) if open && columns(last) + 1 + columns(word) <= width => {
                    last.push(' ');
                    last.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
            open = true;
        }
    }
    lines.join("\n").replace(NO_BREAK, " ")
}

/// A space at which no line is broken.
pub(crate) const NO_BREAK: char = '\u{a0}';

/// `line`, with no-break spaces in the code that stands in backticks.
fn code_held_together(line: &str) -> String {
    let parts = line.split('`').enumerate();
    let parts = parts.map(|(n, part)| match n % 2 {
        1 => part.replace(' ', &NO_BREAK.to_string()),
        _ => part.to_owned(),
    });
    let parts = parts.collect::<Vec<_>>();
    // An odd backtick opens nothing.
    if parts.len() % 2 == 1 { parts.join("`") } else { line.to_owned() }
}

/// How many columns `text` takes, which has no styles and no wide characters.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// How long something may take before the reader is told what it is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// A line on the terminal that says what is being waited for. It appears after some patience, and
/// is gone when this is dropped. Where standard error is no terminal, nothing appears.
#[derive(Debug)]
pub(crate) struct Busy {
    /// What the line says.
    what: Arc<Mutex<String>>,
    /// Dropped to end the thread.
    end: Option<Sender<()>>,
    /// Draws the line.
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    /// Begins to wait for `what`.
    pub(crate) fn with(what: impl Into<String>, patience: Duration) -> Self {
        let what = Arc::new(Mutex::new(what.into()));
        let mut busy = Busy { what: what.clone(), end: None, thread: None };
        if io::stderr().is_terminal() {
            let (end, ended) = mpsc::channel();
            busy.end = Some(end);
            busy.thread = Some(thread::spawn(move || draw(&what, &ended, patience)));
        }
        busy
    }

    /// Changes what the line says.
    pub(crate) fn now(&self, what: impl Into<String>) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }
}

/// Draws the line again and again until `ended` closes, and then wipes it away.
fn draw(what: &Mutex<String>, ended: &Receiver<()>, patience: Duration) {
    let (start, mut pause, mut drawn) = (Instant::now(), patience, false);
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(pause) {
        let what = what.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let time = match start.elapsed().as_secs() {
            0 => String::new(),
            seconds => format!(" {seconds} s"),
        };
        let line = styled(DIM, format_args!("{what} …{time}"));
        let _ = write!(anstream::stderr().lock(), "\r\x1b[K{line}");
        (pause, drawn) = (Duration::from_millis(100), true);
    }
    if drawn {
        let _ = write!(anstream::stderr().lock(), "\r\x1b[K");
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has spoilt a line of decoration, no more.
            let _ = thread.join();
        }
    }
}
