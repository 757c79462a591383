//! The front door: where the book is, the chapters, and the next step.

#[cfg(unix)]
use std::io::{self, IsTerminal};

use crate::book;
use crate::chapters::Chapter;
use crate::checkout::Checkout;
use crate::failure::Result;
use crate::progress::{self, Progress};
#[cfg(unix)]
use crate::serve::Server;
use crate::term::{BAD, BOLD, DIM, GOOD, NO_BREAK, TYPE, WIDTH, columns, say, styled, wrapped};

/// `cargo run`: builds the book if it is stale, and says where everybody is. If somebody sits at a
/// terminal, the book is served until Ctrl-C.
pub(crate) fn command(checkout: &Checkout, chapters: &[Chapter]) -> Result<()> {
    let book = book::built(checkout);
    #[cfg(unix)]
    if let (Ok(folder), true) = (&book, io::stdout().is_terminal()) {
        match Server::start(checkout, folder.clone(), None) {
            Ok(server) => {
                return server.until_interrupted(|url| print(checkout, chapters, Some(url)));
            }
            // It can be read all the same.
            Err(failure) => drop(failure.report()),
        }
    }
    let address = book.as_ref().map(|book| book::address(book, "index.html"));
    print(checkout, chapters, address.ok().as_deref())?;
    book.map(drop)
}

/// Prints where the book is, its chapters, and the next step.
fn print(checkout: &Checkout, chapters: &[Chapter], address: Option<&str>) -> Result<()> {
    let title = styled(BOLD, "Under .await");
    say(format_args!("\n{title}: build an async runtime in Rust, one layer at a time\n"))?;
    if let Some(address) = address {
        say(format_args!("  {}  {address}\n", styled(BOLD, "The book")))?;
    }
    say(table(checkout, chapters))?;
    say(to_come(chapters))?;
    Ok(say(next(checkout, chapters))?)
}

/// The written chapters.
fn table(checkout: &Checkout, chapters: &[Chapter]) -> String {
    let written = chapters.iter().filter(|chapter| chapter.written);
    let rows = written.map(|chapter| row(checkout, chapter)).collect::<Vec<_>>();
    let widest = |column: fn(&Row) -> &str| {
        rows.iter().map(|row| columns(column(row))).max().unwrap_or_default()
    };
    let (title, time) = (widest(|row| &row.title), widest(|row| &row.time).max(columns(TIME)));
    let head = styled(DIM, format_args!("      {:title$}  {TIME:>time$}", ""));
    let line = |row: &Row| {
        let time = styled(DIM, format_args!("{:>time$}", row.time));
        format!("  {:>2}  {:title$}  {time}  {}", row.number, row.title, row.result)
    };
    let lines = [head].into_iter().chain(rows.iter().map(line)).collect::<Vec<_>>();
    lines.join("\n")
}

/// What stands above the times.
const TIME: &str = "read + build";

/// A line of the table.
struct Row {
    number: u32,
    title: String,
    /// How long it takes to read and to build.
    time: String,
    /// How far the reader has come, with its colours.
    result: String,
}

/// The line of a written chapter.
fn row(checkout: &Checkout, chapter: &Chapter) -> Row {
    let page = checkout.read(&chapter.part("README.md")).unwrap_or_default();
    let (title, time) = (title(&page), time(&page));
    Row {
        number: chapter.number,
        title: title.unwrap_or_else(|| chapter.name.clone()),
        time: time.unwrap_or_default(),
        result: result(&Progress::of(checkout, chapter)),
    }
}

/// The title of a page, of its first line `# 4 · Title`.
fn title(page: &str) -> Option<String> {
    let (_, title) = page.lines().find_map(|line| line.strip_prefix("# "))?.split_once(" · ")?;
    Some(title.replace('`', ""))
}

/// How long a chapter takes, of its line `> **Time:** 15 minutes to read, 50 to build`: here
/// `15 + 50 min`.
fn time(page: &str) -> Option<String> {
    let time = page.lines().find_map(|line| line.strip_prefix("> **Time:**"))?;
    let numbers = time.split(' ').filter(|word| word.parse::<u32>().is_ok()).collect::<Vec<_>>();
    match numbers[..] {
        [read, build] => Some(format!("{read} + {build} min")),
        _ => Some(time.trim().to_owned()),
    }
}

/// How far the reader has come, in a few words.
fn result(progress: &Progress) -> String {
    match progress {
        Progress::NoExercises => styled(DIM, "no exercises"),
        Progress::NotBegun { holes } => styled(DIM, format_args!("{holes} holes")),
        Progress::Open { open, holes } => format!("{open} of {holes} left"),
        Progress::Filled => "not checked".to_owned(),
        Progress::NotYet => styled(BAD, "not yet"),
        Progress::Passes => styled(GOOD, "passes"),
    }
}

/// The chapters that are still to come, compactly.
fn to_come(chapters: &[Chapter]) -> String {
    let to_come = chapters.iter().filter(|chapter| !chapter.written);
    // A number and its name stay on one line.
    let names = to_come.map(|chapter| format!("{}{NO_BREAK}{}", chapter.number, chapter.name));
    let names = names.collect::<Vec<_>>();
    if names.is_empty() {
        return String::new();
    }
    let text = format!("To come: {}.", names.join(", "));
    let indented = wrapped(&text, WIDTH - 6).replace('\n', "\n      ");
    format!("\n      {}\n", styled(DIM, indented))
}

/// The next step, as one command.
fn next(checkout: &Checkout, chapters: &[Chapter]) -> String {
    let chapter = progress::current(checkout, chapters);
    let (number, name) = (chapter.number, &chapter.name);
    let (what, command) = match Progress::of(checkout, chapter) {
        Progress::NotBegun { .. } | Progress::NoExercises => {
            (format!("read chapter {number} ({name})"), format!("cargo course read {number}"))
        }
        Progress::Open { .. } => {
            (format!("go on in {}", chapter.file()), format!("cargo course check {number}"))
        }
        Progress::Filled | Progress::NotYet => {
            (format!("check {}", chapter.file()), format!("cargo course check {number}"))
        }
        Progress::Passes => (
            "all that is written passes; see how the reference does it".to_owned(),
            format!("cargo course diff {number}"),
        ),
    };
    format!("  {} {what}:  {}\n", styled(BOLD, "Next:"), styled(TYPE, command))
}
