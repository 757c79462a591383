//! Builds the book, when it is older than what it is made from.

use std::fmt::{self, Debug, Write};
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use mdbook_driver::MDBook;
use mdbook_driver::config::Config;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::checkout::Checkout;
use crate::failure::{Failure, Result};
use crate::memory::fingerprint;
use crate::term::{Busy, PATIENCE, note};

/// The file in the built book that says what it was made from.
const STAMP: &str = ".made-from";
/// What the book is made from, in the checkout: what it includes is in here, a test sees to that.
/// `Cargo.lock` stands for mdBook.
pub(crate) const SOURCES: [&str; 5] = ["book.toml", "Cargo.lock", "chapters", "src", "theme"];

/// The book's folder. Builds the book if it is not there or is stale.
pub(crate) fn built(checkout: &Checkout) -> Result<PathBuf> {
    let book = checkout.target.join("book");
    let stamp = stamp(checkout)?;
    if made_from(&book) != stamp || !book.join("index.html").is_file() {
        let busy = Busy::with("building the book", PATIENCE);
        let warnings = build(checkout, &book, &stamp)?;
        drop(busy);
        if !warnings.is_empty() {
            note(format!("The book is built, but mdBook warns:\n{warnings}"));
        }
    }
    Ok(book)
}

/// The address of a page of the book, for a browser.
pub(crate) fn address(book: &Path, page: &str) -> String {
    let path = book.join(page).to_string_lossy().replace('\\', "/");
    let mut address = "file://".to_owned();
    if !path.starts_with('/') {
        address.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'/' | b':' | b'-' | b'_' | b'.' | b'~' => address.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => address.push(byte.into()),
            byte => drop(write!(address, "%{byte:02X}")),
        }
    }
    address
}

/// Builds the book beside its place and moves it there, so that it is never seen half built.
/// Returns mdBook's warnings.
fn build(checkout: &Checkout, book: &Path, stamp: &str) -> Result<String> {
    let beside = |what: &str| checkout.target.join(format!("book-{what}-{}", process::id()));
    let (new, old) = (beside("new"), beside("old"));
    let failed = |error: mdbook_driver::errors::Error| {
        let _ = fs::remove_dir_all(&new);
        Failure::unusable(format!("mdBook cannot build the book: {error:#}."))
    };
    fs::create_dir_all(&new).map_err(|error| Failure::at("make", &new, &error))?;

    let mut config = Config::from_disk(checkout.root.join("book.toml")).map_err(failed)?;
    config.build.build_dir.clone_from(&new);
    // A chapter that is missing is an error, not a file to make.
    config.build.create_missing = false;
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        MDBook::load_with_config(&checkout.root, config)?.build()
    })
    .map_err(failed)?;

    let moved = fs::write(new.join(STAMP), stamp).and_then(|()| {
        if book.exists() {
            fs::rename(book, &old)?;
        }
        fs::rename(&new, book)
    });
    // What is left over, after success or failure, is in nobody's way.
    let _ = fs::remove_dir_all(&old);
    let _ = fs::remove_dir_all(&new);
    match moved {
        // Another companion may have been quicker.
        Err(error) if made_from(book) != stamp => Err(Failure::at("write", book, &error)),
        _ => Ok(warnings.text()),
    }
}

/// The stamp of a built book, if it has one: another book has another.
pub(crate) fn made_from(book: &Path) -> String {
    fs::read_to_string(book.join(STAMP)).unwrap_or_default()
}

/// What the book is made from, as one line: it changes when a source or mdBook changes.
fn stamp(checkout: &Checkout) -> Result<String> {
    let mut sources = Vec::new();
    SOURCES.iter().for_each(|source| collect(&checkout.root.join(source), &mut sources));
    let mut made_from = Vec::new();
    for source in &sources {
        let bytes = fs::read(source).map_err(|error| Failure::at("read", source, &error))?;
        // The same checkout elsewhere makes the same book.
        let name = source.strip_prefix(&checkout.root).unwrap_or(source);
        made_from.extend(name.to_string_lossy().bytes());
        made_from.extend(bytes);
    }
    Ok(format!("{:016x}\n", fingerprint(&made_from)))
}

/// Adds a file, or the files of a folder and of those within, in order; nothing, if it is not there.
fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        return files.push(path.to_owned());
    }
    let Ok(entries) = fs::read_dir(path) else { return };
    let mut paths = entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    paths.sort();
    paths.iter().for_each(|path| collect(path, files));
}

/// Collects mdBook's warnings and errors, and lets all else it logs go.
#[derive(Clone, Debug, Default)]
struct Warnings {
    /// A line each.
    lines: Arc<Mutex<String>>,
}

impl Warnings {
    /// All lines so far.
    fn text(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        event.record(&mut Message(&mut lines));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Takes an event's message down.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _: fmt::Result = writeln!(self.0, "  {value:?}");
        }
    }
}
