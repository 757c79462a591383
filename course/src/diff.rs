//! Shows the reader's code beside the reference, hole by hole.

use std::fmt::Write;
use std::ops::Range;

use similar::{ChangeTag, DiffOp, TextDiff};

use crate::chapters::Chapter;
use crate::check::{self, Answer};
use crate::checkout::Checkout;
use crate::failure::{Failure, Result};
use crate::files;
use crate::starter::Hole;
use crate::term::{BAD, BOLD, Busy, DIM, GOOD, PATIENCE, say, styled};

/// How many lines around a difference are shown.
const CONTEXT: usize = 2;

/// `cargo course diff N`: the differences, once the chapter passes or if the reader wants them
/// `anyway`.
pub(crate) fn command(checkout: &Checkout, chapter: &Chapter, anyway: bool) -> Result<()> {
    let number = chapter.number;
    if checkout.read_if_there(&chapter.file())?.is_none() {
        return Err(Failure::not_yet(format!(
            "There is no {} yet: `cargo course check {number}` makes it.",
            chapter.file()
        )));
    }
    let yours = files::ready(checkout, chapter)?;
    if !anyway && !passes(checkout, chapter, &yours)? {
        return Err(Failure::not_yet(format!(
            "Chapter {number} does not pass yet: `cargo course check {number}` says why. The \
             reference is for afterwards; `cargo course diff {number} --anyway` shows it now."
        )));
    }
    let reference = chapter.starter(checkout, |_| false)?;
    let places = places(checkout, chapter, &reference)?;
    let yours = files::above_the_checks(chapter, &yours).to_owned() + "\n";
    Ok(say(compared(&yours, &reference, &places).trim_end())?)
}

/// Whether `yours` passes all checks.
fn passes(checkout: &Checkout, chapter: &Chapter, yours: &str) -> Result<bool> {
    let busy = Busy::with("checking", PATIENCE);
    let answer = check::check(checkout, chapter, yours, &busy, || false)?;
    Ok(matches!(answer, Answer::Passes(_)))
}

/// A hole, and the lines that fill it in the reference.
type Place = (Hole, Range<usize>);

/// Where the holes are in the reference.
fn places(checkout: &Checkout, chapter: &Chapter, reference: &str) -> Result<Vec<Place>> {
    let all = reference.lines().count();
    let mut places = Vec::new();
    for hole in chapter.holes(checkout)? {
        // With this hole alone open, one line stands where the filling stood.
        let open = chapter.starter(checkout, |number| number == hole.number)?;
        let mark = format!("todo!(\"{}: ", hole.number);
        if let Some(start) = open.lines().position(|line| line.trim_start().starts_with(&mark)) {
            let length = all + 1 - open.lines().count();
            places.push((hole, start..start + length));
        }
    }
    Ok(places)
}

/// Both texts, compared: which holes are the same, and the differences of the others.
fn compared(yours: &str, reference: &str, places: &[Place]) -> String {
    let diff = TextDiff::from_lines(yours, reference);
    let mut text = String::new();
    let (same, other) = places.iter().partition::<Vec<_>, _>(|(_, lines)| {
        diff.ops().iter().all(|op| matches!(op, DiffOp::Equal { .. }) || !touches(op, lines))
    });
    if diff.ratio() == 1.0 {
        return "Your code and the reference are the same, letter for letter.".to_owned();
    }
    let legend = [styled(BAD, "- yours"), styled(GOOD, "+ the reference")].join("   ");
    let _ = writeln!(text, "{legend}");
    for group in diff.grouped_ops(CONTEXT) {
        let changes = group.iter().filter(|op| !matches!(op, DiffOp::Equal { .. }));
        let changes = changes.collect::<Vec<_>>();
        let within = other.iter().filter(|(_, lines)| changes.iter().any(|op| touches(op, lines)));
        let titles = within.map(|(hole, _)| format!("{} · {}", hole.number, hole.text));
        let titles = titles.collect::<Vec<_>>();
        let title = if titles.is_empty() { "Elsewhere".to_owned() } else { titles.join("\n") };
        text.truncate(text.trim_end().len());
        let _ = writeln!(text, "\n\n{}", styled(BOLD, title));
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (style, mark) = match change.tag() {
                ChangeTag::Equal => (DIM, ' '),
                ChangeTag::Delete => (BAD, '-'),
                ChangeTag::Insert => (GOOD, '+'),
            };
            let line = format!("{mark} {}", change.value());
            match line.trim_end() {
                "" => text.push('\n'),
                line => drop(writeln!(text, "{}", styled(style, line))),
            }
        }
    }
    if !same.is_empty() {
        let numbers = same.iter().map(|(hole, _)| hole.number.as_str()).collect::<Vec<_>>();
        text.truncate(text.trim_end().len());
        let _ = writeln!(text, "\n\nThe same, letter for letter: {}.", numbers.join(", "));
    }
    text
}

/// Whether an operation changes something among these lines of the reference.
fn touches(op: &DiffOp, lines: &Range<usize>) -> bool {
    let changed = op.new_range();
    // What is only in the reader's text stands between two lines of the reference.
    let between = changed.is_empty() && (lines.start..=lines.end).contains(&changed.start);
    between || (changed.start < lines.end && lines.start < changed.end)
}
