//! Shows the reader's code beside the reference, hole by hole.

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
    Ok(say(compared(files::above_the_checks(chapter, &yours), reference.trim_end(), &places))?)
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

/// Both texts, compared: which holes are the same, and the differences of the others. How far a
/// line is indented makes no difference.
fn compared(yours: &str, reference: &str, places: &[Place]) -> String {
    let (yours, reference) = (Lines::of(yours), Lines::of(reference));
    let diff = TextDiff::from_slices(&yours.compared, &reference.compared);
    if diff.ratio() == 1.0 {
        return "Your code and the reference are the same, line for line.".to_owned();
    }
    let is_same = |(_, lines): &&Place| diff.ops().iter().all(|op| !changes(op, lines));
    let (same, other) = places.iter().partition::<Vec<_>, _>(is_same);

    let legend = [styled(BAD, "- yours"), styled(GOOD, "+ the reference")].join("   ");
    let mut parts = vec![legend];
    for group in diff.grouped_ops(CONTEXT) {
        let within = |(_, lines): &&&Place| group.iter().any(|op| changes(op, lines));
        let titles = other.iter().filter(within);
        let titles = titles.map(|(hole, _)| format!("{} · {}", hole.number, hole.text));
        let titles = titles.collect::<Vec<_>>();
        let title = if titles.is_empty() { "Elsewhere".to_owned() } else { titles.join("\n") };
        let lines = group.iter().flat_map(|op| diff.iter_changes(op)).map(|change| {
            let (style, mark) = match change.tag() {
                ChangeTag::Equal => (DIM, ' '),
                ChangeTag::Delete => (BAD, '-'),
                ChangeTag::Insert => (GOOD, '+'),
            };
            let yours = change.old_index().map(|index| yours.whole[index]);
            let line = yours.or(change.new_index().map(|index| reference.whole[index]));
            let line = format!("{mark} {}", line.unwrap_or_default());
            if line.trim().is_empty() { String::new() } else { styled(style, line) }
        });
        let lines = lines.collect::<Vec<_>>().join("\n");
        parts.push(format!("{}\n{}", styled(BOLD, title), lines.trim_matches('\n')));
    }
    if !same.is_empty() {
        let numbers = same.iter().map(|(hole, _)| hole.number.as_str()).collect::<Vec<_>>();
        parts.push(format!("The same, line for line: {}.", numbers.join(", ")));
    }
    parts.join("\n\n")
}

/// The lines of a text.
struct Lines<'a> {
    /// As they stand there.
    whole: Vec<&'a str>,
    /// Without the spaces around them.
    compared: Vec<&'a str>,
}

impl<'a> Lines<'a> {
    /// The lines of `text`.
    fn of(text: &'a str) -> Self {
        let whole = text.lines().collect::<Vec<_>>();
        Lines { compared: whole.iter().map(|line| line.trim()).collect(), whole }
    }
}

/// Whether an operation changes something among these lines of the reference.
fn changes(op: &DiffOp, lines: &Range<usize>) -> bool {
    let changed = op.new_range();
    match op {
        DiffOp::Equal { .. } => false,
        // What is only in the reader's text stands between two lines of the reference.
        DiffOp::Delete { .. } => (lines.start..=lines.end).contains(&changed.start),
        _ => changed.start < lines.end && lines.start < changed.end,
    }
}
