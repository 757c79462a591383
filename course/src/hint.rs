//! Gives hints, one more each time.

use crate::chapters::{self, Chapter};
use crate::checkout::Checkout;
use crate::failure::{Failure, Result};
use crate::files;
use crate::memory::{Memory, fingerprint};
use crate::starter::{self, Hole};
use crate::term::{BOLD, DIM, TYPE, WIDTH, say, styled, wrapped};

/// `cargo course hint N`: the next hint for the hole the reader is at.
pub(crate) fn command(checkout: &Checkout, chapter: &Chapter) -> Result<()> {
    let hole = at(checkout, chapter)?;
    give(checkout, chapter, &hole)
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

/// The hole the reader is at: the first open one, or the one whose check failed last.
fn at(checkout: &Checkout, chapter: &Chapter) -> Result<Hole> {
    let holes = chapter.holes(checkout)?;
    let Some(text) = checkout.read_if_there(&chapter.file())? else {
        return holes.into_iter().next().ok_or_else(|| {
            Failure::unusable(format!("Chapter {} has no holes.", chapter.number))
        });
    };
    let open = starter::open_holes(files::above_the_checks(&text));
    if let Some(hole) = holes.iter().find(|hole| open.iter().any(|o| o.number == hole.number)) {
        return Ok(hole.clone());
    }
    let checked = Memory::of(checkout, chapter).checked;
    let number = chapter.number;
    let unchanged = checked.as_ref().is_some_and(|c| c.file == fingerprint(text.as_bytes()));
    let failed = checked.as_ref().map(|checked| checked.failed.as_deref());
    match failed {
        Some(None) if unchanged => Err(Failure::unusable(format!(
            "Chapter {number} passes. Hints are there all the same, for each hole: {}.",
            examples(&holes)
        ))),
        Some(Some(failed)) if holes.iter().any(|hole| hole.number == failed) => {
            Ok(holes.iter().find(|hole| hole.number == failed).expect("just seen").clone())
        }
        _ => Err(Failure::unusable(format!(
            "No hole of {} is open. `cargo course check {number}` says what is not right yet, and \
             then there are hints on that; or ask for a hole: {}.",
            chapter.file(),
            examples(&holes)
        ))),
    }
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

/// How to ask for the hints of one hole.
fn examples(holes: &[Hole]) -> String {
    let first = holes.first().map(|hole| hole.number.as_str()).unwrap_or_default();
    format!("`cargo course hint {first}` and so on, for {}", span(holes))
}
