//! Gives hints, one more each time.

use crate::chapters::{self, Chapter};
use crate::checkout::Checkout;
use crate::failure::{Failure, Result};
use crate::files;
use crate::memory::{Checked, Memory, fingerprint};
use crate::starter::{self, Hole};
use crate::term::{BOLD, DIM, TYPE, WIDTH, prose, say, styled, wrapped};

/// `cargo course hint N`: the next hint for the hole the reader is at.
pub(crate) fn command(checkout: &Checkout, chapter: &Chapter) -> Result<()> {
    let holes = chapter.holes(checkout)?;
    match at(checkout, chapter, &holes)? {
        At::Hole(hole) => give(checkout, chapter, &hole)?,
        At::Nowhere(why) => say(prose(&format!("{why} {}", examples(&holes))))?,
    }
    Ok(())
}

/// `cargo course hint N.H`: the next hint for that hole.
pub(crate) fn for_hole(checkout: &Checkout, chapters: &[Chapter], number: &str) -> Result<()> {
    let chapter = number.split('.').next().unwrap_or_default();
    let chapter = chapters::named(chapters, chapter)?;
    let holes = chapter.holes(checkout)?;
    let (_, within) = number.split_once('.').unwrap_or_default();
    let number = format!("{}.{within}", chapter.number);
    let hole = holes.iter().find(|hole| hole.number == number).ok_or_else(|| {
        Failure::unusable(format!("There is no hole {number}: the chapter has {}.", span(&holes)))
    })?;
    give(checkout, chapter, hole)
}

/// Where the reader is.
enum At {
    /// At this hole.
    Hole(Hole),
    /// At none, for this reason.
    Nowhere(String),
}

/// Where the reader is: at the first open hole, or before it where the last check failed.
fn at(checkout: &Checkout, chapter: &Chapter, holes: &[Hole]) -> Result<At> {
    let number = chapter.number;
    let text = checkout.read_if_there(&chapter.file())?;
    let checked = Memory::of(checkout, chapter).checked;
    let failed = checked.as_ref().and_then(|checked| checked.failed.as_deref());
    let is_at = |hole: &&Hole| match &text {
        Some(text) => failed == Some(&hole.number) || is_open(chapter, text, hole),
        // Without a file all holes are open.
        None => true,
    };
    if let Some(hole) = holes.iter().find(is_at) {
        return Ok(At::Hole(hole.clone()));
    }
    let unchanged = |file| text.is_some_and(|text| fingerprint(text.as_bytes()) == file);
    Ok(At::Nowhere(match checked {
        Some(Checked { file, failed: None }) if unchanged(file) => {
            format!("Chapter {number} passes.")
        }
        _ => format!("No hole is open: `cargo course check {number}` says what is not right yet."),
    }))
}

/// Whether the reader's file still has this hole.
fn is_open(chapter: &Chapter, text: &str, hole: &Hole) -> bool {
    let open = starter::open_holes(files::above_the_checks(chapter, text));
    open.iter().any(|open| open.number == hole.number)
}

/// Gives the next hint for `hole`; after the last one, all of them again.
fn give(checkout: &Checkout, chapter: &Chapter, hole: &Hole) -> Result<()> {
    let file = chapter.part("hints.md");
    let text = checkout.read_if_there(&file)?.unwrap_or_default();
    let hints = hints(&text, &hole.number);
    if hints.is_empty() {
        return Err(Failure::unusable(format!("{file} has no hint for {}.", hole.number)));
    }
    let mut memory = Memory::of(checkout, chapter);
    let given = memory.hints.get(&hole.number).copied().unwrap_or(0);
    memory.hints.insert(hole.number.clone(), given.min(hints.len()) + 1);
    // Where nothing can be remembered, one more each time would be the first for ever.
    let kept = memory.keep(checkout, chapter);
    let shown = if kept && given < hints.len() { given..given + 1 } else { 0..hints.len() };

    say(styled(BOLD, format_args!("TODO {}: {}", hole.number, hole.text)))?;
    for (index, hint) in hints.iter().enumerate().take(shown.end).skip(shown.start) {
        let count = styled(DIM, format_args!("Hint {} of {}", index + 1, hints.len()));
        say(format_args!("\n{count}\n{}", wrapped(hint, WIDTH)))?;
    }
    let more = styled(TYPE, format_args!("cargo course hint {}", hole.number));
    say(match hints.len() - shown.end {
        0 => format!("\nThat was the last hint for {}.", hole.number),
        left => format!("\n{left} more: {more}"),
    })?;
    Ok(())
}

/// The hints for a hole: what stands under its heading, parted by lines of dashes.
fn hints(text: &str, number: &str) -> Vec<String> {
    let heading = format!("## {number}");
    let section = text.lines().skip_while(|line| line.trim() != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let section = section.filter(|line| !line.trim_start().starts_with("<!--"));
    let section = section.collect::<Vec<_>>();
    let hints = section.split(|line| line.trim() == "---");
    let hints = hints.map(|lines| lines.join("\n").trim().to_owned());
    hints.filter(|hint| !hint.is_empty()).collect()
}

/// The first and the last hole: `4.1 to 4.7`.
fn span(holes: &[Hole]) -> String {
    match holes {
        [] => "none".to_owned(),
        [only] => only.number.clone(),
        [first, .., last] => format!("{} to {}", first.number, last.number),
    }
}

/// How to ask for the hints for a certain hole.
fn examples(holes: &[Hole]) -> String {
    match holes {
        [] => "There are no hints.".to_owned(),
        [first, ..] => format!(
            "There are hints for each of {}: `cargo course hint {}`, for one.",
            span(holes),
            first.number
        ),
    }
}
