//! Reads the exam's report, and puts colours into it.

use crate::chapters::Chapter;
use crate::checkout::Checkout;
use crate::term::{self, BAD, BOLD, DIM, TYPE, styled};

/// How a report begins whose hole is filled, but wrong.
pub(crate) const WRONG: &str = "Not yet: ";
/// How a report begins whose hole is open.
const OPEN: &str = "Next is TODO ";

/// The number of the hole that a report is about, if it begins so: `Next is TODO 4.1: …`.
pub(crate) fn hole<'a>(report: &'a str, beginning: &str) -> Option<&'a str> {
    report.strip_prefix(beginning)?.split([':', ' ']).next()
}

/// Where the hole is that comes next: `tests/my_04_park.rs:44`.
pub(crate) fn place(checkout: &Checkout, chapter: &Chapter, report: &str) -> Option<String> {
    let hole = hole(report, OPEN)?;
    let text = checkout.read(&chapter.file()).ok()?;
    let at = text.find(&format!("\"{hole}: "))?;
    Some(format!("{}:{}", chapter.file(), text[..at].lines().count()))
}

/// A report in colour, with the place of the next hole below its first line.
pub(crate) fn coloured(report: &str, place: Option<&str>) -> String {
    let mut lines = report.trim_end().lines().map(coloured_line).collect::<Vec<_>>();
    if let Some(place) = place {
        lines.insert(1, styled(DIM, format_args!("  {place}")));
    }
    lines.join("\n")
}

/// A line of a report in colour.
fn coloured_line(line: &str) -> String {
    // What happened, and what the reader's code has printed, stays as it is.
    if line.starts_with("  ") {
        return styled(DIM, line);
    }
    let line = term::prose(line);
    if line.starts_with(OPEN) {
        return styled(BOLD, line);
    }
    if line.starts_with(WRONG) {
        return styled(BAD.bold(), line);
    }
    if line.starts_with("More on it: ") {
        return styled(DIM, line);
    }
    // Coloured at the beginning or at the end: the tag, the word for the rule, the command.
    let tag = line.split_once(' ').filter(|(tag, _)| tag.starts_with('[') && tag.ends_with(']'));
    if let Some((tag, seen)) = tag {
        return format!("{} {seen}", styled(BAD, tag));
    }
    if let Some(rule) = line.strip_prefix("The rule:") {
        return format!("{}{rule}", styled(BOLD, "The rule:"));
    }
    match line.find("cargo course ") {
        Some(at) => format!("{}{}", &line[..at], styled(TYPE, &line[at..])),
        None => line,
    }
}
