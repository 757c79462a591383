//! How far the reader has come.

use crate::chapters::Chapter;
use crate::checkout::Checkout;
use crate::files;
use crate::memory::{Memory, fingerprint};
use crate::starter;

/// How far the reader has come with a chapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is nothing to fill in.
    NoExercises,
    /// There is no reader's file.
    NotBegun {
        /// How many holes there are to fill.
        holes: usize,
    },
    /// Some holes are open.
    Open {
        /// How many.
        open: usize,
        /// And of how many in all.
        holes: usize,
    },
    /// No hole is open, and the file has changed since its last check.
    Filled,
    /// No hole is open, and a check does not pass.
    NotYet,
    /// All checks pass.
    Passes,
}

impl Progress {
    /// How far the reader has come with `chapter`.
    pub(crate) fn of(checkout: &Checkout, chapter: &Chapter) -> Self {
        let Ok(holes) = chapter.holes(checkout).map(|holes| holes.len()) else {
            return Progress::NoExercises;
        };
        // A file that cannot be read has been begun, and the check says what is wrong with it.
        let text = match checkout.read_if_there(&chapter.file()) {
            Ok(Some(text)) => text,
            Ok(None) => return Progress::NotBegun { holes },
            Err(_) => return Progress::Filled,
        };
        let open = starter::open_holes(files::above_the_checks(chapter, &text)).len();
        if open > 0 {
            return Progress::Open { open, holes };
        }
        match Memory::of(checkout, chapter).checked {
            Some(checked) if checked.file != fingerprint(text.as_bytes()) => Progress::Filled,
            Some(checked) if checked.failed.is_none() => Progress::Passes,
            Some(_) => Progress::NotYet,
            None => Progress::Filled,
        }
    }

    /// Whether there is nothing left to do here.
    fn is_done(&self) -> bool {
        matches!(self, Progress::Passes | Progress::NoExercises)
    }
}

/// The chapter the reader is at: the latest, or the next after it that does not pass yet.
pub(crate) fn current<'a>(checkout: &Checkout, chapters: &'a [Chapter]) -> &'a Chapter {
    let latest = latest(checkout, chapters);
    let (before, after) = chapters.split_at(chapters.partition_point(|c| c.number < latest.number));
    let to_do = |chapter: &&Chapter| chapter.written && !Progress::of(checkout, chapter).is_done();
    after.iter().chain(before).find(to_do).unwrap_or(latest)
}

/// The chapter whose file was saved last; before there is any, the first.
pub(crate) fn latest<'a>(checkout: &Checkout, chapters: &'a [Chapter]) -> &'a Chapter {
    let saved = |chapter: &&Chapter| {
        let file = checkout.root.join(chapter.file()).metadata().ok()?;
        file.modified().ok()
    };
    let begun = chapters.iter().filter(|chapter| chapter.written && saved(chapter).is_some());
    begun.max_by_key(saved).unwrap_or(&chapters[0])
}
